//! Parser of what follows an operand: attributes, indices, slices and calls.

use super::Parser;
use super::expressions::{node, tallest};
use crate::checkpoint::jinja::ast::{Args, Expr, Kind};
use crate::checkpoint::jinja::lexer::Token;
use crate::checkpoint::jinja::{Error, Result};

impl Parser {
    pub(super) fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = if self.skip_operator(".") {
                let below = expr.height;
                match self.next() {
                    Token::Name(name) => node(Kind::Attribute(Box::new(expr), name), below)?,
                    Token::Int(number) => {
                        let index = node(Kind::Int(number), 0)?;
                        node(Kind::Item(Box::new(expr), Box::new(index)), below)?
                    }
                    _ => return Err(Error::new("expected a name behind \".\"")),
                }
            } else if self.skip_operator("[") {
                self.subscript(expr)?
            } else if self.is_operator("(") {
                self.call(expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    pub(super) fn call(&mut self, callee: Expr) -> Result<Expr> {
        let args = self.arguments()?;
        let below = callee.height.max(args.height());
        node(Kind::Call(Box::new(callee), args), below)
    }

    fn subscript(&mut self, of: Expr) -> Result<Expr> {
        let mut parts: [Option<Expr>; 3] = Default::default();
        let mut colons = 0;
        self.nested(|p| {
            while !p.skip_operator("]") {
                if p.skip_operator(":") {
                    colons += 1;
                } else if colons < 3 && parts[colons].is_none() {
                    parts[colons] = Some(p.expression()?);
                } else {
                    return Err(p.unexpected("\"]\""));
                }
                if p.is_operator(",") {
                    return Err(Error::new(
                        "several indices in one pair of brackets are not read",
                    ));
                }
            }
            Ok(())
        })?;
        let below = of.height.max(tallest(parts.iter().flatten()));
        match (colons, parts) {
            (0, [Some(index), ..]) => node(Kind::Item(Box::new(of), Box::new(index)), below),
            (1 | 2, parts) => node(Kind::Slice(Box::new(of), Box::new(parts)), below),
            _ => Err(Error::new("expected an index in brackets")),
        }
    }

    /// Parses a call's arguments, including the parentheses.
    pub(super) fn arguments(&mut self) -> Result<Args> {
        self.expect_operator("(")?;
        let mut args = Args::default();
        self.nested(|p| {
            let mut first = true;
            while !p.skip_operator(")") {
                if !first {
                    p.expect_operator(",")?;
                    if p.skip_operator(")") {
                        break;
                    }
                }
                first = false;
                if p.is_operator("*") || p.is_operator("**") {
                    return Err(Error::new("arguments by * or ** are not read"));
                }
                let named = matches!(p.tokens.get(p.at + 1), Some((Token::Operator("="), _)));
                match p.peek() {
                    Token::Name(name) if named => {
                        let name = name.clone();
                        p.at += 2;
                        if args.named.iter().any(|(known, _)| *known == name) {
                            return Err(Error::new(format!("argument {name:?} is given twice")));
                        }
                        args.named.push((name, p.expression()?));
                    }
                    _ if !args.named.is_empty() => {
                        return Err(Error::new(
                            "an argument without a name follows one with a name",
                        ));
                    }
                    _ => args.positional.push(p.expression()?),
                }
            }
            Ok(())
        })?;
        Ok(args)
    }
}

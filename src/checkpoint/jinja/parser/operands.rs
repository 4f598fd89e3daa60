//! Parser of operands: names, literals, lists, dicts and tuples.

use super::Parser;
use super::expressions::{node, tallest};
use crate::checkpoint::jinja::Result;
use crate::checkpoint::jinja::ast::{Expr, Kind};
use crate::checkpoint::jinja::lexer::Token;

impl Parser {
    pub(super) fn primary(&mut self) -> Result<Expr> {
        let begins = match self.peek() {
            Token::Operator(operator) => matches!(*operator, "(" | "[" | "{"),
            Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            _ => false,
        };
        if !begins {
            return Err(self.unexpected("an expression"));
        }
        let kind = match self.next() {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => Kind::Bool(true),
                "false" | "False" => Kind::Bool(false),
                "none" | "None" => Kind::None,
                _ => Kind::Name(name),
            },
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Kind::Text(text)
            }
            Token::Int(number) => Kind::Int(number),
            Token::Float(number) => Kind::Float(number),
            Token::Operator("(") => {
                let inner = self.nested(|p| p.tuple(true, &[], true))?;
                self.expect_operator(")")?;
                return Ok(inner);
            }
            Token::Operator("[") => {
                let list = self.nested(|p| p.list("]"))?;
                let below = tallest(&list);
                return node(Kind::List(list), below);
            }
            _ => {
                let pairs = self.nested(Self::pairs)?;
                let below = tallest(pairs.iter().flat_map(|(a, b)| [a, b]));
                return node(Kind::Dict(pairs), below);
            }
        };
        node(kind, 0)
    }

    /// Parses expressions separated by commas, up to `end`; a trailing comma is allowed.
    fn list(&mut self, end: &str) -> Result<Vec<Expr>> {
        let mut list = Vec::new();
        while !self.skip_operator(end) {
            if !list.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator(end) {
                    break;
                }
            }
            list.push(self.expression()?);
        }
        Ok(list)
    }

    fn pairs(&mut self) -> Result<Vec<(Expr, Expr)>> {
        let mut pairs = Vec::new();
        while !self.skip_operator("}") {
            if !pairs.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect_operator(":")?;
            pairs.push((key, self.expression()?));
        }
        Ok(pairs)
    }

    /// Parses one expression, or several separated by commas as a tuple. Without `conditional`,
    /// `a if b` is not parsed. Stops before a name of `ends`; with `parentheses` the tuple may be
    /// empty.
    pub(super) fn tuple(
        &mut self,
        conditional: bool,
        ends: &[&str],
        parentheses: bool,
    ) -> Result<Expr> {
        let mut list: Vec<Expr> = Vec::new();
        let mut is_tuple = false;
        loop {
            let end = matches!(self.peek(), Token::PrintEnd | Token::BlockEnd)
                || self.is_operator(")")
                || ends.iter().any(|name| self.is_name(name));
            if end {
                break;
            }
            list.push(if conditional {
                self.expression()?
            } else {
                self.nested(Self::or)?
            });
            if !self.skip_operator(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            match list.pop() {
                Some(only) => return Ok(only),
                None if !parentheses => return Err(self.unexpected("an expression")),
                None => {}
            }
        }
        let below = tallest(&list);
        node(Kind::Tuple(list), below)
    }
}

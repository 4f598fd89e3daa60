//! Parser of expressions: operators by their precedence.

use super::Parser;
use crate::checkpoint::jinja::ast::{Args, Arithmetic, Comparison, Expr, Kind};
use crate::checkpoint::jinja::lexer::Token;
use crate::checkpoint::jinja::{Error, HEIGHT, Result};

/// Creates a node above others; fails if the tree becomes too deep.
pub(super) fn node(kind: Kind, below: usize) -> Result<Expr> {
    let height = below + 1;
    if height > HEIGHT {
        return Err(Error::new(format!(
            "expressions deeper than {HEIGHT} are not read"
        )));
    }
    Ok(Expr { kind, height })
}

pub(super) fn tallest<'e>(list: impl IntoIterator<Item = &'e Expr>) -> usize {
    list.into_iter().map(|e| e.height).max().unwrap_or(0)
}

impl Args {
    pub(super) fn height(&self) -> usize {
        tallest(
            self.positional
                .iter()
                .chain(self.named.iter().map(|(_, e)| e)),
        )
    }
}

impl Parser {
    pub(super) fn expression(&mut self) -> Result<Expr> {
        self.nested(|p| {
            let mut yes = p.or()?;
            while p.skip_name("if") {
                let test = p.or()?;
                let no = if p.skip_name("else") {
                    Some(Box::new(p.expression()?))
                } else {
                    None
                };
                let below = tallest([&yes, &test].into_iter().chain(no.as_deref()));
                yes = node(Kind::Conditional(Box::new([test, yes]), no), below)?;
            }
            Ok(yes)
        })
    }

    pub(super) fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.skip_name("or") {
            let right = self.and()?;
            let below = left.height.max(right.height);
            left = node(Kind::Or(Box::new(left), Box::new(right)), below)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.skip_name("and") {
            let right = self.not()?;
            let below = left.height.max(right.height);
            left = node(Kind::And(Box::new(left), Box::new(right)), below)?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_name("not") {
            let inner = self.nested(Self::not)?;
            let below = inner.height;
            return node(Kind::Not(Box::new(inner)), below);
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.peek() {
                Token::Operator("==") => Comparison::Equal,
                Token::Operator("!=") => Comparison::NotEqual,
                Token::Operator("<") => Comparison::Less,
                Token::Operator("<=") => Comparison::LessEqual,
                Token::Operator(">") => Comparison::Greater,
                Token::Operator(">=") => Comparison::GreaterEqual,
                Token::Name(name) if name == "in" => Comparison::In,
                Token::Name(name)
                    if name == "not"
                        && matches!(
                            self.tokens.get(self.at + 1),
                            Some((Token::Name(n), _)) if n == "in"
                        ) =>
                {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((comparison, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let below = tallest(rest.iter().map(|(_, e)| e).chain([&first]));
        node(Kind::Compare(Box::new(first), rest), below)
    }

    fn sum(&mut self) -> Result<Expr> {
        let operators = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.arithmetic(&operators, Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.skip_operator("~") {
            list.push(self.product()?);
        }
        let below = tallest(&list);
        node(Kind::Concat(list), below)
    }

    fn product(&mut self) -> Result<Expr> {
        let operators = [
            ("*", Arithmetic::Multiply),
            ("/", Arithmetic::Divide),
            ("//", Arithmetic::FloorDivide),
            ("%", Arithmetic::Modulo),
        ];
        self.arithmetic(&operators, |p| {
            p.arithmetic(&[("**", Arithmetic::Power)], |p| p.unary(true))
        })
    }

    fn arithmetic(
        &mut self,
        operators: &[(&str, Arithmetic)],
        operand: impl Fn(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let mut left = operand(self)?;
        loop {
            let found = operators.iter().find(|(sign, _)| self.is_operator(sign));
            let Some((_, operator)) = found else {
                return Ok(left);
            };
            self.next();
            let right = operand(self)?;
            let below = left.height.max(right.height);
            let kind = Kind::Arithmetic(*operator, Box::new(left), Box::new(right));
            left = node(kind, below)?;
        }
    }

    fn unary(&mut self, filters: bool) -> Result<Expr> {
        let sign = match self.peek() {
            Token::Operator("-") => Some(Kind::Negative as fn(Box<Expr>) -> Kind),
            Token::Operator("+") => Some(Kind::Positive as fn(Box<Expr>) -> Kind),
            _ => None,
        };
        let mut expr = match sign {
            Some(kind) => {
                self.next();
                let inner = self.nested(|p| p.unary(false))?;
                let below = inner.height;
                node(kind(Box::new(inner)), below)?
            }
            None => self.primary()?,
        };
        expr = self.postfix(expr)?;
        if filters {
            expr = self.filtered(expr)?;
        }
        Ok(expr)
    }
}

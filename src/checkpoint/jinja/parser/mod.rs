//! Parser of templates, by jinja2's grammar.

mod expressions;
mod filtered;
mod operands;
mod postfix;
mod statements;

pub(super) use statements::parse;

use super::lexer::Token;
use super::{Error, NESTING, Result};

/// The tokens of a template, and the place that is read next.
struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    /// Number of constructs around this place.
    nesting: usize,
    /// Number of loops around this place, inside the innermost macro.
    loops: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    fn line(&self) -> usize {
        self.tokens[self.at].1
    }

    fn next(&mut self) -> Token {
        let token = self.tokens[self.at].0.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(found) if *found == operator)
    }

    fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    fn skip_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        if found {
            self.next();
        }
        found
    }

    fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.skip_operator(operator) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{operator:?}")))
    }

    fn expect_name(&mut self) -> Result<String> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.next();
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            Token::Data(_) => "text".to_string(),
            Token::PrintBegin => "{{".to_string(),
            Token::PrintEnd => "}}".to_string(),
            Token::BlockBegin => "{%".to_string(),
            Token::BlockEnd => "%}".to_string(),
            Token::Name(name) => format!("{name:?}"),
            Token::Text(_) => "a string".to_string(),
            Token::Int(_) | Token::Float(_) => "a number".to_string(),
            Token::Operator(operator) => format!("{operator:?}"),
            Token::End => "the end".to_string(),
        };
        Error::new(format!("expected {expected}, found {found}"))
    }

    /// Runs `parse` one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.nesting += 1;
        if self.nesting > NESTING {
            return Err(Error::new(format!("nested more than {NESTING} deep")));
        }
        let result = parse(self);
        self.nesting -= 1;
        result
    }
}

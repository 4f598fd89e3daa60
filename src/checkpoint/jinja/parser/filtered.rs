//! Parser of filters, `value|name`, and tests, `value is name`.

use super::Parser;
use super::expressions::node;
use crate::checkpoint::jinja::ast::{Args, Expr, Filter, Kind};
use crate::checkpoint::jinja::lexer::Token;
use crate::checkpoint::jinja::{Error, Result, filters, predicates};

impl Parser {
    pub(super) fn filtered(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = if self.skip_operator("|") {
                let filter = self.filter_name()?;
                let below = expr.height.max(filter.args.height());
                node(Kind::Filter(Box::new(expr), filter), below)?
            } else if self.skip_name("is") {
                self.test(expr)?
            } else if self.is_operator("(") {
                self.call(expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    /// Parses the filters after a block's name: `upper|trim`. The first has no `|` before it.
    pub(super) fn filter_chain(&mut self, inline: bool) -> Result<Vec<Filter>> {
        let mut chain = Vec::new();
        if inline {
            chain.push(self.filter_name()?);
        }
        while self.skip_operator("|") {
            chain.push(self.filter_name()?);
        }
        Ok(chain)
    }

    fn filter_name(&mut self) -> Result<Filter> {
        let name = self.dotted()?;
        if !filters::known(&name) {
            return Err(Error::new(format!("there is no filter {name:?}")));
        }
        let args = if self.is_operator("(") {
            self.arguments()?
        } else {
            Args::default()
        };
        Ok(Filter { name, args })
    }

    fn dotted(&mut self) -> Result<String> {
        let mut name = self.expect_name()?;
        while self.skip_operator(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name)
    }

    fn test(&mut self, of: Expr) -> Result<Expr> {
        let negated = self.skip_name("not");
        let name = self.dotted()?;
        if !predicates::known(&name) {
            return Err(Error::new(format!("there is no test {name:?}")));
        }
        let args = match self.peek() {
            Token::Operator("(") => self.arguments()?,
            Token::Name(word) if matches!(word.as_str(), "else" | "or" | "and") => Args::default(),
            Token::Name(word) if word == "is" => {
                return Err(Error::new("tests cannot be chained with \"is\""));
            }
            Token::Name(_)
            | Token::Text(_)
            | Token::Int(_)
            | Token::Float(_)
            | Token::Operator("[" | "{") => {
                let operand = self.primary()?;
                let positional = vec![self.postfix(operand)?];
                let named = Vec::new();
                Args { positional, named }
            }
            _ => Args::default(),
        };
        let below = of.height.max(args.height());
        let test = node(Kind::Test(Box::new(of), Filter { name, args }), below)?;
        if !negated {
            return Ok(test);
        }
        let below = test.height;
        node(Kind::Not(Box::new(test)), below)
    }
}

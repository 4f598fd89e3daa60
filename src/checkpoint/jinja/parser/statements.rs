//! Parser of statements, by jinja2's grammar.

use std::sync::Arc;

use super::Parser;
use crate::checkpoint::jinja::ast::{Expr, For, Kind, MacroDef, Statement, StatementKind, Target};
use crate::checkpoint::jinja::lexer::{Token, tokens};
use crate::checkpoint::jinja::{Error, Result};

/// Parses a template.
pub(in crate::checkpoint::jinja) fn parse(source: &str) -> Result<Vec<Statement>> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        at: 0,
        nesting: 0,
        loops: 0,
    };
    let body = parser.body(&[]).and_then(|body| match parser.peek() {
        Token::End => Ok(body),
        _ => Err(parser.unexpected("the end")),
    });
    body.map_err(|error| error.at(parser.line()))
}

impl Parser {
    /// Parses statements up to a tag of one of these names, whose name is the next token
    /// afterwards.
    fn body(&mut self, ends: &[&str]) -> Result<Vec<Statement>> {
        self.nested(|p| {
            let mut body = Vec::new();
            loop {
                let line = p.line();
                let kind = match p.peek() {
                    Token::End if ends.is_empty() => return Ok(body),
                    Token::End => {
                        return Err(Error::new(format!("expected {:?}, found the end", ends[0])));
                    }
                    Token::Data(text) => {
                        let text = text.clone();
                        p.next();
                        StatementKind::Data(text)
                    }
                    Token::PrintBegin => {
                        p.next();
                        let expr = p.tuple(true, &[], false)?;
                        if *p.peek() != Token::PrintEnd {
                            return Err(p.unexpected("\"}}\""));
                        }
                        p.next();
                        StatementKind::Print(expr)
                    }
                    Token::BlockBegin => {
                        p.next();
                        if ends.iter().any(|end| p.is_name(end)) {
                            return Ok(body);
                        }
                        p.statement()?
                    }
                    _ => return Err(p.unexpected("text or a tag")),
                };
                body.push(Statement { kind, line });
            }
        })
    }

    fn block_end(&mut self) -> Result<()> {
        if *self.peek() != Token::BlockEnd {
            return Err(self.unexpected("\"%}\""));
        }
        self.next();
        Ok(())
    }

    /// Parses the body up to `{% end %}`, and skips that.
    fn body_to(&mut self, end: &str) -> Result<Vec<Statement>> {
        let body = self.body(&[end])?;
        self.next();
        self.block_end()?;
        Ok(body)
    }

    fn statement(&mut self) -> Result<StatementKind> {
        let name = self.expect_name()?;
        Ok(match name.as_str() {
            "for" => self.for_loop()?,
            "if" => self.condition()?,
            "set" => self.set()?,
            "print" => {
                let expr = self.tuple(true, &[], false)?;
                self.block_end()?;
                StatementKind::Print(expr)
            }
            "with" => {
                let mut values = Vec::new();
                while *self.peek() != Token::BlockEnd {
                    if !values.is_empty() {
                        self.expect_operator(",")?;
                    }
                    let target = self.target(false)?;
                    self.expect_operator("=")?;
                    values.push((target, self.expression()?));
                }
                self.block_end()?;
                StatementKind::With(values, self.body_to("endwith")?)
            }
            "filter" => {
                let filters = self.filter_chain(true)?;
                self.block_end()?;
                StatementKind::FilterBlock(filters, self.body_to("endfilter")?)
            }
            "macro" => {
                let name = self.expect_name()?;
                let params = self.params()?;
                self.block_end()?;
                let definition = self.macro_body(&name, params, "endmacro")?;
                StatementKind::Macro(name, definition)
            }
            "call" => {
                let params = if self.is_operator("(") {
                    self.params()?
                } else {
                    Vec::new()
                };
                let Kind::Call(callee, args) = self.expression()?.kind else {
                    return Err(Error::new("expected a call in {% call %}"));
                };
                self.block_end()?;
                let body = self.macro_body("caller", params, "endcall")?;
                StatementKind::CallBlock(*callee, args, body)
            }
            "generation" => {
                self.block_end()?;
                let loops = std::mem::take(&mut self.loops);
                let body = self.body_to("endgeneration")?;
                self.loops = loops;
                StatementKind::Generation(body)
            }
            "break" | "continue" if self.loops == 0 => {
                return Err(Error::new(format!("{name} stands in no loop")));
            }
            "break" => {
                self.block_end()?;
                StatementKind::Break
            }
            "continue" => {
                self.block_end()?;
                StatementKind::Continue
            }
            "block" | "extends" | "include" | "import" | "from" | "autoescape" => {
                return Err(Error::new(format!("{{% {name} %}} is not supported")));
            }
            _ => return Err(Error::new(format!("there is no tag {name:?}"))),
        })
    }

    fn for_loop(&mut self) -> Result<StatementKind> {
        let target = self.target_until("in")?;
        if !self.skip_name("in") {
            return Err(self.unexpected("\"in\""));
        }
        let iter = self.tuple(false, &["recursive"], false)?;
        let test = if self.skip_name("if") {
            Some(self.expression()?)
        } else {
            None
        };
        if self.is_name("recursive") {
            return Err(Error::new("recursive loops are not supported"));
        }
        self.block_end()?;
        self.loops += 1;
        let body = self.body(&["endfor", "else"]);
        self.loops -= 1;
        let body = body?;
        let otherwise = if self.skip_name("else") {
            self.block_end()?;
            self.body(&["endfor"])?
        } else {
            Vec::new()
        };
        self.next();
        self.block_end()?;
        Ok(StatementKind::For(Box::new(For {
            target,
            iter,
            test,
            body,
            otherwise,
        })))
    }

    fn condition(&mut self) -> Result<StatementKind> {
        let mut branches = Vec::new();
        loop {
            let test = self.tuple(false, &[], false)?;
            self.block_end()?;
            branches.push((test, self.body(&["elif", "else", "endif"])?));
            if self.skip_name("elif") {
                continue;
            }
            let otherwise = if self.skip_name("else") {
                self.block_end()?;
                self.body(&["endif"])?
            } else {
                Vec::new()
            };
            self.next();
            self.block_end()?;
            return Ok(StatementKind::If(branches, otherwise));
        }
    }

    fn set(&mut self) -> Result<StatementKind> {
        let target = self.target_list(true, &[])?;
        if self.skip_operator("=") {
            let value = self.tuple(true, &[], false)?;
            self.block_end()?;
            return Ok(StatementKind::Set(target, value));
        }
        let filters = self.filter_chain(false)?;
        self.block_end()?;
        Ok(StatementKind::SetBlock(
            target,
            filters,
            self.body_to("endset")?,
        ))
    }

    fn macro_body(
        &mut self,
        name: &str,
        params: Vec<(String, Option<Expr>)>,
        end: &str,
    ) -> Result<Arc<MacroDef>> {
        let loops = std::mem::take(&mut self.loops);
        let body = self.body_to(end)?;
        self.loops = loops;
        Ok(Arc::new(MacroDef {
            name: name.to_string(),
            params,
            body,
        }))
    }

    fn params(&mut self) -> Result<Vec<(String, Option<Expr>)>> {
        self.expect_operator("(")?;
        let mut params: Vec<(String, Option<Expr>)> = Vec::new();
        while !self.skip_operator(")") {
            if !params.is_empty() {
                self.expect_operator(",")?;
            }
            let name = self.target_name()?;
            let default = if self.skip_operator("=") {
                Some(self.expression()?)
            } else {
                None
            };
            if default.is_none() && params.last().is_some_and(|(_, d)| d.is_some()) {
                return Err(Error::new(
                    "a parameter without a default follows one with it",
                ));
            }
            params.push((name, default));
        }
        Ok(params)
    }

    fn target_name(&mut self) -> Result<String> {
        let name = self.expect_name()?;
        if matches!(
            name.as_str(),
            "true" | "false" | "none" | "True" | "False" | "None"
        ) {
            return Err(Error::new(format!("{name} cannot be assigned to")));
        }
        Ok(name)
    }

    fn target(&mut self, namespace: bool) -> Result<Target> {
        if self.skip_operator("(") {
            let inner = self.nested(|p| p.target_list(namespace, &[]))?;
            self.expect_operator(")")?;
            return Ok(inner);
        }
        let name = self.target_name()?;
        if namespace && self.skip_operator(".") {
            return Ok(Target::Namespace(name, self.expect_name()?));
        }
        Ok(Target::Name(name))
    }

    fn target_until(&mut self, end: &str) -> Result<Target> {
        self.target_list(false, &[end])
    }

    fn target_list(&mut self, namespace: bool, ends: &[&str]) -> Result<Target> {
        let first = self.target(namespace)?;
        if !self.is_operator(",") {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.skip_operator(",") {
            let end = *self.peek() == Token::BlockEnd
                || self.is_operator("=")
                || self.is_operator(")")
                || ends.iter().any(|end| self.is_name(end));
            if end {
                break;
            }
            list.push(self.target(namespace)?);
        }
        Ok(Target::Tuple(list))
    }
}

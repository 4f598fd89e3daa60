//! Chat templates, rendered as transformers renders them: Jinja with the values of Python.
//!
//! A template prints `True` and `None`, divides integers to floats, joins lists by their `repr` and
//! calls the methods of Python's strings, and every byte of its output is part of the prompt. The
//! crate minijinja has different values (`true`, `none`, other texts of floats, lists and dicts;
//! other operators between them), and its memory cannot be bounded: a list that doubles fifty
//! times, or nesting of a hundred thousand, ends the process. So the language is implemented here:
//! jinja2's grammar, an interpreter with Python's values, and limits on everything that a template
//! can create.
//!
//! Transformers renders with jinja2's `ImmutableSandboxedEnvironment`, `trim_blocks`,
//! `lstrip_blocks`, loop controls, the tag `generation`, its own `tojson`, `raise_exception`,
//! `dict` and `namespace`. All of these are implemented. Features of jinja2 that are not are
//! refused by name, never rendered differently: escaping of HTML, inheritance and inclusion,
//! recursive loops, and filters that no chat template needs. `strftime_now` is not defined on
//! purpose: a prompt that contains the current date would change every day, and templates that
//! check whether it is defined fall back to a fixed date.

mod ast;
mod evaluate;
mod filters;
mod functions;
mod lexer;
mod methods;
mod numbers;
mod operators;
mod parser;
mod percent;
mod predicates;
mod sequences;
mod value;
mod write;

use std::fmt;
use std::sync::Arc;

use ast::Statement;

/// Depth of an expression. Python itself refuses more parentheses, and jinja2 writes one pair for
/// each level.
const HEIGHT: usize = 200;
/// Depth of nested constructs, blocks and parentheses together.
const NESTING: usize = 100;
/// Depth of a value. Printing and comparing deeper values would need a deep stack.
const DEPTH: usize = 100;
/// Depth of macro calls.
const CALLS: usize = 50;
/// Limit on a template's work, in steps of about 16 bytes allocated or one operation: 16 MiB.
const WORK: usize = 1 << 20;
/// Bytes of a template, and of its output.
const SIZE: usize = 1 << 20;

type Result<T> = std::result::Result<T, Error>;

/// The reason why a template was not parsed or not rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Error {
    reason: String,
    line: usize,
}

impl Error {
    fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            line: 0,
        }
    }

    /// Sets the line, if it has none.
    fn at(mut self, line: usize) -> Self {
        if self.line == 0 {
            self.line = line;
        }
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.reason),
            line => write!(f, "line {line}: {}", self.reason),
        }
    }
}

/// Checks whether a character is whitespace as Python's `str.isspace` defines it.
fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// A parsed template.
#[derive(Debug, Clone)]
pub(super) struct Template(Arc<Vec<Statement>>);

/// The variables passed to a template, as JSON.
pub(super) type Context = serde_json::Map<String, serde_json::Value>;

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// An error if the text is not a template, or uses features that are not supported.
    pub fn new(source: &str) -> Result<Self> {
        if source.len() > SIZE {
            return Err(Error::new(format!("expected at most {SIZE} bytes")));
        }
        Ok(Self(Arc::new(parser::parse(source)?)))
    }

    /// Renders the template.
    ///
    /// # Errors
    /// An error where jinja2 raises one, and where a limit is exceeded.
    pub fn render(&self, context: &Context) -> Result<String> {
        evaluate::render(&self.0, context)
    }
}

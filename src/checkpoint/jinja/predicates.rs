//! jinja2's tests: `x is name`.

use super::ast::{Arithmetic, Comparison};
use super::evaluate::Run;
use super::functions::Given;
use super::value::Value;
use super::{Error, Result, filters};

const TESTS: [&str; 39] = [
    "odd",
    "even",
    "divisibleby",
    "defined",
    "undefined",
    "filter",
    "test",
    "none",
    "boolean",
    "false",
    "true",
    "integer",
    "float",
    "lower",
    "upper",
    "string",
    "mapping",
    "number",
    "sequence",
    "iterable",
    "callable",
    "sameas",
    "escaped",
    "in",
    "==",
    "eq",
    "equalto",
    "!=",
    "ne",
    ">",
    "gt",
    "greaterthan",
    "ge",
    ">=",
    "<",
    "lt",
    "lessthan",
    "<=",
    "le",
];

/// Checks whether jinja2 has a test of this name.
pub(super) fn known(name: &str) -> bool {
    TESTS.contains(&name)
}

/// Evaluates `value is name(...)`.
pub(super) fn holds(run: &Run, name: &str, value: &Value, given: &Given) -> Result<bool> {
    let given = given.clone();
    let comparison = match name {
        "==" | "eq" | "equalto" => Some(Comparison::Equal),
        "!=" | "ne" => Some(Comparison::NotEqual),
        ">" | "gt" | "greaterthan" => Some(Comparison::Greater),
        ">=" | "ge" => Some(Comparison::GreaterEqual),
        "<" | "lt" | "lessthan" => Some(Comparison::Less),
        "<=" | "le" => Some(Comparison::LessEqual),
        "in" => Some(Comparison::In),
        _ => None,
    };
    let needs = || Error::new(format!("the test {name:?} needs one argument"));
    if let Some(comparison) = comparison {
        let [other] = given.named(["other"])?;
        return run.compare(comparison, value, &other.ok_or_else(needs)?);
    }
    if matches!(name, "divisibleby" | "sameas") {
        let [other] = given.named([if name == "sameas" { "other" } else { "num" }])?;
        let other = other.ok_or_else(needs)?;
        if name == "divisibleby" {
            let rest = run.arithmetic(Arithmetic::Modulo, value, &other)?;
            return rest.equals(&Value::Int(0));
        }
        return match (value, &other) {
            (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
            (Value::None, Value::None) => Ok(true),
            (Value::None | Value::Bool(_), _) | (_, Value::None | Value::Bool(_)) => Ok(false),
            _ => Err(Error::new(
                "sameas is supported for none, true and false only",
            )),
        };
    }
    if !given.is_empty() {
        return Err(Error::new(format!("the test {name:?} takes no arguments")));
    }
    Ok(match name {
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => matches!(value, Value::Int(_) | Value::Float(_) | Value::Bool(_)),
        "string" => matches!(value, Value::Text(_)),
        "mapping" => matches!(value, Value::Dict(_)),
        "sequence" => matches!(
            value,
            Value::Text(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Dict(_)
                | Value::Range(..)
                | Value::Undefined(_)
        ),
        "iterable" => matches!(
            value,
            Value::Text(_)
                | Value::List(_)
                | Value::Tuple(_)
                | Value::Dict(_)
                | Value::Range(..)
                | Value::Undefined(_)
                | Value::View(..)
                | Value::Generator(_)
                | Value::Loop(_)
        ),
        // Undefined has `__call__`, which raises.
        "callable" => matches!(
            value,
            Value::Undefined(_)
                | Value::Macro(_)
                | Value::Function(_)
                | Value::Method(_)
                | Value::Joiner(_)
                | Value::Loop(_)
        ),
        "escaped" => false,
        "odd" | "even" => {
            let rest = run.arithmetic(Arithmetic::Modulo, value, &Value::Int(2))?;
            rest.equals(&Value::Int(i64::from(name == "odd")))?
        }
        "lower" | "upper" => {
            let text = run.text(value)?;
            let lower = text.chars().any(char::is_lowercase);
            let upper = text.chars().any(char::is_uppercase);
            if name == "lower" {
                lower && !upper
            } else {
                upper && !lower
            }
        }
        "filter" | "test" => {
            let text = value
                .as_text()
                .ok_or_else(|| Error::new("expected a name"))?;
            if name == "filter" {
                filters::known(text)
            } else {
                known(text)
            }
        }
        _ => return Err(Error::new(format!("there is no test {name:?}"))),
    })
}

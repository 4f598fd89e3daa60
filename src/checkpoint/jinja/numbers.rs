//! Python's numbers: integers, limited to 64 bits here, and floats.

use std::cmp::Ordering;

use super::ast::Arithmetic;
use super::value::Value;
use super::{Error, Result};

#[derive(Clone, Copy)]
enum Number {
    Int(i64),
    Float(f64),
}

fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Float(float) => Some(Number::Float(*float)),
        other => other.as_int().map(Number::Int),
    }
}

/// Compares two numbers: `Some(None)` if one is NaN, `None` if one is not a number.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Option<Ordering>> {
    Some(match (number(a)?, number(b)?) {
        (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
        (Number::Float(a), Number::Float(b)) => a.partial_cmp(&b),
        (Number::Int(a), Number::Float(b)) => mixed(a, b),
        (Number::Float(a), Number::Int(b)) => mixed(b, a).map(Ordering::reverse),
    })
}

/// Compares exactly, as Python does.
fn mixed(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        return None;
    }
    let bound = 9_223_372_036_854_775_808.0;
    if b >= bound {
        return Some(Ordering::Less);
    }
    if b < -bound {
        return Some(Ordering::Greater);
    }
    let whole = b.trunc();
    Some(
        a.cmp(&(whole as i64))
            .then_with(|| 0.0f64.partial_cmp(&(b - whole)).unwrap_or(Ordering::Equal)),
    )
}

fn too_large() -> Error {
    Error::new("integers of more than 64 bits are not computed")
}

fn by_zero() -> Error {
    Error::new("division by zero")
}

/// Computes an operation on two numbers; `None` if one is not a number.
pub(super) fn arithmetic(op: Arithmetic, a: &Value, b: &Value) -> Result<Option<Value>> {
    let (Some(a), Some(b)) = (number(a), number(b)) else {
        return Ok(None);
    };
    if let (Number::Int(a), Number::Int(b)) = (a, b) {
        let checked = match op {
            Arithmetic::Add => a.checked_add(b),
            Arithmetic::Subtract => a.checked_sub(b),
            Arithmetic::Multiply => a.checked_mul(b),
            Arithmetic::FloorDivide | Arithmetic::Modulo if b == 0 => return Err(by_zero()),
            Arithmetic::FloorDivide => a.checked_div(b).map(|quotient| {
                let inexact = a.wrapping_rem(b) != 0 && (a < 0) != (b < 0);
                quotient - i64::from(inexact)
            }),
            Arithmetic::Modulo => {
                let rest = a.wrapping_rem(b);
                Some(if rest != 0 && (rest < 0) != (b < 0) {
                    rest + b
                } else {
                    rest
                })
            }
            Arithmetic::Power if b >= 0 => u32::try_from(b).ok().and_then(|b| a.checked_pow(b)),
            Arithmetic::Divide | Arithmetic::Power => {
                return floats(op, a as f64, b as f64).map(Some);
            }
        };
        return Ok(Some(Value::Int(checked.ok_or_else(too_large)?)));
    }
    let float = |n: Number| match n {
        Number::Int(int) => int as f64,
        Number::Float(float) => float,
    };
    floats(op, float(a), float(b)).map(Some)
}

fn floats(op: Arithmetic, a: f64, b: f64) -> Result<Value> {
    let zero = b == 0.0;
    Ok(Value::Float(match op {
        Arithmetic::Add => a + b,
        Arithmetic::Subtract => a - b,
        Arithmetic::Multiply => a * b,
        Arithmetic::Divide | Arithmetic::FloorDivide | Arithmetic::Modulo if zero => {
            return Err(by_zero());
        }
        Arithmetic::Divide => a / b,
        Arithmetic::Modulo => modulo(a, b),
        Arithmetic::FloorDivide => {
            let quotient = (a - modulo(a, b)) / b;
            let floor = quotient.floor();
            if quotient - floor > 0.5 {
                floor + 1.0
            } else {
                floor
            }
        }
        Arithmetic::Power => {
            if (a == 0.0 && b < 0.0) || (a < 0.0 && b.fract() != 0.0) {
                return Err(Error::new("a power that is no real number"));
            }
            libm::pow(a, b)
        }
    }))
}

fn modulo(a: f64, b: f64) -> f64 {
    let rest = a % b;
    if rest == 0.0 {
        0.0f64.copysign(b)
    } else if (rest < 0.0) != (b < 0.0) {
        rest + b
    } else {
        rest
    }
}

/// Returns Python's `repr` of a float: the shortest text that parses to the same number.
pub(super) fn float_text(value: f64) -> String {
    if value.is_nan() {
        return "nan".to_string();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_string();
    }
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = format!("{value}");
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// Rounds a float to `digits` after the point, as Python's `round` does.
pub(super) fn rounded(value: f64, digits: i64) -> Result<f64> {
    if !value.is_finite() || digits > 300 {
        return Ok(value);
    }
    match usize::try_from(digits) {
        Ok(digits) => Ok(format!("{value:.digits$}").parse().unwrap_or(value)),
        Err(_) => Err(Error::new("rounding before the point is not supported")),
    }
}

/// Parses an integer as Python's `int` does.
pub(super) fn int_of_text(text: &str, base: u32) -> Option<i64> {
    let text = text.trim_matches(super::is_space);
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let prefix = match base {
        16 => digits.strip_prefix("0x").or(digits.strip_prefix("0X")),
        8 => digits.strip_prefix("0o").or(digits.strip_prefix("0O")),
        2 => digits.strip_prefix("0b").or(digits.strip_prefix("0B")),
        _ => None,
    };
    let digits = prefix.unwrap_or(digits);
    let digits = separated(digits)?;
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let sign = if negative { "-" } else { "" };
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

/// Removes single underscores between digits.
fn separated(text: &str) -> Option<String> {
    let wrong =
        text.is_empty() || text.starts_with('_') || text.ends_with('_') || text.contains("__");
    (!wrong).then(|| text.replace('_', ""))
}

/// Parses a float as Python's `float` does.
pub(super) fn float_of_text(text: &str) -> Option<f64> {
    let text = text.trim_matches(super::is_space);
    let text = separated(text)?;
    // Rust accepts the same as Python: digits, point, exponent, inf, infinity, nan, in any case.
    text.parse().ok()
}

//! Filters of numbers: `abs`, `int`, `float` and `round`.

use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result, numbers};

pub(super) fn number(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
    value.defined()?;
    let float = |value: &Value| match value {
        Value::Float(float) => Some(*float),
        Value::Text(text) => numbers::float_of_text(text),
        other => other.as_int().map(|int| int as f64),
    };
    match name {
        "float" => {
            let [default] = given.named(["default"])?;
            Ok(float(value).map_or(default.unwrap_or(Value::Float(0.0)), Value::Float))
        }
        "int" => {
            let [default, base] = given.named(["default", "base"])?;
            let base = base.map_or(Some(10), |base| base.as_int());
            let base = base.filter(|base| (2..=36).contains(base));
            let base = base.ok_or_else(|| Error::new("int needs a base from 2 to 36"))?;
            let whole = match value {
                Value::Text(text) => numbers::int_of_text(text, base as u32),
                other => other.as_int(),
            };
            if let Some(whole) = whole {
                return Ok(Value::Int(whole));
            }
            match float(value) {
                Some(float) if float.abs() < 9e18 => Ok(Value::Int(float as i64)),
                Some(float) if float.is_finite() => {
                    Err(Error::new("an integer of more than 64 bits"))
                }
                Some(_) if matches!(value, Value::Float(f) if f.is_infinite()) => {
                    Err(Error::new("cannot convert float infinity to integer"))
                }
                _ => Ok(default.unwrap_or(Value::Int(0))),
            }
        }
        "abs" => {
            if !given.is_empty() {
                return Err(Error::new("abs takes no arguments"));
            }
            match value {
                Value::Float(float) => Ok(Value::Float(float.abs())),
                other => {
                    let size = other.as_int().and_then(i64::checked_abs);
                    size.map(Value::Int)
                        .ok_or_else(|| Error::new("abs needs a number"))
                }
            }
        }
        _ => {
            let [precision, method] = given.named(["precision", "method"])?;
            let precision = precision.map_or(Some(0), |precision| precision.as_int());
            let precision = precision.ok_or_else(|| Error::new("round needs an integer"))?;
            let method = method.map_or(Ok("common".to_string()), |method| run.text(&method))?;
            match (method.as_str(), value) {
                ("common", Value::Float(float)) => {
                    Ok(Value::Float(numbers::rounded(*float, precision)?))
                }
                ("common", other) if precision >= 0 => other
                    .as_int()
                    .map(Value::Int)
                    .ok_or_else(|| Error::new("round needs a number")),
                ("ceil" | "floor", Value::Float(float)) if (0..=15).contains(&precision) => {
                    let scale = 10i64.pow(precision as u32) as f64;
                    let scaled = float * scale;
                    let whole = if method == "ceil" {
                        scaled.ceil()
                    } else {
                        scaled.floor()
                    };
                    Ok(Value::Float(whole / scale))
                }
                _ => Err(Error::new("round is not supported like this")),
            }
        }
    }
}

//! Python's `%` on strings.

use super::evaluate::Run;
use super::value::Value;
use super::{Error, Result};

/// A conversion specifier's fields.
#[derive(Default)]
struct Field {
    left: bool,
    zero: bool,
    plus: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
}

pub(super) fn format(run: &Run, format: &str, args: &Value) -> Result<String> {
    let values: Vec<Value> = match args {
        Value::Tuple(items) => items.values.clone(),
        other => vec![other.clone()],
    };
    let mut next = values.iter();
    let mut by_name = false;
    let mut out = String::new();
    let mut chars = format.chars().peekable();
    let cut = || Error::new("incomplete format");
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        run.work(4)?;
        let mut named = None;
        if chars.peek() == Some(&'(') {
            chars.next();
            let name: String = chars.by_ref().take_while(|c| *c != ')').collect();
            by_name = true;
            let found = args.get(&Value::text(&name))?;
            named = Some(found.ok_or_else(|| Error::new(format!("the format needs {name:?}")))?);
        }
        let mut field = Field::default();
        while let Some(flag) = chars.peek() {
            match flag {
                '-' => field.left = true,
                '0' => field.zero = true,
                '+' => field.plus = true,
                ' ' => field.space = true,
                '#' => return Err(Error::new("the format flag # is not supported")),
                _ => break,
            }
            chars.next();
        }
        let mut number = || {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            digits
        };
        let width = number();
        let large = |_| Error::new("a width of the format is too large");
        if !width.is_empty() {
            field.width = width.parse().map_err(large)?;
        }
        if chars.next_if_eq(&'.').is_some() {
            let mut digits = String::new();
            while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                digits.push(digit);
            }
            field.precision = Some(if digits.is_empty() {
                0
            } else {
                digits.parse().map_err(large)?
            });
        }
        run.work((field.width + field.precision.unwrap_or(0)) / 8)?;
        let conversion = chars.next().ok_or_else(cut)?;
        if conversion == '%' {
            out.push('%');
            continue;
        }
        let value = match named {
            Some(value) => value,
            None => next
                .next()
                .cloned()
                .ok_or_else(|| Error::new("not enough arguments for format string"))?,
        };
        out.push_str(&converted(run, conversion, &field, &value)?);
    }
    if next.next().is_some() && !by_name && !matches!(args, Value::Dict(_)) {
        return Err(Error::new(
            "not all arguments converted during string formatting",
        ));
    }
    Ok(out)
}

fn converted(run: &Run, conversion: char, field: &Field, value: &Value) -> Result<String> {
    let needs_number = || {
        let found = value.type_name();
        Error::new(format!(
            "%{conversion} format: a number is required, not {found}"
        ))
    };
    let (sign, digits) = match conversion {
        's' | 'r' => {
            let mut text = String::new();
            if conversion == 's' {
                text = run.text(value)?;
            } else {
                run.repr(value, &mut text)?;
            }
            if let Some(most) = field.precision {
                text = text.chars().take(most).collect();
            }
            (None, text)
        }
        'd' | 'i' | 'u' | 'x' | 'X' | 'o' => {
            let number = match value {
                Value::Float(float) if "diu".contains(conversion) && float.abs() < 9e18 => {
                    *float as i64
                }
                other => other.as_int().ok_or_else(needs_number)?,
            };
            let size = number.unsigned_abs();
            let mut digits = match conversion {
                'x' => format!("{size:x}"),
                'X' => format!("{size:X}"),
                'o' => format!("{size:o}"),
                _ => size.to_string(),
            };
            let missing = field.precision.unwrap_or(0).saturating_sub(digits.len());
            digits.insert_str(0, &"0".repeat(missing));
            (Some(number < 0), digits)
        }
        'f' | 'F' => {
            let number = match value {
                Value::Float(float) => *float,
                other => other.as_int().ok_or_else(needs_number)? as f64,
            };
            if !number.is_finite() {
                return Err(Error::new("a float that is not finite is not formatted"));
            }
            let digits = field.precision.unwrap_or(6);
            (
                Some(number.is_sign_negative()),
                format!("{:.digits$}", number.abs()),
            )
        }
        _ => {
            return Err(Error::new(format!(
                "the format %{conversion} is not supported"
            )));
        }
    };
    let mark = match sign {
        Some(true) => "-",
        Some(false) if field.plus => "+",
        Some(false) if field.space => " ",
        _ => "",
    };
    let length = mark.len() + digits.chars().count();
    let missing = field.width.saturating_sub(length);
    Ok(if field.left {
        [mark, &digits, &" ".repeat(missing)].concat()
    } else if field.zero && sign.is_some() {
        [mark, &"0".repeat(missing), &digits].concat()
    } else {
        [&" ".repeat(missing), mark, &digits].concat()
    })
}

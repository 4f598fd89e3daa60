//! Letter case and classes of characters, as methods of strings.

use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result, is_space};

pub(super) fn simple(run: &Run, text: &str, name: &str) -> Result<Value> {
    let cased = |upper: bool| {
        let wrong = |c: char| {
            if upper {
                c.is_lowercase()
            } else {
                c.is_uppercase()
            }
        };
        let right = |c: char| {
            if upper {
                c.is_uppercase()
            } else {
                c.is_lowercase()
            }
        };
        text.chars().any(right) && !text.chars().any(wrong)
    };
    if name.starts_with("is")
        && !matches!(name, "isspace" | "isupper" | "islower" | "isascii")
        && !text.is_ascii()
    {
        return Err(Error::new(format!(
            "str.{name} of other characters than ASCII is not supported"
        )));
    }
    if matches!(name, "title" | "swapcase") && text.contains('\u{3a3}') {
        return Err(Error::new(format!(
            "str.{name} of a capital sigma is not supported"
        )));
    }
    let all = |of: fn(char) -> bool| Value::Bool(!text.is_empty() && text.chars().all(of));
    Ok(match name {
        "upper" => return run.made(text.to_uppercase()),
        "lower" => return run.made(text.to_lowercase()),
        "capitalize" => return run.made(capitalized(text)?),
        "title" => return run.made(titled(text)?),
        "swapcase" => {
            let swap = |c: char| -> String {
                if c.is_uppercase() {
                    c.to_lowercase().collect()
                } else {
                    c.to_uppercase().collect()
                }
            };
            return run.made(text.chars().map(swap).collect());
        }
        "isdigit" | "isdecimal" => all(|c| c.is_ascii_digit()),
        "isalpha" => all(|c| c.is_ascii_alphabetic()),
        "isalnum" => all(|c| c.is_ascii_alphanumeric()),
        "isspace" => all(is_space),
        "isupper" => Value::Bool(cased(true)),
        "islower" => Value::Bool(cased(false)),
        _ => Value::Bool(text.is_ascii()),
    })
}

/// Converts text as Python's `capitalize` does.
pub(in crate::checkpoint::jinja) fn capitalized(text: &str) -> Result<String> {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return Ok(String::new());
    };
    let lower = text.to_lowercase();
    let length = first.to_lowercase().map(char::len_utf8).sum();
    Ok(format!("{}{}", title_case(first)?, &lower[length..]))
}

/// Converts text as Python's `title` does.
fn titled(text: &str) -> Result<String> {
    let mut out = String::new();
    let mut inside = false;
    for c in text.chars() {
        let cased = c.is_lowercase() || c.is_uppercase();
        if cased && !inside {
            out.push(title_case(c)?);
        } else {
            out.extend(c.to_lowercase());
        }
        inside = cased;
    }
    Ok(out)
}

/// Converts a character to title case; fails for characters on which versions of Unicode differ.
fn title_case(c: char) -> Result<char> {
    let mut upper = c.to_uppercase();
    let first = upper.next().unwrap_or(c);
    let special = matches!(
        c,
        '\u{1c4}'..='\u{1cc}'
            | '\u{1f1}'..='\u{1f3}'
            | '\u{10d0}'..='\u{10ff}'
            | '\u{1c90}'..='\u{1cbf}'
    );
    if upper.next().is_some() || special {
        return Err(Error::new(format!(
            "the title case of {c:?} is not supported"
        )));
    }
    Ok(first)
}

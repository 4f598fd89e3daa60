//! Stripping and splitting of text.

use crate::checkpoint::jinja::{Error, Result, is_space};

/// Strips whitespace, or the characters of `chars`, from the ends.
pub(in crate::checkpoint::jinja) fn stripped<'t>(
    text: &'t str,
    chars: Option<&str>,
    left: bool,
    right: bool,
) -> &'t str {
    let goes = |c: char| chars.map_or_else(|| is_space(c), |chars| chars.contains(c));
    let text = if left {
        text.trim_start_matches(goes)
    } else {
        text
    };
    if right {
        text.trim_end_matches(goes)
    } else {
        text
    }
}

/// Splits text as Python's `splitlines` does.
pub(in crate::checkpoint::jinja) fn lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let ends = [
            '\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}',
            '\u{2029}',
        ];
        let Some(at) = rest.find(ends) else {
            lines.push(rest);
            break;
        };
        lines.push(&rest[..at]);
        let end = rest[at..].chars().next().map_or(1, char::len_utf8);
        let end = if rest[at..].starts_with("\r\n") {
            2
        } else {
            end
        };
        rest = &rest[at + end..];
    }
    lines
}

/// Splits text as Python's `split` does, from the left or the right.
pub(super) fn split(
    text: &str,
    separator: Option<&str>,
    most: i64,
    right: bool,
) -> Result<Vec<String>> {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut parts: Vec<String> = Vec::new();
    match separator {
        Some("") => return Err(Error::new("empty separator")),
        Some(separator) if right => {
            parts.extend(
                text.rsplitn(most.saturating_add(1), separator)
                    .map(str::to_string),
            );
            parts.reverse();
        }
        Some(separator) => {
            parts.extend(
                text.splitn(most.saturating_add(1), separator)
                    .map(str::to_string),
            );
        }
        None if right => {
            let mut rest = text.trim_end_matches(is_space);
            while !rest.is_empty() {
                let at = if parts.len() == most {
                    None
                } else {
                    rest.rfind(is_space)
                };
                let start = at.map_or(0, |at| {
                    at + rest[at..].chars().next().map_or(1, char::len_utf8)
                });
                parts.push(rest[start..].to_string());
                rest = at.map_or("", |at| rest[..at].trim_end_matches(is_space));
            }
            parts.reverse();
        }
        None => {
            let mut rest = text.trim_start_matches(is_space);
            while !rest.is_empty() {
                let end = if parts.len() == most {
                    None
                } else {
                    rest.find(is_space)
                };
                parts.push(rest[..end.unwrap_or(rest.len())].to_string());
                rest = end.map_or("", |end| rest[end..].trim_start_matches(is_space));
            }
        }
    }
    Ok(parts)
}

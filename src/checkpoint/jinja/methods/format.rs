//! `str.format`.

use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result};

/// Formats text as Python's `format` does, with plain fields only: `{}`, `{0}`, `{name}`.
pub(super) fn format(run: &Run, text: &str, given: &Given) -> Result<Value> {
    let mut out = String::new();
    let mut rest = text;
    let mut automatic = 0;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let tag = &rest[at..];
        if tag.starts_with("{{") || tag.starts_with("}}") {
            out.push_str(&tag[..1]);
            rest = &tag[2..];
            continue;
        }
        let field = tag.strip_prefix('{').and_then(|tag| tag.split_once('}'));
        let (field, after) =
            field.ok_or_else(|| Error::new("a single brace in a format string"))?;
        let name = field.chars().all(|c| c == '_' || c.is_ascii_alphanumeric());
        if !name {
            return Err(Error::new(format!(
                "the format field {{{field}}} is not supported"
            )));
        }
        let value = if field.is_empty() {
            automatic += 1;
            given.positional.get(automatic - 1)
        } else if let Ok(at) = field.parse::<usize>() {
            given.positional.get(at)
        } else {
            given
                .named
                .iter()
                .find(|(known, _)| known == field)
                .map(|(_, value)| value)
        };
        let value =
            value.ok_or_else(|| Error::new(format!("nothing for the format field {{{field}}}")))?;
        let text = run.text(value)?;
        run.work(text.len() / 16 + 1)?;
        out.push_str(&text);
        rest = after;
    }
    out.push_str(rest);
    run.made(out)
}

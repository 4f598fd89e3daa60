//! Filters of text: `upper`, `trim`, `replace`, `truncate`, `indent`, `format` and their like.

use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result, is_space, methods, percent};

pub(super) fn text(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
    let text = run.text(value)?;
    run.work(text.len() / 8)?;
    let int = |value: Option<Value>, default: i64| match value {
        None => Ok(default),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Error::new(format!("{name} needs an integer"))),
    };
    let string = |value: Option<Value>, default: &str| match value {
        None => Ok(default.to_string()),
        Some(value) => run.text(&value),
    };
    let size = |value: i64| -> Result<usize> {
        let size = usize::try_from(value).unwrap_or(0);
        run.work(size / 4)?;
        Ok(size)
    };
    match name {
        "trim" => {
            let [chars] = given.named(["chars"])?;
            let chars = match chars {
                None | Some(Value::None) => None,
                Some(Value::Text(chars)) => Some(chars),
                Some(_) => return Err(Error::new("trim needs a string")),
            };
            run.work(text.len() * chars.as_ref().map_or(0, |c| c.len()) / 16)?;
            run.made(methods::stripped(&text, chars.as_deref(), true, true).to_string())
        }
        "center" => {
            let [width] = given.named(["width"])?;
            let width = size(int(width, 80)?)?;
            run.made(methods::centred(&text, width, " ", "center"))
        }
        "replace" => {
            let [old, new, count] = given.named(["old", "new", "count"])?;
            let (Some(old), Some(new)) = (old, new) else {
                return Err(Error::new("replace needs what is replaced and by what"));
            };
            let count = if matches!(count, Some(Value::None)) {
                None
            } else {
                count
            };
            methods::replaced(
                run,
                &text,
                &run.text(&old)?,
                &run.text(&new)?,
                int(count, -1)?,
            )
        }
        "truncate" => {
            let [length, kill, end, leeway] =
                given.named(["length", "killwords", "end", "leeway"])?;
            if value.as_text().is_none() {
                return Err(Error::new("truncate needs a string"));
            }
            let (length, leeway) = (int(length, 255)?, int(leeway, 5)?);
            let end = string(end, "...")?;
            let end_length = end.chars().count() as i64;
            if length < end_length || leeway < 0 {
                return Err(Error::new("truncate needs a length of at least its end's"));
            }
            if text.chars().count() as i64 <= length.saturating_add(leeway) {
                return run.made(text);
            }
            let kept: String = text.chars().take((length - end_length) as usize).collect();
            let kept = match kept.rsplit_once(' ') {
                Some((words, _)) if !kill.is_some_and(|kill| kill.is_true()) => words.to_string(),
                _ => kept,
            };
            run.made(kept + &end)
        }
        "indent" => {
            let [width, first, blank] = given.named(["width", "first", "blank"])?;
            if value.as_text().is_none() {
                return Err(Error::new("indent needs a string"));
            }
            let indent = match width {
                Some(Value::Text(indent)) => indent.to_string(),
                width => " ".repeat(size(int(width, 4)?)?),
            };
            let text = text + "\n";
            let lines = methods::lines(&text);
            run.work(lines.len() * (indent.len() / 16 + 1))?;
            let blank = blank.is_some_and(|blank| blank.is_true());
            let mut out = String::new();
            for (at, line) in lines.into_iter().enumerate() {
                if at > 0 {
                    out.push('\n');
                    if blank || !line.is_empty() {
                        out.push_str(&indent);
                    }
                } else if first.as_ref().is_some_and(Value::is_true) {
                    out.push_str(&indent);
                }
                out.push_str(line);
            }
            run.made(out)
        }
        "format" => {
            let args = match (given.positional, given.named) {
                (args, named) if named.is_empty() => Value::tuple(args)?,
                (args, named) if args.is_empty() => Value::dict(
                    named
                        .into_iter()
                        .map(|(name, value)| (Value::text(name), value))
                        .collect(),
                )?,
                _ => {
                    return Err(Error::new(
                        "format takes arguments either with or without names",
                    ));
                }
            };
            let formatted = percent::format(run, &text, &args)?;
            run.made(formatted)
        }
        _ => {
            if !given.is_empty() {
                return Err(Error::new(format!("{name} takes no arguments")));
            }
            match name {
                "lower" => run.made(text.to_lowercase()),
                "upper" => run.made(text.to_uppercase()),
                "capitalize" => run.made(methods::capitalized(&text)?),
                "title" => run.made(titled(&text)),
                _ => run.made(text),
            }
        }
    }
}

/// Converts text as jinja2's `title` does: words begin after whitespace, hyphens and opening
/// brackets.
fn titled(text: &str) -> String {
    let begins = |c: char| is_space(c) || "-({[<".contains(c);
    let mut out = String::new();
    for word in text.split_inclusive(begins) {
        let mut chars = word.chars();
        if let Some(first) = chars.next() {
            out.extend(first.to_uppercase());
        }
        out.push_str(&chars.as_str().to_lowercase());
    }
    out
}

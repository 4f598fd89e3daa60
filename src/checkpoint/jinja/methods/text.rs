//! Methods of strings.

use std::rc::Rc;

use super::case::simple;
use super::format::format;
use super::split::{lines, split, stripped};
use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result};

pub(super) fn call(run: &Run, text: &Rc<str>, name: &str, given: Given) -> Result<Value> {
    run.work(text.len() / 4 + 1)?;
    let need = |value: Option<Value>| {
        text_of(&value.ok_or_else(|| Error::new(format!("str.{name} needs one argument more")))?)
    };
    match name {
        "upper" | "lower" | "capitalize" | "title" | "swapcase" | "isdigit" | "isdecimal"
        | "isalpha" | "isalnum" | "isspace" | "isupper" | "islower" | "isascii" => {
            let [] = given.named([])?;
            simple(run, text, name)
        }
        "strip" | "lstrip" | "rstrip" => {
            let [chars] = given.named(["chars"])?;
            let chars = match chars {
                None | Some(Value::None) => None,
                Some(chars) => Some(text_of(&chars)?),
            };
            run.work(text.len() * chars.as_ref().map_or(0, |c| c.len()) / 16)?;
            run.made(
                stripped(text, chars.as_deref(), name != "rstrip", name != "lstrip").to_string(),
            )
        }
        "split" | "rsplit" => {
            let [separator, most] = given.named(["sep", "maxsplit"])?;
            let separator = match separator {
                None | Some(Value::None) => None,
                Some(separator) => Some(text_of(&separator)?),
            };
            let parts = split(
                text,
                separator.as_deref(),
                int_of(most, -1)?,
                name == "rsplit",
            )?;
            run.work(2 * parts.len())?;
            Value::list(parts.into_iter().map(Value::text).collect())
        }
        "splitlines" => {
            let [] = given.named([])?;
            let lines = lines(text);
            run.work(2 * lines.len())?;
            Value::list(lines.into_iter().map(Value::text).collect())
        }
        "join" => {
            let [list] = given.named(["iterable"])?;
            let list = list.ok_or_else(|| Error::new("str.join needs one argument"))?;
            let items = run.iterate(&list)?;
            let mut out = String::new();
            for (at, item) in items.values.iter().enumerate() {
                let item = text_of(item)?;
                run.work((item.len() + text.len()) / 16 + 1)?;
                if at > 0 {
                    out.push_str(text);
                }
                out.push_str(&item);
            }
            Ok(Value::text(out))
        }
        "replace" => {
            let [old, new, count] = given.named(["old", "new", "count"])?;
            replaced(run, text, &need(old)?, &need(new)?, int_of(count, -1)?)
        }
        "startswith" | "endswith" => {
            let [part, start] = given.named(["prefix", "start"])?;
            if start.is_some() {
                return Err(Error::new(format!(
                    "str.{name} from a place is not supported"
                )));
            }
            let part = part.ok_or_else(|| Error::new(format!("str.{name} needs one argument")))?;
            let parts = match &part {
                Value::Tuple(items) => items.values.iter().map(text_of).collect::<Result<_>>()?,
                other => vec![text_of(other)?],
            };
            let starts = name == "startswith";
            let fits = |part: &Rc<str>| {
                if starts {
                    text.starts_with(&**part)
                } else {
                    text.ends_with(&**part)
                }
            };
            Ok(Value::Bool(parts.iter().any(fits)))
        }
        "removeprefix" | "removesuffix" => {
            let [part] = given.named(["part"])?;
            let part = need(part)?;
            let rest = if name == "removeprefix" {
                text.strip_prefix(&*part)
            } else {
                text.strip_suffix(&*part)
            };
            run.made(rest.unwrap_or(text).to_string())
        }
        "find" | "rfind" | "index" | "rindex" => {
            let [part] = given.named(["sub"])?;
            let part = need(part)?;
            let at = if name.starts_with('r') {
                text.rfind(&*part)
            } else {
                text.find(&*part)
            };
            match at {
                Some(at) => Ok(Value::Int(text[..at].chars().count() as i64)),
                None if name.ends_with("find") => Ok(Value::Int(-1)),
                None => Err(Error::new("substring not found")),
            }
        }
        "count" => {
            let [part] = given.named(["sub"])?;
            let part = need(part)?;
            Ok(Value::Int(text.matches(&*part).count() as i64))
        }
        "partition" | "rpartition" => {
            let [separator] = given.named(["sep"])?;
            let separator = need(separator)?;
            if separator.is_empty() {
                return Err(Error::new("empty separator"));
            }
            let right = name == "rpartition";
            let parts = if right {
                text.rsplit_once(&*separator)
            } else {
                text.split_once(&*separator)
            };
            let parts = match parts {
                Some((before, after)) => [before, &separator, after],
                None if right => ["", "", text],
                None => [text, "", ""],
            };
            Value::tuple(parts.iter().map(Value::text).collect())
        }
        "zfill" => {
            let [width] = given.named(["width"])?;
            let width = width_of(run, width)?;
            let sign = usize::from(text.starts_with(['+', '-']));
            let missing = width.saturating_sub(text.chars().count());
            run.made([&text[..sign], &"0".repeat(missing), &text[sign..]].concat())
        }
        "ljust" | "rjust" | "center" => {
            let [width, fill] = given.named(["width", "fillchar"])?;
            let fill = fill.map_or_else(|| Ok(Rc::from(" ")), |fill| text_of(&fill))?;
            if fill.chars().count() != 1 {
                return Err(Error::new(
                    "the fill character must be exactly one character long",
                ));
            }
            let width = width_of(run, width)?;
            run.made(centred(text, width, &fill, name))
        }
        "format" => format(run, text, &given),
        _ => Err(Error::new(format!("str.{name} is not supported"))),
    }
}

fn text_of(value: &Value) -> Result<Rc<str>> {
    value.defined()?;
    let found = value.type_name();
    value
        .as_text()
        .cloned()
        .ok_or_else(|| Error::new(format!("expected a string, found a {found}")))
}

fn int_of(value: Option<Value>, default: i64) -> Result<i64> {
    match value {
        None | Some(Value::None) => Ok(default),
        Some(value) => value
            .as_int()
            .ok_or_else(|| Error::new("expected an integer")),
    }
}

/// Reads a width, and counts the work of filling it.
fn width_of(run: &Run, width: Option<Value>) -> Result<usize> {
    let width = width.ok_or_else(|| Error::new("expected a width"))?;
    let width = usize::try_from(int_of(Some(width), 0)?).unwrap_or(0);
    run.work(width / 4)?;
    Ok(width)
}

/// Pads `text` to `width`.
pub(in crate::checkpoint::jinja) fn centred(
    text: &str,
    width: usize,
    fill: &str,
    side: &str,
) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = match side {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    [&fill.repeat(left), text, &fill.repeat(missing - left)].concat()
}

/// Replaces text as Python's `replace` does, at most `count` times unless that is negative.
pub(in crate::checkpoint::jinja) fn replaced(
    run: &Run,
    text: &str,
    old: &str,
    new: &str,
    count: i64,
) -> Result<Value> {
    let found = if old.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(old).count()
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(found);
    run.work((text.len() + count.saturating_mul(new.len())) / 16)?;
    run.made(text.replacen(old, new, count))
}

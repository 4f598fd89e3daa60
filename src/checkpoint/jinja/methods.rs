//! Methods of Python's values.

use std::rc::Rc;

use super::evaluate::Run;
use super::functions::Given;
use super::value::{Items, Value};
use super::{Error, Result, is_space};

/// The result of looking up an attribute in Python.
pub(super) enum Found {
    Method,
    /// Hidden by the sandbox, since it would change the value.
    Hidden,
    Nothing,
    Unsupported,
}

const TEXT: [&str; 37] = [
    "upper",
    "lower",
    "capitalize",
    "title",
    "swapcase",
    "strip",
    "lstrip",
    "rstrip",
    "split",
    "rsplit",
    "splitlines",
    "join",
    "replace",
    "startswith",
    "endswith",
    "removeprefix",
    "removesuffix",
    "find",
    "rfind",
    "index",
    "rindex",
    "count",
    "partition",
    "rpartition",
    "zfill",
    "ljust",
    "rjust",
    "center",
    "format",
    "isdigit",
    "isalpha",
    "isalnum",
    "isspace",
    "isupper",
    "islower",
    "isascii",
    "isdecimal",
];
const TEXT_OTHERS: [&str; 10] = [
    "casefold",
    "encode",
    "expandtabs",
    "format_map",
    "isidentifier",
    "isnumeric",
    "isprintable",
    "istitle",
    "maketrans",
    "translate",
];
/// The methods that change a list or a dict, which the sandbox refuses.
const CHANGING_LIST: [&str; 8] = [
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "sort",
];
const CHANGING_DICT: [&str; 5] = ["clear", "pop", "popitem", "setdefault", "update"];
const NUMBERS: [&str; 12] = [
    "as_integer_ratio",
    "bit_count",
    "bit_length",
    "conjugate",
    "denominator",
    "from_bytes",
    "imag",
    "is_integer",
    "numerator",
    "real",
    "to_bytes",
    "fromhex",
];

/// Checks whether Python's values have this attribute, which the sandbox hides.
pub(super) fn is_dunder(name: &str) -> bool {
    name.len() > 4 && name.ends_with("__")
}

pub(super) fn find(of: &Value, name: &str) -> Found {
    match of {
        Value::Text(_) if TEXT.contains(&name) => Found::Method,
        Value::Text(_) if TEXT_OTHERS.contains(&name) => Found::Unsupported,
        Value::Dict(_) if ["get", "items", "keys", "values", "copy"].contains(&name) => {
            Found::Method
        }
        Value::Dict(_) if name == "fromkeys" => Found::Unsupported,
        Value::Dict(_) if CHANGING_DICT.contains(&name) => Found::Hidden,
        Value::List(_) if ["count", "index", "copy"].contains(&name) => Found::Method,
        Value::List(_) if CHANGING_LIST.contains(&name) => Found::Hidden,
        Value::Tuple(_) if ["count", "index"].contains(&name) => Found::Method,
        Value::Int(_) | Value::Float(_) | Value::Bool(_)
            if NUMBERS.contains(&name) || name == "hex" =>
        {
            Found::Unsupported
        }
        Value::Range(..) if ["count", "index", "start", "stop", "step"].contains(&name) => {
            Found::Unsupported
        }
        Value::View(..) if ["mapping", "isdisjoint"].contains(&name) => Found::Unsupported,
        Value::Generator(_) => Found::Unsupported,
        _ => Found::Nothing,
    }
}

/// Calls a method by its name.
pub(super) fn call(run: &Run, of: &Value, name: &str, given: Given) -> Result<Value> {
    let keywords = matches!(of, Value::Text(_)) && ["split", "rsplit", "format"].contains(&name);
    if !given.named.is_empty() && !keywords {
        let of = of.type_name();
        return Err(Error::new(format!(
            "{of}.{name} takes no keyword arguments"
        )));
    }
    match of {
        Value::Text(text) => call_text(run, text, name, given),
        Value::Dict(entries) => {
            let list = |values: Vec<Value>| Items::new(values);
            run.work(2 * entries.pairs.len())?;
            match name {
                "get" => {
                    let [key, default] = given.named(["key", "default"])?;
                    let key = key.ok_or_else(|| Error::new("get needs a key"))?;
                    Ok(of.get(&key)?.or(default).unwrap_or(Value::None))
                }
                "keys" => Ok(Value::View(
                    "dict_keys",
                    list(entries.pairs.iter().map(|(key, _)| key.clone()).collect())?,
                )),
                "values" => Ok(Value::View(
                    "dict_values",
                    list(
                        entries
                            .pairs
                            .iter()
                            .map(|(_, value)| value.clone())
                            .collect(),
                    )?,
                )),
                "items" => Ok(Value::View("dict_items", list(items(of)?)?)),
                _ => Ok(of.clone()),
            }
        }
        Value::List(items) | Value::Tuple(items) => {
            if name == "copy" {
                return Ok(of.clone());
            }
            let [value] = given.named(["value"])?;
            let value = value.ok_or_else(|| Error::new(format!("{name} needs one argument")))?;
            let mut places = Vec::new();
            for (at, item) in items.values.iter().enumerate() {
                run.work(1)?;
                if item.equals(&value)? {
                    places.push(at as i64);
                }
            }
            match (name, places.first()) {
                ("count", _) => Ok(Value::Int(places.len() as i64)),
                (_, Some(first)) => Ok(Value::Int(*first)),
                (_, None) => Err(Error::new("the list has no such value")),
            }
        }
        Value::Loop(state) => match name {
            "cycle" if given.positional.is_empty() => Err(Error::new("no items for cycling given")),
            "cycle" => Ok(given.positional[state.index % given.positional.len()].clone()),
            _ => {
                let now = Value::tuple(given.positional)?;
                let mut last = state.changed.borrow_mut();
                let changed = match &*last {
                    Some(last) => !last.equals(&now)?,
                    None => true,
                };
                *last = Some(now);
                Ok(Value::Bool(changed))
            }
        },
        Value::Cycler(cycler) => {
            let at = cycler.1.get();
            cycler.1.set(if name == "next" {
                (at + 1) % cycler.0.values.len()
            } else {
                0
            });
            Ok(if name == "next" {
                cycler.0.values[at].clone()
            } else {
                Value::None
            })
        }
        other => Err(Error::new(format!(
            "{}.{name} is not supported",
            other.type_name()
        ))),
    }
}

/// Returns the entries of a dict as tuples.
pub(super) fn items(of: &Value) -> Result<Vec<Value>> {
    let Value::Dict(entries) = of else {
        return Err(Error::new("Can only get item pairs from a mapping."));
    };
    let pairs = entries.pairs.iter();
    pairs
        .map(|(key, value)| Value::tuple(vec![key.clone(), value.clone()]))
        .collect()
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

/// Strips whitespace, or the characters of `chars`, from the ends.
pub(super) fn stripped<'t>(text: &'t str, chars: Option<&str>, left: bool, right: bool) -> &'t str {
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
pub(super) fn lines(text: &str) -> Vec<&str> {
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

/// Converts a character to title case; fails for characters on which versions of Unicode differ.
fn title_case(c: char) -> Result<char> {
    let mut upper = c.to_uppercase();
    let first = upper.next().unwrap_or(c);
    let special = matches!(c, '\u{1c4}'..='\u{1cc}' | '\u{1f1}'..='\u{1f3}' | '\u{10d0}'..='\u{10ff}' | '\u{1c90}'..='\u{1cbf}');
    if upper.next().is_some() || special {
        return Err(Error::new(format!(
            "the title case of {c:?} is not supported"
        )));
    }
    Ok(first)
}

/// Converts text as Python's `capitalize` does.
pub(super) fn capitalized(text: &str) -> Result<String> {
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

/// Splits text as Python's `split` does, from the left or the right.
fn split(text: &str, separator: Option<&str>, most: i64, right: bool) -> Result<Vec<String>> {
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

/// Pads `text` to `width`.
pub(super) fn centred(text: &str, width: usize, fill: &str, side: &str) -> String {
    let missing = width.saturating_sub(text.chars().count());
    let left = match side {
        "ljust" => 0,
        "rjust" => missing,
        _ => missing / 2 + (missing & width & 1),
    };
    [&fill.repeat(left), text, &fill.repeat(missing - left)].concat()
}

fn call_text(run: &Run, text: &Rc<str>, name: &str, given: Given) -> Result<Value> {
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

/// Reads a width, and counts the work of filling it.
fn width_of(run: &Run, width: Option<Value>) -> Result<usize> {
    let width = width.ok_or_else(|| Error::new("expected a width"))?;
    let width = usize::try_from(int_of(Some(width), 0)?).unwrap_or(0);
    run.work(width / 4)?;
    Ok(width)
}

fn simple(run: &Run, text: &str, name: &str) -> Result<Value> {
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

/// Replaces text as Python's `replace` does, at most `count` times unless that is negative.
pub(super) fn replaced(run: &Run, text: &str, old: &str, new: &str, count: i64) -> Result<Value> {
    let found = if old.is_empty() {
        text.chars().count() + 1
    } else {
        text.matches(old).count()
    };
    let count = usize::try_from(count).unwrap_or(usize::MAX).min(found);
    run.work((text.len() + count.saturating_mul(new.len())) / 16)?;
    run.made(text.replacen(old, new, count))
}

/// Formats text as Python's `format` does, with plain fields only: `{}`, `{0}`, `{name}`.
fn format(run: &Run, text: &str, given: &Given) -> Result<Value> {
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

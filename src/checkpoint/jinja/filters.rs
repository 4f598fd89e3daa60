//! jinja2's filters.

use std::cmp::Ordering;

use super::evaluate::Run;
use super::functions::Given;
use super::value::Value;
use super::write::Json;
use super::{Error, Result, methods, numbers, predicates};

const SUPPORTED: [&str; 38] = [
    "abs",
    "attr",
    "capitalize",
    "center",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "sort",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "truncate",
    "unique",
    "upper",
];
/// The filters of jinja2 that are not implemented. `safe` is accepted as the last filter.
const OTHERS: [&str; 16] = [
    "batch",
    "e",
    "escape",
    "filesizeformat",
    "forceescape",
    "groupby",
    "pprint",
    "random",
    "safe",
    "slice",
    "striptags",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// Checks whether jinja2 has a filter of this name.
pub(super) fn known(name: &str) -> bool {
    SUPPORTED.contains(&name) || OTHERS.contains(&name)
}

/// Applies a filter: `value|name(...)`.
pub(super) fn apply(run: &Run, name: &str, value: Value, given: Given) -> Result<Value> {
    run.work(1)?;
    match name {
        "default" | "d" => {
            let [default, boolean] = given.named(["default_value", "boolean"])?;
            let missing = matches!(value, Value::Undefined(_));
            let empty = boolean.is_some_and(|boolean| boolean.is_true()) && !value.is_true();
            Ok(if missing || empty {
                default.unwrap_or_else(|| Value::text(""))
            } else {
                value
            })
        }
        "attr" => {
            let [name] = given.named(["name"])?;
            let name = run.text(&name.ok_or_else(|| Error::new("attr needs a name"))?)?;
            value.defined()?;
            Ok(run
                .own(&value, &name)?
                .unwrap_or_else(|| Value::undefined(&format!("attribute {name:?}"))))
        }
        "lower" | "upper" | "capitalize" | "title" | "string" | "trim" | "center" | "replace"
        | "truncate" | "indent" | "format" => text(run, name, &value, given),
        "abs" | "int" | "float" | "round" => number(run, name, &value, given),
        "tojson" => json(run, &value, given),
        "map" | "select" | "reject" | "selectattr" | "rejectattr" => each(run, name, &value, given),
        _ if SUPPORTED.contains(&name) => sequence(run, name, &value, given),
        "safe" => Err(Error::new(
            "the filter \"safe\" is supported only as the last of what is printed",
        )),
        _ => Err(Error::new(format!("the filter {name:?} is not supported"))),
    }
}

fn text(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
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
            let formatted = super::percent::format(run, &text, &args)?;
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
    let begins = |c: char| super::is_space(c) || "-({[<".contains(c);
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

fn number(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
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

fn json(run: &Run, value: &Value, given: Given) -> Result<Value> {
    let [ascii, indent, separators, sort_keys] =
        given.named(["ensure_ascii", "indent", "separators", "sort_keys"])?;
    let indent = match indent {
        None | Some(Value::None) => None,
        Some(Value::Text(indent)) => Some(indent.to_string()),
        Some(width) => {
            let width = width
                .as_int()
                .ok_or_else(|| Error::new("tojson needs an integer as indent"))?;
            let width = usize::try_from(width).unwrap_or(0);
            run.work(width / 16)?;
            Some(" ".repeat(width))
        }
    };
    let separators = match separators {
        None | Some(Value::None) if indent.is_some() => (",".to_string(), ": ".to_string()),
        None | Some(Value::None) => (", ".to_string(), ": ".to_string()),
        Some(given) => match &*run.iterate(&given)?.values {
            [Value::Text(item), Value::Text(key)] => (item.to_string(), key.to_string()),
            _ => return Err(Error::new("tojson needs two strings as separators")),
        },
    };
    let how = Json {
        ascii: ascii.is_some_and(|ascii| ascii.is_true()),
        indent,
        separators,
        sort_keys: sort_keys.is_some_and(|sort| sort.is_true()),
    };
    let mut out = String::new();
    run.json(value, &how, 0, &mut out)?;
    run.made(out)
}

/// Applies `map`, or a filter that selects items.
fn each(run: &Run, name: &str, value: &Value, mut given: Given) -> Result<Value> {
    // jinja2 iterates only if the value is true.
    let items = if value.is_true() {
        run.iterate(value)?.values.clone()
    } else {
        Vec::new()
    };
    run.work(2 * items.len())?;
    if name == "map" {
        if given.positional.is_empty() {
            let [attribute, default] = given.named(["attribute", "default"])?;
            let attribute = attribute.ok_or_else(|| Error::new("map needs a filter"))?;
            let items = items.iter().map(|item| {
                let found = path(run, item, &attribute, default.as_ref())?;
                Ok(found)
            });
            return Value::generator(items.collect::<Result<_>>()?);
        }
        let filter = run.text(&given.positional.remove(0))?;
        if !known(&filter) {
            return Err(Error::new(format!("there is no filter {filter:?}")));
        }
        let items = items
            .into_iter()
            .map(|item| apply(run, &filter, item, given.clone()));
        return Value::generator(items.collect::<Result<_>>()?);
    }
    let attribute = if name.ends_with("attr") {
        if given.positional.is_empty() {
            return Err(Error::new(format!("{name} needs an attribute's name")));
        }
        Some(given.positional.remove(0))
    } else {
        None
    };
    let test = if given.positional.is_empty() {
        None
    } else {
        let test = run.text(&given.positional.remove(0))?;
        if !predicates::known(&test) {
            return Err(Error::new(format!("there is no test {test:?}")));
        }
        Some(test)
    };
    let mut kept = Vec::new();
    for item in items {
        let subject = match &attribute {
            Some(attribute) => path(run, &item, attribute, None)?,
            None => item.clone(),
        };
        let holds = match &test {
            Some(test) => predicates::holds(run, test, &subject, &given)?,
            None => subject.is_true(),
        };
        if holds == name.starts_with("select") {
            kept.push(item);
        }
    }
    Value::generator(kept)
}

/// Looks up an attribute, or several separated by dots.
fn path(run: &Run, item: &Value, attribute: &Value, default: Option<&Value>) -> Result<Value> {
    let Value::Text(text) = attribute else {
        return match attribute.as_int() {
            Some(_) => run.item(item, attribute),
            None => Ok(item.clone()),
        };
    };
    let mut found = item.clone();
    for part in text.split('.') {
        run.work(1)?;
        let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let index = digits.then(|| part.parse().ok().map(Value::Int)).flatten();
        found = run.item(&found, &index.unwrap_or_else(|| Value::text(part)))?;
        if let (Value::Undefined(_), Some(default)) = (&found, default) {
            found = default.clone();
        }
    }
    Ok(found)
}

impl Run {
    /// Sorts stably by a key.
    pub fn sort<T>(&self, list: &mut [T], key: impl Fn(&T) -> Result<Value>) -> Result<()> {
        self.work(list.len() * 4 * (usize::BITS - list.len().leading_zeros()) as usize)?;
        let mut failed = None;
        list.sort_by(|a, b| {
            let order = key(a).and_then(|a| {
                let b = key(b)?;
                self.work(self.weight(&a).min(self.weight(&b)) / 64)?;
                // Python's sort only uses "less than"; NaN is less than nothing.
                Ok(a.order(&b)?.unwrap_or(Ordering::Equal))
            });
            order.unwrap_or_else(|error| {
                failed.get_or_insert(error);
                Ordering::Equal
            })
        });
        failed.map_or(Ok(()), Err)
    }
}

/// Returns a sort key: texts in lower case, unless `case` is set.
fn folded(value: Value, case: bool) -> Value {
    match &value {
        Value::Text(text) if !case => Value::text(text.to_lowercase()),
        _ => value,
    }
}

fn sequence(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
    let flag = |value: Option<Value>| value.is_some_and(|value| value.is_true());
    match name {
        "length" | "count" => {
            let [] = given.named([])?;
            Ok(Value::Int(run.length(value)? as i64))
        }
        "list" => {
            let [] = given.named([])?;
            Ok(Value::List(run.iterate(value)?))
        }
        "items" => {
            let [] = given.named([])?;
            if matches!(value, Value::Undefined(_)) {
                return Value::generator(Vec::new());
            }
            Value::generator(methods::items(value)?)
        }
        "first" | "last" => {
            let [] = given.named([])?;
            if name == "last" && matches!(value, Value::Generator(_)) {
                return Err(Error::new("'generator' object is not reversible"));
            }
            if let Value::Generator(left) = value {
                // Takes the first item; the iterator keeps the others.
                let items = run.iterate(value)?;
                run.work(2 * items.values.len())?;
                let rest = items.values.iter().skip(1).cloned().collect();
                *left.borrow_mut() = Some(super::value::Items::new(rest)?);
                let none = || Value::undefined("the first item of nothing");
                return Ok(items.values.first().cloned().unwrap_or_else(none));
            }
            let items = run.iterate(value)?;
            let found = if name == "first" {
                items.values.first()
            } else {
                items.values.last()
            };
            Ok(found
                .cloned()
                .unwrap_or_else(|| Value::undefined(&format!("the {name} item of nothing"))))
        }
        "join" => {
            let [separator, attribute] = given.named(["d", "attribute"])?;
            let separator =
                separator.map_or(Ok(String::new()), |separator| run.text(&separator))?;
            let mut out = String::new();
            for (at, item) in run.iterate(value)?.values.iter().enumerate() {
                let item = match &attribute {
                    Some(attribute) => path(run, item, attribute, None)?,
                    None => item.clone(),
                };
                let text = run.text(&item)?;
                run.work((text.len() + separator.len()) / 16 + 1)?;
                if at > 0 {
                    out.push_str(&separator);
                }
                out.push_str(&text);
            }
            Ok(Value::text(out))
        }
        "reverse" => {
            let [] = given.named([])?;
            if let Value::Text(text) = value {
                run.work(text.len() / 8)?;
                return run.made(text.chars().rev().collect());
            }
            let mut items = run.iterate(value)?.values.clone();
            run.work(2 * items.len())?;
            items.reverse();
            Value::generator(items)
        }
        "sum" => {
            let [attribute, start] = given.named(["attribute", "start"])?;
            let mut sum = start.unwrap_or(Value::Int(0));
            for item in &run.iterate(value)?.values {
                let item = match &attribute {
                    Some(attribute) => path(run, item, attribute, None)?,
                    None => item.clone(),
                };
                sum = run.arithmetic(super::ast::Arithmetic::Add, &sum, &item)?;
            }
            Ok(sum)
        }
        "dictsort" => {
            let [case, by, reverse] = given.named(["case_sensitive", "by", "reverse"])?;
            let (case, reverse) = (flag(case), flag(reverse));
            let by = by.map_or(Ok("key".to_string()), |by| run.text(&by))?;
            if by != "key" && by != "value" {
                return Err(Error::new(
                    "You can only sort by either \"key\" or \"value\"",
                ));
            }
            let Value::Dict(entries) = value else {
                return Err(Error::new("dictsort needs a mapping"));
            };
            let mut pairs = entries.pairs.clone();
            ordered(run, &mut pairs, reverse, |pair| {
                let value = if by == "key" { &pair.0 } else { &pair.1 };
                Ok(folded(value.clone(), case))
            })?;
            let tuples = pairs
                .into_iter()
                .map(|(key, value)| Value::tuple(vec![key, value]));
            Value::list(tuples.collect::<Result<_>>()?)
        }
        "sort" | "unique" | "min" | "max" => {
            let [first, second, third] = if name == "sort" {
                given.named(["reverse", "case_sensitive", "attribute"])?
            } else {
                let [case, attribute] = given.named(["case_sensitive", "attribute"])?;
                [None, case, attribute]
            };
            let (reverse, case, attribute) = (flag(first), flag(second), third);
            if name == "sort"
                && attribute
                    .as_ref()
                    .and_then(Value::as_text)
                    .is_some_and(|a| a.contains(','))
            {
                return Err(Error::new("sort by several attributes is not supported"));
            }
            let key = |item: &Value| {
                let value = match &attribute {
                    Some(attribute) => path(run, item, attribute, None)?,
                    None => item.clone(),
                };
                Ok(folded(value, case))
            };
            let mut items = run.iterate(value)?.values.clone();
            run.work(2 * items.len())?;
            match name {
                "sort" => {
                    ordered(run, &mut items, reverse, key)?;
                    Value::list(items)
                }
                "unique" => {
                    let mut seen: Vec<Value> = Vec::new();
                    let mut kept = Vec::new();
                    for item in items {
                        let key = key(&item)?;
                        if matches!(key, Value::List(_) | Value::Dict(_)) {
                            return Err(Error::new("unhashable items are not made unique"));
                        }
                        run.work(seen.len())?;
                        let mut known = false;
                        for other in &seen {
                            known |= other.equals(&key)?;
                        }
                        if !known {
                            seen.push(key);
                            kept.push(item);
                        }
                    }
                    Value::generator(kept)
                }
                _ => {
                    let wanted = if name == "min" {
                        Ordering::Less
                    } else {
                        Ordering::Greater
                    };
                    let mut best: Option<(Value, Value)> = None;
                    for item in items {
                        let key = key(&item)?;
                        let better = match &best {
                            Some((known, _)) => key.order(known)? == Some(wanted),
                            None => true,
                        };
                        if better {
                            best = Some((key, item));
                        }
                    }
                    let none = || Value::undefined(&format!("the {name} of nothing"));
                    Ok(best.map_or_else(none, |(_, item)| item))
                }
            }
        }
        _ => Err(Error::new(format!("the filter {name:?} is not supported"))),
    }
}

/// Sorts like Python's `sorted`: stable, from the largest on if `reverse` is set.
fn ordered<T>(
    run: &Run,
    list: &mut [T],
    reverse: bool,
    key: impl Fn(&T) -> Result<Value>,
) -> Result<()> {
    // Equal items keep their order in both directions.
    if reverse {
        list.reverse();
    }
    run.sort(list, key)?;
    if reverse {
        list.reverse();
    }
    Ok(())
}

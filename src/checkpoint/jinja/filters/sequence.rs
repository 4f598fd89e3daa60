//! Filters of sequences and dicts: `first`, `join`, `sort`, `unique`, `sum` and their like.

use std::cmp::Ordering;

use super::attribute::path;
use super::sort::{folded, ordered};
use crate::checkpoint::jinja::ast::Arithmetic;
use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::{Items, Value};
use crate::checkpoint::jinja::{Error, Result, methods};

pub(super) fn sequence(run: &Run, name: &str, value: &Value, given: Given) -> Result<Value> {
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
                *left.borrow_mut() = Some(Items::new(rest)?);
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
                sum = run.arithmetic(Arithmetic::Add, &sum, &item)?;
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

//! Methods of Python's values.

mod case;
mod format;
mod split;
mod text;

pub(super) use case::capitalized;
pub(super) use split::{lines, stripped};
pub(super) use text::{centred, replaced};

use super::evaluate::Run;
use super::functions::Given;
use super::value::{Items, Value};
use super::{Error, Result};

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
        Value::Text(text) => text::call(run, text, name, given),
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

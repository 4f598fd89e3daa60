//! jinja2's filters.

mod attribute;
mod json;
mod number;
mod select;
mod sequence;
mod sort;
mod text;

use super::evaluate::Run;
use super::functions::Given;
use super::value::Value;
use super::{Error, Result};

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
        | "truncate" | "indent" | "format" => text::text(run, name, &value, given),
        "abs" | "int" | "float" | "round" => number::number(run, name, &value, given),
        "tojson" => json::json(run, &value, given),
        "map" | "select" | "reject" | "selectattr" | "rejectattr" => {
            select::each(run, name, &value, given)
        }
        _ if SUPPORTED.contains(&name) => sequence::sequence(run, name, &value, given),
        "safe" => Err(Error::new(
            "the filter \"safe\" is supported only as the last of what is printed",
        )),
        _ => Err(Error::new(format!("the filter {name:?} is not supported"))),
    }
}

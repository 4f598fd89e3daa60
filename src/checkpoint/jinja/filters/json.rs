//! The filter `tojson`, with the arguments that transformers adds.

use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::write::Json;
use crate::checkpoint::jinja::{Error, Result};

pub(super) fn json(run: &Run, value: &Value, given: Given) -> Result<Value> {
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

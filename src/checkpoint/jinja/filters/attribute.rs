//! The attribute of each item that filters such as `map`, `join` and `sort` use.

use crate::checkpoint::jinja::Result;
use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::value::Value;

/// Looks up an attribute, or several separated by dots.
pub(super) fn path(
    run: &Run,
    item: &Value,
    attribute: &Value,
    default: Option<&Value>,
) -> Result<Value> {
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

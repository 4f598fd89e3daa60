//! Filters that apply another filter or a test to each item: `map`, `select`, `reject` and their
//! forms for attributes.

use super::attribute::path;
use super::{apply, known};
use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::functions::Given;
use crate::checkpoint::jinja::value::Value;
use crate::checkpoint::jinja::{Error, Result, predicates};

/// Applies `map`, or a filter that selects items.
pub(super) fn each(run: &Run, name: &str, value: &Value, mut given: Given) -> Result<Value> {
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

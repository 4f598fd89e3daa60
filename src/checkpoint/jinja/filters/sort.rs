//! Order of items, for the filters that sort and compare them.

use std::cmp::Ordering;

use crate::checkpoint::jinja::Result;
use crate::checkpoint::jinja::evaluate::Run;
use crate::checkpoint::jinja::value::Value;

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

/// Sorts like Python's `sorted`: stable, from the largest on if `reverse` is set.
pub(super) fn ordered<T>(
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

/// Returns a sort key: texts in lower case, unless `case` is set.
pub(super) fn folded(value: Value, case: bool) -> Value {
    match &value {
        Value::Text(text) if !case => Value::text(text.to_lowercase()),
        _ => value,
    }
}

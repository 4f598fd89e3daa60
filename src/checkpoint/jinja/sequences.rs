//! Python's operations on sequences: iteration, indexing, slicing, repetition.

use std::rc::Rc;

use super::evaluate::Run;
use super::value::{Items, Value};
use super::{Error, Result};

/// Returns the number of items in a range.
pub(super) fn range_length(start: i64, stop: i64, step: i64) -> usize {
    let (start, stop, step) = (i128::from(start), i128::from(stop), i128::from(step));
    let length = if step > 0 {
        (stop - start + step - 1) / step
    } else {
        (start - stop - step - 1) / -step
    };
    usize::try_from(length.max(0)).unwrap_or(usize::MAX)
}

pub(super) fn is_repeatable(value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::List(_) | Value::Tuple(_))
}

impl Run {
    /// Returns the items that a loop over the value visits.
    pub fn iterate(&self, value: &Value) -> Result<Rc<Items>> {
        Ok(match value {
            Value::Undefined(_) => Items::new(Vec::new())?,
            Value::List(items) | Value::Tuple(items) | Value::View(_, items) => items.clone(),
            Value::Text(text) => {
                self.work(2 * text.len())?;
                let mut bytes = [0; 4];
                Items::new(
                    text.chars()
                        .map(|c| Value::text(c.encode_utf8(&mut bytes)))
                        .collect(),
                )?
            }
            Value::Dict(entries) => {
                self.work(2 * entries.pairs.len())?;
                Items::new(entries.pairs.iter().map(|(key, _)| key.clone()).collect())?
            }
            Value::Range(start, stop, step) => {
                let length = range_length(*start, *stop, *step);
                self.work(length.saturating_mul(2))?;
                let numbers = (0..length as i64).map(|n| Value::Int(start + n * step));
                Items::new(numbers.collect())?
            }
            Value::Generator(items) => match items.borrow_mut().take() {
                Some(items) => items,
                None => Items::new(Vec::new())?,
            },
            other => {
                let reason = format!("'{}' object is not iterable", other.type_name());
                return Err(Error::new(reason));
            }
        })
    }

    /// Returns Python's `len`.
    pub fn length(&self, value: &Value) -> Result<usize> {
        Ok(match value {
            Value::Undefined(_) => 0,
            Value::Text(text) => {
                self.work(text.len() / 64)?;
                text.chars().count()
            }
            Value::List(items) | Value::Tuple(items) | Value::View(_, items) => items.values.len(),
            Value::Dict(entries) => entries.pairs.len(),
            Value::Range(start, stop, step) => range_length(*start, *stop, *step),
            other => {
                let reason = format!("object of type '{}' has no len()", other.type_name());
                return Err(Error::new(reason));
            }
        })
    }

    /// Returns `of[index]` for an index that is not a dict's key; `None` if there is no such item.
    pub fn at(&self, of: &Value, index: i64) -> Result<Option<Value>> {
        let length = self.length(of)? as i64;
        let index = if index < 0 { index + length } else { index };
        if index < 0 || index >= length {
            return Ok(None);
        }
        let at = index as usize;
        Ok(match of {
            Value::List(items) | Value::Tuple(items) => items.values.get(at).cloned(),
            Value::Text(text) => {
                let mut bytes = [0; 4];
                text.chars()
                    .nth(at)
                    .map(|c| Value::text(c.encode_utf8(&mut bytes)))
            }
            Value::Range(start, _, step) => Some(Value::Int(start + index * step)),
            _ => None,
        })
    }

    /// Evaluates `of[start:stop:step]`.
    pub fn slice(&self, of: &Value, bounds: [Value; 3]) -> Result<Value> {
        of.defined()?;
        let mut given = [None; 3];
        for (bound, value) in given.iter_mut().zip(&bounds) {
            *bound = match value {
                Value::None => None,
                other => Some(
                    other
                        .as_int()
                        .ok_or_else(|| Error::new("slice indices must be integers or None"))?,
                ),
            };
        }
        if !is_repeatable(of) {
            let reason = format!("'{}' object cannot be sliced", of.type_name());
            return Err(Error::new(reason));
        }
        let length = self.length(of)? as i64;
        let step = given[2].unwrap_or(1);
        if step == 0 {
            return Err(Error::new("slice step cannot be zero"));
        }
        let (low, high) = if step > 0 {
            (0, length)
        } else {
            (-1, length - 1)
        };
        let bound = |given: Option<i64>, default: i64| match given {
            None => default,
            Some(at) if at < 0 => at.saturating_add(length).clamp(low, high),
            Some(at) => at.clamp(low, high),
        };
        let (start, stop) = if step > 0 { (low, high) } else { (high, low) };
        let (start, stop) = (bound(given[0], start), bound(given[1], stop));
        let count = range_length(start, stop, step);
        self.work(2 * count + length as usize / 64)?;
        let places = (0..count as i64).map(|n| (start + n * step) as usize);
        Ok(match of {
            Value::Text(text) => {
                let chars: Vec<char> = text.chars().collect();
                self.made(places.filter_map(|at| chars.get(at)).collect::<String>())?
            }
            Value::List(items) => Value::list(
                places
                    .filter_map(|at| items.values.get(at).cloned())
                    .collect(),
            )?,
            Value::Tuple(items) => Value::tuple(
                places
                    .filter_map(|at| items.values.get(at).cloned())
                    .collect(),
            )?,
            _ => return Err(Error::new("not a sequence")),
        })
    }

    /// Evaluates `of * count`.
    pub fn repeated(&self, of: &Value, count: usize) -> Result<Value> {
        let many = |items: &Items| {
            self.work(items.values.len().saturating_mul(count).saturating_mul(2))?;
            let total = items.values.len() * count;
            Ok(items.values.iter().cycle().take(total).cloned().collect())
        };
        Ok(match of {
            Value::Text(text) => {
                self.work(text.len().saturating_mul(count) / 16)?;
                Value::text(text.repeat(count))
            }
            Value::List(items) => Value::list(many(items)?)?,
            Value::Tuple(items) => Value::tuple(many(items)?)?,
            _ => return Err(Error::new("not a sequence")),
        })
    }
}

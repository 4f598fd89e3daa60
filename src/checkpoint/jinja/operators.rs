//! Python's operators.

use std::cmp::Ordering;

use super::ast::{Arithmetic, Comparison};
use super::evaluate::Run;
use super::value::{Items, Value};
use super::{Error, Result, numbers, percent, sequences};

impl Value {
    /// Compares as Python's `==` does.
    pub fn equals(&self, other: &Self) -> Result<bool> {
        if let Some(order) = numbers::compare(self, other) {
            return Ok(order == Some(Ordering::Equal));
        }
        let all = |a: &Items, b: &Items| {
            if a.values.len() != b.values.len() {
                return Ok(false);
            }
            for (a, b) in a.values.iter().zip(&b.values) {
                if !a.equals(b)? {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        Ok(match (self, other) {
            (Self::Undefined(_), Self::Undefined(_)) | (Self::None, Self::None) => true,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => return all(a, b),
            (Self::Dict(a), Self::Dict(b)) => {
                if a.pairs.len() != b.pairs.len() {
                    return Ok(false);
                }
                for (key, value) in &a.pairs {
                    match other.get(key)? {
                        Some(found) if found.equals(value)? => {}
                        _ => return Ok(false),
                    }
                }
                true
            }
            (a, b) if a.is_plain() || b.is_plain() => false,
            (a, b) => {
                let (a, b) = (a.type_name(), b.type_name());
                return Err(Error::new(format!("{a} and {b} are not compared")));
            }
        })
    }

    /// Checks whether the value's equality is implemented.
    fn is_plain(&self) -> bool {
        matches!(
            self,
            Self::Undefined(_)
                | Self::None
                | Self::Bool(_)
                | Self::Int(_)
                | Self::Float(_)
                | Self::Text(_)
                | Self::List(_)
                | Self::Tuple(_)
                | Self::Dict(_)
        )
    }

    /// Compares by Python's order; `None` if one is NaN.
    pub fn order(&self, other: &Self) -> Result<Option<Ordering>> {
        self.defined()?;
        other.defined()?;
        if let Some(order) = numbers::compare(self, other) {
            return Ok(order);
        }
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Ok(Some(a.cmp(b))),
            (Self::List(a), Self::List(b)) | (Self::Tuple(a), Self::Tuple(b)) => {
                for (a, b) in a.values.iter().zip(&b.values) {
                    if !a.equals(b)? {
                        return a.order(b);
                    }
                }
                Ok(Some(a.values.len().cmp(&b.values.len())))
            }
            (a, b) => {
                let (a, b) = (a.type_name(), b.type_name());
                Err(Error::new(format!("{a} and {b} have no order")))
            }
        }
    }
}

impl Run {
    pub fn compare(&self, op: Comparison, a: &Value, b: &Value) -> Result<bool> {
        self.work(self.weight(a).min(self.weight(b)) / 64)?;
        Ok(match op {
            Comparison::Equal => a.equals(b)?,
            Comparison::NotEqual => !a.equals(b)?,
            Comparison::In => self.contains(b, a)?,
            Comparison::NotIn => !self.contains(b, a)?,
            _ => {
                let order = a.order(b)?;
                match op {
                    Comparison::Less => order == Some(Ordering::Less),
                    Comparison::LessEqual => {
                        matches!(order, Some(Ordering::Less | Ordering::Equal))
                    }
                    Comparison::Greater => order == Some(Ordering::Greater),
                    _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
                }
            }
        })
    }

    /// Evaluates `item in of`.
    pub fn contains(&self, of: &Value, item: &Value) -> Result<bool> {
        match of {
            Value::Text(text) => {
                self.work(text.len() / 64)?;
                item.defined()?;
                let part = item.as_text().ok_or_else(|| {
                    let found = item.type_name();
                    Error::new(format!(
                        "'in <string>' requires string as left operand, not {found}"
                    ))
                })?;
                Ok(text.contains(&**part))
            }
            Value::Dict(entries) => {
                self.work(entries.pairs.len() / 4)?;
                Ok(of.get(item)?.is_some())
            }
            Value::Generator(_) => Err(Error::new("\"in\" on a generator is not supported")),
            _ => {
                for value in self.iterate(of)?.values.iter() {
                    self.work(1)?;
                    if value.equals(item)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    pub fn arithmetic(&self, op: Arithmetic, a: &Value, b: &Value) -> Result<Value> {
        a.defined()?;
        b.defined()?;
        if let Some(result) = numbers::arithmetic(op, a, b)? {
            return Ok(result);
        }
        let joined = |a: &Items, b: &Items| {
            self.work(2 * (a.values.len() + b.values.len()))?;
            Items::new(a.values.iter().chain(&b.values).cloned().collect())
        };
        Ok(match (op, a, b) {
            (Arithmetic::Add, Value::Text(a), Value::Text(b)) => self.made([&**a, b].concat())?,
            (Arithmetic::Add, Value::List(a), Value::List(b)) => Value::List(joined(a, b)?),
            (Arithmetic::Add, Value::Tuple(a), Value::Tuple(b)) => Value::Tuple(joined(a, b)?),
            (Arithmetic::Multiply, sequence, count) | (Arithmetic::Multiply, count, sequence)
                if count.as_int().is_some() && sequences::is_repeatable(sequence) =>
            {
                let count = usize::try_from(count.as_int().unwrap_or(0)).unwrap_or(0);
                self.repeated(sequence, count)?
            }
            (Arithmetic::Modulo, Value::Text(format), args) => {
                let text = percent::format(self, format, args)?;
                self.made(text)?
            }
            (_, a, b) => {
                let (a, b) = (a.type_name(), b.type_name());
                let reason = format!("unsupported operand types: '{a}' and '{b}'");
                return Err(Error::new(reason));
            }
        })
    }
}

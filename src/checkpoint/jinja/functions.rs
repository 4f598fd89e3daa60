//! Callable names in templates: jinja2's globals as transformers sets them, macros, and attributes
//! that are looked up by name.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::evaluate::Run;
use super::value::{Items, Loop, Value};
use super::{CALLS, Error, Result, methods};

/// The evaluated arguments of a call.
#[derive(Clone)]
pub(super) struct Given {
    pub positional: Vec<Value>,
    pub named: Vec<(String, Value)>,
    /// The body of a `{% call %}` block.
    pub caller: Option<Value>,
}

impl Given {
    /// Returns the arguments in the order of these names; `None` for those not given.
    pub fn named<const N: usize>(self, names: [&str; N]) -> Result<[Option<Value>; N]> {
        let mut found: [Option<Value>; N] = std::array::from_fn(|_| None);
        if self.positional.len() > N {
            let count = self.positional.len();
            return Err(Error::new(format!(
                "expected at most {N} arguments, found {count}"
            )));
        }
        for (slot, value) in found.iter_mut().zip(self.positional) {
            *slot = Some(value);
        }
        for (name, value) in self.named {
            let at = names.iter().position(|known| *known == name);
            match at.map(|at| &mut found[at]) {
                Some(slot @ None) => *slot = Some(value),
                _ => return Err(Error::new(format!("unexpected argument {name:?}"))),
            }
        }
        Ok(found)
    }

    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.named.is_empty()
    }
}

/// Returns a global that every template has.
pub(super) fn global(name: &str) -> Option<Value> {
    let known = [
        "range",
        "dict",
        "namespace",
        "raise_exception",
        "cycler",
        "joiner",
        "lipsum",
    ];
    known
        .iter()
        .find(|k| **k == name)
        .map(|k| Value::Function(k))
}

/// Sets a field of a namespace.
pub(super) fn set_field(fields: &mut Vec<(String, Value)>, name: &str, value: Value) -> Result<()> {
    if name.starts_with('_') {
        return Err(Error::new(format!("a namespace has no field {name:?}")));
    }
    if !value.is_data() {
        let found = value.type_name();
        return Err(Error::new(format!(
            "a namespace holding a {found} is not supported"
        )));
    }
    match fields.iter_mut().find(|(known, _)| known == name) {
        Some((_, known)) => *known = value,
        None => fields.push((name.to_string(), value)),
    }
    Ok(())
}

impl Run {
    pub fn call(&self, callee: &Value, given: Given) -> Result<Value> {
        if given.caller.is_some() && !matches!(callee, Value::Macro(_)) {
            return Err(Error::new(
                "{% call %} of what is no macro is not supported",
            ));
        }
        match callee {
            Value::Undefined(name) => Err(Value::missing(name)),
            Value::Macro(called) => {
                self.calls.set(self.calls.get() + 1);
                if self.calls.get() > CALLS {
                    return Err(Error::new(format!(
                        "macros call one another more than {CALLS} deep"
                    )));
                }
                let text = self.macro_text(called, given);
                self.calls.set(self.calls.get() - 1);
                text
            }
            Value::Function(name) => self.function(name, given),
            Value::Method(method) => methods::call(self, &method.0, &method.1, given),
            Value::Joiner(joiner) => {
                let [] = given.named([])?;
                let first = !joiner.1.replace(true);
                Ok(if first {
                    Value::text("")
                } else {
                    joiner.0.clone()
                })
            }
            other => {
                let reason = format!("'{}' object is not callable", other.type_name());
                Err(Error::new(reason))
            }
        }
    }

    fn function(&self, name: &str, given: Given) -> Result<Value> {
        match name {
            "range" => self.range(given),
            "raise_exception" => {
                let [message] = given.named(["message"])?;
                let message =
                    message.ok_or_else(|| Error::new("raise_exception needs a message"))?;
                Err(Error::new(self.text(&message)?))
            }
            "dict" => {
                let mut pairs = self.pairs(&given.positional)?;
                pairs.extend(
                    given
                        .named
                        .into_iter()
                        .map(|(name, value)| (Value::text(name), value)),
                );
                self.work(pairs.len() * pairs.len() / 4)?;
                Value::dict(pairs)
            }
            "namespace" => {
                let mut fields = Vec::new();
                for (key, value) in self.pairs(&given.positional)? {
                    let key = key
                        .as_text()
                        .ok_or_else(|| Error::new("expected names"))?
                        .clone();
                    set_field(&mut fields, &key, value)?;
                }
                for (name, value) in given.named {
                    set_field(&mut fields, &name, value)?;
                }
                Ok(Value::Namespace(Rc::new(RefCell::new(fields))))
            }
            "cycler" if !given.positional.is_empty() && given.named.is_empty() => {
                let items = Items::new(given.positional)?;
                Ok(Value::Cycler(Rc::new((items, Cell::new(0)))))
            }
            "joiner" => {
                let [separator] = given.named(["sep"])?;
                let separator = separator.unwrap_or_else(|| Value::text(", "));
                Ok(Value::Joiner(Rc::new((separator, Cell::new(false)))))
            }
            _ => Err(Error::new(format!("{name} is not supported"))),
        }
    }

    /// Returns the entries that are passed to `dict` by position.
    fn pairs(&self, positional: &[Value]) -> Result<Vec<(Value, Value)>> {
        match positional {
            [] => Ok(Vec::new()),
            [Value::Dict(entries)] => {
                self.work(entries.pairs.len())?;
                Ok(entries.pairs.clone())
            }
            [other] => {
                let mut pairs = Vec::new();
                for item in &self.iterate(other)?.values {
                    match &*self.iterate(item)?.values {
                        [key, value] => pairs.push((key.clone(), value.clone())),
                        _ => return Err(Error::new("expected pairs of key and value")),
                    }
                }
                Ok(pairs)
            }
            _ => Err(Error::new("expected at most one argument")),
        }
    }

    fn range(&self, given: Given) -> Result<Value> {
        if !given.named.is_empty() {
            return Err(Error::new("range takes no keyword arguments"));
        }
        let mut bounds = Vec::new();
        for value in &given.positional {
            value.defined()?;
            let number = value.as_int();
            bounds.push(number.ok_or_else(|| Error::new("range needs integers"))?);
        }
        let (start, stop, step) = match *bounds {
            [stop] => (0, stop, 1),
            [start, stop] => (start, stop, 1),
            [start, stop, step] if step != 0 => (start, stop, step),
            _ => {
                return Err(Error::new(
                    "range needs one to three integers, a step that is not 0",
                ));
            }
        };
        // The limit of jinja2's sandbox.
        if super::sequences::range_length(start, stop, step) > 100_000 {
            return Err(Error::new("a range of more than 100000 items"));
        }
        Ok(Value::Range(start, stop, step))
    }

    /// Evaluates `of.name`: an attribute, else a key.
    pub fn attribute(&self, of: &Value, name: &str) -> Result<Value> {
        of.defined()?;
        if let Some(found) = self.own(of, name)? {
            return Ok(found);
        }
        if let Some(found) = of.get(&Value::text(name))? {
            return Ok(found);
        }
        Ok(Value::undefined(&format!(
            "attribute {name:?} of a {}",
            of.type_name()
        )))
    }

    /// Evaluates `of[index]`: a key or an item, else an attribute.
    pub fn item(&self, of: &Value, index: &Value) -> Result<Value> {
        of.defined()?;
        let found = match (of, index) {
            (Value::Dict(entries), key) => {
                self.work(entries.pairs.len() / 8)?;
                of.get(key)?
            }
            (Value::List(_) | Value::Tuple(_) | Value::Text(_) | Value::Range(..), index) => {
                if let (Value::Text(text), Some(_)) = (of, index.as_int()) {
                    self.work(text.len() / 64)?;
                }
                match index.as_int() {
                    Some(index) => self.at(of, index)?,
                    None => None,
                }
            }
            _ => None,
        };
        if let Some(found) = found {
            return Ok(found);
        }
        if let Value::Text(name) = index
            && let Some(found) = self.own(of, name)?
        {
            return Ok(found);
        }
        let mut shown = String::new();
        self.repr(index, &mut shown)?;
        let of = of.type_name();
        Ok(Value::undefined(&format!("item {shown} of a {of}")))
    }

    /// Looks up an attribute as Python's `getattr` does, as far as the sandbox allows it.
    pub fn own(&self, of: &Value, name: &str) -> Result<Option<Value>> {
        let hidden = || Some(Value::undefined(&format!("attribute {name:?}")));
        if let Value::Namespace(fields) = of {
            let fields = fields.borrow();
            let found = fields.iter().find(|(known, _)| known == name);
            return Ok(found
                .map(|(_, value)| value.clone())
                .or_else(|| name.starts_with('_').then(hidden).flatten()));
        }
        if name.starts_with("__") {
            // The sandbox hides such names if Python has them; keys and fields may have any other
            // such name.
            return Ok(if methods::is_dunder(name) {
                hidden()
            } else {
                None
            });
        }
        match of {
            Value::Loop(state) => Ok(state.field(name)?.or_else(|| {
                ["cycle", "changed"]
                    .contains(&name)
                    .then(|| method(of, name))
            })),
            Value::Cycler(cycler) => Ok(match name {
                "current" => cycler.0.values.get(cycler.1.get()).cloned(),
                "next" | "reset" => Some(method(of, name)),
                _ => None,
            }),
            Value::Macro(called) if name == "name" => {
                Ok(Some(Value::text(&called.definition.name)))
            }
            Value::Macro(_) | Value::Function(_) | Value::Method(_) | Value::Joiner(_) => {
                Err(Error::new(format!(
                    "attribute {name:?} of a {} is not supported",
                    of.type_name()
                )))
            }
            _ => match methods::find(of, name) {
                methods::Found::Method => Ok(Some(method(of, name))),
                methods::Found::Hidden => Ok(hidden()),
                methods::Found::Nothing => Ok(None),
                methods::Found::Unsupported => {
                    let reason = format!("{}.{name} is not supported", of.type_name());
                    Err(Error::new(reason))
                }
            },
        }
    }
}

fn method(of: &Value, name: &str) -> Value {
    Value::Method(Rc::new((of.clone(), name.to_string())))
}

impl Loop {
    fn field(&self, name: &str) -> Result<Option<Value>> {
        let (index, length) = (self.index as i64, self.items.values.len() as i64);
        Ok(Some(match name {
            "index" => Value::Int(index + 1),
            "index0" => Value::Int(index),
            "revindex" => Value::Int(length - index),
            "revindex0" => Value::Int(length - index - 1),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(index + 1 == length),
            "length" => Value::Int(length),
            "depth" => Value::Int(1),
            "depth0" => Value::Int(0),
            "previtem" => match self.index.checked_sub(1) {
                Some(at) => self.items.values[at].clone(),
                None => Value::undefined("there is no previous item"),
            },
            "nextitem" => match self.items.values.get(self.index + 1) {
                Some(item) => item.clone(),
                None => Value::undefined("there is no next item"),
            },
            _ => return Ok(None),
        }))
    }
}

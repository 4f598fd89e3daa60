//! Python's values, as far as templates use them.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::ast::MacroDef;
use super::evaluate::Scope;
use super::{DEPTH, Error, Result};

#[derive(Clone)]
pub(super) enum Value {
    /// An undefined value, with its name.
    Undefined(Rc<str>),
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    List(Rc<Items>),
    Tuple(Rc<Items>),
    Dict(Rc<Entries>),
    /// The result of a dict's `keys`, `values` or `items`.
    View(&'static str, Rc<Items>),
    /// Start, stop and step.
    Range(i64, i64, i64),
    /// A generator, which returns its items once.
    Generator(Rc<RefCell<Option<Rc<Items>>>>),
    Namespace(Rc<RefCell<Vec<(String, Value)>>>),
    Loop(Rc<Loop>),
    Macro(Rc<Macro>),
    Function(&'static str),
    /// A value and the name of its method, not called yet.
    Method(Rc<(Value, String)>),
    Cycler(Rc<(Rc<Items>, Cell<usize>)>),
    Joiner(Rc<(Value, Cell<bool>)>),
}

/// The items of a list, a tuple, a view or a generator.
pub(super) struct Items {
    pub values: Vec<Value>,
    depth: usize,
    data: bool,
}

/// The entries of a dict, in the order of insertion.
pub(super) struct Entries {
    pub pairs: Vec<(Value, Value)>,
    depth: usize,
    data: bool,
}

pub(super) struct Macro {
    pub definition: Arc<MacroDef>,
    /// The scope of its definition.
    pub scope: Rc<Scope>,
}

/// The variable `loop`.
pub(super) struct Loop {
    pub items: Rc<Items>,
    pub index: usize,
    /// The value last passed to `changed`, shared by all iterations.
    pub changed: Rc<RefCell<Option<Value>>>,
}

impl Items {
    pub fn new(values: Vec<Value>) -> Result<Rc<Self>> {
        let (depth, data) = measure(values.iter())?;
        Ok(Rc::new(Self {
            values,
            depth,
            data,
        }))
    }
}

/// Returns the depth of a container, and whether it holds only data.
fn measure<'v>(values: impl Iterator<Item = &'v Value>) -> Result<(usize, bool)> {
    let (mut depth, mut data) = (1, true);
    for value in values {
        depth = depth.max(value.depth() + 1);
        data &= value.is_data();
    }
    if depth > DEPTH {
        return Err(Error::new(format!(
            "values deeper than {DEPTH} are not made"
        )));
    }
    Ok((depth, data))
}

impl Value {
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::Text(Rc::from(text.as_ref()))
    }

    pub fn undefined(name: &str) -> Self {
        Self::Undefined(Rc::from(name))
    }

    pub fn list(values: Vec<Value>) -> Result<Self> {
        Ok(Self::List(Items::new(values)?))
    }

    pub fn tuple(values: Vec<Value>) -> Result<Self> {
        Ok(Self::Tuple(Items::new(values)?))
    }

    pub fn generator(values: Vec<Value>) -> Result<Self> {
        let items = Items::new(values)?;
        Ok(Self::Generator(Rc::new(RefCell::new(Some(items)))))
    }

    /// Creates a dict of these entries; of equal keys the first is kept, with the last value.
    pub fn dict(given: Vec<(Value, Value)>) -> Result<Self> {
        let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(given.len());
        for (key, value) in given {
            if !key.is_hashable() {
                let reason = format!("unhashable type: '{}'", key.type_name());
                return Err(Error::new(reason));
            }
            let mut found = None;
            for (at, (known, _)) in pairs.iter().enumerate() {
                if known.equals(&key)? {
                    found = Some(at);
                }
            }
            match found {
                Some(at) => pairs[at].1 = value,
                None => pairs.push((key, value)),
            }
        }
        let (depth, data) = measure(pairs.iter().flat_map(|(key, value)| [key, value]))?;
        Ok(Self::Dict(Rc::new(Entries { pairs, depth, data })))
    }

    pub fn from_json(json: &serde_json::Value) -> Result<Self> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::Float(value),
                _ => return Err(Error::new(format!("{number} needs more than 64 bits"))),
            },
            Json::String(text) => Self::text(text),
            Json::Array(list) => {
                Self::list(list.iter().map(Self::from_json).collect::<Result<_>>()?)?
            }
            Json::Object(map) => {
                let pair =
                    |(key, value): (&String, &Json)| Ok((Self::text(key), Self::from_json(value)?));
                Self::dict(map.iter().map(pair).collect::<Result<_>>()?)?
            }
        })
    }

    fn depth(&self) -> usize {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::View(_, items) => items.depth,
            Self::Dict(entries) => entries.depth,
            Self::Generator(items) => items.borrow().as_ref().map_or(1, |items| items.depth),
            Self::Method(method) => method.0.depth() + 1,
            Self::Cycler(cycler) => cycler.0.depth,
            Self::Joiner(joiner) => joiner.0.depth() + 1,
            _ => 0,
        }
    }

    /// Checks whether the value is data: neither a function nor a namespace, nor a container of
    /// one. Only data may be put into a namespace, so that none contains itself.
    pub fn is_data(&self) -> bool {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::View(_, items) => items.data,
            Self::Dict(entries) => entries.data,
            Self::Generator(items) => items.borrow().as_ref().is_none_or(|items| items.data),
            Self::Cycler(cycler) => cycler.0.data,
            Self::Joiner(joiner) => joiner.0.is_data(),
            Self::Method(method) => method.0.is_data(),
            Self::Namespace(_) | Self::Loop(_) | Self::Macro(_) => false,
            _ => true,
        }
    }

    fn is_hashable(&self) -> bool {
        match self {
            Self::List(_) | Self::Dict(_) => false,
            Self::Tuple(items) => items.values.iter().all(Self::is_hashable),
            _ => true,
        }
    }

    /// Returns the type's name in Python.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Undefined(_) => "Undefined",
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Text(_) => "str",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Dict(_) => "dict",
            Self::View(name, _) => name,
            Self::Range(..) => "range",
            Self::Generator(_) => "generator",
            Self::Namespace(_) => "Namespace",
            Self::Loop(_) => "LoopContext",
            Self::Macro(_) => "Macro",
            Self::Function(_) => "function",
            Self::Method(_) => "method",
            Self::Cycler(_) => "Cycler",
            Self::Joiner(_) => "Joiner",
        }
    }

    /// Creates the error of using an undefined value.
    pub fn missing(name: &str) -> Error {
        Error::new(format!("{name} is undefined"))
    }

    /// Returns an error if the value is undefined.
    pub fn defined(&self) -> Result<()> {
        match self {
            Self::Undefined(name) => Err(Self::missing(name)),
            _ => Ok(()),
        }
    }

    pub fn is_true(&self) -> bool {
        match self {
            Self::Undefined(_) | Self::None => false,
            Self::Bool(value) => *value,
            Self::Int(value) => *value != 0,
            Self::Float(value) => *value != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) | Self::View(_, items) => {
                !items.values.is_empty()
            }
            Self::Dict(entries) => !entries.pairs.is_empty(),
            Self::Range(start, stop, step) => {
                super::sequences::range_length(*start, *stop, *step) > 0
            }
            _ => true,
        }
    }

    /// Returns a number's value as an integer, also for `bool`.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Int(value) => Some(*value),
            _ => None,
        }
    }

    pub fn as_text(&self) -> Option<&Rc<str>> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub fn get(&self, key: &Value) -> Result<Option<Value>> {
        if let Self::Dict(entries) = self {
            for (known, value) in &entries.pairs {
                if known.equals(key)? {
                    return Ok(Some(value.clone()));
                }
            }
        }
        Ok(None)
    }
}

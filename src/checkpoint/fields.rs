//! Reading a section of config.json field by field, with errors that name the field.

use super::CheckpointError;
use serde_json::{Map, Value};

/// Largest width, head count, vocabulary and similar size; several times that of any model in use.
pub const SIZE_LIMIT: usize = 1 << 24;
/// Largest number of layers in one part.
pub const LAYER_LIMIT: usize = 4096;
/// Largest edge of an encoder's input picture, in pixels.
const EDGE_LIMIT: usize = 1 << 14;
/// Largest context length, in tokens.
pub const POSITION_LIMIT: usize = 1 << 31;

/// One JSON object of a config file. A `null` field counts as absent, as in `transformers`.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The file's name as messages show it.
    pub file: &'a str,
    /// Name of the section, empty for the top level.
    section: &'a str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// Returns the top level of a file.
    pub(super) fn top(map: &'a Map<String, Value>, file: &'a str) -> Self {
        Self {
            file,
            section: "",
            map: Some(map),
        }
    }

    /// Returns a section inside this one; if it is absent, so are all of its fields.
    pub fn section(&self, name: &'a str) -> Result<Self, CheckpointError> {
        match self.value(name) {
            None => Ok(Self {
                file: self.file,
                section: name,
                map: None,
            }),
            Some(Value::Object(map)) => Ok(Self {
                file: self.file,
                section: name,
                map: Some(map),
            }),
            Some(other) => Err(self.error(name, other, "an object")),
        }
    }

    /// Checks whether the section is in the file.
    pub fn is_given(&self) -> bool {
        self.map.is_some()
    }

    /// Checks whether the section has no fields.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_none_or(Map::is_empty)
    }

    /// Returns the names of the fields that have a value.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> {
        let fields = self.map.into_iter().flatten();
        let given = fields.filter(|(_, value)| !value.is_null());
        given.map(|(name, _)| name.as_str())
    }

    /// Returns the names of the fields that are objects.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'a str> {
        let fields = self.map.into_iter().flatten();
        let objects = fields.filter(|(_, value)| value.is_object());
        objects.map(|(name, _)| name.as_str())
    }

    /// Returns a field's value, unchecked.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map
            .and_then(|map| map.get(name))
            .filter(|value| !value.is_null())
    }

    /// Checks whether a field is present, `null` or not.
    pub fn has(&self, name: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(name))
    }

    /// Checks whether a field is present and `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.map
            .and_then(|map| map.get(name))
            .is_some_and(Value::is_null)
    }

    /// Creates an error about a field of this section.
    pub fn error(
        &self,
        name: &str,
        found: impl ToString,
        expected: impl ToString,
    ) -> CheckpointError {
        CheckpointError::Config {
            file: self.file.to_string(),
            field: self.path(name),
            found: found.to_string(),
            expected: expected.to_string(),
        }
    }

    /// Returns the field's full name.
    pub fn path(&self, name: &str) -> String {
        if self.section.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.section)
        }
    }

    /// Reads a whole number in `1..=limit`.
    pub fn size(&self, name: &str, default: usize, limit: usize) -> Result<usize, CheckpointError> {
        Ok(self.optional_size(name, limit)?.unwrap_or(default))
    }

    /// Reads a whole number in `1..=limit`, if present.
    pub fn optional_size(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<usize>, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value
            .as_u64()
            .and_then(|number| usize::try_from(number).ok())
        {
            Some(number) if (1..=limit).contains(&number) => Ok(Some(number)),
            _ => Err(self.error(name, value, format!("a whole number from 1 to {limit}"))),
        }
    }

    /// Reads a finite number above 0, if present.
    pub fn positive(&self, name: &str) -> Result<Option<f64>, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
            _ => Err(self.error(name, value, "a number above 0")),
        }
    }

    /// Reads a boolean.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.error(name, other, "true or false")),
        }
    }

    /// Reads a text, if present.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, other, "a text")),
        }
    }

    /// Reads a list of whole numbers, if present.
    ///
    /// # Errors
    /// As [`Fields::size`].
    pub fn sizes(&self, name: &str, limit: usize) -> Result<Option<Vec<usize>>, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        let number = |value: &Value| {
            let number = value.as_u64().and_then(|n| usize::try_from(n).ok());
            number.filter(|n| (1..=limit).contains(n))
        };
        let list = value
            .as_array()
            .and_then(|list| list.iter().map(number).collect());
        let expected = || format!("a list of whole numbers from 1 to {limit}");
        list.map(Some)
            .ok_or_else(|| self.error(name, value, expected()))
    }

    /// Reads a length in pixels, which may also be a list of two equal lengths.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] for any other value.
    pub fn edge(&self, name: &str, default: usize) -> Result<usize, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(default);
        };
        let number = match value.as_array().map(Vec::as_slice) {
            Some([height, width]) if height == width => height.as_u64(),
            _ => value.as_u64(),
        };
        match number.and_then(|number| usize::try_from(number).ok()) {
            Some(number) if (1..=EDGE_LIMIT).contains(&number) => Ok(number),
            _ => Err(self.error(
                name,
                value,
                format!("a whole number from 1 to {EDGE_LIMIT}, or two equal ones"),
            )),
        }
    }

    /// Checks that the second field's value divides the first's.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] if it does not.
    pub fn divides(
        &self,
        whole: (&str, usize),
        part: (&str, usize),
    ) -> Result<(), CheckpointError> {
        if whole.1.is_multiple_of(part.1) {
            return Ok(());
        }
        let expected = format!("a divisor of {}, {}", self.path(whole.0), whole.1);
        Err(self.error(part.0, part.1, expected))
    }

    /// Creates the error of an unsupported architecture, which the field `name` states.
    pub fn unsupported(
        &self,
        name: &str,
        found: impl ToString,
        supported: &'static str,
    ) -> CheckpointError {
        CheckpointError::UnsupportedArchitecture {
            file: self.file.to_string(),
            field: self.path(name),
            found: found.to_string(),
            supported,
        }
    }

    /// Checks that a field that names a type has one of the values `wanted`; `default` is its value
    /// if absent.
    ///
    /// # Errors
    /// [`CheckpointError::UnsupportedArchitecture`] if it has another value.
    pub fn require_type(
        &self,
        name: &str,
        default: Option<&'static str>,
        wanted: &[&str],
        supported: &'static str,
    ) -> Result<&'a str, CheckpointError> {
        let found = self.text(name)?.or(default).unwrap_or("left out");
        if wanted.contains(&found) {
            return Ok(found);
        }
        Err(self.unsupported(name, found, supported))
    }
}

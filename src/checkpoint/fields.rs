//! Reading a section of config.json field by field, with errors that name the field.

use super::CheckpointError;
use serde_json::{Map, Value};

/// Largest width, head count, vocabulary and the like; several times those of any model in use.
pub const SIZE_LIMIT: usize = 1 << 24;
/// Most layers in one part.
pub const LAYER_LIMIT: usize = 4096;
/// Longest edge of the picture that an encoder sees, in pixels.
const EDGE_LIMIT: usize = 1 << 14;
/// Longest context, in tokens.
pub const POSITION_LIMIT: usize = 1 << 31;

/// One JSON object of a config file. A field that is `null` counts as left out, as it does in
/// `transformers`.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// The file's name as messages show it.
    pub file: &'a str,
    /// Name of the section, empty for the top level.
    section: &'a str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The top level of a file.
    pub(super) fn top(map: &'a Map<String, Value>, file: &'a str) -> Self {
        Self {
            file,
            section: "",
            map: Some(map),
        }
    }

    /// A section inside this one; all of its fields are left out when it is.
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

    /// Whether the section is in the file at all.
    pub fn is_given(&self) -> bool {
        self.map.is_some()
    }

    /// Whether it has no fields.
    pub(super) fn is_empty(&self) -> bool {
        self.map.is_none_or(Map::is_empty)
    }

    /// The names of the fields that are objects.
    pub(super) fn sections(&self) -> impl Iterator<Item = &'a str> {
        let fields = self.map.into_iter().flatten();
        let objects = fields.filter(|(_, value)| value.is_object());
        objects.map(|(name, _)| name.as_str())
    }

    /// A field's value as it stands.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map
            .and_then(|map| map.get(name))
            .filter(|value| !value.is_null())
    }

    /// Whether a field is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.map.is_some_and(|map| map.contains_key(name))
    }

    /// Whether a field is there and null.
    pub fn is_null(&self, name: &str) -> bool {
        self.map
            .and_then(|map| map.get(name))
            .is_some_and(Value::is_null)
    }

    /// An error about a field of this section.
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

    /// The field's full name.
    pub fn path(&self, name: &str) -> String {
        if self.section.is_empty() {
            name.to_string()
        } else {
            format!("{}.{name}", self.section)
        }
    }

    /// A whole number in `1..=limit`.
    pub fn size(&self, name: &str, default: usize, limit: usize) -> Result<usize, CheckpointError> {
        Ok(self.optional_size(name, limit)?.unwrap_or(default))
    }

    /// A whole number in `1..=limit`, when given.
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

    /// A finite number above 0, when given.
    pub fn positive(&self, name: &str) -> Result<Option<f64>, CheckpointError> {
        let Some(value) = self.value(name) else {
            return Ok(None);
        };
        match value.as_f64() {
            Some(number) if number.is_finite() && number > 0.0 => Ok(Some(number)),
            _ => Err(self.error(name, value, "a number above 0")),
        }
    }

    /// A truth value.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, CheckpointError> {
        match self.value(name) {
            None => Ok(default),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.error(name, other, "true or false")),
        }
    }

    /// A text, when given.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, CheckpointError> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(name, other, "a text")),
        }
    }

    /// Whole numbers, when given.
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

    /// A length in pixels, also written as a list of two equal ones.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
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

    /// Fails unless the second field's value divides the first's.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
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

    /// The error of an architecture that is not supported: the field `name` tells so.
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

    /// Fails unless a field that names a type has one of `wanted`; `default` is what it means to
    /// leave it out.
    ///
    /// # Errors
    /// [`CheckpointError::UnsupportedArchitecture`].
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

//! Reading a section of config.json field by field, with errors that name the field.

use super::CheckpointError;
use serde_json::{Map, Value};

/// One JSON object of a config file. A field that is `null` counts as left out, as it does in `transformers`.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub file: &'a str,
    /// Name of the section, empty for the top level.
    section: &'a str,
    map: Option<&'a Map<String, Value>>,
}

impl<'a> Fields<'a> {
    /// The top level of a parsed file.
    pub fn top(value: &'a Value, file: &'a str) -> Result<Self, CheckpointError> {
        match value.as_object() {
            Some(map) => Ok(Self {
                file,
                section: "",
                map: Some(map),
            }),
            None => Err(CheckpointError::Json {
                file: file.to_string(),
                reason: "expected an object".to_string(),
            }),
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

    /// A field's value as it stands.
    pub fn value(&self, name: &str) -> Option<&'a Value> {
        self.map
            .and_then(|map| map.get(name))
            .filter(|value| !value.is_null())
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
}

//! config.json as parsed JSON; the model families and encoders interpret its fields.

use super::fields::Fields;
use super::files::parse_json;
use super::{CheckpointError, Files};
use serde_json::{Map, Value};

/// The file's name in a checkpoint.
pub const CONFIG: &str = "config.json";

/// A parsed config.json: one JSON object.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    fields: Map<String, Value>,
    file: String,
}

impl Config {
    /// Parses `text`; `file` is the file's name in messages.
    ///
    /// # Errors
    /// [`CheckpointError::Json`] if it is not a JSON object.
    pub fn from_json(text: &str, file: &str) -> Result<Self, CheckpointError> {
        let file = file.to_string();
        match parse_json(text, &file)? {
            Value::Object(fields) => Ok(Self { fields, file }),
            _ => Err(CheckpointError::Json {
                file,
                reason: "expected an object".to_string(),
            }),
        }
    }

    /// Reads config.json.
    ///
    /// # Errors
    /// As [`Files::text`] and [`Config::from_json`], and [`CheckpointError::MissingFile`] if the
    /// file does not exist.
    pub fn read(files: &Files) -> Result<Self, CheckpointError> {
        let text = files.required_text(CONFIG, "it says what the model is")?;
        Self::from_json(&text, &files.path(CONFIG))
    }

    /// Returns the file's name as messages show it.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the fields of the top level.
    pub fn top(&self) -> Fields<'_> {
        Fields::top(&self.fields, &self.file)
    }
}

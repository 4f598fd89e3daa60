//! The files of a checkpoint's processor: how pictures are prepared, and what it says of prompts.

use super::special::TOKENIZER_CONFIG;
use super::text_kwargs::TextLimit;
use super::{CheckpointError, Config, Files, Tokenizer};
use serde_json::Value;

/// The image processor's config as transformers 4 writes it.
pub(super) const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";
/// The processor's config; transformers 5 writes that of the image processor into it.
pub(super) const PROCESSOR_CONFIG: &str = "processor_config.json";
/// Where it is in there.
const SECTION: &str = "image_processor";

/// An image processor's config as it stands, where a checkpoint has one, and the processor's own
/// fields.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorFile {
    /// The file's name as messages show it.
    pub file: String,
    /// The file's text.
    pub json: Option<String>,
    /// processor_config.json, where there is one.
    pub processor: Option<Config>,
    /// The longest prompt that the tokenizer's files let the processor make.
    pub(super) limit: Option<TextLimit>,
}

impl ProcessorFile {
    /// An image processor's config alone: `json` is its text, `file` what messages call it.
    pub fn of(file: String, json: Option<String>) -> Self {
        Self {
            file,
            json,
            processor: None,
            limit: None,
        }
    }

    /// Finds the image processor's config as transformers'
    /// `ImageProcessingMixin.get_image_processor_dict` does: under `image_processor` in
    /// processor_config.json unless that is null or left out, else in preprocessor_config.json.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::Json`] for what is no JSON object.
    pub fn read(files: &Files) -> Result<Self, CheckpointError> {
        let path = files.path(PROCESSOR_CONFIG);
        let text = files.text(PROCESSOR_CONFIG)?;
        let processor = match &text {
            Some(text) => Some(Config::from_json(text, &path)?),
            None => None,
        };
        let nested = match &processor {
            Some(own) => own.top().section(SECTION)?.is_given(),
            None => false,
        };
        let mut found = match nested {
            true => Self::of(path, text),
            false => {
                let text = files.text(PREPROCESSOR_CONFIG)?;
                Self::of(files.path(PREPROCESSOR_CONFIG), text.map(flat))
            }
        };
        found.processor = processor;
        Ok(found)
    }

    /// Reads what the tokenizer's files say of how the processor calls the tokenizer.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::Config`] for what is not supported.
    pub fn with_text_limit(mut self, files: &Files) -> Result<Self, CheckpointError> {
        self.limit = TextLimit::read(files)?;
        Ok(self)
    }

    /// Fails for a prompt of more tokens than the processor makes: transformers would cut it off.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub fn check_length(&self, tokens: usize) -> Result<(), CheckpointError> {
        self.limit
            .as_ref()
            .map_or(Ok(()), |limit| limit.check(tokens))
    }

    /// Fails unless the text that the processor repeats for a picture is that of the config's image
    /// token: the tokenizer's `image_token`, else processor_config.json's, else `<image>`.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub fn check_image_token(
        &self,
        files: &Files,
        tokenizer: &Tokenizer,
    ) -> Result<(), CheckpointError> {
        const FIELD: &str = "image_token";
        let own = self.processor.as_ref().map(Config::top);
        let own = own.map(|top| top.text(FIELD)).transpose()?.flatten();
        let (file, found) = match (tokenizer.special().get(FIELD), own) {
            (Some(named), _) => (TOKENIZER_CONFIG, format!("{named:?}")),
            (None, Some(own)) => (PROCESSOR_CONFIG, format!("{own:?}")),
            (None, None) => (PROCESSOR_CONFIG, "left out (\"<image>\")".to_string()),
        };
        let text = tokenizer.special().get(FIELD).or(own).unwrap_or("<image>");
        if text == tokenizer.image_token() {
            return Ok(());
        }
        let expected = format!(
            "{:?}, the text of the image token that config.json names",
            tokenizer.image_token()
        );
        Err(CheckpointError::Config {
            file: files.path(file),
            field: FIELD.to_string(),
            found,
            expected,
        })
    }

    /// The file's text, for a model that cannot do without.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`].
    pub fn text(&self) -> Result<&str, CheckpointError> {
        self.json.as_deref().ok_or_else(|| {
            let purpose =
                format!("it (or {SECTION} in {PROCESSOR_CONFIG}) says how pictures are prepared");
            CheckpointError::MissingFile {
                file: self.file.clone(),
                purpose,
            }
        })
    }
}

/// The text of a preprocessor_config.json without a field that would be taken for
/// processor_config.json's: it means nothing there.
fn flat(text: String) -> String {
    if !text.contains(SECTION) {
        return text;
    }
    let Ok(Value::Object(mut map)) = serde_json::from_str(&text) else {
        // What is wrong with it is said by what reads it.
        return text;
    };
    map.remove(SECTION);
    Value::Object(map).to_string()
}

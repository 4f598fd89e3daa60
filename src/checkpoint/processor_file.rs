//! The files of a checkpoint's processor, which define how pictures and prompts are prepared.

use super::special::TOKENIZER_CONFIG;
use super::text_kwargs::TextLimit;
use super::{CheckpointError, Config, Files, Tokenizer};
use serde_json::Value;

/// The image processor's config as transformers 4 writes it.
pub(super) const PREPROCESSOR_CONFIG: &str = "preprocessor_config.json";
/// The processor's config, which in transformers 5 contains that of the image processor.
pub(crate) const PROCESSOR_CONFIG: &str = "processor_config.json";
/// The image processor's section in it.
const SECTION: &str = "image_processor";

/// An image processor's config as text, if the checkpoint has one, and the processor's own fields.
#[derive(Debug, Clone, PartialEq)]
pub struct ProcessorFile {
    /// The file's name as messages show it.
    pub file: String,
    /// The file's text.
    pub json: Option<String>,
    /// processor_config.json, if the checkpoint has it.
    pub processor: Option<Config>,
    /// The longest prompt that the tokenizer's files allow, if limited.
    pub(super) limit: Option<TextLimit>,
}

impl ProcessorFile {
    /// Creates an image processor's config alone: `json` is its text, `file` its name in messages.
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
    /// processor_config.json unless that is null or absent, else in preprocessor_config.json.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::Json`] if the file is not a JSON object.
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

    /// Reads the tokenizer's arguments from the tokenizer's files, including the limit.
    ///
    /// # Errors
    /// As [`Files::text`], and [`CheckpointError::Config`] for arguments that are not supported.
    pub fn with_text_limit(mut self, files: &Files) -> Result<Self, CheckpointError> {
        self.limit = TextLimit::read(files)?;
        Ok(self)
    }

    /// Checks that a prompt is within the processor's limit: transformers would truncate it.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] if it has more tokens.
    pub fn check_length(&self, tokens: usize) -> Result<(), CheckpointError> {
        self.limit
            .as_ref()
            .map_or(Ok(()), |limit| limit.check(tokens))
    }

    /// Checks that the text that the processor repeats for a picture is that of the config's image
    /// token: the tokenizer's of that name, such as `image_token`, else processor_config.json's, else
    /// `default`.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] if it is not.
    pub fn check_image_token(
        &self,
        files: &Files,
        tokenizer: &Tokenizer,
        name: &str,
        default: &str,
    ) -> Result<(), CheckpointError> {
        let own = self.processor.as_ref().map(Config::top);
        let own = own.map(|top| top.text(name)).transpose()?.flatten();
        let (file, found) = match (tokenizer.special().get(name), own) {
            (Some(named), _) => (TOKENIZER_CONFIG, format!("{named:?}")),
            (None, Some(own)) => (PROCESSOR_CONFIG, format!("{own:?}")),
            (None, None) => (PROCESSOR_CONFIG, format!("left out ({default:?})")),
        };
        let text = tokenizer.special().get(name).or(own).unwrap_or(default);
        if text == tokenizer.image_token() {
            return Ok(());
        }
        let expected = format!(
            "{:?}, the text of the image token that config.json names",
            tokenizer.image_token()
        );
        Err(CheckpointError::Config {
            file: files.path(file),
            field: name.to_string(),
            found,
            expected,
        })
    }

    /// Returns the file's text, for a model that requires it.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`] if the file is absent.
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

/// Removes from the text of a preprocessor_config.json a field that would be mistaken for
/// processor_config.json's section: it has no meaning there.
fn flat(text: String) -> String {
    if !text.contains(SECTION) {
        return text;
    }
    let Ok(Value::Object(mut map)) = serde_json::from_str(&text) else {
        // The code that parses the text reports its faults.
        return text;
    };
    map.remove(SECTION);
    Value::Object(map).to_string()
}

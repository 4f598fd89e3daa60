//! The arguments of a processor's tokenizer and image processor that the tokenizer's files set.
//!
//! transformers' `ProcessorMixin._merge_kwargs` passes every field of tokenizer_config.json that
//! has the name of an argument of the tokenizer or of the image processor on as that argument, and
//! a tokenizer.json that truncates or pads sets `max_length`.

use super::special::TOKENIZER_CONFIG;
use super::tokenizer::TOKENIZER;
use super::{CheckpointError, Config, Files};
use serde::Deserialize;
use serde_json::Value;

/// Arguments of the image processor. They belong in its own file; here they would override it.
const PICTURE: [&str; 14] = [
    "do_convert_rgb",
    "do_resize",
    "size",
    "default_to_square",
    "crop_size",
    "resample",
    "do_rescale",
    "rescale_factor",
    "do_normalize",
    "image_mean",
    "image_std",
    "do_pad",
    "pad_size",
    "do_center_crop",
];
/// Arguments of the tokenizer that change the ids of a prompt unless they are false.
const TEXT: [&str; 3] = ["padding", "truncation", "is_split_into_words"];
/// An argument that transformers cannot take from there.
const SPECIAL: &str = "add_special_tokens";
const LENGTH: &str = "max_length";

/// The number of tokens at which the processor truncates a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextLimit {
    file: String,
    field: &'static str,
    tokens: u64,
}

/// The fields of tokenizer.json that set a length.
#[derive(Deserialize)]
struct Lengths {
    truncation: Option<Truncation>,
    padding: Option<Padding>,
}

#[derive(Deserialize)]
struct Truncation {
    max_length: u64,
}

#[derive(Deserialize)]
struct Padding {
    strategy: Value,
}

impl TextLimit {
    /// Reads tokenizer_config.json's `max_length`, else tokenizer.json's `truncation`, else its
    /// `padding`.
    ///
    /// # Errors
    /// As [`Files::text`]; [`CheckpointError::Config`] for arguments that would change a prompt or
    /// a picture in other ways.
    pub fn read(files: &Files) -> Result<Option<TextLimit>, CheckpointError> {
        let path = files.path(TOKENIZER_CONFIG);
        if let Some(text) = files.text(TOKENIZER_CONFIG)? {
            let config = Config::from_json(&text, &path)?;
            let top = config.top();
            if let Some(name) = PICTURE.iter().find(|name| top.has(name)) {
                let found = top.value(name).unwrap_or(&Value::Null);
                let expected = "no such field here: it belongs to the image processor's config";
                return Err(top.error(name, found, expected));
            }
            for name in TEXT {
                let value = top
                    .value(name)
                    .filter(|value| **value != Value::Bool(false));
                if let Some(found) = value {
                    let expected = "no such field: prompts are tokenised whole";
                    return Err(top.error(name, found, expected));
                }
            }
            if top.has(SPECIAL) {
                let found = top.value(SPECIAL).unwrap_or(&Value::Null);
                let expected = "no such field: tokenizer.json's post_processor counts";
                return Err(top.error(SPECIAL, found, expected));
            }
            if top.has(LENGTH) {
                let whole = top.value("truncation").is_some();
                let tokens = top.value(LENGTH).filter(|_| !whole);
                let limit = |tokens| TextLimit {
                    file: path.clone(),
                    field: LENGTH,
                    tokens,
                };
                return match tokens.map(|tokens| (tokens.as_u64(), tokens.as_f64())) {
                    None => Ok(None),
                    Some((Some(tokens), _)) => Ok(Some(limit(tokens))),
                    Some((None, Some(tokens))) if tokens > u64::MAX as f64 => Ok(None),
                    Some(_) => {
                        let found = tokens.unwrap_or(&Value::Null);
                        Err(top.error(LENGTH, found, "a whole number of tokens"))
                    }
                };
            }
        }
        let Some(text) = files.text(TOKENIZER)? else {
            return Ok(None);
        };
        // Faults in the file are reported by the tokenizer, which parses all of it.
        let Ok(lengths) = serde_json::from_str::<Lengths>(&text) else {
            return Ok(None);
        };
        let truncation = lengths.truncation.map(|own| ("truncation", own.max_length));
        let padding = lengths
            .padding
            .and_then(|own| Some(("padding", own.strategy.get("Fixed")?.as_u64()?)));
        Ok(truncation.or(padding).map(|(field, tokens)| TextLimit {
            file: files.path(TOKENIZER),
            field,
            tokens,
        }))
    }

    /// Checks that a prompt has at most this many tokens.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] if it has more.
    pub fn check(&self, tokens: usize) -> Result<(), CheckpointError> {
        if tokens as u64 <= self.tokens {
            return Ok(());
        }
        Err(CheckpointError::Config {
            file: self.file.clone(),
            field: self.field.to_string(),
            found: format!("{} tokens", self.tokens),
            expected: format!("at least the {tokens} of this prompt, which would be cut off"),
        })
    }
}

//! Conversion of text to token ids and back. The text of a question never becomes control tokens.

mod decode;
mod encode;
mod load;
mod picture_text;
mod stand_ins;

pub use picture_text::PictureText;

use super::CheckpointError;
use super::guard::guarded;
use super::shape::{Growth, Growths};
use super::special::SpecialTokens;
use super::vocabulary::text_of;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The tokenizer's file name.
pub(super) const TOKENIZER: &str = "tokenizer.json";

/// A checkpoint's tokenizer. It is deterministic: its model's `dropout` is off.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// The checkpoint's tokenizer: special tokens' text is control.
    plain: Arc<tokenizers::Tokenizer>,
    /// The same tokenizer, but special tokens' text is text, and each special token has a stand-in
    /// for control (see [`stand_ins`]).
    literal: Arc<tokenizers::Tokenizer>,
    growths: Growths,
    /// Whether a text has taken too long. The thread that works on it still runs.
    stuck: Arc<AtomicBool>,
    /// The stand-ins' ids, with the ids of the tokens that they replace.
    stand_ins: BTreeMap<u32, u32>,
    /// The tokens that are searched in text before the rest is split into pieces, longest first.
    added: Vec<Added>,
    special: SpecialTokens,
    stop_ids: BTreeSet<u32>,
    image: (String, ImageToken),
    /// The token that a template writes in the picture's place, where that is not the image token.
    mark: Option<String>,
    file: String,
}

/// The mark of the picture's place in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageToken {
    /// A token of the vocabulary.
    Id(u32),
    /// A token of the vocabulary, by its text; [`Tokenizer::image`] has its id.
    Named(&'static str),
    /// A text that is not a token. The texts before and after it are tokenised separately, as
    /// LLaVA's authors do (`tokenizer_image_token`), and [`ImageToken::id`] stands between them. If
    /// the ids of the first start with the begin token, the second loses its first token: this is
    /// meant for tokenizers that begin every text with it, but is done for others too.
    Text(&'static str),
}

impl ImageToken {
    /// Returns the id of the picture's rows in a prompt, which a named token has once a tokenizer
    /// has found it.
    pub fn id(self) -> u32 {
        match self {
            ImageToken::Id(id) => id,
            ImageToken::Named(_) | ImageToken::Text(_) => u32::MAX,
        }
    }
}

#[derive(Debug, Clone)]
struct Added {
    text: String,
    id: u32,
    special: bool,
}

impl Tokenizer {
    /// Returns the token's entry in the vocabulary, in the tokenizer's own spelling.
    pub fn token(&self, id: u32) -> Option<String> {
        text_of(&self.plain, id)
    }

    /// Returns the number of tokens in the vocabulary, including added ones.
    pub fn vocab_size(&self) -> usize {
        self.plain.get_vocab_size(true)
    }

    /// Returns the tokens that end an answer: those of generation_config.json, else of config.json,
    /// else the tokenizer's `eos_token`.
    pub fn stop_ids(&self) -> &BTreeSet<u32> {
        &self.stop_ids
    }

    /// Returns the mark of the picture's place in a prompt; a named token by its id.
    pub fn image(&self) -> ImageToken {
        self.image.1
    }

    /// Adds tokens that end an answer: those of these texts that are in the vocabulary.
    pub fn stop_at(&mut self, texts: &[&str]) {
        let ids = texts.iter().filter_map(|text| self.plain.token_to_id(text));
        self.stop_ids.extend(ids);
    }

    /// Checks whether the vocabulary has a token of this text.
    pub fn has(&self, text: &str) -> bool {
        self.plain.token_to_id(text).is_some()
    }

    /// Returns the text of the token that the picture replaces.
    pub fn image_token(&self) -> &str {
        &self.image.0
    }

    /// Makes the token that the tokenizer's files give this name the one that a template writes in
    /// the picture's place.
    ///
    /// # Errors
    /// As [`Tokenizer::required`].
    pub fn mark_picture_by(&mut self, name: &str) -> Result<(), CheckpointError> {
        self.mark = Some(self.required(name)?.to_string());
        Ok(())
    }

    /// Returns the text of the token that a template writes in the picture's place.
    pub fn picture_mark(&self) -> &str {
        self.mark.as_deref().unwrap_or(&self.image.0)
    }

    /// Returns the text of the token that the tokenizer's files give this name, such as
    /// `fake_image_token`.
    pub fn named(&self, name: &str) -> Option<&str> {
        self.special.get(name)
    }

    /// Returns the text of a token that the tokenizer's files have to name.
    ///
    /// # Errors
    /// Returns [`CheckpointError::Config`] if they do not.
    pub fn required(&self, name: &str) -> Result<&str, CheckpointError> {
        self.named(name).ok_or_else(|| CheckpointError::Config {
            file: self.file.clone(),
            field: name.to_string(),
            found: "missing".to_string(),
            expected: "a token that tokenizer_config.json or special_tokens_map.json names"
                .to_string(),
        })
    }

    pub(super) fn special(&self) -> &SpecialTokens {
        &self.special
    }

    fn special_in_text(&self, what: &'static str, token: &str) -> CheckpointError {
        CheckpointError::SpecialInText {
            file: self.file.clone(),
            what,
            token: token.to_string(),
        }
    }

    /// Runs `work` on a separate thread, for a text of this many bytes.
    fn apart<T: Send + 'static>(
        &self,
        growth: Growth,
        bytes: usize,
        turns: usize,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        growth.check(bytes)?;
        if self.stuck.load(Ordering::Relaxed) {
            return Err("an earlier text took too long".to_string());
        }
        let working = Arc::new(AtomicBool::new(true));
        let done = working.clone();
        let result = guarded(turns, move || {
            let result = work();
            done.store(false, Ordering::Relaxed);
            result
        });
        result.unwrap_or_else(|reason| {
            // A panic sets this too: work that failed once is not tried again.
            self.stuck
                .store(working.load(Ordering::Relaxed), Ordering::Relaxed);
            Err(reason)
        })
    }
}

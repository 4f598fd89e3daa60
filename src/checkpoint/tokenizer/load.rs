//! Loads a tokenizer and the special tokens of a checkpoint.

use super::stand_ins::stand_in;
use super::{Added, ImageToken, TOKENIZER, Tokenizer};
use crate::checkpoint::class::Class;
use crate::checkpoint::guard::{READING, guarded};
use crate::checkpoint::shape::Shape;
use crate::checkpoint::special::SpecialTokens;
use crate::checkpoint::stops::stops;
use crate::checkpoint::vocabulary::{add_configured, add_named, text_of};
use crate::checkpoint::vocabulary_files::tokenizer_json;
use crate::checkpoint::{CheckpointError, Files};
use std::sync::Arc;
use tokenizers::AddedToken;
use tokenizers::models::ModelWrapper;

/// The text that every tokenizer is tried on.
const PROBE: &str =
    "USER: What color is the circle?\nASSISTANT: It is r\u{e9}d, \u{7ea2}\u{8272} 12.";

impl Tokenizer {
    /// Loads tokenizer.json, or vocab.json and merges.txt, and the special tokens from
    /// tokenizer_config.json, special_tokens_map.json, added_tokens.json, generation_config.json
    /// and config.json.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`] if these are absent,
    /// [`Tokenizer`](CheckpointError::Tokenizer) if the `tokenizers` crate rejects a file or
    /// panics, [`NoImageToken`](CheckpointError::NoImageToken) if the config's image token is not
    /// in the vocabulary.
    pub fn load(files: &Files, image: ImageToken) -> Result<Self, CheckpointError> {
        let inner = files.clone();
        guarded(READING, move || Self::read(&inner, image)).map_err(|reason| {
            let file = files.path(TOKENIZER);
            CheckpointError::Tokenizer { file, reason }
        })?
    }

    fn read(files: &Files, image: ImageToken) -> Result<Self, CheckpointError> {
        let file = files.path(TOKENIZER);
        let fail = |error: tokenizers::Error| CheckpointError::Tokenizer {
            file: file.clone(),
            reason: error.to_string(),
        };
        let class = Class::of(files)?;
        let text = tokenizer_json(files, class.as_ref())?;
        let (shape, growths) = Shape::read(&text).map_err(|reason| fail(reason.into()))?;
        let mut plain = tokenizers::Tokenizer::from_bytes(&text).map_err(fail)?;
        plain
            .with_truncation(None)
            .map_err(fail)?
            .with_padding(None);
        without_dropout(&mut plain);
        for token in &shape.added_tokens {
            if plain.token_to_id(&token.content) != Some(token.id) {
                let found = plain.token_to_id(&token.content).unwrap_or_default();
                let reason = format!(
                    "added_tokens: {:?} has id {}, its place is {found}",
                    token.content, token.id
                );
                return Err(fail(reason.into()));
            }
        }
        if let Some(class) = &class {
            class.rebuild(&mut plain, &shape, files)?;
        }
        let defaults = class.as_ref().map_or(&[][..], Class::default_names);
        let special = SpecialTokens::read(files, defaults)?;
        add_configured(&mut plain, &shape, &special, files)?;
        let reset = class.as_ref().is_some_and(Class::resets_flags);
        add_named(&mut plain, &special, files, reset)?;

        // If no file defines them, use the token named `eos_token`.
        let stop_ids = stops(files)?.unwrap_or_else(|| {
            let own = special.get("eos_token");
            own.and_then(|text| plain.token_to_id(text))
                .into_iter()
                .collect()
        });

        let image = match image {
            ImageToken::Named(text) => {
                let id = plain.token_to_id(text).ok_or_else(|| {
                    let reason = format!("the vocabulary has no {text:?}, the picture's token");
                    fail(reason.into())
                })?;
                ImageToken::Id(id)
            }
            other => other,
        };
        let image_text = match image {
            ImageToken::Named(text) | ImageToken::Text(text) => text.to_string(),
            ImageToken::Id(id) => text_of(&plain, id).ok_or_else(|| {
                let text = special.get("image_token").unwrap_or("<image>").to_string();
                let found = match plain.token_to_id(&text) {
                    Some(other) => format!("nothing (and {text:?} under {other})"),
                    None => "nothing".to_string(),
                };
                let file = file.clone();
                CheckpointError::NoImageToken {
                    file,
                    id,
                    text,
                    found,
                }
            })?,
        };
        // A special token is control even if tokenizer.json does not mark it, and is added if the
        // vocabulary lacks it.
        let image_control =
            Some(image_text.as_str()).filter(|text| plain.token_to_id(text).is_some());
        let named = special.texts().chain(image_control);
        let known = plain.get_added_tokens_decoder();
        let named: Vec<AddedToken> = named
            .filter(|text| !text.is_empty())
            .filter_map(|text| {
                let id = plain.token_to_id(text);
                // Keeps the flags by which it is found in text.
                match id.and_then(|id| known.get(&id)) {
                    Some(token) if token.special => None,
                    Some(token) => Some(token.clone().special(true)),
                    None => Some(AddedToken::from(text, true)),
                }
            })
            .collect();
        plain.add_special_tokens(named).map_err(fail)?;

        let decoder = plain.get_added_tokens_decoder();
        let mut added: Vec<Added> = decoder
            .iter()
            .map(|(id, token)| Added {
                text: token.content.clone(),
                id: *id,
                special: token.special,
            })
            .filter(|token| !token.text.is_empty())
            .collect();
        added.sort_by(|a, b| b.text.len().cmp(&a.text.len()).then(a.id.cmp(&b.id)));
        let mut literal = plain.clone();
        literal.set_encode_special_tokens(true);
        let controls = || added.iter().filter(|token| token.special);
        let marked = controls().filter_map(|token| {
            let flags = decoder.get(&token.id)?;
            let stand_in = AddedToken::from(stand_in(&token.text), false);
            // Whitespace around it, word boundaries and normalisation are handled as for the token
            // itself.
            let stand_in = stand_in.lstrip(flags.lstrip).rstrip(flags.rstrip);
            Some(
                stand_in
                    .single_word(flags.single_word)
                    .normalized(flags.normalized),
            )
        });
        literal
            .add_tokens(marked.collect::<Vec<_>>())
            .map_err(fail)?;
        let stand_ins = controls()
            .filter_map(|token| Some((literal.token_to_id(&stand_in(&token.text))?, token.id)))
            .collect();
        // Fails here rather than at the first question, if a part of the crate panics.
        plain.encode_fast(PROBE, true).map_err(fail)?;
        Ok(Self {
            plain: Arc::new(plain),
            literal: Arc::new(literal),
            growths,
            stuck: Arc::default(),
            stand_ins,
            added,
            special,
            stop_ids,
            image: (image_text, image),
            mark: None,
            file,
        })
    }
}

/// Turns off dropout, which makes merges random in training: the same text has the same ids.
fn without_dropout(tokenizer: &mut tokenizers::Tokenizer) {
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && model.dropout.is_some()
    {
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(model);
    }
}

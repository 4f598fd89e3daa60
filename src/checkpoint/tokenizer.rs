//! Text to token ids and back, with the question kept apart from the prompt's control tokens.

use super::special::SpecialTokens;
use super::stops::stops;
use super::vocabulary::{add_configured, missing, text_of};
use super::{CheckpointError, Files, Rendered};
use std::collections::{BTreeMap, BTreeSet};
use tokenizers::AddedToken;

/// The tokenizer itself.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// Begin and end the stand-in of a special token; of Unicode's private use. They differ so that text between two stand-ins
/// never looks like a third.
const MARKS: [char; 2] = ['\u{F0001}', '\u{F0003}'];
/// What messages call them.
const MARK_NAMES: &str = "U+F0001 or U+F0003";

/// A checkpoint's tokenizer.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// As the checkpoint has it: special tokens' text is control.
    plain: tokenizers::Tokenizer,
    /// The same, but special tokens' text is text, and each special token has a stand-in that is not (see [`stand_in`]).
    literal: tokenizers::Tokenizer,
    /// The stand-ins' ids, and the ids of the tokens that they stand for.
    stand_ins: BTreeMap<u32, u32>,
    /// Every token that is looked for in text before the rest is split into pieces, longest first.
    added: Vec<Added>,
    special: SpecialTokens,
    stop_ids: BTreeSet<u32>,
    image: (String, ImageToken),
    file: String,
}

/// How the picture's place in a prompt is marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageToken {
    /// By a token of the vocabulary.
    Id(u32),
    /// By a text that is no token. The texts before and behind it are tokenised apart, as LLaVA's authors do
    /// (`tokenizer_image_token`), and [`ImageToken::id`] stands between. Where the first starts with the begin token, the second
    /// loses its first token: it is meant for tokenizers that begin every text so, and done whichever begins there.
    Text(&'static str),
}

impl ImageToken {
    /// The id of the rows that the picture takes in a prompt.
    pub fn id(self) -> u32 {
        match self {
            ImageToken::Id(id) => id,
            ImageToken::Text(_) => u32::MAX,
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
    /// Reads tokenizer.json and what tokenizer_config.json, special_tokens_map.json, generation_config.json and config.json
    /// say of special tokens.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`], [`Tokenizer`](CheckpointError::Tokenizer) for a file that the `tokenizers` crate
    /// rejects, [`NoImageToken`](CheckpointError::NoImageToken) when the config's image token is not in the vocabulary.
    pub fn load(files: &Files, image: ImageToken) -> Result<Self, CheckpointError> {
        let file = files.path(TOKENIZER);
        let fail = |error: tokenizers::Error| CheckpointError::Tokenizer {
            file: file.clone(),
            reason: error.to_string(),
        };
        let text = files.required_text(TOKENIZER, missing(files))?;
        let mut plain = tokenizers::Tokenizer::from_bytes(&text).map_err(fail)?;
        plain
            .with_truncation(None)
            .map_err(fail)?
            .with_padding(None);
        add_configured(&mut plain, files)?;

        let special = SpecialTokens::read(files)?;
        // Where no file names them, the token that is called so.
        let stop_ids = stops(files)?.unwrap_or_else(|| {
            let own = special.get("eos_token");
            own.and_then(|text| plain.token_to_id(text))
                .into_iter()
                .collect()
        });

        let image_text = match image {
            ImageToken::Text(text) => text.to_string(),
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
        // A special token is control even where tokenizer.json does not say so, and is added where the vocabulary lacks it.
        let image_control =
            Some(image_text.as_str()).filter(|text| plain.token_to_id(text).is_some());
        let named = special.texts().chain(image_control);
        let known: BTreeSet<String> = plain
            .get_added_tokens_decoder()
            .into_values()
            .filter(|t| t.special)
            .map(|t| t.content)
            .collect();
        let named: Vec<AddedToken> = named
            .filter(|text| !text.is_empty() && !known.contains(*text))
            .map(|text| AddedToken::from(text, true))
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
            // Whitespace around it, word boundaries and normalisation are dealt with as for the token itself.
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
        Ok(Self {
            plain,
            literal,
            stand_ins,
            added,
            special,
            stop_ids,
            image: (image_text, image),
            file,
        })
    }

    /// The prompt's token ids, with the image token `image_tokens` times in its place. The begin token is added where the
    /// tokenizer adds one and the template has not written it. Special tokens in the question are plain text.
    ///
    /// # Errors
    /// [`CheckpointError::ImageTokens`] unless the template places exactly one image token,
    /// [`SpecialInText`](CheckpointError::SpecialInText) for a question whose special tokens cannot be kept as text.
    pub fn encode_prompt(
        &self,
        prompt: &Rendered,
        image_tokens: usize,
    ) -> Result<Vec<u32>, CheckpointError> {
        let (token, image) = (&self.image.0, self.image.1.id());
        let bos = self.special.get("bos_token");
        let ids = match self.image.1 {
            ImageToken::Id(_) => {
                let written = bos.is_some_and(|bos| prompt.text().starts_with(bos));
                self.encode_piece(prompt, !written)?
            }
            ImageToken::Text(text) => match split(prompt, text) {
                Some((front, back)) => {
                    let mut ids = self.encode_piece(&front, true)?;
                    let bos = bos.and_then(|bos| self.plain.token_to_id(bos));
                    let begun = bos.is_some() && bos == ids.first().copied();
                    ids.push(image);
                    let back = self.encode_piece(&back, true)?;
                    ids.extend(&back[usize::from(begun).min(back.len())..]);
                    ids
                }
                None => Vec::new(),
            },
        };
        match ids.iter().filter(|id| **id == image).count() {
            1 => {}
            found => {
                let (file, token) = (prompt.source.clone(), token.clone());
                return Err(CheckpointError::ImageTokens { file, token, found });
            }
        }
        let repeated = ids
            .into_iter()
            .flat_map(|id| std::iter::repeat_n(id, if id == image { image_tokens } else { 1 }));
        Ok(repeated.collect())
    }

    /// Ids of a prompt or of a part of it. With `begin`, the begin token is added where the tokenizer adds one.
    fn encode_piece(&self, piece: &Rendered, begin: bool) -> Result<Vec<u32>, CheckpointError> {
        let text = piece.text();
        let own = self.controls(&piece.before).len() + self.controls(&piece.after).len();
        if self.controls(&text).len() == own {
            return Ok(self.encode(&self.plain, &text, begin, "prompt")?.0);
        }
        if piece.question.contains(MARKS) {
            return Err(self.special_in_text("question", MARK_NAMES));
        }
        let marked = self.marked(&piece.before) + &piece.question + &self.marked(&piece.after);
        let ids = self.encode_literal(&marked, begin, own, "question")?;
        let ids = ids.iter().map(|id| *self.stand_ins.get(id).unwrap_or(id));
        Ok(ids.collect())
    }

    /// An answer's token ids, exactly as given: nothing is added, and special tokens in it are plain text.
    ///
    /// # Errors
    /// [`CheckpointError::SpecialInText`] for an answer whose special tokens cannot be kept as text.
    pub fn encode_answer(&self, answer: &str) -> Result<Vec<u32>, CheckpointError> {
        if answer.contains(MARKS) {
            return Err(self.special_in_text("answer", MARK_NAMES));
        }
        self.encode_literal(answer, false, 0, "answer")
    }

    /// Ids of text whose special tokens are text, with `expected` stand-ins in it.
    fn encode_literal(
        &self,
        text: &str,
        begin: bool,
        expected: usize,
        what: &'static str,
    ) -> Result<Vec<u32>, CheckpointError> {
        let (ids, own) = self.encode(&self.literal, text, begin, what)?;
        let unknown = self.special.get("unk_token");
        for (id, _) in ids.iter().zip(&own).filter(|(_, own)| !**own) {
            // A vocabulary may hold a special token's whole text as an ordinary word too.
            if let Some(token) = self
                .added
                .iter()
                .find(|token| token.id == *id && token.special)
                && Some(token.text.as_str()) != unknown
            {
                return Err(self.special_in_text(what, &token.text));
            }
        }
        if ids
            .iter()
            .filter(|id| self.stand_ins.contains_key(id))
            .count()
            != expected
        {
            let reason = "a special token of the chat template is not found beside it".to_string();
            return Err(CheckpointError::Encode {
                file: self.file.clone(),
                what,
                reason,
            });
        }
        Ok(ids)
    }

    /// Ids, and for each whether the tokenizer added it of its own accord.
    fn encode(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        begin: bool,
        what: &'static str,
    ) -> Result<(Vec<u32>, Vec<bool>), CheckpointError> {
        let encoding =
            tokenizer
                .encode_fast(text, begin)
                .map_err(|error| CheckpointError::Encode {
                    file: self.file.clone(),
                    what,
                    reason: error.to_string(),
                })?;
        let own = encoding
            .get_special_tokens_mask()
            .iter()
            .map(|mask| *mask != 0)
            .collect();
        Ok((encoding.get_ids().to_vec(), own))
    }

    /// Where special tokens' texts stand in `text`: byte offset and token, each the longest at its place.
    fn controls(&self, text: &str) -> Vec<(usize, &Added)> {
        let first: BTreeSet<u8> = self
            .added
            .iter()
            .filter_map(|token| token.text.bytes().next())
            .collect();
        let mut found = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text.as_bytes()[at..];
            let token = first
                .contains(&rest[0])
                .then(|| {
                    self.added
                        .iter()
                        .find(|token| rest.starts_with(token.text.as_bytes()))
                })
                .flatten();
            if let Some(token) = token.filter(|token| token.special) {
                found.push((at, token));
            }
            at += token.map_or(1, |token| token.text.len());
        }
        found
    }

    /// `text` with each special token replaced by its stand-in.
    fn marked(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for (at, token) in self.controls(text) {
            out.push_str(&text[end..at]);
            out.push_str(&stand_in(&token.text));
            end = at + token.text.len();
        }
        out + &text[end..]
    }

    /// Token ids as text, special tokens included.
    pub fn decode(&self, ids: &[u32]) -> String {
        // Decoding fails only in a decoder that rejects its own vocabulary's pieces; the pieces themselves are then shown.
        let pieces = |_| ids.iter().filter_map(|id| self.token(*id)).collect();
        self.plain.decode(ids, false).unwrap_or_else(pieces)
    }

    /// One token as text. Pieces of a character that several tokens make up are shown as U+FFFD.
    pub fn decode_token(&self, id: u32) -> String {
        self.decode(&[id])
    }

    /// The token's entry in the vocabulary, in the tokenizer's own spelling.
    pub fn token(&self, id: u32) -> Option<String> {
        text_of(&self.plain, id)
    }

    /// Tokens in the vocabulary, added ones included.
    pub fn vocab_size(&self) -> usize {
        self.plain.get_vocab_size(true)
    }

    /// The tokens that end an answer: those of generation_config.json, else of config.json, else the tokenizer's `eos_token`.
    pub fn stop_ids(&self) -> &BTreeSet<u32> {
        &self.stop_ids
    }

    /// How the picture's place in a prompt is marked.
    pub fn image(&self) -> ImageToken {
        self.image.1
    }

    /// Lets more tokens end an answer: those of these texts that the vocabulary has.
    pub fn stop_at(&mut self, texts: &[&str]) {
        let ids = texts.iter().filter_map(|text| self.plain.token_to_id(text));
        self.stop_ids.extend(ids);
    }

    /// Whether the vocabulary has a token of this text.
    pub fn has(&self, text: &str) -> bool {
        self.plain.token_to_id(text).is_some()
    }

    /// The text of the token whose place the picture takes.
    pub fn image_token(&self) -> &str {
        &self.image.0
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
}

/// What stands for a special token in text where its own text is not control.
fn stand_in(token: &str) -> String {
    let [begin, end] = MARKS;
    format!("{begin}{token}{end}")
}

/// A prompt's parts before and behind the picture's mark, where the template has written that exactly once.
fn split(prompt: &Rendered, mark: &str) -> Option<(Rendered, Rendered)> {
    let part = |before: &str, question: &str, after: &str| Rendered {
        before: before.to_string(),
        question: question.to_string(),
        after: after.to_string(),
        source: prompt.source.clone(),
    };
    let Rendered {
        before,
        question,
        after,
        ..
    } = prompt;
    match (before.split_once(mark), after.split_once(mark)) {
        (Some((front, back)), None) if !back.contains(mark) => {
            Some((part(front, "", ""), part(back, question, after)))
        }
        (None, Some((front, back))) if !back.contains(mark) => {
            Some((part(before, question, front), part("", "", back)))
        }
        _ => None,
    }
}

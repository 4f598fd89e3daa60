//! Conversion of text to token ids and back. The text of a question never becomes control tokens.

use super::guard::{READING, TURNS, guarded};
use super::shape::{Growth, Growths, Shape};
use super::special::SpecialTokens;
use super::stops::stops;
use super::vocabulary::{add_configured, add_named, missing, text_of};
use super::{CheckpointError, Files, Rendered, class};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokenizers::AddedToken;
use tokenizers::models::ModelWrapper;

/// The tokenizer's file name.
pub(super) const TOKENIZER: &str = "tokenizer.json";
/// The first and last character of a special token's stand-in, of Unicode's private use. They
/// differ so that text between two stand-ins never looks like a third.
const MARKS: [char; 2] = ['\u{F0001}', '\u{F0003}'];
/// The marks' names as messages show them.
const MARK_NAMES: &str = "U+F0001 or U+F0003";

/// The text that every tokenizer is tried on.
const PROBE: &str =
    "USER: What color is the circle?\nASSISTANT: It is r\u{e9}d, \u{7ea2}\u{8272} 12.";
/// Minimum number of tokens decoded in one turn of waiting.
const DECODED: usize = 10_000;

/// A checkpoint's tokenizer. It is deterministic: its model's `dropout` is off.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    /// The checkpoint's tokenizer: special tokens' text is control.
    plain: Arc<tokenizers::Tokenizer>,
    /// The same tokenizer, but special tokens' text is text, and each special token has a stand-in
    /// for control (see [`stand_in`]).
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
    file: String,
}

/// The mark of the picture's place in a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageToken {
    /// A token of the vocabulary.
    Id(u32),
    /// A text that is not a token. The texts before and after it are tokenised separately, as
    /// LLaVA's authors do (`tokenizer_image_token`), and [`ImageToken::id`] stands between them. If
    /// the ids of the first start with the begin token, the second loses its first token: this is
    /// meant for tokenizers that begin every text with it, but is done for others too.
    Text(&'static str),
}

impl ImageToken {
    /// Returns the id of the picture's rows in a prompt.
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
    /// Loads tokenizer.json, and the special tokens from tokenizer_config.json,
    /// special_tokens_map.json, generation_config.json and config.json.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`] if tokenizer.json is absent,
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
        let text = files.required_text(TOKENIZER, missing(files))?;
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
        class::rebuild(&mut plain, &shape, files)?;
        add_configured(&mut plain, files)?;
        add_named(&mut plain, files)?;

        let special = SpecialTokens::read(files)?;
        // If no file defines them, use the token named `eos_token`.
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
            file,
        })
    }

    /// Encodes a prompt, with the image token `image_tokens` times in its place. The begin token is
    /// added if the tokenizer adds one and the template has not written it. Special tokens in the
    /// question are plain text.
    ///
    /// # Errors
    /// [`CheckpointError::ImageTokens`] unless the template places exactly one image token,
    /// [`SpecialInText`](CheckpointError::SpecialInText) if special tokens in the question cannot
    /// be kept as text.
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

    /// Encodes a prompt or a part of it. With `begin`, the begin token is added if the tokenizer
    /// adds one.
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

    /// Encodes an answer exactly as given: nothing is added, and special tokens in it are plain
    /// text.
    ///
    /// # Errors
    /// [`CheckpointError::SpecialInText`] if special tokens in the answer cannot be kept as text.
    pub fn encode_answer(&self, answer: &str) -> Result<Vec<u32>, CheckpointError> {
        if answer.contains(MARKS) {
            return Err(self.special_in_text("answer", MARK_NAMES));
        }
        self.encode_literal(answer, false, 0, "answer")
    }

    /// Encodes text whose special tokens are text, with `expected` stand-ins in it.
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
            // A vocabulary may also contain a special token's whole text as an ordinary word.
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

    /// Returns the ids, and for each whether the tokenizer added it by itself.
    fn encode(
        &self,
        tokenizer: &Arc<tokenizers::Tokenizer>,
        text: &str,
        begin: bool,
        what: &'static str,
    ) -> Result<(Vec<u32>, Vec<bool>), CheckpointError> {
        let inner = (tokenizer.clone(), text.to_string());
        let work = move || {
            let (tokenizer, text) = inner;
            let encoding = tokenizer.encode_fast(text, begin);
            let encoding = encoding.map_err(|error| error.to_string())?;
            let own = encoding.get_special_tokens_mask().iter();
            let own = own.map(|mask| *mask != 0).collect();
            Ok((encoding.get_ids().to_vec(), own))
        };
        self.apart(self.growths.encoding, text.len(), TURNS, work)
            .map_err(|reason| CheckpointError::Encode {
                file: self.file.clone(),
                what,
                reason,
            })
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

    /// Finds special tokens' texts in `text`: byte offset and token, the longest at each place.
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

    /// Returns `text` with each special token replaced by its stand-in.
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

    /// Decodes token ids to text, including special tokens.
    ///
    /// # Errors
    /// [`CheckpointError::Decode`] if the tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32]) -> Result<String, CheckpointError> {
        Ok(self.pieces(&[ids.to_vec()])?.concat())
    }

    /// Returns each token's contribution to the text of an answer: joined, the pieces equal the
    /// output of [`Tokenizer::decode`]. A character made of several tokens belongs to the last of
    /// them; the others are empty.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_pieces(&self, ids: &[u32]) -> Result<Vec<String>, CheckpointError> {
        // A token's text depends on the tokens before it: decoders strip the first space, and join
        // bytes to characters.
        let begins: Vec<Vec<u32>> = (1..=ids.len()).map(|end| ids[..end].to_vec()).collect();
        self.pieces(&begins)
    }

    /// Returns each token's text decoded alone, by which words without content are recognised.
    /// Parts of a character made of several tokens are U+FFFD.
    ///
    /// # Errors
    /// As [`Tokenizer::decode`].
    pub fn decode_tokens(&self, ids: &[u32]) -> Result<Vec<String>, CheckpointError> {
        let (tokenizer, alone) = (self.plain.clone(), ids.to_vec());
        let turns = TURNS + ids.len() / DECODED;
        let work = move || {
            let decode = |id: &u32| tokenizer.decode(&[*id], false);
            let texts: tokenizers::Result<Vec<String>> = alone.iter().map(decode).collect();
            texts.map_err(|error| error.to_string())
        };
        let result = self.apart(self.growths.decoding, self.bytes(ids), turns, work);
        result.map_err(|reason| self.not_decoded(reason))
    }

    /// Decodes ever longer prefixes of an answer, the last of them whole, and returns for each the
    /// text that it adds to the one before.
    fn pieces(&self, begins: &[Vec<u32>]) -> Result<Vec<String>, CheckpointError> {
        let (tokenizer, begins) = (self.plain.clone(), begins.to_vec());
        let ids = begins.last().map(Vec::as_slice).unwrap_or_default();
        let bytes = self.bytes(ids);
        let turns = TURNS + begins.iter().map(Vec::len).sum::<usize>() / DECODED;
        let work = move || {
            let decode = |ids: &Vec<u32>| {
                tokenizer
                    .decode(ids, false)
                    .map_err(|error| error.to_string())
            };
            let Some((whole, shorter)) = begins.split_last() else {
                return Ok(Vec::new());
            };
            let whole = decode(whole)?;
            let mut pieces = Vec::with_capacity(begins.len());
            let mut at = 0;
            for ids in shorter {
                let common = common(&decode(ids)?, &whole).max(at);
                pieces.push(whole[at..common].to_string());
                at = common;
            }
            pieces.push(whole[at..].to_string());
            Ok(pieces)
        };
        self.apart(self.growths.decoding, bytes, turns, work)
            .map_err(|reason| self.not_decoded(reason))
    }

    /// Returns the bytes of these tokens' entries in the vocabulary.
    fn bytes(&self, ids: &[u32]) -> usize {
        let entries = ids.iter().filter_map(|id| self.token(*id));
        entries.map(|text| text.len()).sum()
    }

    fn not_decoded(&self, reason: String) -> CheckpointError {
        CheckpointError::Decode {
            file: self.file.clone(),
            reason,
        }
    }

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

    /// Returns the mark of the picture's place in a prompt.
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

/// Returns the length in bytes of the common prefix of `a` and `b`, in whole characters.
fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
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

/// Returns the text that replaces a special token where its own text is not control.
fn stand_in(token: &str) -> String {
    let [begin, end] = MARKS;
    format!("{begin}{token}{end}")
}

/// Splits a prompt at the picture's mark, if the template has written it exactly once.
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

//! Encodes prompts and answers.

use super::stand_ins::{MARK_NAMES, MARKS};
use super::{ImageToken, PictureText, Tokenizer};
use crate::checkpoint::guard::TURNS;
use crate::checkpoint::{CheckpointError, Rendered};
use std::sync::Arc;

impl Tokenizer {
    /// Encodes a prompt, with the pictures' texts in place of the tokens that the template writes for
    /// them, one each: the image token, or [`Tokenizer::picture_mark`]. The begin token is added if
    /// the tokenizer adds one and the template has not written it. Special tokens in the question
    /// are plain text.
    ///
    /// # Errors
    /// [`CheckpointError::ImageTokens`] unless the template places exactly one such token for each
    /// picture, [`SpecialInText`](CheckpointError::SpecialInText) if special tokens in the question
    /// cannot be kept as text.
    pub fn encode_prompt(
        &self,
        prompt: &Rendered,
        pictures: &[PictureText],
    ) -> Result<Vec<u32>, CheckpointError> {
        let (token, image) = (self.picture_mark(), self.image.1.id());
        let wrong = |expected: usize, found: usize| {
            let (file, token) = (prompt.source.clone(), token.to_string());
            CheckpointError::ImageTokens {
                file,
                token,
                expected,
                found,
            }
        };
        let bos = self.special.get("bos_token");
        let ids = match self.image.1 {
            ImageToken::Id(_) | ImageToken::Named(_) => {
                let expanded = with_texts(prompt, token, pictures);
                let expanded = expanded.map_err(|found| wrong(pictures.len(), found))?;
                let prompt = expanded.as_ref().unwrap_or(prompt);
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
        let found = ids.iter().filter(|id| **id == image).count();
        let expected = pictures.iter().map(|picture| picture.marks).sum();
        if found != expected {
            return Err(wrong(expected, found));
        }
        let rows =
            |picture: &PictureText| std::iter::repeat_n(picture.rows_per_mark, picture.marks);
        let mut rows = pictures.iter().flat_map(rows);
        let repeated = ids.into_iter().flat_map(|id| {
            let rows = if id == image { rows.next() } else { None };
            std::iter::repeat_n(id, rows.unwrap_or(1))
        });
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
}

/// Replaces the image tokens by the pictures' texts, in their order; `None` where every text is the
/// image token alone. The error is how many image tokens there are, where that is not one for each
/// picture.
fn with_texts(
    prompt: &Rendered,
    token: &str,
    pictures: &[PictureText],
) -> Result<Option<Rendered>, usize> {
    if pictures.iter().all(|picture| picture.text.is_none()) {
        return Ok(None);
    }
    let mut texts = pictures.iter();
    let mut found = 0;
    let mut expanded = |part: &str| {
        let mut pieces = part.split(token);
        let mut whole = pieces.next().unwrap_or_default().to_string();
        for piece in pieces {
            found += 1;
            let text = texts.next().and_then(|picture| picture.text.as_deref());
            whole += text.unwrap_or(token);
            whole += piece;
        }
        whole
    };
    let (before, after) = (expanded(&prompt.before), expanded(&prompt.after));
    if found != pictures.len() {
        return Err(found);
    }
    Ok(Some(Rendered {
        before,
        after,
        ..prompt.clone()
    }))
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

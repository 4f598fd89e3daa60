//! Decodes token ids to text, whole and token by token.

use super::Tokenizer;
use crate::checkpoint::CheckpointError;
use crate::checkpoint::guard::TURNS;

/// Minimum number of tokens decoded in one turn of waiting.
const DECODED: usize = 10_000;

impl Tokenizer {
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
}

/// Returns the length in bytes of the common prefix of `a` and `b`, in whole characters.
fn common(a: &str, b: &str) -> usize {
    let same = a.chars().zip(b.chars()).take_while(|(a, b)| a == b);
    same.map(|(c, _)| c.len_utf8()).sum()
}

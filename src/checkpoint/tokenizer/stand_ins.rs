//! Stand-ins: the texts that replace special tokens where their own text is not control.

use super::{Added, Tokenizer};
use std::collections::BTreeSet;

/// The first and last character of a special token's stand-in, of Unicode's private use. They
/// differ so that text between two stand-ins never looks like a third.
pub(super) const MARKS: [char; 2] = ['\u{F0001}', '\u{F0003}'];
/// The marks' names as messages show them.
pub(super) const MARK_NAMES: &str = "U+F0001 or U+F0003";

impl Tokenizer {
    /// Finds special tokens' texts in `text`: byte offset and token, the longest at each place.
    pub(super) fn controls(&self, text: &str) -> Vec<(usize, &Added)> {
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
    pub(super) fn marked(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut end = 0;
        for (at, token) in self.controls(text) {
            out.push_str(&text[end..at]);
            out.push_str(&stand_in(&token.text));
            end = at + token.text.len();
        }
        out + &text[end..]
    }
}

/// Returns the text that replaces a special token where its own text is not control.
pub(super) fn stand_in(token: &str) -> String {
    let [begin, end] = MARKS;
    format!("{begin}{token}{end}")
}

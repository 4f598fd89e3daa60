//! Maps of parts of an answer: of each key token, or of the key tokens of each word.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{Attribution, Iteration, Mask, Result};
use crate::lvlm::{Callback, Scorer};

/// The parts of an answer that have maps of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// Every key token.
    Token,
    /// Every word that has a key token. Words are separated by white space.
    Word,
}

/// Key tokens of an answer that have a map together, and how it was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unit {
    /// The answer's text from the first of its tokens to the last, without surrounding white space.
    pub text: String,
    /// The tokens' positions in the answer, ascending.
    pub tokens: Vec<usize>,
    /// The objective before each update.
    pub iterations: Vec<Iteration>,
    /// Pictures evaluated by the model. 0 for a unit of all key tokens: its map is the answer's.
    pub evaluations: usize,
}

/// The map of a unit alone.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitMap {
    /// The unit.
    pub unit: Unit,
    /// The mask; 1 keeps the picture.
    pub mask: Mask,
}

impl Each {
    /// Returns the key tokens of each unit: a partition of `keys`, which are ascending positions in
    /// an answer whose tokens have these texts.
    pub fn units(self, keys: &[usize], texts: &[&str]) -> Vec<Vec<usize>> {
        match self {
            Each::Token => keys.iter().map(|&key| vec![key]).collect(),
            Each::Word => {
                let of_word = |word: Range<usize>| {
                    let keys = keys.iter().copied();
                    keys.filter(|key| word.contains(key)).collect::<Vec<_>>()
                };
                let units = whole_words(texts).map(of_word);
                units.filter(|unit| !unit.is_empty()).collect()
            }
        }
    }
}

/// Returns the ranges of tokens that form a word: a token belongs to the word of the one before it
/// unless there is white space between them.
pub(crate) fn whole_words(texts: &[&str]) -> impl Iterator<Item = Range<usize>> {
    let starts = |i: usize| {
        i == 0
            || texts[i].starts_with(char::is_whitespace)
            || texts[i - 1].ends_with(char::is_whitespace)
    };
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = next;
        next = (start + 1..texts.len())
            .find(|&i| starts(i))
            .unwrap_or(texts.len());
        (start < texts.len()).then_some(start..next)
    })
}

/// Finds the map of each of `units` with `method`.
///
/// # Errors
/// Returns the method's errors.
pub(super) fn maps(
    units: Vec<Vec<usize>>,
    texts: &[&str],
    method: &dyn Attribution,
    scorer: &dyn Scorer,
    evaluated: &mut Callback,
) -> Result<Vec<UnitMap>> {
    let found = method.run_each(scorer, &units, evaluated)?;
    let maps = units.into_iter().zip(found).map(|(tokens, found)| UnitMap {
        unit: Unit {
            text: text(&tokens, texts),
            tokens,
            iterations: found.iterations,
            evaluations: found.evaluations,
        },
        mask: found.mask,
    });
    Ok(maps.collect())
}

/// Returns the map of all key tokens, `mask`, as that of their only unit.
pub(super) fn whole(
    keys: &[usize],
    texts: &[&str],
    mask: &Mask,
    iterations: &[Iteration],
) -> UnitMap {
    let unit = Unit {
        text: text(keys, texts),
        tokens: keys.to_vec(),
        iterations: iterations.to_vec(),
        evaluations: 0,
    };
    let mask = mask.clone();
    UnitMap { unit, mask }
}

/// Returns a unit's text.
fn text(tokens: &[usize], texts: &[&str]) -> String {
    let (first, last) = (tokens.first(), tokens.last());
    let text = match (first, last) {
        (Some(&first), Some(&last)) => texts[first..=last].concat(),
        _ => String::new(),
    };
    text.trim().to_string()
}

//! Differences of the program by the paper's authors, `bytedance/LVLM_Interpretation`, from the
//! method: which answer it explains, which tokens are key, and how it scores curves. Its picture
//! processing is part of the model.

use super::Curves;
use super::key_tokens::{likelier, stripped};

/// The longest answer by default on its command line.
pub const ANSWER: usize = 1024;

/// The tokens that are never key, as ids of Llama's vocabulary.
const LISTED: [u32; 19] = [
    12, 13, 29871, 29889, 29892, 1919, 869, 29899, 29897, 29898, 278, 322, 310, 263, 385, 445, 393,
    338, 411,
];

/// Pieces of Llama's vocabulary that identify it: those of the ids above that are words.
const WORDS: [(u32, &str); 9] = [
    (278, "▁the"),
    (322, "▁and"),
    (310, "▁of"),
    (263, "▁a"),
    (385, "▁an"),
    (445, "▁this"),
    (393, "▁that"),
    (338, "▁is"),
    (411, "▁with"),
];

/// The texts of those ids, without surrounding white space.
const TEXTS: [&str; 15] = [
    "", ".", ",", "-", "(", ")", "the", "and", "of", "a", "an", "this", "that", "is", "with",
];

/// Returns an answer of at most `limit` tokens, without its last token if the limit ended it: the
/// program takes that token for the end marker.
pub fn without_end(mut answer: Vec<u32>, limit: usize) -> Vec<u32> {
    if answer.len() == limit {
        answer.pop();
    }
    answer
}

/// Returns the key tokens' positions, as [`super::key_tokens()`] does, except that the first token
/// of an answer of two or more is never key, and that function words are case-sensitive, so that
/// `The` may be key. If the vocabulary is Llama's, which `piece` determines by ids, function words
/// are the program's ids; in another vocabulary those ids are other words, and texts are compared
/// instead.
///
/// `image` and `baseline` are log-probabilities, `ids` and `texts` the tokens'; all of equal
/// length.
pub fn key_tokens(
    image: &[f64],
    baseline: &[f64],
    ids: &[u32],
    texts: &[String],
    piece: &dyn Fn(u32) -> Option<String>,
    threshold: f64,
) -> Vec<usize> {
    let llama = WORDS
        .iter()
        .all(|&(id, word)| piece(id).as_deref() == Some(word));
    let listed = |place: usize| match llama {
        true => LISTED.contains(&ids[place]),
        false => TEXTS.contains(&stripped(&texts[place])),
    };
    likelier(image, baseline, threshold, |place| {
        place == 0 || listed(place)
    })
}

/// Returns whether curves of a mask of `cells` cells have a point after every group of cells, which
/// the program's scores need.
pub fn has_all_points(curves: &Curves, cells: usize) -> bool {
    let points = cells.div_ceil(super::curves::step(cells)) + 1;
    let all = [&curves.fraction, &curves.deletion, &curves.insertion];
    cells > 0 && all.iter().all(|values| values.len() == points)
}

/// Returns the same curves with the program's fractions and scores. Every group of cells counts as
/// a full group, so that the last fraction may exceed 1. A score is the sum of the normalised
/// values to the right of the groups times their width, except that the last group counts as 1
/// times its own width whatever its value: deletion scores are larger by that amount. The program
/// divides by the difference of the probabilities with picture and baseline, however small; only if
/// they are equal is there no score.
#[must_use]
pub fn scored(curves: &Curves, cells: usize) -> Curves {
    let step = super::curves::step(cells);
    let groups = curves.fraction.len().saturating_sub(1);
    let (from, to) = (curves.deletion[0], curves.insertion[0]);
    let score = |curve: &[f64]| {
        let whole = curve[1..].iter().take(groups.saturating_sub(1));
        let sum: f64 = whole
            .map(|value| (value - to) / (from - to) * step as f64)
            .sum();
        let last = cells - groups.saturating_sub(1) * step;
        let score = (sum + last as f64) / cells as f64;
        score.is_finite().then_some(score)
    };
    let (deletion_score, insertion_score) = (score(&curves.deletion), score(&curves.insertion));
    let reason = (deletion_score.is_none() || insertion_score.is_none()).then(|| {
        format!(
            "the key tokens' mean probability is {from:.4} with the picture and with the baseline"
        )
    });
    Curves {
        fraction: (0..=groups)
            .map(|k| (k * step) as f64 / cells as f64)
            .collect(),
        deletion_score,
        insertion_score,
        reason,
        ..curves.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMAGE: [f64; 7] = [-0.1; 7];
    const BASELINE: [f64; 7] = [-2.0; 7];

    fn texts(of: [&str; 7]) -> Vec<String> {
        of.map(str::to_string).to_vec()
    }

    #[test]
    fn the_first_token_is_never_key_and_case_counts() {
        let texts = texts(["Red", " The", " the", " cat", ".", " Is", "is"]);
        let ids = [900, 901, 902, 903, 904, 905, 906];
        let of = |piece: &dyn Fn(u32) -> Option<String>| {
            key_tokens(&IMAGE, &BASELINE, &ids, &texts, piece, 1.0)
        };
        assert_eq!(of(&|_| None), [1, 3, 5]);
        assert_eq!(
            super::super::key_tokens(&IMAGE, &BASELINE, &texts, 1.0),
            [0, 3]
        );
        // A single matching piece of Llama's does not identify Llama's vocabulary.
        assert_eq!(of(&|id| (id == 278).then(|| "▁the".into())), [1, 3, 5]);
        // An answer of one token is judged by itself.
        let one = |texts: &[String]| {
            key_tokens(
                &IMAGE[..1],
                &BASELINE[..1],
                &ids[..1],
                texts,
                &|_| None,
                1.0,
            )
        };
        assert_eq!(one(&texts[..1]), [0]);
        assert_eq!(one(&texts[2..3]), [0]);
    }

    /// The ids are those of single pieces: for `(`, only that without a space before it.
    #[test]
    fn in_llamas_vocabulary_the_ids_count() {
        let llama = |id: u32| WORDS.iter().find(|w| w.0 == id).map(|w| w.1.to_string());
        let ids = [450, 278, 1552, 29898, 313, 13, 7375];
        let texts = texts(["The", " the", "the", "(", " (", "\n", "Red"]);
        let found = key_tokens(&IMAGE, &BASELINE, &ids, &texts, &llama, 1.0);
        assert_eq!(found, [2, 4, 6]);
    }

    #[test]
    fn the_token_at_the_limit_is_lost() {
        assert_eq!(without_end(vec![5, 6, 7], 3), [5, 6]);
        assert_eq!(without_end(vec![5, 6], 3), [5, 6]);
    }

    /// The rule as stated in NumPy from the program's text (`tests/data/scores/make.py`).
    #[test]
    fn scores_are_those_of_the_program() {
        #[derive(serde::Deserialize)]
        struct Case {
            cells: usize,
            deletion: Vec<f64>,
            insertion: Vec<f64>,
            deletion_score: Option<f64>,
            insertion_score: Option<f64>,
        }
        let text = include_str!("../../tests/data/scores/scores.json");
        let cases: Vec<Case> = serde_json::from_str(text).unwrap();
        assert_eq!(cases.len(), 44);
        for case in cases {
            let curves = Curves {
                fraction: vec![0.0; case.deletion.len()],
                deletion: case.deletion,
                insertion: case.insertion,
                deletion_score: Some(-1.0),
                insertion_score: None,
                reason: None,
            };
            assert!(has_all_points(&curves, case.cells));
            let mut fewer = curves.clone();
            fewer.insertion.pop();
            assert!(!has_all_points(&fewer, case.cells) && !has_all_points(&curves, 0));
            let found = scored(&curves, case.cells);
            for (found, expected) in [
                (found.deletion_score, case.deletion_score),
                (found.insertion_score, case.insertion_score),
            ] {
                let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-12 * b.abs().max(1.0);
                let same = found.zip(expected).map_or(found == expected, near);
                assert!(same, "{} cells: {found:?} {expected:?}", case.cells);
            }
        }
    }

    /// By hand: 102 cells are 51 groups of 2, and 103 have one more group of one cell that counts
    /// as two in the fractions.
    #[test]
    fn scores_are_right_rectangles_and_a_constant() {
        for (cells, groups, last) in [(102, 51, 2.0), (103, 52, 1.0)] {
            let mut deletion = vec![0.1; groups + 1];
            (deletion[0], deletion[1], deletion[2]) = (0.9, 0.5, 0.3);
            let mut insertion = vec![0.9; groups + 1];
            (insertion[0], insertion[1]) = (0.1, 0.3);
            let curves = Curves {
                fraction: vec![0.0; groups + 1],
                deletion,
                insertion,
                deletion_score: None,
                insertion_score: None,
                reason: Some("none yet".into()),
            };
            let found = scored(&curves, cells);
            let n = cells as f64;
            let expected = (2.0 * 0.5 + 2.0 * 0.25 + last) / n;
            assert!((found.deletion_score.unwrap() - expected).abs() < 1e-12);
            let expected = (2.0 * 0.25 + 2.0 * (groups - 2) as f64 + last) / n;
            assert!((found.insertion_score.unwrap() - expected).abs() < 1e-12);
            assert_eq!(found.reason, None);
            assert_eq!(found.fraction[1], 2.0 / n);
            assert_eq!(found.fraction[groups], 2.0 * groups as f64 / n);

            // The difference is 0.
            let flat = Curves {
                deletion: vec![0.5; groups + 1],
                insertion: vec![0.5; groups + 1],
                ..curves.clone()
            };
            let found = scored(&flat, cells);
            assert_eq!((found.deletion_score, found.insertion_score), (None, None));
            assert!(found.reason.is_some());
        }
    }
}

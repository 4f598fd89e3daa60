//! Methods that look inside a model, on one whose maps can be worked out by hand.

use super::rivals::found_for;
use super::*;
use crate::blend::{TokenGrid, TokenPlaces};
use crate::lvlm::{AttentionValues, Layer, LayerActivations, SequenceRows};

/// A picture of 4 x 4 pixels and 2 x 2 visual tokens, in rows 0 to 3 with the end of a line in row
/// 4; a word of the prompt in row 5; an answer of two words.
#[derive(Debug)]
pub(super) struct Inside {
    places: TokenPlaces,
}

/// The rows of visual tokens.
const VISUAL: [usize; 5] = [0, 1, 2, 3, 4];
/// The prompt's word.
const WORD: u32 = 7;
/// The answer's words.
const ANSWER: [u32; 2] = [8, 9];

impl Inside {
    pub fn new() -> Inside {
        let grid = TokenGrid {
            view: View::whole(4, 4),
            rows: 2,
            columns: 2,
            step: 2.0,
        };
        let places = (0..4).map(Some).chain([None]);
        Inside {
            places: TokenPlaces::of(vec![grid], places),
        }
    }
}

impl Internals for Inside {
    fn rows(&self) -> SequenceRows<'_> {
        SequenceRows {
            places: &self.places,
            visual: &VISUAL,
            text: vec![(5, WORD)],
            first: 5,
            answer: &ANSWER,
        }
    }

    /// Two columns: the first with gradients of mean 1, the second with -1 everywhere.
    fn activations(
        &self,
        _: Layer,
        _: &[usize],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<LayerActivations> {
        let _ = evaluated(1);
        Ok(LayerActivations {
            places: self.places.clone(),
            columns: 2,
            values: (0..5).flat_map(|t| [f64::from(t + 1), 1.0]).collect(),
            gradient: [2.0, 0.0, 2.0, 0.0, 100.0]
                .into_iter()
                .flat_map(|g| [g, -1.0])
                .collect(),
        })
    }

    /// Two layers in which every row reads all rows up to itself alike. The gradient of a
    /// probability is the number of its key, less 1.
    fn attention(
        &self,
        tokens: &[usize],
        gradient: bool,
        each: &mut dyn FnMut(usize, AttentionValues),
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<()> {
        let last = 5 + tokens.last().copied().unwrap_or(0);
        let keys = last + 1;
        let queries: Vec<usize> = tokens.iter().map(|t| 5 + t).collect();
        for (layer, places) in [(1, queries), (0, (0..keys).collect())] {
            each(
                layer,
                AttentionValues {
                    heads: 1,
                    kv_heads: 1,
                    head_dim: 1,
                    query: vec![0.0; places.len()],
                    key: vec![1.0; keys],
                    value: (0..keys).map(|key| key as f32 - 1.0).collect(),
                    lse: places.iter().map(|&p| ((p + 1) as f64).ln()).collect(),
                    d_out: vec![1.0; if gradient { places.len() } else { 0 }],
                    seen: places.iter().map(|&p| p + 1).collect(),
                    places,
                },
            );
        }
        let _ = evaluated(1);
        Ok(())
    }

    fn logits(
        &self,
        last: usize,
        ids: &[u32],
        evaluated: &mut Callback,
    ) -> crate::lvlm::Result<Vec<f64>> {
        let _ = evaluated(1);
        let rows = (0..=5 + last).flat_map(|row| ids.iter().map(move |&id| (row, id)));
        let logit = |(row, id): (usize, u32)| match (row, id) {
            (5, 8) => 2.0,
            (row, 8) => [3.0, 2.0, 1.0, 1.0, 50.0][row],
            (_, WORD) => 1.0,
            _ => -1.0,
        };
        Ok(rows.map(logit).collect())
    }
}

/// A scorer of which only what is inside is known.
struct Outside(Inside);

impl Scorer for Outside {
    fn internals(&self) -> crate::lvlm::Result<&dyn Internals> {
        Ok(&self.0)
    }

    fn image_rows(&self) -> Vec<usize> {
        vec![VISUAL.len()]
    }

    fn first_views(&self) -> Vec<(&View, &[f32])> {
        unreachable!("methods that look inside ask for nothing else")
    }

    fn log_probabilities(
        &self,
        _: Masks,
        _: &[Blend],
        _: &[usize],
        _: &mut Callback,
    ) -> crate::lvlm::Result<LogProbabilities> {
        unreachable!("methods that look inside ask for nothing else")
    }

    fn gradient_by_token(
        &self,
        _: Masks,
        _: &[Blend],
        _: &[f64],
        _: &[usize],
        _: Score,
        _: &mut Callback,
    ) -> crate::lvlm::Result<(LogProbabilities, Vec<Vec<f64>>)> {
        unreachable!("methods that look inside ask for nothing else")
    }

    fn pixel_gradients(&self, _: &[usize]) -> crate::lvlm::Result<Vec<Vec<f64>>> {
        unreachable!("methods that look inside ask for nothing else")
    }

    fn plan(&self, _: usize, _: &[usize]) -> crate::lvlm::Result<BatchPlan> {
        unreachable!("methods that look inside ask for nothing else")
    }
}

/// Returns the map that a method finds in a mask whose four cells are the visual tokens'.
fn saliency(method: Method, layer: Option<Layer>, keys: &[usize]) -> Vec<f64> {
    let settings = Settings {
        mask_size: 2,
        layer,
        ..Settings::of(method)
    };
    let scorer = Outside(Inside::new());
    found_for(&scorer, &settings, keys)
        .iter()
        .map(|m| 1.0 - m)
        .collect()
}

fn alike(found: &[f64], attributions: &[f64]) {
    let largest = attributions.iter().fold(0.0, |m: f64, &a| m.max(a));
    for (found, expected) in found.iter().zip(attributions) {
        close(*found, expected.max(0.0) / largest, 1e-6, "saliency");
    }
}

#[test]
fn grad_cam_weighs_columns_by_the_tokens_of_the_picture() {
    let of = |layer| saliency(Method::GradCam, layer, &[0]);
    alike(&of(None), &[0.0, 1.0, 2.0, 3.0]);
    // The second column has no positive gradient.
    alike(&of(Some(Layer::Decoder(1))), &[1.0, 2.0, 3.0, 4.0]);
}

/// Multiplies a row by two layers' matrices, the last layer's first.
fn through_two_layers(keys: &[usize], of: impl Fn(usize, usize) -> f64) -> Vec<f64> {
    let count = 6 + keys.last().unwrap();
    let mut row: Vec<f64> = (0..count)
        .map(|place| f64::from(u8::from(keys.iter().any(|key| 5 + key == place))))
        .collect();
    for _ in 0..2 {
        let column = |j: usize| (0..count).map(|i| row[i] * of(i, j)).sum();
        row = (0..count).map(column).collect();
    }
    row[..4].to_vec()
}

#[test]
fn relevance_goes_through_all_layers() {
    let attention = |i: usize, j: usize| {
        if j <= i { 1.0 / (i + 1) as f64 } else { 0.0 }
    };
    let identity = |i: usize, j: usize| f64::from(u8::from(i == j));
    for keys in [&[0][..], &[0, 1], &[1]] {
        let expected = through_two_layers(keys, |i, j| 0.5 * (attention(i, j) + identity(i, j)));
        alike(&saliency(Method::AttentionRollout, None, keys), &expected);
        let weighed = |i: usize, j: usize| (attention(i, j) * (j as f64 - 1.0)).max(0.0);
        let expected = through_two_layers(keys, |i, j| weighed(i, j) + identity(i, j));
        assert_eq!(expected[..2], [0.0; 2], "these gradients are not positive");
        alike(&saliency(Method::TMm, None, keys), &expected);
    }
}

#[test]
fn tam_finds_what_no_other_word_explains() {
    let found = saliency(Method::Tam, None, &[0]);
    assert!(found.contains(&1.0), "{found:?}");
}

//! Rotary frequencies, and the columns of a head that they turn.

use std::f64::consts::TAU;

use crate::checkpoint::{RopeParameters, RopeScaling};

/// Returns the frequency of each of a head's pairs in radians per position: `theta^(-2 i / r)` of
/// the pairs of the r columns that are turned, scaled as `ROPE_INIT_FUNCTIONS` of transformers do,
/// and 0 of the others.
pub(super) fn frequencies(rope: &RopeParameters, head_dim: usize) -> Vec<f64> {
    let columns = rope.columns as f64;
    let plain = |i: usize| rope.theta.powf(-2.0 * i as f64 / columns);
    let frequency = |i: usize| match &rope.scaling {
        RopeScaling::None => plain(i),
        RopeScaling::Linear { factor } => plain(i) / factor,
        // Meta's release has it as `apply_scaling`.
        RopeScaling::Llama3 {
            factor,
            low_freq_factor,
            high_freq_factor,
            original_max_position_embeddings,
        } => {
            let turns = *original_max_position_embeddings as f64 * plain(i) / TAU;
            let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
            between(plain(i) / factor, plain(i), kept)
        }
        RopeScaling::Yarn { factor, .. } => {
            let (low, high) = yarn_range(rope);
            let divided = (i as f64 - low) / (high - low);
            between(plain(i), plain(i) / factor, divided)
        }
        RopeScaling::Long { short_factor, .. } => plain(i) / short_factor[i],
    };
    let mut all: Vec<f64> = (0..rope.columns / 2).map(frequency).collect();
    all.resize(head_dim / 2, 0.0);
    all
}

/// Returns `from` where `share` is at most 0, `to` where it is at least 1, and a mixture between.
fn between(from: f64, to: f64, share: f64) -> f64 {
    let share = share.clamp(0.0, 1.0);
    (1.0 - share) * from + share * to
}

/// Returns the numbers of the pairs between which YaRN goes from high frequencies to low ones; they
/// differ.
fn yarn_range(rope: &RopeParameters) -> (f64, f64) {
    let RopeScaling::Yarn {
        beta_fast,
        beta_slow,
        truncate,
        original_max_position_embeddings,
        ..
    } = rope.scaling
    else {
        return (0.0, 1.0);
    };
    let columns = rope.columns as f64;
    // The pair that turns so often within the context trained on.
    let pair = |turns: f64| {
        let context = original_max_position_embeddings as f64;
        columns * (context / (turns * TAU)).ln() / (2.0 * rope.theta.ln())
    };
    let (mut low, mut high) = (pair(beta_fast), pair(beta_slow));
    if truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    (low, high) = (low.max(0.0), high.min(columns - 1.0));
    if low == high {
        high += 0.001;
    }
    (low, high)
}

/// Returns where each row of a layer to queries, keys and values comes from, so that a head's pairs
/// are as far apart as if all were turned: of heads of `head_dim` columns, of which the first
/// `turned` are. Their products do not depend on the order. `rows` are those of queries and keys,
/// and those after them, which stay. `None` if all stay.
pub(super) fn order(turned: usize, head_dim: usize, rows: [usize; 2]) -> Option<Vec<usize>> {
    if turned == head_dim {
        return None;
    }
    let [rotated, others] = rows;
    let (half, pairs) = (head_dim / 2, turned / 2);
    let of_head = |column: usize| match (column / half, column % half) {
        (side, pair) if pair < pairs => side * pairs + pair,
        (side, pair) => turned + side * (half - pairs) + pair - pairs,
    };
    let from = |row: usize| row - row % head_dim + of_head(row % head_dim);
    let mut all: Vec<usize> = (0..rotated).map(from).collect();
    all.extend(rotated..rotated + others);
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Config;
    use crate::checkpoint::tests::recorded;
    use crate::lvlm::decoder::{DecoderConfig, Kind};

    /// Frequencies and attention factors of every type, those of `ROPE_INIT_FUNCTIONS`.
    #[test]
    fn frequencies_are_those_of_transformers() {
        let cases = recorded("rope.json");
        for case in cases.as_array().unwrap() {
            let config = Config::from_json(&case["config"].to_string(), "config.json").unwrap();
            let kind = Kind::of(case["config"]["model_type"].as_str().unwrap());
            let config = DecoderConfig::read(&config.top(), kind, None).unwrap();
            let found = frequencies(&config.rope, config.head_dim);
            let wanted = case["frequencies"].as_array().unwrap();
            let wanted: Vec<f64> = wanted.iter().map(|f| f.as_f64().unwrap()).collect();
            let (turned, others) = found.split_at(wanted.len());
            // transformers computes them in f32.
            for (found, wanted) in turned.iter().zip(&wanted) {
                assert!((found / wanted - 1.0).abs() < 1e-5, "{case}: {found}");
            }
            assert!(others.iter().all(|f| *f == 0.0), "{case}");
            assert_eq!(config.rope.columns, 2 * wanted.len(), "{case}");
            let factor = case["attention_factor"].as_f64().unwrap();
            let found = config.rope.scaling.attention_factor();
            assert!((found - factor).abs() < 1e-12, "{case}: {found}");
            let longest = case["longest"].as_u64().unwrap() as usize;
            assert_eq!(config.max_positions, longest, "{case}");
        }
        assert!(cases.as_array().unwrap().len() > 20);
    }

    /// Pairs of columns that were side by side by half of those that are turned are so by half of a
    /// head, and every column has its place.
    #[test]
    fn turned_columns_come_first_in_each_half() {
        assert_eq!(order(8, 8, [16, 8]), None);
        let found = order(4, 10, [20, 3]).unwrap();
        assert_eq!(found[..10], [0, 1, 4, 5, 6, 2, 3, 7, 8, 9]);
        assert_eq!(found[10..20], [10, 11, 14, 15, 16, 12, 13, 17, 18, 19]);
        assert_eq!(found[20..], [20, 21, 22]);
    }
}

//! Random weights in place of a checkpoint's, for sanity checks of maps.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Tensor;
use crate::blend::random::{key, normal_pair, philox4x32};

/// The layers whose weights are random: of the decoder from its last layer down, then of every
/// encoder from its last layer down (Adebayo et al., "Sanity Checks for Saliency Maps", arXiv
/// 1810.03292: cascading randomisation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RandomizedLayers {
    /// Their number, counted from the top.
    pub layers: usize,
    /// The seed of the weights.
    pub seed: u64,
}

impl RandomizedLayers {
    /// Returns a tensor of independent normal numbers with the mean and the standard deviation of
    /// `tensor`'s, of the same name, shape and storage format. They depend on the seed and the name
    /// only, not on the order in which tensors are read.
    pub fn randomized(&self, tensor: &Tensor) -> Tensor {
        let mut values = tensor.to_f32();
        let (mean, deviation) = moments(&values);
        let digest = Sha256::digest(tensor.name.as_bytes());
        let name = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| digest[at + byte]));
        let (key, name) = (key(self.seed), [name(0), name(4)]);
        values
            .par_chunks_mut(4)
            .enumerate()
            .for_each(|(chunk, values)| {
                let place = [chunk as u32, (chunk as u64 >> 32) as u32];
                let [a, b, c, d] = philox4x32([place[0], place[1], name[0], name[1]], key);
                let ((x, y), (z, w)) = (normal_pair(a, b), normal_pair(c, d));
                for (value, normal) in values.iter_mut().zip([x, y, z, w]) {
                    *value = (mean + deviation * f64::from(normal)) as f32;
                }
            });
        Tensor::of(&tensor.name, tensor.dtype, &tensor.shape, &values)
    }
}

/// Returns the mean and the standard deviation.
fn moments(values: &[f32]) -> (f64, f64) {
    let mean = |of: &dyn Fn(f64) -> f64| {
        let sum: f64 = values.iter().map(|&v| of(f64::from(v))).sum();
        sum / values.len().max(1) as f64
    };
    let average = mean(&|v| v);
    (average, mean(&|v| (v - average).powi(2)).sqrt())
}

#[cfg(test)]
mod tests {
    use half::f16;

    use super::*;
    use crate::checkpoint::{Bytes, Dtype};

    fn tensor(name: &str) -> Tensor {
        let values = (0..30_003).map(|i| f16::from_f32(1.5 + (i % 100) as f32 / 50.0));
        let bytes: Vec<u8> = values.flat_map(f16::to_le_bytes).collect();
        let bytes = Bytes::Owned(bytes.into());
        Tensor::piece(name, Dtype::F16, &[3, 10_001], &bytes, 0).unwrap()
    }

    #[test]
    fn random_weights_have_the_moments_and_the_form_of_the_weights() {
        let random = RandomizedLayers { layers: 1, seed: 7 };
        let (own, made) = (tensor("a"), random.randomized(&tensor("a")));
        assert_eq!((made.dtype, &made.shape), (Dtype::F16, &own.shape));
        assert_eq!(made.name, "a");
        let (own, found) = (moments(&own.to_f32()), moments(&made.to_f32()));
        // Six standard errors of 30 003 numbers.
        assert!((found.0 - own.0).abs() < 0.035 * own.1, "{found:?} {own:?}");
        assert!((found.1 / own.1 - 1.0).abs() < 0.025, "{found:?} {own:?}");
        let largest = made.to_f32().into_iter().fold(f32::MIN, f32::max);
        assert!(f64::from(largest) > own.0 + 3.0 * own.1);
    }

    #[test]
    fn seed_and_name_decide() {
        let made = |seed, name| RandomizedLayers { layers: 1, seed }.randomized(&tensor(name));
        assert_eq!(made(1, "a").bytes(), made(1, "a").bytes());
        assert_ne!(made(1, "a").bytes(), made(2, "a").bytes());
        assert_ne!(made(1, "a").bytes(), made(1, "b").bytes());
        // A tensor without spread, as a norm's gains may be, stays as it is.
        let ones = Tensor::from_f32("ones", &[5], &[1.0; 5]);
        let random = RandomizedLayers { layers: 1, seed: 1 };
        assert_eq!(random.randomized(&ones).to_f32(), [1.0; 5]);
    }
}

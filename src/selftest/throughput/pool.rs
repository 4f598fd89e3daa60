//! Random bf16 numbers, generated once for all weights: every tensor is a slice of one pool.

use std::sync::Arc;

use half::bf16;
use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};
use rayon::prelude::*;

use crate::checkpoint::{Bytes, Dtype, Tensor};

/// Number of numbers from one generator.
const PIECE: usize = 1 << 16;
/// Distance between the starts of two tensors, in numbers. A prime, so that rows of different
/// tensors do not begin at the same place.
const STRIDE: usize = 4099;

/// Random numbers, uniform over `-largest .. largest`, as bf16.
#[derive(Clone, Debug)]
pub struct Pool {
    numbers: Bytes,
}

impl Pool {
    /// Creates a pool for `tensors` tensors of up to `elements` numbers each. The same seed gives
    /// the same numbers.
    pub fn new(elements: usize, tensors: usize, largest: f32, seed: u64) -> Pool {
        let count = elements + tensors * STRIDE;
        let mut bytes: Arc<[u8]> = std::iter::repeat_n(0u8, 2 * count).collect();
        if let Some(bytes) = Arc::get_mut(&mut bytes) {
            let pieces = bytes.par_chunks_mut(2 * PIECE).enumerate();
            pieces.for_each(|(number, piece)| {
                let mut random = StdRng::seed_from_u64(seed ^ ((number as u64) << 32));
                random.fill_bytes(piece);
                for pair in piece.as_chunks_mut::<2>().0 {
                    let share = f32::from(i16::from_le_bytes(*pair)) / 32768.0;
                    *pair = bf16::from_f32(share * largest).to_le_bytes();
                }
            });
        }
        Pool {
            numbers: Bytes::Owned(bytes),
        }
    }

    /// Returns tensor `index` of those that the pool was made for: bf16 numbers from its own
    /// offset. Returns `None` if the pool is too small.
    pub fn tensor(&self, name: &str, shape: &[usize], index: usize) -> Option<Tensor> {
        Tensor::piece(name, Dtype::Bf16, shape, &self.numbers, 2 * index * STRIDE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_are_different_pieces_of_the_same_numbers() {
        let pool = Pool::new(3 * PIECE, 3, 0.5, 7);
        let at = |index| pool.tensor("w", &[3, PIECE], index).unwrap().to_f32();
        let (first, second) = (at(0), at(1));
        assert_eq!(first[STRIDE..], second[..3 * PIECE - STRIDE]);
        assert_ne!(first, second);
        assert!(pool.tensor("w", &[3, PIECE], 4).is_none());

        let mean = first.iter().sum::<f32>() / first.len() as f32;
        let square = first.iter().map(|v| v * v).sum::<f32>() / first.len() as f32;
        assert!(first.iter().all(|v| v.abs() <= 0.5));
        // A uniform distribution has the variance largest^2 / 3; the means of 200,000 numbers are
        // this close in all but one of 10^6 pools.
        assert!(mean.abs() < 3.5e-3, "{mean}");
        assert!((square - 0.25 / 3.0).abs() < 1e-3, "{square}");

        let other = |seed| Pool::new(64, 1, 0.5, seed).tensor("w", &[64], 0).unwrap();
        assert_eq!(other(7).bytes(), other(7).bytes());
        assert_ne!(other(7).bytes(), other(8).bytes());
    }
}

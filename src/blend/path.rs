//! The path between a picture and its baseline, blend by blend.

use super::Noise;

/// Which picture a mask of 1 keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The picture where the mask is 1, the baseline where it is 0.
    Keep,
    /// The baseline where the mask is 1, the picture where it is 0.
    Reveal,
}

/// The mask that a blend looks through, by number in [`Masks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// One mask.
    One(usize),
    /// The product of two masks, each sampled first.
    Product(usize, usize),
}

/// One picture on the path between picture and baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// The mask.
    pub sampling: Sampling,
    /// Which picture the mask keeps.
    pub direction: Direction,
    /// The step along the path, in [0, 1].
    pub alpha: f64,
    /// Noise, if any.
    pub noise: Option<Noise>,
}

impl Blend {
    /// The end of a path through one mask, without noise.
    pub const fn whole(mask: usize, direction: Direction) -> Blend {
        Blend {
            sampling: Sampling::One(mask),
            direction,
            alpha: 1.0,
            noise: None,
        }
    }
}

//! The path between a picture and its baseline, blend by blend.

use super::Noise;

/// The direction between picture and baseline in which a mask acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Removal: the picture where the mask is 1, the baseline where it is 0.
    Deletion,
    /// Insertion: the baseline where the mask is 1, the picture where it is 0.
    Insertion,
}

/// The mask of a blend, by its index in [`Masks`](super::Masks).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// One mask.
    One(usize),
    /// The product of two masks, each sampled before they are multiplied.
    Product(usize, usize),
}

/// One point on the path between picture and baseline.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blend {
    /// The mask.
    pub sampling: Sampling,
    /// The path that the blend lies on.
    pub path: Path,
    /// The step along the path, in [0, 1].
    pub alpha: f64,
    /// Noise, if any.
    pub noise: Option<Noise>,
}

impl Blend {
    /// Returns the end of a path through one mask, without noise.
    pub const fn whole(mask: usize, path: Path) -> Blend {
        Blend {
            sampling: Sampling::One(mask),
            path,
            alpha: 1.0,
            noise: None,
        }
    }
}

//! Parts of a picture's plane.

use serde::{Deserialize, Serialize};

/// A rectangle in the plane of a picture, in fractions of the picture's width and height: 0 is the
/// centre of the first pixel and 1 that of the last. Below 0 and above 1 is padding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Left side.
    pub left: f64,
    /// Upper side.
    pub top: f64,
    /// Right side.
    pub right: f64,
    /// Lower side.
    pub bottom: f64,
}

impl Extent {
    /// The whole picture.
    pub const PICTURE: Extent = Extent {
        left: 0.0,
        top: 0.0,
        right: 1.0,
        bottom: 1.0,
    };
}

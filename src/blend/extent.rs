//! Parts of a picture's plane.

use serde::{Deserialize, Serialize};

/// A rectangle in the plane of a picture. Sides are in parts of the picture's width and height,
/// where 0 is the centre of the first pixel and 1 that of the last; what lies below 0 or above 1 is
/// padding.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Extent {
    /// Its left side.
    pub left: f64,
    /// Its upper side.
    pub top: f64,
    /// Its right side.
    pub right: f64,
    /// Its lower side.
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

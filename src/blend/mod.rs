//! Types that the method, the models and the kernels share: masks, paths, blends, noise,
//! scores, how a view samples a mask, and where a view's tokens lie in it.
//!
//! A mask lies in the plane of the original picture, and is mapped to every view by the view's
//! geometry alone.

mod extent;
mod mask;
mod noise;
mod path;
pub mod random;
mod score;
mod tokens;
mod view;

pub use extent::Extent;
pub use mask::{Mask, MaskError, Masks};
pub use noise::Noise;
pub use path::{Blend, Path, Sampling};
pub use score::Score;
pub use tokens::{TokenGrid, TokenPlaces};
pub use view::{Tap, View, ViewPair};

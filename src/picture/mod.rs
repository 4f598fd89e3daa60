//! Pictures: decoding, resizing exactly as a model's own image processor does, the baseline
//! picture, and the geometry that maps an encoder's input to the plane of the original picture.
//!
//! - [`Picture`] is an 8-bit RGB picture in memory; files are read to the same pixels as in Pillow,
//!   within [`Limits`].
//! - [`resize()`] is bit-identical to Pillow's `Image.resize`, [`gaussian_blur`] to OpenCV's
//!   `GaussianBlur`.
//! - [`Processor`] applies a `preprocessor_config.json`: it converts a picture to an encoder's
//!   input.
//! - [`View`](crate::blend::View) maps the pixels of such a tensor to the picture, and samples a
//!   mask there.
//! - [`Baseline`] makes the picture that masked pixels are replaced with.

mod anyres;
mod blur;
mod config;
mod decode;
mod error;
mod files;
mod limits;
mod processor;
mod resize;
mod stretched;
#[cfg(test)]
pub(crate) mod testing;

pub use anyres::{AnyResolution, Tiling};
pub use blur::{Baseline, blur_kernel_size, gaussian_blur};
pub use config::Patches;
pub(crate) use config::{
    LLAVA_NEXT_PINPOINTS, MAX_EDGE, MOST_TILES, llava_onevision_pinpoints, pairs_of_edges,
};
pub use decode::Picture;
pub use error::PictureError;
pub use limits::Limits;
pub use processor::Processor;
pub use resize::{Filter, Window, resize, resize_window};
pub use stretched::{StretchedTiles, Stretching};

//! Pictures: decoding, resizing exactly as a model's own image processor does, the baseline
//! picture, and the geometry that maps an encoder's input to the plane of the original picture.
//!
//! - [`Picture`] is an 8-bit RGB picture in memory; files are read to the pixels that Pillow has, within [`Limits`].
//! - [`resize`] equals Pillow's `Image.resize` to the bit, [`gaussian_blur`] equals OpenCV's `GaussianBlur` to the bit.
//! - [`Processor`] is a `preprocessor_config.json` put to work: it turns a picture into the numbers an encoder takes.
//! - [`View`] says where the pixels of such a tensor lie in the picture, and samples a mask there.
//! - [`Baseline`] makes the picture that a mask replaces the picture by.

mod anyres;
mod blur;
mod config;
mod decode;
mod error;
mod files;
mod limits;
mod processor;
mod resize;
#[cfg(test)]
mod testing;

pub use anyres::{AnyResolution, Tiling};
pub use blur::{Baseline, blur_kernel_size, gaussian_blur};
pub(crate) use config::{
    LLAVA_NEXT_PINPOINTS, MAX_EDGE, llava_onevision_pinpoints, pairs_of_edges,
};
pub use decode::Picture;
pub use error::PictureError;
pub use limits::Limits;
pub use processor::Processor;
pub use resize::{Filter, Window, resize, resize_window};

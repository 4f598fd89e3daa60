//! Vision encoders, one file each, and the transformer that several of them are.

mod clip;
mod convnext;
mod siglip;
mod vit;

pub use clip::ClipConfig;
pub(super) use convnext::{Convnext, ConvnextKept, ConvnextSizes, STEM};
pub use siglip::SiglipConfig;
pub(super) use siglip::SiglipDefaults;
pub use vit::Select;
pub(super) use vit::{Taken, Vit, VitKept, VitSizes};

//! Vision encoders, one file each, and the transformer that several of them are.

mod clip;
mod siglip;
mod vit;

pub use clip::ClipConfig;
pub use siglip::SiglipConfig;
pub(super) use siglip::SiglipDefaults;
pub use vit::Select;
pub(super) use vit::{Taken, Vit, VitKept, VitSizes};

//! Vision encoders, one file each, and the transformer that several of them are.

mod clip;
mod convnext;
mod plain;
mod siglip;
mod states;
mod vit;

pub use clip::ClipConfig;
pub(super) use convnext::{Convnext, ConvnextKept, ConvnextSizes, STEM};
pub(super) use plain::VitConfig;
pub use siglip::SiglipConfig;
pub(super) use siglip::SiglipDefaults;
pub(super) use states::{state_index, state_layers};
pub use vit::Select;
pub(super) use vit::{Taken, Vit, VitKept, VitSizes};

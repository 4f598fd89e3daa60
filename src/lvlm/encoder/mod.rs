//! Vision encoders, one file each, and the transformer that several of them are.

mod clip;
mod convnext;
mod dinov2;
mod hidden_states;
mod intern_vit;
mod kept;
mod open_clip;
mod plain;
mod positions;
mod qwen_vit;
mod siglip;
mod vit;
mod vit_names;

pub use clip::ClipConfig;
pub(super) use convnext::{Convnext, ConvnextSaved, ConvnextSizes, STEM};
pub(super) use dinov2::Dinov2Config;
pub(super) use hidden_states::{hidden_state_index, hidden_state_indices, hidden_state_layers};
pub(super) use intern_vit::InternVitConfig;
pub(super) use open_clip::{OPEN_CLIP_FILES, OPEN_CLIP_TRUNK, OpenClipConfig};
pub(super) use plain::{SECTION_KINDS, VitConfig};
pub(super) use qwen_vit::{Merger, MergerSaved, PatchLayout, QwenVit, QwenVitConfig, QwenVitSaved};
pub use siglip::SiglipConfig;
pub(super) use siglip::SiglipDefaults;
pub use vit::Select;
pub(super) use vit::{FeatureSelect, Vit, VitSaved, VitSizes};

//! The traits of a model family, and the parts that families share.

pub(super) mod agreement;
pub(super) mod conversations;
pub(super) mod fields;
pub(super) mod hf_names;
pub(super) mod mapped;
pub(super) mod mixture;
pub(super) mod one_encoder;
pub(super) mod one_view;
pub(super) mod packing;
pub(super) mod picture_layers;
pub(super) mod pinpoints;
pub(super) mod projector;
pub(super) mod qwen;
pub(super) mod several;
pub(super) mod shuffled;
pub(super) mod tiled;
pub(super) mod towers;
pub(super) mod traits;
pub(super) mod vit_tower;

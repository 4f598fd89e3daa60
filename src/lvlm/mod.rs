//! Large vision-language models: how a picture becomes views, views become tokens, tokens a score
//! and its gradient.
//!
//! The method knows a model only through [`Lvlm`], [`Session`] and [`Scorer`]. Below them, from the
//! ground up:
//! `encoder` and `decoder`, the layers that families are made of; `family`, the traits of a family
//! and the parts that families share; `families`, one folder each and their registry; `engine`,
//! which opens a checkpoint of any family and runs it on any device.

mod bilinear;
mod decoder;
mod encoder;
mod engine;
mod error;
mod families;
mod family;
mod foreign;
mod internals;
mod loader;
mod model;
mod plan;
mod randomize;
mod resampling;
mod session;
#[cfg(test)]
mod tests;

pub use crate::device::meta::{Parts, Tally};
pub use crate::nn::AttentionValues;
pub use decoder::DecoderConfig;
pub use encoder::{ClipConfig, Select, SiglipConfig};
#[cfg(any(test, feature = "cli"))]
pub(crate) use engine::expected_tensors;
pub use engine::{
    Blueprint, Contradiction, Estimator, Inspection, Lengths, ModelDevice, ModelPart, NamedShape,
    OpenOptions, checkpoint, demo_checkpoint, inspect, inspect_files, load, open, open_files,
};
pub use error::{LvlmError, Result};
pub use foreign::{ForeignModel, ForeignPictures, ForeignScorer};
pub use internals::{Internals, Layer, LayerActivations, SequenceRows};
pub use model::{Lvlm, MOST_PICTURES, PicturePair, Prompt};
pub use plan::BatchPlan;
pub use resampling::Resampling;
pub use session::{Callback, LogProbabilities, Scorer, Session, SessionOptions, go_on};

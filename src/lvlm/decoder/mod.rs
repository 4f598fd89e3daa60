//! Decoders of text: one transformer, and a table of what the kinds in use do differently.

mod config;
mod frequencies;
mod kind;
mod layers;
mod multipliers;
mod sliding;

pub use config::DecoderConfig;
pub(in crate::lvlm) use config::DecoderNames;
pub(in crate::lvlm) use kind::Kind;
pub(in crate::lvlm) use layers::{Decoder, DecoderSaved, Prefix, Rows};

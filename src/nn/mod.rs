//! Layers, each with `forward` and `vjp`, written once for every device.
//!
//! No layer has trainable weights, so there is no tape: a layer's `vjp` takes what its `forward`
//! saved and the gradient of its output, and returns the gradient of its input.

mod attention;
mod attention_values;
mod block;
mod error;
mod hook;
mod linear;
mod mlp;
mod norm;
mod rope;
mod stack;
mod watch;
mod windows;

#[cfg(test)]
mod tests;

pub use attention::{Attention, AttentionSaved, KeyValues, Queries, QueryKeyNorms, Sequence};
pub use attention_values::AttentionValues;
pub use block::{Block, BlockSaved};
pub use error::{NnError, require_finite};
pub use hook::{AnyHook, BlockHook, HookGradients, NoHook, any_hook, gradients_of};
pub use linear::Linear;
pub use mlp::{Mlp, MlpSaved};
pub use norm::Norm;
pub use rope::{Positions, Rope};
pub use stack::{Checkpointing, Stack, StackSaved, StepSaved};
pub use watch::{NoWatch, Site, SiteWatch, Watch};
pub use windows::Windows;

/// Result of a layer.
pub type Result<T> = std::result::Result<T, NnError>;

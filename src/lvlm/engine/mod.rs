//! Opens a checkpoint of any family, and runs it on any device within a memory budget.

mod demo;
mod estimate;
mod evaluator;
mod fingerprint;
pub(super) mod fit;
pub(super) mod inspect;
pub(super) mod layers;
mod measure;
mod model;
mod model_device;
mod open;
mod pictures;
mod resampled;
mod scorer;
mod session;

pub use estimate::{Blueprint, Estimator, Lengths};
pub use fit::OpenOptions;
pub use inspect::{Contradiction, Inspection, ModelPart, NamedShape, inspect, inspect_files};
pub use model_device::ModelDevice;
#[cfg(any(test, feature = "cli"))]
pub(crate) use open::expected_tensors;
pub use open::{checkpoint, demo_checkpoint, load, open, open_files};

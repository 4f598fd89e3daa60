//! The operations of models: one trait per operation family, with shapes, contracts and checks.
//!
//! An operation comprises exactly the steps that are fused on a GPU. Weights are frozen: every
//! operation has a `vjp` (vector-Jacobian product) with respect to its activations, none with
//! respect to its weights.
//!
//! Conventions: an activation is a row-major matrix. A batch of B sequences of n rows is one matrix
//! of B * n rows, sequence by sequence. `dy` is the gradient with respect to `y`. An `onto`
//! argument is added to the result, which saves the sum of two branches its own pass.
//!
//! Each operation is a provided method that checks its operands and calls a required method, whose
//! name ends in `_impl`, for the computation. Devices implement only the latter; all other code
//! calls the former. Sizes that do not match are [`DeviceError::Shape`], indices outside their
//! tables [`DeviceError::Index`](super::DeviceError::Index).

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
mod logprob;
mod memory;
mod norm;
mod rows;

pub use activation::Activations;
pub use attention::{Attention, AttentionInputs, AttentionSaved, AttentionShape, Visible};
pub use blend::{Batch, BatchShape, Blending, Gradients, Pictures, PicturesShape};
pub(crate) use blend::{CHANNELS, patch_order};
pub use columns::Columns;
pub use depthwise::{Depthwise, DepthwiseShape};
pub use gemm::Gemm;
pub use logprob::{LogProb, Logits};
pub use memory::{Matrix, Memory};
pub use norm::Norm;
pub use rows::{RowMap, Rows};

use super::error::expect;
use super::{DeviceError, Result};

/// Rows and columns.
type Size = (usize, usize);

/// Checks that a matrix has these rows and columns.
fn same_shape(operation: &'static str, expected: Size, found: &impl Matrix) -> Result<()> {
    let shape = found.shape();
    let say = |size: Size| move || format!("{size:?}");
    expect(shape == expected, operation, say(expected), say(shape))
}

/// Checks like [`same_shape`] an operand that may be absent.
fn same_shape_if(
    operation: &'static str,
    expected: Size,
    found: Option<&impl Matrix>,
) -> Result<()> {
    found.map_or(Ok(()), |found| same_shape(operation, expected, found))
}

/// Checks that every index is below `limit`.
fn below(
    operation: &'static str,
    indices: impl IntoIterator<Item = usize>,
    limit: usize,
) -> Result<()> {
    match indices.into_iter().find(|&index| index >= limit) {
        None => Ok(()),
        Some(index) => Err(DeviceError::Index {
            operation,
            index,
            limit,
        }),
    }
}

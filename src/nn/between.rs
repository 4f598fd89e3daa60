//! What may happen to rows between two blocks of a stack.

use super::Result;
use crate::device::Device;

/// A change of rows behind some of a stack's blocks, such as a look at features that are not among the rows.
pub trait Between<D: Device> {
    /// What `forward` saves for the vjp.
    type Saved;
    /// Gradients of what it reads beside the rows.
    type Gradients: Default;

    /// Whether it does anything behind block `i`.
    fn changes(&self, i: usize) -> bool;
    /// The rows as block `i + 1` gets them. x `[batch * length, c]`, result likewise.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, Self::Saved)>;
    /// dx; what it reads beside the rows is added to `gradients`.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn vjp(
        &self,
        device: &D,
        i: usize,
        saved: Self::Saved,
        dy: D::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<D::Matrix>;
}

/// Nothing happens between blocks.
pub struct Nothing;

impl<D: Device> Between<D> for Nothing {
    type Saved = ();
    type Gradients = ();

    fn changes(&self, _: usize) -> bool {
        false
    }

    fn forward(&self, _: &D, _: usize, x: D::Matrix) -> Result<(D::Matrix, ())> {
        Ok((x, ()))
    }

    fn vjp(&self, _: &D, _: usize, (): (), dy: D::Matrix, (): &mut ()) -> Result<D::Matrix> {
        Ok(dy)
    }
}

//! A hook between the blocks of a stack.

use super::Result;
use crate::device::Device;

/// A change of rows after some of a stack's blocks, such as attention to features that are not
/// among the rows.
pub trait BlockHook<D: Device> {
    /// Activations that `forward` saves for the vjp.
    type Saved;
    /// Gradients of what it reads beside the rows.
    type Gradients: Default;

    /// Returns whether it changes the rows after block `i`.
    fn changes(&self, i: usize) -> bool;
    /// Returns whether it leaves the rows after block `i` as they are, and reads them. Their gradient
    /// is then what its vjp returns.
    fn reads(&self, _: usize) -> bool {
        false
    }
    /// Returns whether rows get something of other places of the picture than their own after block
    /// `i`, so that the blocks' attention does not say all that they read.
    fn mixes(&self, i: usize) -> bool {
        self.changes(i)
    }
    /// Returns the rows as block `i + 1` gets them. x `[batch * length, c]`, result likewise.
    ///
    /// # Errors
    /// When sizes do not fit.
    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, Self::Saved)>;
    /// Returns dx, and adds the gradients of what it reads beside the rows to `gradients`.
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

/// The hook that changes nothing.
pub struct NoHook;

impl<D: Device> BlockHook<D> for NoHook {
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

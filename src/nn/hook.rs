//! A hook between the blocks of a stack.

use std::any::Any;

use super::Result;
use crate::device::{Device, DeviceError};

/// A change of rows after some of a stack's blocks, such as attention to features that are not
/// among the rows.
pub trait BlockHook<D: Device> {
    /// Activations that `forward` saves for the vjp.
    type Saved: 'static;
    /// Gradients of what it reads beside the rows.
    type Gradients: Default + 'static;

    /// Returns whether it changes the rows after block `i`.
    fn changes(&self, i: usize) -> bool;
    /// Sets the row of a sequence that is the picture's first: 0 unless it is set. By default a hook
    /// does not depend on it.
    fn begin_at(&mut self, _row: usize) {}
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

/// A hook of any type, so that the layers around it are compiled once: what it saves and its
/// gradients are in boxes.
pub type AnyHook<D> = dyn BlockHook<D, Saved = Box<dyn Any>, Gradients = HookGradients>;

/// The gradients of an [`AnyHook`]; `None` before its first vjp.
pub type HookGradients = Option<Box<dyn Any>>;

/// Returns a hook as one of any type.
pub fn any_hook<D: Device, B: BlockHook<D> + 'static>(hook: B) -> Box<AnyHook<D>> {
    Box::new(Boxing(hook))
}

/// Returns the gradients of a hook of type `B`, which are the default before its first vjp.
///
/// # Errors
/// [`DeviceError::Shape`] for those of another type.
pub fn gradients_of<D: Device, B: BlockHook<D>>(gradients: HookGradients) -> Result<B::Gradients> {
    gradients.map_or_else(|| Ok(B::Gradients::default()), own)
}

/// Returns what a hook made, given back to it.
fn own<T: 'static>(made: Box<dyn Any>) -> Result<T> {
    let error = || DeviceError::Shape {
        operation: "hook",
        expected: std::any::type_name::<T>().into(),
        found: "what a hook of another type made".into(),
    };
    Ok(*made.downcast::<T>().map_err(|_| error())?)
}

/// Boxes what a hook makes.
struct Boxing<B>(B);

impl<D: Device, B: BlockHook<D>> BlockHook<D> for Boxing<B> {
    type Saved = Box<dyn Any>;
    type Gradients = HookGradients;

    fn changes(&self, i: usize) -> bool {
        self.0.changes(i)
    }

    fn begin_at(&mut self, row: usize) {
        self.0.begin_at(row);
    }

    fn reads(&self, i: usize) -> bool {
        self.0.reads(i)
    }

    fn mixes(&self, i: usize) -> bool {
        self.0.mixes(i)
    }

    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, Box<dyn Any>)> {
        let (x, saved) = self.0.forward(device, i, x)?;
        Ok((x, Box::new(saved)))
    }

    fn vjp(
        &self,
        device: &D,
        i: usize,
        saved: Box<dyn Any>,
        dy: D::Matrix,
        gradients: &mut HookGradients,
    ) -> Result<D::Matrix> {
        let mut sum = gradients_of::<D, B>(gradients.take())?;
        let dx = self.0.vjp(device, i, own(saved)?, dy, &mut sum)?;
        *gradients = Some(Box::new(sum));
        Ok(dx)
    }
}

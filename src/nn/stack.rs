//! A stack of blocks, with its activations kept or made anew.

use super::{Block, BlockSaved, Result, Sequence, require_finite};
use crate::device::Device;

/// What a forward pass keeps for the vjp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keep {
    /// Nothing: there will be no vjp.
    Nothing,
    /// Each block's input; the vjp runs the block forward again.
    Inputs,
    /// All that the vjp wants.
    Everything,
}

/// What a forward pass kept, block by block.
pub struct Kept<D: Device> {
    blocks: Vec<(D::Matrix, Option<BlockSaved<D>>)>,
}

/// Blocks one after the other.
pub struct Stack<D: Device> {
    /// The name of the stack in messages.
    pub name: &'static str,
    /// The blocks.
    pub blocks: Vec<Block<D>>,
}

impl<D: Device> Stack<D> {
    /// What messages call block `i`.
    pub fn layer(&self, i: usize) -> String {
        format!("{} layer {i}", self.name)
    }

    /// Runs every block. `sequence(i)` says how block i's rows attend. With `check`, the first block whose output is not
    /// finite is an error that names it.
    ///
    /// # Errors
    /// When sizes do not fit, and as `check` says.
    pub fn forward<'a>(
        &self,
        device: &D,
        mut x: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, Kept<D>)> {
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for (i, block) in self.blocks.iter().enumerate() {
            let (y, saved) = block.forward(device, &x, &sequence(i))?;
            if check {
                require_finite(device, &y, || self.layer(i))?;
            }
            match keep {
                Keep::Nothing => {}
                Keep::Inputs => blocks.push((x, None)),
                Keep::Everything => blocks.push((x, Some(saved))),
            }
            x = y;
        }
        Ok((x, Kept { blocks }))
    }

    /// dx of the whole stack.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp<'a>(
        &self,
        device: &D,
        kept: Kept<D>,
        mut dy: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
    ) -> Result<D::Matrix> {
        for ((i, block), (x, saved)) in self.blocks.iter().enumerate().zip(kept.blocks).rev() {
            let sequence = sequence(i);
            let saved = match saved {
                Some(saved) => saved,
                None => block.forward(device, &x, &sequence)?.1,
            };
            dy = block.vjp(device, &x, saved, dy, &sequence)?;
        }
        Ok(dy)
    }
}

//! A stack of blocks, with its activations kept or made anew.

use super::{Between, Block, BlockSaved, Result, Sequence, require_finite};
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

/// What a block saved, and what happened behind it.
pub struct StepSaved<D: Device, B: Between<D>> {
    /// The block's.
    pub block: BlockSaved<D>,
    behind: Option<B::Saved>,
}

/// What a forward pass kept, block by block.
pub struct Kept<D: Device, B: Between<D>> {
    blocks: Vec<StepKept<D, B>>,
}

/// A block's input, and what it saved where that is kept.
struct StepKept<D: Device, B: Between<D>> {
    x: D::Matrix,
    saved: Option<StepSaved<D, B>>,
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

    /// Block `i` and what comes behind it.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub(crate) fn step<B: Between<D>>(
        &self,
        device: &D,
        i: usize,
        x: &D::Matrix,
        sequence: &Sequence<D>,
        between: &B,
    ) -> Result<(D::Matrix, StepSaved<D, B>)> {
        let (y, block) = self.blocks[i].forward(device, x, sequence)?;
        let (y, behind) = match between.changes(i) {
            false => (y, None),
            true => {
                let (y, behind) = between.forward(device, i, y)?;
                (y, Some(behind))
            }
        };
        Ok((y, StepSaved { block, behind }))
    }

    /// Runs every block. `sequence(i)` says how block i's rows attend. With `check`, the first block whose output is not
    /// finite is an error that names it.
    ///
    /// # Errors
    /// When sizes do not fit, and as `check` says.
    pub fn forward<'a, B: Between<D>>(
        &self,
        device: &D,
        mut x: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        between: &B,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, Kept<D, B>)> {
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for i in 0..self.blocks.len() {
            let (y, saved) = self.step(device, i, &x, &sequence(i), between)?;
            if check {
                require_finite(device, &y, || self.layer(i))?;
            }
            match keep {
                Keep::Nothing => {}
                Keep::Inputs => blocks.push(StepKept { x, saved: None }),
                Keep::Everything => blocks.push(StepKept {
                    x,
                    saved: Some(saved),
                }),
            }
            x = y;
        }
        Ok((x, Kept { blocks }))
    }

    /// dx of the whole stack. Gradients of what `between` reads beside the rows are added to `gradients`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp<'a, B: Between<D>>(
        &self,
        device: &D,
        kept: Kept<D, B>,
        mut dy: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        between: &B,
        gradients: &mut B::Gradients,
    ) -> Result<D::Matrix> {
        for ((i, block), StepKept { x, saved }) in
            self.blocks.iter().enumerate().zip(kept.blocks).rev()
        {
            let sequence = sequence(i);
            let StepSaved {
                block: saved,
                behind,
            } = match saved {
                Some(saved) => saved,
                None => self.step(device, i, &x, &sequence, between)?.1,
            };
            if let Some(behind) = behind {
                dy = between.vjp(device, i, behind, dy, gradients)?;
            }
            dy = block.vjp(device, &x, saved, dy, &sequence)?;
        }
        Ok(dy)
    }
}

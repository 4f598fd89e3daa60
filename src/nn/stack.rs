//! A stack of blocks, with its activations saved or computed again.

use super::{
    AttentionValues, Block, BlockHook, BlockSaved, NoWatch, Result, Sequence, Site, Watch,
    require_finite,
};
use crate::device::Device;

/// Which activations a forward pass saves for the vjp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checkpointing {
    /// Nothing: there will be no vjp.
    Nothing,
    /// Each block's input; the vjp runs the block forward again.
    Inputs,
    /// All that the vjp needs.
    Everything,
}

/// Activations that a block and the hook after it saved.
pub struct StepSaved<D: Device, B: BlockHook<D> + ?Sized> {
    /// The block's.
    pub block: BlockSaved<D>,
    hook: Option<B::Saved>,
}

/// Activations that [`Stack::forward`] saved, block by block.
pub struct StackSaved<D: Device, B: BlockHook<D> + ?Sized> {
    blocks: Vec<BlockCheckpoint<D, B>>,
}

/// A block's input, and with [`Checkpointing::Everything`] what it saved.
struct BlockCheckpoint<D: Device, B: BlockHook<D> + ?Sized> {
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
    /// Returns the name of block `i` for messages.
    pub fn layer(&self, i: usize) -> String {
        format!("{} layer {i}", self.name)
    }

    /// Runs block `i` and the hook after it.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub(crate) fn step<B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        i: usize,
        x: &D::Matrix,
        sequence: &Sequence<D>,
        hook: &B,
    ) -> Result<(D::Matrix, StepSaved<D, B>)> {
        let (y, block) = self.blocks[i].forward(device, x, sequence)?;
        let (y, after) = match hook.changes(i) {
            false => (y, None),
            true => {
                let (y, after) = hook.forward(device, i, y)?;
                (y, Some(after))
            }
        };
        Ok((y, StepSaved { block, hook: after }))
    }

    /// Runs every block. `sequence(i)` says how block i's rows attend. With `check`, the first
    /// block whose output is not finite is an error that names it.
    ///
    /// # Errors
    /// When sizes do not fit, and as `check` says.
    pub fn forward<'a, B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        mut x: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        hook: &B,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(D::Matrix, StackSaved<D, B>)> {
        let mut blocks = Vec::with_capacity(self.blocks.len());
        for i in 0..self.blocks.len() {
            let (y, saved) = self.step(device, i, &x, &sequence(i), hook)?;
            if check {
                require_finite(device, &y, || self.layer(i))?;
            }
            match checkpointing {
                Checkpointing::Nothing => {}
                Checkpointing::Inputs => blocks.push(BlockCheckpoint { x, saved: None }),
                Checkpointing::Everything => blocks.push(BlockCheckpoint {
                    x,
                    saved: Some(saved),
                }),
            }
            x = y;
        }
        Ok((x, StackSaved { blocks }))
    }

    /// Returns dx of the whole stack. Gradients of what `hook` reads beside the rows are added to
    /// `gradients`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp<'a, B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        saved: StackSaved<D, B>,
        dy: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        hook: &B,
        gradients: &mut B::Gradients,
    ) -> Result<D::Matrix> {
        self.watched_vjp(device, saved, dy, sequence, (hook, gradients), &mut NoWatch)
    }

    /// [`Stack::vjp`], read by a watch. With [`Checkpointing::Everything`], the last hidden state
    /// is computed again for it.
    ///
    /// # Errors
    /// As [`Stack::vjp`], and those of the watch.
    pub fn watched_vjp<'a, B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        saved: StackSaved<D, B>,
        mut dy: D::Matrix,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        (hook, gradients): (&B, &mut B::Gradients),
        watch: &mut dyn Watch<D>,
    ) -> Result<D::Matrix> {
        let last = Site::HiddenState(saved.blocks.len());
        if let (true, Some((i, saved))) = (
            watch.wants(last),
            saved.blocks.iter().enumerate().next_back(),
        ) {
            let (y, _) = self.step(device, i, &saved.x, &sequence(i), hook)?;
            watch.see(device, last, &y, &dy)?;
        }
        // A state that the hook reads has its whole gradient after the hook's vjp.
        let mut read = None;
        for ((i, block), BlockCheckpoint { x, saved }) in
            self.blocks.iter().enumerate().zip(saved.blocks).rev()
        {
            let sequence = sequence(i);
            let StepSaved {
                block: saved,
                hook: after,
            } = match saved {
                Some(saved) => saved,
                None => self.step(device, i, &x, &sequence, hook)?.1,
            };
            if let Some(after) = after {
                dy = hook.vjp(device, i, after, dy, gradients)?;
            }
            if let Some(state) = read.take() {
                watch.see(device, Site::HiddenState(i + 1), &state, &dy)?;
            }
            dy = block.watched_vjp(device, &x, saved, dy, &sequence, (i, &mut *watch))?;
            if watch.wants(Site::HiddenState(i)) {
                match i > 0 && hook.reads(i - 1) {
                    true => read = Some(x),
                    false => watch.see(device, Site::HiddenState(i), &x, &dy)?,
                }
            }
        }
        Ok(dy)
    }

    /// Calls `each` with the number and the attention of every block of a batch of one sequence,
    /// the last block first, without gradients.
    ///
    /// # Errors
    /// When sizes do not fit, and errors of the device.
    pub fn attentions<'a, B: BlockHook<D> + ?Sized>(
        &self,
        device: &D,
        saved: StackSaved<D, B>,
        sequence: impl Fn(usize) -> Sequence<'a, D>,
        hook: &B,
        each: &mut dyn FnMut(usize, AttentionValues),
    ) -> Result<()> {
        for ((i, block), BlockCheckpoint { x, saved }) in
            self.blocks.iter().enumerate().zip(saved.blocks).rev()
        {
            let sequence = sequence(i);
            let saved = match saved {
                Some(saved) => saved,
                None => self.step(device, i, &x, &sequence, hook)?.1,
            };
            let attention = &saved.block.attention;
            let values = block.attention.values(device, attention, None, &sequence)?;
            each(i, values);
        }
        Ok(())
    }
}

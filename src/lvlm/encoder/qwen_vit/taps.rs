//! DeepStack (Meng et al., arXiv 2406.04334) in the encoder: features of some of its layers become
//! rows of the decoder too.

use std::cell::RefCell;
use std::sync::Arc;

use super::merger::{Merger, MergerSaved};
use crate::device::{Device, Matrix, Part};
use crate::nn::{BlockHook, Result};

/// The mergers between the encoder's layers, each with the number of the layer that it follows,
/// ascending.
pub(super) type DeepMergers<D> = Vec<(usize, Merger<D>)>;

/// Makes rows of the decoder after some layers, whose own output it leaves as it is.
pub(in crate::lvlm) struct Taps<D: Device> {
    mergers: Arc<DeepMergers<D>>,
    tapped: RefCell<Tapped<D>>,
}

/// What a pass through the layers takes or brings.
enum Tapped<D: Device> {
    /// Forward: the rows of every merger so far.
    Rows(Vec<D::Matrix>),
    /// Back: the gradients of the rows of every merger; `None` where the decoder did not read them.
    Gradients(Vec<Option<D::Matrix>>),
}

impl<D: Device> Taps<D> {
    /// Creates the hook of a forward pass.
    pub fn collecting(mergers: &Arc<DeepMergers<D>>) -> Taps<D> {
        Taps {
            mergers: Arc::clone(mergers),
            tapped: RefCell::new(Tapped::Rows(Vec::new())),
        }
    }

    /// Creates the hook of a vjp, given the gradients of what [`Taps::rows`] returned.
    pub fn with_gradients(
        mergers: &Arc<DeepMergers<D>>,
        gradients: Vec<Option<D::Matrix>>,
    ) -> Taps<D> {
        Taps {
            mergers: Arc::clone(mergers),
            tapped: RefCell::new(Tapped::Gradients(gradients)),
        }
    }

    /// Returns the rows that a forward pass made, merger by merger.
    pub fn rows(self) -> Vec<D::Matrix> {
        match self.tapped.into_inner() {
            Tapped::Rows(rows) => rows,
            Tapped::Gradients(_) => Vec::new(),
        }
    }

    fn after(&self, i: usize) -> Option<(usize, &Merger<D>)> {
        let mut mergers = self.mergers.iter().enumerate();
        mergers.find_map(|(n, (layer, merger))| (*layer == i).then_some((n, merger)))
    }
}

impl<D: Device> BlockHook<D> for Taps<D> {
    type Saved = Option<MergerSaved<D>>;
    type Gradients = ();

    fn changes(&self, i: usize) -> bool {
        self.after(i).is_some()
    }

    fn reads(&self, i: usize) -> bool {
        self.changes(i)
    }

    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, Self::Saved)> {
        let Some((_, merger)) = self.after(i) else {
            return Ok((x, None));
        };
        device.part(Part::Projector);
        // The next layer takes x, and the merger keeps its own for the vjp.
        let own = device.take_columns(&x, 0, x.columns())?;
        let (rows, saved) = merger.forward(device, own)?;
        device.part(Part::Vision);
        if let Tapped::Rows(all) = &mut *self.tapped.borrow_mut() {
            all.push(rows);
        }
        Ok((x, Some(saved)))
    }

    fn vjp(
        &self,
        device: &D,
        i: usize,
        saved: Self::Saved,
        dy: D::Matrix,
        (): &mut (),
    ) -> Result<D::Matrix> {
        let gradient = |n: usize| match &mut *self.tapped.borrow_mut() {
            Tapped::Gradients(all) => all.get_mut(n).and_then(Option::take),
            Tapped::Rows(_) => None,
        };
        let (Some((n, merger)), Some(saved)) = (self.after(i), saved) else {
            return Ok(dy);
        };
        let Some(d_rows) = gradient(n) else {
            return Ok(dy);
        };
        device.part(Part::Projector);
        let dx = merger.vjp(device, saved, d_rows, Some(dy))?;
        device.part(Part::Vision);
        Ok(dx)
    }
}

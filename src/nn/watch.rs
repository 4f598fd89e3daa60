//! Reading activations and their gradients while a stack's vjp passes them.

use super::{AttentionValues, Result};
use crate::device::{Device, Matrix, Real};

/// A place of a stack where a vjp has an activation and its gradient at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// The input of block i, and for the number of blocks the output of the last: `hidden_states[i]`
    /// of transformers.
    HiddenState(usize),
    /// The input of block i's perceptron: its second norm's output.
    MlpInput(usize),
}

/// Reads activations and their gradients during a stack's vjp, which goes from the last block to
/// the first.
pub trait Watch<D: Device> {
    /// Returns whether [`Watch::see`] is called for a site.
    fn wants(&self, site: Site) -> bool;
    /// Gets the activation of a site and its gradient, both `[batch * length, c]`.
    ///
    /// # Errors
    /// Those of the device.
    fn see(
        &mut self,
        device: &D,
        site: Site,
        value: &D::Matrix,
        gradient: &D::Matrix,
    ) -> Result<()>;
    /// Returns whether [`Watch::see_attention`] is called for every block.
    fn wants_attention(&self) -> bool {
        false
    }
    /// Gets the attention of block i of a batch of one sequence, with the gradient of its
    /// probabilities.
    fn see_attention(&mut self, _: usize, _: AttentionValues) {}
}

/// The watch that reads nothing.
pub struct NoWatch;

impl<D: Device> Watch<D> for NoWatch {
    fn wants(&self, _: Site) -> bool {
        false
    }

    fn see(&mut self, _: &D, _: Site, _: &D::Matrix, _: &D::Matrix) -> Result<()> {
        Ok(())
    }
}

/// Reads one site to the host.
#[derive(Debug)]
pub struct SiteWatch {
    site: Site,
    /// Columns, values and gradient of the site, once the vjp has passed it.
    pub seen: Option<(usize, Vec<f64>, Vec<f64>)>,
}

impl SiteWatch {
    /// Creates the watch of a site.
    pub fn new(site: Site) -> SiteWatch {
        SiteWatch { site, seen: None }
    }
}

impl<D: Device> Watch<D> for SiteWatch {
    fn wants(&self, site: Site) -> bool {
        site == self.site
    }

    fn see(&mut self, device: &D, _: Site, value: &D::Matrix, gradient: &D::Matrix) -> Result<()> {
        let read = |x: &D::Matrix| -> Result<Vec<f64>> {
            Ok(device.download(x)?.into_iter().map(Real::to_f64).collect())
        };
        self.seen = Some((value.columns(), read(value)?, read(gradient)?));
        Ok(())
    }
}

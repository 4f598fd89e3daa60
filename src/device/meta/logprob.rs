//! Costs of log-probabilities.

use super::meter::Held;
use super::{Meta, MetaMatrix, MetaWeight, tally};
use crate::blend::Score;
use crate::device::ops::Logits;
use crate::device::{LogProb, Result};

/// The scored rows, and the memory held for them.
#[derive(Debug)]
pub(crate) struct MetaLogits {
    rows: usize,
    /// Size of the projection.
    head: (usize, usize),
    _held: Held,
}

impl Logits for MetaLogits {
    fn rows(&self) -> usize {
        self.rows
    }
    fn are_of(&self, vocabulary: usize, hidden: usize) -> bool {
        self.head == (vocabulary, hidden)
    }
}

impl LogProb for Meta {
    /// The number of weights.
    type Weights = usize;
    /// The number of values.
    type Values = usize;
    type Logits = MetaLogits;

    fn weigh(&self, weights: &[f64], _: Score) -> Result<usize> {
        Ok(weights.len())
    }

    fn weight_count(&self, weights: &usize) -> usize {
        *weights
    }

    fn reweigh_impl(&self, _: &mut usize, _: &[f64]) -> Result<()> {
        Ok(())
    }

    fn log_probability_impl(
        &self,
        x: &MetaMatrix,
        head: &MetaWeight,
        targets: &[u32],
    ) -> Result<(usize, MetaLogits)> {
        let (rows, hidden, vocabulary) = (x.rows, head.inside, head.out);
        let cost = tally::log_probability(rows, hidden, vocabulary);
        self.meter.count(cost);
        // Devices that do not recompute the logits keep them whole.
        let held = self.hold(4 * rows * vocabulary + self.element * rows * hidden);
        Ok((
            targets.len(),
            MetaLogits {
                rows,
                head: (vocabulary, hidden),
                _held: held,
            },
        ))
    }

    fn values(&self, values: &usize) -> Result<Vec<f64>> {
        Ok(vec![0.0; *values])
    }

    fn log_probability_vjp_impl(
        &self,
        logits: MetaLogits,
        head: &MetaWeight,
        _: &[u32],
        _: &usize,
    ) -> Result<MetaMatrix> {
        let rows = logits.rows;
        let cost = tally::log_probability_vjp(rows, head.inside, head.out);
        self.meter.count(cost);
        drop(self.hold(self.element * rows * head.out));
        Ok(self.matrix(rows, head.inside))
    }

    fn logits_impl(&self, x: &MetaMatrix, head: &MetaWeight) -> Result<Vec<f32>> {
        self.meter
            .count(tally::logits(x.rows, head.inside, head.out));
        Ok(vec![0.0; x.rows * head.out])
    }
}

//! Launches of `kernels/logprob.cu` over chunks of the vocabulary.

use std::sync::Arc;

use super::Cuda;
use super::blend::floats;
use super::interface::logprob::{LogprobArguments, RoundArguments, THREADS};
use super::memory::{CudaMatrix, CudaWeight};
use super::pool::Buffer;
use super::staging::Staged;
use crate::blend::Score;
use crate::device::ops::Logits;
use crate::device::{LogProb, Memory, Result};

/// Tokens of the vocabulary per chunk; the same for every batch, so that sums have a fixed order.
const CHUNK: usize = 16384;

/// Log-probabilities on the GPU, f32.
pub struct CudaValues {
    buffer: Buffer,
    rows: usize,
}

/// The state that the vjp of scores needs: the rows that were projected, and each row's target
/// logit and softmax sum of the others. The logits are recomputed, chunk by chunk.
pub struct CudaLogits {
    x: CudaMatrix,
    state: Buffer,
}

/// A score, and one weight per row, f32, at a fixed address.
pub struct CudaWeights {
    staged: Staged,
    rows: usize,
    score: Score,
}

impl Cuda {
    fn targets(&self, targets: &[u32]) -> Result<Arc<Buffer>> {
        self.gpu
            .indices("targets", targets.iter().map(|&t| t as usize))
    }

    /// Calls `each(first token, number of tokens)` for every chunk of the vocabulary.
    fn over_chunks(
        vocabulary: usize,
        mut each: impl FnMut(usize, usize) -> Result<()>,
    ) -> Result<()> {
        (0..vocabulary)
            .step_by(CHUNK)
            .try_for_each(|start| each(start, CHUNK.min(vocabulary - start)))
    }
}

impl Logits for CudaLogits {
    fn rows(&self) -> usize {
        self.x.rows
    }
    fn are_of(&self, _: usize, hidden: usize) -> bool {
        self.x.columns == hidden
    }
}

impl LogProb for Cuda {
    type Weights = CudaWeights;
    type Values = CudaValues;
    type Logits = CudaLogits;

    fn weigh(&self, weights: &[f64], score: Score) -> Result<CudaWeights> {
        Ok(CudaWeights {
            staged: self.gpu.stage(&floats(weights.iter().copied()))?,
            rows: weights.len(),
            score,
        })
    }

    fn weight_count(&self, weights: &CudaWeights) -> usize {
        weights.rows
    }

    fn reweigh_impl(&self, place: &mut CudaWeights, weights: &[f64]) -> Result<()> {
        self.gpu
            .restage(&mut place.staged, &floats(weights.iter().copied()))
    }

    fn log_probability_impl(
        &self,
        x: &CudaMatrix,
        head: &CudaWeight,
        targets: &[u32],
    ) -> Result<(CudaValues, CudaLogits)> {
        let targets = self.targets(targets)?;
        let state = self.gpu.buffer(x.rows * 3 * 4)?;
        let values = self.gpu.buffer(x.rows * 4)?;
        let logits = self.gpu.statistics(x.rows, CHUNK.min(head.rows))?;
        let arguments = LogprobArguments {
            logits: logits.address(),
            targets: targets.address(),
            state: state.address(),
            values: values.address(),
            rows: self.number(x.rows)?,
            ..LogprobArguments::default()
        };
        Self::over_chunks(head.rows, |start, chunk| {
            self.project(x, head, start, chunk, logits.address())?;
            let arguments = LogprobArguments {
                start: self.number(start)?,
                chunk: self.number(chunk)?,
                ..arguments
            };
            let grid = (x.rows, 1, 1);
            // SAFETY: the chunk's logits were just computed; targets and state have one entry per
            // row.
            unsafe {
                self.gpu
                    .launch(("logprob", "logprob_chunk"), grid, THREADS, 0, &arguments)
            }
        })?;
        let blocks = (x.rows.div_ceil(THREADS), 1, 1);
        // SAFETY: values and state have one entry per row.
        unsafe {
            self.gpu
                .launch(("logprob", "logprob_value"), blocks, THREADS, 0, &arguments)
        }?;
        let values = CudaValues {
            buffer: values,
            rows: x.rows,
        };
        let logits = CudaLogits {
            x: x.share(),
            state,
        };
        Ok((values, logits))
    }

    fn values(&self, values: &CudaValues) -> Result<Vec<f64>> {
        let values = self.gpu.floats(&values.buffer, values.rows)?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    fn log_probability_vjp_impl(
        &self,
        logits: CudaLogits,
        head: &CudaWeight,
        targets: &[u32],
        weights: &CudaWeights,
    ) -> Result<CudaMatrix> {
        let x = &logits.x;
        let targets = self.targets(targets)?;
        let widest = CHUNK.min(head.rows);
        let chunk_logits = self.gpu.statistics(x.rows, widest)?;
        let slope = self.gpu.matrix(x.rows, widest)?;
        let sum = self.gpu.statistics(x.rows, x.columns)?;
        Self::over_chunks(head.rows, |start, chunk| {
            self.project(x, head, start, chunk, chunk_logits.address())?;
            let arguments = LogprobArguments {
                logits: chunk_logits.address(),
                targets: targets.address(),
                state: logits.state.address(),
                weights: weights.staged.address(),
                slope: slope.address(),
                odds: i32::from(weights.score == Score::LogOdds),
                start: self.number(start)?,
                chunk: self.number(chunk)?,
                ..LogprobArguments::default()
            };
            // SAFETY: as in `log_probability`; the slope is as large as the logits.
            unsafe {
                self.launch(
                    "logprob",
                    "logprob_slope",
                    (x.rows, 1, 1),
                    THREADS,
                    0,
                    &arguments,
                )
            }?;
            self.project_back(slope.address(), x.rows, head, start, chunk, sum.address())
        })?;
        let dx = self.gpu.matrix(x.rows, x.columns)?;
        let arguments = RoundArguments {
            x: sum.address(),
            y: dx.address(),
            count: dx.count() as i64,
        };
        let blocks = (dx.count().div_ceil(THREADS), 1, 1);
        // SAFETY: both matrices have `count` elements.
        unsafe { self.launch("logprob", "round", blocks, THREADS, 0, &arguments) }?;
        Ok(dx)
    }

    fn logits_impl(&self, x: &CudaMatrix, head: &CudaWeight) -> Result<Vec<f32>> {
        let logits = self.gpu.statistics(x.rows, head.rows)?;
        self.project(x, head, 0, head.rows, logits.address())?;
        self.download_statistics(&logits)
    }
}

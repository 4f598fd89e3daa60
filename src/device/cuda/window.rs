//! Launches of `kernels/window.cu`: attention with one query per sequence over few keys.

use std::sync::Arc;

use super::Cuda;
use super::attention::{Inputs, Saved};
use super::interface::window::{NARROW, THREADS, WARP, WIDE, WindowArguments};
use super::memory::{CudaMatrix, CudaStatistics};
use super::pool::Buffer;
use crate::device::ops::AttentionInputs;
use crate::device::{AttentionShape, DeviceError, Matrix, Result, Visible};

/// Dynamic shared memory that every GPU provides to a block, in bytes.
const SHARED: usize = 48 << 10;

/// Returns the name and the threads of the team that computes a head's row.
fn team(head_dim: usize) -> (&'static str, usize) {
    let packs = if head_dim.is_multiple_of(8) {
        head_dim / 8
    } else {
        head_dim
    };
    if packs <= NARROW {
        ("narrow", WARP)
    } else if packs <= WIDE {
        ("wide", WARP)
    } else {
        ("block", THREADS)
    }
}

/// Returns the shared memory of a block whose teams each hold `numbers` per key.
fn shared(shape: &AttentionShape, numbers: usize) -> usize {
    THREADS / team(shape.head_dim).1 * numbers * shape.keys * 4
}

/// Returns the numbers per key that a team of the vjp holds.
fn vjp_numbers(shape: &AttentionShape) -> usize {
    2 * shape.heads / shape.kv_heads.max(1)
}

/// Checks whether the kernels for windows compute an attention.
///
/// # Errors
/// [`DeviceError::Unsupported`] for a mask that they cannot compute, since no other kernels can.
pub(super) fn takes(shape: &AttentionShape) -> Result<bool> {
    let fits = shared(shape, vjp_numbers(shape)) <= SHARED;
    if !fits && matches!(shape.visible, Visible::Masked(_)) {
        return Err(DeviceError::Unsupported {
            operation: "attention: mask",
            expected: format!("{SHARED} bytes for the scores of a block"),
            found: format!("{shape:?}"),
        });
    }
    Ok(shape.is_window() && fits)
}

impl Cuda {
    /// Returns the arguments that forward and vjp share, and the table of visible keys.
    fn window_arguments(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
    ) -> Result<(WindowArguments, Option<Arc<Buffer>>)> {
        let (s, AttentionInputs { q, k, v, .. }) = (shape, inputs);
        let (seen, period) = match &s.visible {
            Visible::Masked(seen) => {
                let bits = seen.chunks(64).map(|chunk| {
                    let set = |word, (bit, &seen): (usize, &bool)| word | u64::from(seen) << bit;
                    chunk.iter().enumerate().fold(0, set)
                });
                let key = bits.chain([seen.len() as u64]).collect();
                let bytes = || seen.iter().map(|&seen| u8::from(seen)).collect();
                let table = self.gpu.constant(("keys seen", key), bytes)?;
                (Some(table), seen.len() / s.keys)
            }
            _ => (None, 1),
        };
        let arguments = WindowArguments {
            q: q.address(),
            k: k.address(),
            v: v.address(),
            seen: seen.as_ref().map_or(0, |table| table.address()),
            batch: self.number(s.batch)?,
            keys: self.number(s.keys)?,
            heads: self.number(s.heads)?,
            kv_heads: self.number(s.kv_heads)?,
            d: self.number(s.head_dim)?,
            period: self.number(period)?,
            scale: s.scale() as f32,
            ..WindowArguments::default()
        };
        self.number(s.batch * s.heads)?;
        Ok((arguments, seen))
    }

    /// Launches the kernel for `teams` rows of heads that each hold `numbers` per key.
    fn over_windows(
        &self,
        name: &str,
        shape: &AttentionShape,
        teams: usize,
        numbers: usize,
        arguments: &WindowArguments,
    ) -> Result<()> {
        let (team, threads) = team(shape.head_dim);
        let blocks = (teams.div_ceil(THREADS / threads), 1, 1);
        let (name, shared) = (format!("{name}_{team}"), shared(shape, numbers));
        // SAFETY: the trait checked the shapes.
        unsafe { self.launch("window", &name, blocks, THREADS, shared, arguments) }
    }

    /// Computes [`Attention::attention`](crate::device::Attention::attention) of windows.
    pub(super) fn window(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        let (arguments, _seen) = self.window_arguments(shape, inputs)?;
        let (rows, columns) = inputs.q.shape();
        let out = self.gpu.matrix(rows, columns)?;
        let lse = self.gpu.statistics(rows, shape.heads)?;
        let arguments = WindowArguments {
            out: out.address(),
            lse: lse.address(),
            ..arguments
        };
        self.over_windows("window", shape, shape.batch * shape.heads, 1, &arguments)?;
        Ok((out, lse))
    }

    /// Computes [`Attention::attention_vjp`](crate::device::Attention::attention_vjp) of windows.
    pub(super) fn window_vjp(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
        saved: &Saved,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        let (arguments, _seen) = self.window_arguments(shape, inputs)?;
        let AttentionInputs { q, k, v, .. } = inputs;
        let [dq, dk, dv] = [q, k, v].map(|x| self.gpu.matrix(x.rows, x.columns));
        let (dq, dk, dv) = (dq?, dk?, dv?);
        let arguments = WindowArguments {
            out: saved.out.address(),
            lse: saved.lse.address(),
            dy: saved.dy.address(),
            dq: dq.address(),
            dk: dk.address(),
            dv: dv.address(),
            ..arguments
        };
        let (teams, numbers) = (shape.batch * shape.kv_heads, vjp_numbers(shape));
        self.over_windows("window_vjp", shape, teams, numbers, &arguments)?;
        Ok((dq, dk, dv))
    }
}

//! Launches of `kernels/attention.cu` and `kernels/attention_vjp.cu`.

use std::sync::Arc;

use cudarc::driver::DeviceRepr;

use super::memory::{CudaMatrix, CudaStatistics};
use super::pool::Buffer;
use super::{Cuda, window};
use crate::device::ops::{AttentionInputs, AttentionSaved};
use crate::device::{Attention, AttentionShape, DeviceError, Result, Visible};

/// `AttentionArguments` of the kernels.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Arguments {
    q: u64,
    k: u64,
    v: u64,
    prefix_k: u64,
    prefix_v: u64,
    places: u64,
    out: u64,
    lse: u64,
    dy: u64,
    delta: u64,
    dq: u64,
    dk: u64,
    dv: u64,
    batch: i32,
    queries: i32,
    keys: i32,
    prefix: i32,
    heads: i32,
    kv_heads: i32,
    d: i32,
    scale: f32,
}

// SAFETY: laid out as the kernels' struct.
unsafe impl DeviceRepr for Arguments {}

/// Threads per block of the kernels that work on tiles.
const THREADS: u32 = 128;
/// Rows and heads of a block of `attention_delta`.
const DELTA_ROWS: usize = 16;
/// The supported head sizes.
const SIZES: [usize; 5] = [32, 64, 96, 128, 256];

/// The operands.
pub(super) type Inputs<'a> = AttentionInputs<'a, CudaMatrix>;
/// Output, log-sum-exp and the gradient of the output.
pub(super) type Saved<'a> = AttentionSaved<'a, CudaMatrix, CudaStatistics>;

/// Returns the size that heads are widened to: a multiple of 8 columns, at least 16.
fn wide(head_dim: usize) -> usize {
    head_dim.next_multiple_of(8).max(16)
}

/// Operands with widened heads.
struct Widened {
    shape: AttentionShape,
    qkv: [CudaMatrix; 3],
    prefix: Option<(CudaMatrix, CudaMatrix)>,
}

impl Widened {
    fn inputs(&self) -> Inputs<'_> {
        let [q, k, v] = &self.qkv;
        let prefix = self.prefix.as_ref().map(|(k, v)| (k, v));
        AttentionInputs { q, k, v, prefix }
    }
}

impl Cuda {
    /// Returns the arguments that forward and vjp share, the head size of the kernel, and the table
    /// of positions.
    fn attention_arguments(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
    ) -> Result<(Arguments, usize, Option<Arc<Buffer>>)> {
        let (s, AttentionInputs { q, k, v, prefix }) = (shape, inputs);
        let Some(size) = SIZES.into_iter().find(|&size| size >= s.head_dim) else {
            return Err(DeviceError::Unsupported {
                operation: "attention",
                expected: "a head size of at most 256".into(),
                found: s.head_dim.to_string(),
            });
        };
        let places = match &s.visible {
            Visible::All | Visible::Masked(_) => None,
            Visible::Causal(places) => Some(self.gpu.indices("places", places.iter().copied())?),
        };
        let before = prefix.filter(|_| s.prefix > 0);
        let arguments = Arguments {
            q: q.address(),
            k: k.address(),
            v: v.address(),
            prefix_k: before.map_or(0, |p| p.0.address()),
            prefix_v: before.map_or(0, |p| p.1.address()),
            places: places.as_ref().map_or(0, |p| p.address()),
            batch: self.number(s.batch)?,
            queries: self.number(s.queries)?,
            keys: self.number(s.keys)?,
            prefix: self.number(s.prefix)?,
            heads: self.number(s.heads)?,
            kv_heads: self.number(s.kv_heads)?,
            d: self.number(s.head_dim)?,
            scale: scale as f32,
            ..Arguments::default()
        };
        Ok((arguments, size, places))
    }

    /// Widens heads with zeros if the kernels do not support their size.
    fn widen(&self, shape: &AttentionShape, inputs: Inputs) -> Result<Option<Widened>> {
        let AttentionInputs { q, k, v, prefix } = inputs;
        let (d, to) = (shape.head_dim, wide(shape.head_dim));
        if d == to {
            return Ok(None);
        }
        let widen = |x: &CudaMatrix| self.repad(x, d, to);
        Ok(Some(Widened {
            shape: AttentionShape {
                head_dim: to,
                ..shape.clone()
            },
            qkv: [widen(q)?, widen(k)?, widen(v)?],
            prefix: match prefix {
                Some((k, v)) => Some((widen(k)?, widen(v)?)),
                None => None,
            },
        }))
    }

    /// Computes attention at a head size that the kernels support.
    fn attention_at(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        let q = inputs.q;
        let (arguments, size, _places) = self.attention_arguments(shape, scale, inputs)?;
        let out = self.gpu.matrix(q.rows, q.columns)?;
        let lse = self.gpu.statistics(q.rows, shape.heads)?;
        let arguments = Arguments {
            out: out.address(),
            lse: lse.address(),
            ..arguments
        };
        let launch = forward_launch(size);
        let blocks = shape.batch * shape.heads * shape.queries.div_ceil(launch.rows);
        let name = format!("attention_{size}");
        // SAFETY: the trait checked the shapes.
        unsafe {
            self.launch(
                "attention",
                &name,
                (blocks, 1, 1),
                THREADS,
                launch.shared,
                &arguments,
            )
        }?;
        Ok((out, lse))
    }

    /// Computes the vjp at a head size that the kernels support.
    fn attention_vjp_at(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
        saved: &Saved,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        let AttentionInputs { q, k, v, .. } = inputs;
        let (arguments, size, _places) = self.attention_arguments(shape, scale, inputs)?;
        let delta = self.gpu.statistics(q.rows, shape.heads)?;
        let [dq, dk, dv] = [q, k, v].map(|x| self.gpu.matrix(x.rows, x.columns));
        let (dq, dk, dv) = (dq?, dk?, dv?);
        let arguments = Arguments {
            out: saved.out.address(),
            lse: saved.lse.address(),
            dy: saved.dy.address(),
            delta: delta.address(),
            dq: dq.address(),
            dk: dk.address(),
            dv: dv.address(),
            ..arguments
        };
        let launch = |name: &str, blocks, shared| {
            // SAFETY: the trait checked the shapes.
            unsafe {
                self.launch(
                    "attention_vjp",
                    name,
                    (blocks, 1, 1),
                    THREADS,
                    shared,
                    &arguments,
                )
            }
        };
        let delta_blocks = (q.rows * shape.heads).div_ceil(DELTA_ROWS);
        launch("attention_delta", delta_blocks, 0)?;
        let keys = dkdv_launch(size);
        let blocks = shape.batch * shape.kv_heads * shape.keys.div_ceil(keys.rows);
        // The widest heads use one block for dk and one for dv.
        let blocks = if size == 256 { 2 * blocks } else { blocks };
        launch(&format!("attention_dkdv_{size}"), blocks, keys.shared)?;
        let queries = dq_launch(size);
        let blocks = shape.batch * shape.heads * shape.queries.div_ceil(queries.rows);
        launch(&format!("attention_dq_{size}"), blocks, queries.shared)?;
        Ok((dq, dk, dv))
    }
}

impl Attention for Cuda {
    fn attention_impl(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
    ) -> Result<(CudaMatrix, CudaStatistics)> {
        if window::takes(shape)? {
            return self.window(shape, inputs);
        }
        let scale = shape.scale();
        let Some(w) = self.widen(shape, inputs)? else {
            return self.attention_at(shape, scale, inputs);
        };
        let (out, lse) = self.attention_at(&w.shape, scale, w.inputs())?;
        Ok((self.repad(&out, w.shape.head_dim, shape.head_dim)?, lse))
    }

    fn attention_vjp_impl(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
        saved: &Saved,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        if window::takes(shape)? {
            return self.window_vjp(shape, inputs, saved);
        }
        let (d, scale) = (shape.head_dim, shape.scale());
        let Some(w) = self.widen(shape, inputs)? else {
            return self.attention_vjp_at(shape, scale, inputs, saved);
        };
        let to = w.shape.head_dim;
        let (out, dy) = (self.repad(saved.out, d, to)?, self.repad(saved.dy, d, to)?);
        let saved = &AttentionSaved {
            out: &out,
            lse: saved.lse,
            dy: &dy,
        };
        let (dq, dk, dv) = self.attention_vjp_at(&w.shape, scale, w.inputs(), saved)?;
        let cut = |x: &CudaMatrix| self.repad(x, to, d);
        Ok((cut(&dq)?, cut(&dk)?, cut(&dv)?))
    }
}

/// Rows of a block's own tile, and its dynamic shared memory in bytes, by the kernels' contracts.
struct Launch {
    rows: usize,
    shared: usize,
}

fn forward_launch(size: usize) -> Launch {
    let rows = if size == 256 { 64 } else { 128 };
    Launch {
        rows,
        shared: 2 * size * (rows + 2 * 32),
    }
}

fn dkdv_launch(size: usize) -> Launch {
    let (rows, queries) = match size {
        32 | 64 => (128, 32),
        96 | 128 => (64, 32),
        _ => (64, 16),
    };
    Launch {
        rows,
        shared: 4 * size * (rows + 2 * queries) + 24 * queries,
    }
}

fn dq_launch(size: usize) -> Launch {
    let (rows, keys) = if size == 256 { (64, 16) } else { (128, 32) };
    Launch {
        rows,
        shared: 4 * size * (rows + 2 * keys),
    }
}

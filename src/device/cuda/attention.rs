//! Launches of `kernels/attention.cu` and `kernels/attention_vjp.cu`.

use std::sync::Arc;

use cudarc::driver::DeviceRepr;

use super::matrix::{CudaMatrix, Element};
use super::memory::Buffer;
use super::{Cuda, same, same_shape, window};
use crate::device::{AttentionShape, DeviceError, Result, Visible, contract};

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

/// Threads per block of the kernels that go over tiles.
const THREADS: u32 = 128;
/// Rows and heads that one block of `attention_delta` takes.
const DELTA_ROWS: usize = 16;
/// The head sizes that there are kernels for.
const SIZES: [usize; 5] = [32, 64, 96, 128, 256];

/// Queries, keys and values.
pub(super) type Inputs<'a> = (&'a CudaMatrix, &'a CudaMatrix, &'a CudaMatrix);

/// Keys and values that every sequence sees before its own.
type Prefix<'a> = Option<(&'a CudaMatrix, &'a CudaMatrix)>;

/// The size of heads that the kernels take: a multiple of 8 columns, at least 16.
fn wide(head_dim: usize) -> usize {
    head_dim.next_multiple_of(8).max(16)
}

/// Operands whose heads were widened.
struct Widened {
    shape: AttentionShape,
    qkv: [CudaMatrix; 3],
    prefix: Option<(CudaMatrix, CudaMatrix)>,
}

impl Widened {
    fn inputs(&self) -> Inputs<'_> {
        (&self.qkv[0], &self.qkv[1], &self.qkv[2])
    }

    fn prefix(&self) -> Prefix<'_> {
        self.prefix.as_ref().map(|(k, v)| (k, v))
    }
}

/// The operands against their shape.
fn check(shape: &AttentionShape, (q, k, v): Inputs, prefix: Prefix) -> Result<()> {
    let sizes = prefix.map(|(k, v)| (k.shape(), v.shape()));
    contract::attention(shape, q.shape(), k.shape(), v.shape(), sizes)
}

/// Out, its log-sum-exp and the gradient of out against q.
pub(super) fn saved_shapes(
    shape: &AttentionShape,
    q: &CudaMatrix,
    (out, lse, dy): Inputs,
) -> Result<()> {
    same_shape("attention_vjp: out", q.shape(), out)?;
    same_shape("attention_vjp: dy", q.shape(), dy)?;
    let rows = (q.rows, shape.heads);
    same("attention_vjp: lse", rows, Element::F32, lse)
}

impl Cuda {
    /// The arguments that forward and vjp share, the head size to run at, and the table of places.
    fn attention_arguments(
        &self,
        shape: &AttentionShape,
        scale: f64,
        (q, k, v): Inputs,
        prefix: Prefix,
    ) -> Result<(Arguments, usize, Option<Arc<Buffer>>)> {
        let s = shape;
        for x in [q, k, v] {
            same_shape("attention", x.shape(), x)?;
        }
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

    /// Widens heads with zeros where the kernels do not take their size.
    fn widen(
        &self,
        shape: &AttentionShape,
        (q, k, v): Inputs,
        prefix: Prefix,
    ) -> Result<Option<Widened>> {
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

    /// The contract is on `Device::attention`.
    pub(super) fn attend(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
        prefix: Prefix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        check(shape, inputs, prefix)?;
        if window::takes(shape)? {
            return self.attend_window(shape, inputs);
        }
        let scale = shape.scale();
        let Some(w) = self.widen(shape, inputs, prefix)? else {
            return self.attend_at(shape, scale, inputs, prefix);
        };
        let (out, lse) = self.attend_at(&w.shape, scale, w.inputs(), w.prefix())?;
        Ok((self.repad(&out, w.shape.head_dim, shape.head_dim)?, lse))
    }

    /// Attention at a head size that the kernels take.
    fn attend_at(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
        prefix: Prefix,
    ) -> Result<(CudaMatrix, CudaMatrix)> {
        let q = inputs.0;
        let (arguments, size, _places) = self.attention_arguments(shape, scale, inputs, prefix)?;
        let out = self.gpu.matrix(q.rows, q.columns, Element::Stored)?;
        let lse = self.gpu.matrix(q.rows, shape.heads, Element::F32)?;
        let arguments = Arguments {
            out: out.address(),
            lse: lse.address(),
            ..arguments
        };
        let launch = forward_launch(size);
        let blocks = shape.batch * shape.heads * shape.queries.div_ceil(launch.rows);
        let name = format!("attention_{size}");
        // SAFETY: the shapes were compared.
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

    /// The contract is on `Device::attention_vjp`; `saved` is out, its log-sum-exp and the gradient of out.
    pub(super) fn attend_vjp(
        &self,
        shape: &AttentionShape,
        inputs: Inputs,
        prefix: Prefix,
        saved: Inputs,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        check(shape, inputs, prefix)?;
        if window::takes(shape)? {
            return self.attend_window_vjp(shape, inputs, saved);
        }
        let (d, scale) = (shape.head_dim, shape.scale());
        let Some(w) = self.widen(shape, inputs, prefix)? else {
            return self.attend_vjp_at(shape, scale, inputs, prefix, saved);
        };
        let to = w.shape.head_dim;
        let (out, dy) = (self.repad(saved.0, d, to)?, self.repad(saved.2, d, to)?);
        let saved = (&out, saved.1, &dy);
        let (dq, dk, dv) = self.attend_vjp_at(&w.shape, scale, w.inputs(), w.prefix(), saved)?;
        let cut = |x: &CudaMatrix| self.repad(x, to, d);
        Ok((cut(&dq)?, cut(&dk)?, cut(&dv)?))
    }

    /// The vjp at a head size that the kernels take.
    fn attend_vjp_at(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
        prefix: Prefix,
        saved: Inputs,
    ) -> Result<(CudaMatrix, CudaMatrix, CudaMatrix)> {
        let ((q, k, v), (out, lse, dy)) = (inputs, saved);
        let (arguments, size, _places) = self.attention_arguments(shape, scale, inputs, prefix)?;
        saved_shapes(shape, q, saved)?;
        let delta = self.gpu.matrix(q.rows, shape.heads, Element::F32)?;
        let [dq, dk, dv] = [q, k, v].map(|x| self.gpu.matrix(x.rows, x.columns, Element::Stored));
        let (dq, dk, dv) = (dq?, dk?, dv?);
        let arguments = Arguments {
            out: out.address(),
            lse: lse.address(),
            dy: dy.address(),
            delta: delta.address(),
            dq: dq.address(),
            dk: dk.address(),
            dv: dv.address(),
            ..arguments
        };
        let launch = |name: &str, blocks, shared| {
            // SAFETY: the shapes were compared.
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
        // The widest heads take one block for dk and one for dv.
        let blocks = if size == 256 { 2 * blocks } else { blocks };
        launch(&format!("attention_dkdv_{size}"), blocks, keys.shared)?;
        let queries = dq_launch(size);
        let blocks = shape.batch * shape.heads * shape.queries.div_ceil(queries.rows);
        launch(&format!("attention_dq_{size}"), blocks, queries.shared)?;
        Ok((dq, dk, dv))
    }
}

/// Rows of a block's own tile, and its dynamic shared memory in bytes; as the kernels' contracts say.
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

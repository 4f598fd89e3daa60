//! Launches of `kernels/attention.cu` and `kernels/attention_vjp.cu`.

use std::sync::Arc;

use super::interface::attention::{self, AttentionArguments};
use super::interface::attention_vjp;
use super::memory::{CudaMatrix, CudaStatistics};
use super::pool::Buffer;
use super::{Cuda, window};
use crate::device::ops::{AttentionInputs, AttentionSaved};
use crate::device::{Attention, AttentionShape, DeviceError, Result, Visible};

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
    /// Returns the arguments that forward and vjp share, the place of the kernel's head size in
    /// [`attention::HEAD_SIZES`], and the table of positions.
    fn attention_arguments(
        &self,
        shape: &AttentionShape,
        scale: f64,
        inputs: Inputs,
    ) -> Result<(AttentionArguments, usize, Option<Arc<Buffer>>)> {
        let (s, AttentionInputs { q, k, v, prefix }) = (shape, inputs);
        let fits = |&size: &usize| size >= s.head_dim;
        let Some(place) = attention::HEAD_SIZES.iter().position(fits) else {
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
        let arguments = AttentionArguments {
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
            ..AttentionArguments::default()
        };
        Ok((arguments, place, places))
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
        let (arguments, place, _places) = self.attention_arguments(shape, scale, inputs)?;
        let out = self.gpu.matrix(q.rows, q.columns)?;
        let lse = self.gpu.statistics(q.rows, shape.heads)?;
        let arguments = AttentionArguments {
            out: out.address(),
            lse: lse.address(),
            ..arguments
        };
        let tiles = shape.queries.div_ceil(attention::QUERIES[place]);
        let blocks = shape.batch * shape.heads * tiles;
        let name = format!("attention_{}", attention::HEAD_SIZES[place]);
        // SAFETY: the trait checked the shapes.
        unsafe {
            self.launch(
                "attention",
                &name,
                (blocks, 1, 1),
                attention::THREADS,
                attention::SHARED_BYTES[place],
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
        let (arguments, place, _places) = self.attention_arguments(shape, scale, inputs)?;
        let delta = self.gpu.statistics(q.rows, shape.heads)?;
        let [dq, dk, dv] = [q, k, v].map(|x| self.gpu.matrix(x.rows, x.columns));
        let (dq, dk, dv) = (dq?, dk?, dv?);
        let arguments = AttentionArguments {
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
                    attention::THREADS,
                    shared,
                    &arguments,
                )
            }
        };
        let size = attention::HEAD_SIZES[place];
        let blocks = (q.rows * shape.heads).div_ceil(attention_vjp::DELTA_ROWS);
        launch("attention_delta", blocks, 0)?;
        let tiles = shape.keys.div_ceil(attention_vjp::DKDV_KEYS[place]);
        let blocks = shape.batch * shape.kv_heads * tiles * attention_vjp::DKDV_BLOCKS[place];
        let shared = attention_vjp::DKDV_SHARED_BYTES[place];
        launch(&format!("attention_dkdv_{size}"), blocks, shared)?;
        let tiles = shape.queries.div_ceil(attention_vjp::DQ_QUERIES[place]);
        let blocks = shape.batch * shape.heads * tiles;
        let shared = attention_vjp::DQ_SHARED_BYTES[place];
        launch(&format!("attention_dq_{size}"), blocks, shared)?;
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

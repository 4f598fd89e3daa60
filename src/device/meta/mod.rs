//! A device that computes nothing: it knows the sizes of matrices, and counts the costs and memory
//! of operations on them.
//!
//! Running a model on it shows which weights it loads, the cost of an evaluation, and the memory it
//! needs, before anything is computed and without a second description of the model's shapes.
//!
//! Operations are those of matrix products and attention, two per multiplication and addition.
//! Attention is counted by tiles of 32 queries and 32 keys, cut at the edges: a causal tile counts
//! whole if any of its queries sees any of its keys. The vjp of attention multiplies S, dP, dV and
//! dK once for the keys, and S, dP and dQ once for the queries; the prefix has no gradient and is
//! part of the latter only; with one query per sequence it multiplies all five once. The vjp of the
//! vocabulary projection recomputes its logits. Everything else (norms, activations, softmax,
//! blends) counts as bytes only.
//!
//! Bytes are those that operations read and write, each operand once per operation: weights once
//! per batch, activations of two bytes per element, statistics, logits and pictures of four. Data
//! that stay on the chip inside a fused operation are not counted; nor are masks, weights of
//! scores, and tables, which are small.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
mod logprob;
mod memory;
mod meter;
mod norm;
mod rows;
pub(crate) mod tally;

use std::sync::Arc;

use super::{Device, DeviceError, Part};
pub(crate) use memory::{MetaMatrix, MetaWeight};
pub(crate) use meter::Measured;
use meter::{Held, Meter};
pub use tally::{Parts, Tally};

/// The device. It counts the operations on its own matrices.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    meter: Arc<Meter>,
    /// Bytes of an activation element.
    element: usize,
}

impl Meta {
    /// Creates a device whose activations have `element` bytes.
    pub fn new(element: usize) -> Meta {
        Meta {
            meter: Arc::default(),
            element,
        }
    }

    /// Returns the device's counters.
    pub(crate) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Holds `count` bytes as long as the result lives.
    fn hold(&self, count: usize) -> Held {
        Meter::hold(&self.meter, count)
    }

    fn matrix(&self, rows: usize, columns: usize) -> MetaMatrix {
        self.meter.wide(rows);
        MetaMatrix {
            rows,
            columns,
            _held: self.hold(self.element * rows * columns),
        }
    }

    /// Creates a matrix of numbers that are f32 whatever the type of activations.
    fn statistics(&self, rows: usize, columns: usize) -> MetaMatrix {
        MetaMatrix {
            rows,
            columns,
            _held: self.hold(4 * rows * columns),
        }
    }

    /// Counts `times` matrices of the size of `x`, read or written.
    fn moved(&self, times: usize, x: &MetaMatrix) {
        self.meter.count(tally::moved(times * x.rows, x.columns));
    }
}

impl Device for Meta {
    type Recording<T: Send + Sync> = ();

    fn name(&self) -> String {
        "meta".into()
    }

    fn dtype(&self) -> &'static str {
        "none"
    }

    fn useful_rows(&self) -> usize {
        usize::MAX
    }

    fn replay<T, R, E>(
        &self,
        (): &mut (),
        mut work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        T: Send + Sync,
        E: From<DeviceError>,
    {
        read(&work()?)
    }

    fn part(&self, part: Part) {
        self.meter.part(part);
    }
}

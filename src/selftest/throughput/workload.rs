//! One operation at one shape: what it costs, how it is run, and how long that takes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::pool::Pool;
use crate::device::cpu::Cpu;
use crate::device::cuda::Cuda;
use crate::device::{Result, RowMap};
use crate::lvlm::{ModelDevice, Tally};

/// A device whose submitted work can be waited for.
pub trait Timed: ModelDevice<Host = f32> {
    /// Returns when all submitted work is done.
    ///
    /// # Errors
    /// What failed in that work.
    fn wait(&self) -> Result<()>;
}

impl Timed for Cpu<f32> {
    fn wait(&self) -> Result<()> {
        Ok(())
    }
}

impl Timed for Cuda {
    fn wait(&self) -> Result<()> {
        self.synchronize()
    }
}

/// What bounds an operation, and so what its rate is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Operations per second, with the matrix rate.
    Products,
    /// Bytes per second, with the copy bandwidth.
    Copies,
    /// Nothing: launches, waiting, or many small operations one after the other.
    Latency,
}

/// One operation at one shape.
pub struct Workload<'d> {
    /// The family, by the name of its kernel file.
    pub family: &'static str,
    /// The operation; with `/forward` or `/vjp` where there are both.
    pub name: String,
    /// The sizes that matter.
    pub shape: String,
    /// What it costs, counted as by [`crate::lvlm::Estimator`].
    pub cost: Tally,
    /// What bounds it.
    pub limit: Limit,
    /// The share of that bound which is aimed at.
    pub goal: Option<f64>,
    prepare: Box<dyn Fn() -> Result<Prepared<'d>> + 'd>,
}

impl<'d> Workload<'d> {
    /// A workload whose operands `prepare` puts on the device.
    pub(super) fn new(
        (family, name, shape): (&'static str, impl Into<String>, impl Into<String>),
        (limit, cost, goal): (Limit, Tally, Option<f64>),
        prepare: impl Fn() -> Result<Prepared<'d>> + 'd,
    ) -> Workload<'d> {
        Workload {
            family,
            name: name.into(),
            shape: shape.into(),
            cost,
            limit,
            goal,
            prepare: Box::new(prepare),
        }
    }

    /// Puts the operands on the device.
    ///
    /// # Errors
    /// What the device reports.
    pub fn prepare(&self) -> Result<Prepared<'d>> {
        (self.prepare)()
    }
}

/// A workload whose operands are there.
pub struct Prepared<'d>(Box<dyn FnMut(u64) -> Result<Duration> + 'd>);

/// Inputs that are ready before the clock starts.
const READY: u64 = 8;

impl<'d> Prepared<'d> {
    /// An operation that leaves its operands as they are.
    pub(super) fn repeating<D: Timed, T>(
        device: &'d D,
        mut operation: impl FnMut() -> Result<T> + 'd,
    ) -> Prepared<'d> {
        Prepared(Box::new(move |count| {
            device.wait()?;
            let start = Instant::now();
            for _ in 0..count {
                black_box(operation()?);
            }
            device.wait()?;
            Ok(start.elapsed())
        }))
    }

    /// An operation that takes an input away; making `input` is not timed. Both see `operands`.
    pub(super) fn taking<D: Timed, O: 'd, I, T>(
        device: &'d D,
        operands: O,
        input: impl Fn(&O) -> Result<I> + 'd,
        operation: impl Fn(&O, I) -> Result<T> + 'd,
    ) -> Prepared<'d> {
        Prepared(Box::new(move |count| {
            let (mut time, mut left) = (Duration::ZERO, count);
            while left > 0 {
                let ready = left.min(READY);
                let inputs: Vec<I> = (0..ready)
                    .map(|_| input(&operands))
                    .collect::<Result<_>>()?;
                device.wait()?;
                let start = Instant::now();
                for input in inputs {
                    black_box(operation(&operands, input)?);
                }
                device.wait()?;
                time += start.elapsed();
                left -= ready;
            }
            Ok(time)
        }))
    }

    /// How long `count` runs take, one after the other. A device that works in the background gets
    /// them all before they are waited for, as it gets the operations of a model: launches are
    /// hidden where the work is longer.
    ///
    /// # Errors
    /// What the device reports.
    pub fn time(&mut self, count: u64) -> Result<Duration> {
        (self.0)(count)
    }
}

/// Rows that are different from each other; further ones repeat them. A prime: no tile of a product
/// holds whole repetitions.
const ROWS: usize = 61;

/// Where workloads run, and what their operands are made from.
pub struct Operands<'d, D> {
    /// The device.
    pub device: &'d D,
    /// The weights' numbers; they must suffice for the largest.
    pub pool: &'d Pool,
}

impl<D> Clone for Operands<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Operands<'_, D> {}

impl<D: Timed> Operands<'_, D> {
    /// A matrix of values without structure in -1 to 1. A few rows are uploaded and repeated on the
    /// device: hundreds of megabytes would take longer than what they are for.
    pub(super) fn matrix(&self, rows: usize, columns: usize) -> Result<D::Matrix> {
        let few = rows.min(ROWS);
        let uploaded = self.device.upload(few, columns, &values(few * columns))?;
        if rows <= ROWS {
            return Ok(uploaded);
        }
        let map = RowMap::select(ROWS, (0..rows).map(|r| Some(r % ROWS)));
        self.device.mix_rows(&uploaded, &map, None)
    }

    /// A weight `[out, inside]`.
    pub(super) fn weight(&self, out: usize, inside: usize) -> Result<D::Weight> {
        // Two of as many numbers do not lie at the same place, which would make them one, as tied
        // weights are.
        let index = usize::from(out > inside);
        let shape = [out, inside];
        let tensor = self.pool.tensor("weight", &shape, index);
        self.device
            .weight(&tensor.ok_or_else(|| too_small(&shape))?)
    }

    /// A copy, made on the device.
    pub(super) fn copy(&self, x: &D::Matrix) -> Result<D::Matrix> {
        self.device.mix_rows(x, &RowMap::select(1, [Some(0)]), None)
    }
}

/// A pool that has too few numbers.
fn too_small(shape: &[usize]) -> crate::device::DeviceError {
    crate::device::DeviceError::Shape {
        operation: "weight",
        expected: format!("a pool of numbers for {shape:?}"),
        found: "a smaller one".into(),
    }
}

/// Values without structure, in -1 to 1.
pub(super) fn values(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

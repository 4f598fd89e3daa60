//! One operation at one shape: its cost, how to run it, and its time.

use std::hint::black_box;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::pool::Pool;
use crate::device::cpu::Cpu;
use crate::device::cuda::Cuda;
use crate::device::{Result, RowMap};
use crate::lvlm::{ModelDevice, Tally};

/// A device with a way to wait for submitted work.
pub trait Timed: ModelDevice<Host = f32> {
    /// Waits until all submitted work is done.
    ///
    /// # Errors
    /// Returns an error of that work.
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

/// The limit of an operation's speed, which its rate is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// Operations per second, compared with the matrix rate.
    Products,
    /// Bytes per second, compared with the copy bandwidth.
    Copies,
    /// Not compared: launches, waiting, or many small operations one after the other.
    Latency,
}

/// A performance goal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// At least this share of the measured rate.
    Share(f64),
    /// At most this time.
    Seconds(f64),
}

/// The name of a measurement.
#[derive(Clone, Debug)]
pub(super) struct Label {
    pub family: &'static str,
    /// The operation.
    pub name: String,
    /// The relevant sizes.
    pub shape: String,
}

impl Label {
    pub fn new(family: &'static str, name: impl Into<String>, shape: impl Into<String>) -> Label {
        Label {
            family,
            name: name.into(),
            shape: shape.into(),
        }
    }
}

/// The limit that a measured time is compared with, and the goal.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target {
    pub limit: Limit,
    pub cost: Tally,
    pub goal: Option<Goal>,
}

impl Target {
    /// Creates a target whose goal, if any, is a share of the limit.
    pub fn new(limit: Limit, cost: Tally, share: Option<f64>) -> Target {
        Target {
            limit,
            cost,
            goal: share.map(Goal::Share),
        }
    }
}

/// One operation at one shape.
pub struct Workload<'d> {
    /// The family, named after its kernel file.
    pub family: &'static str,
    /// The operation; with `/forward` or `/vjp` if it has both.
    pub name: String,
    /// The relevant sizes.
    pub shape: String,
    /// The cost, counted as by [`crate::lvlm::Estimator`].
    pub cost: Tally,
    /// The limit of its speed.
    pub limit: Limit,
    /// The goal, if any.
    pub goal: Option<Goal>,
    prepare: Box<dyn Fn() -> Result<Prepared<'d>> + 'd>,
}

impl<'d> Workload<'d> {
    /// Creates a workload whose operands `prepare` puts on the device.
    pub(super) fn new(
        label: Label,
        target: Target,
        prepare: impl Fn() -> Result<Prepared<'d>> + 'd,
    ) -> Workload<'d> {
        Workload {
            family: label.family,
            name: label.name,
            shape: label.shape,
            cost: target.cost,
            limit: target.limit,
            goal: target.goal,
            prepare: Box::new(prepare),
        }
    }

    /// Puts the operands on the device.
    ///
    /// # Errors
    /// Returns the device's errors.
    pub fn prepare(&self) -> Result<Prepared<'d>> {
        (self.prepare)()
    }
}

/// A workload with its operands on the device.
pub struct Prepared<'d>(Box<dyn FnMut(u64) -> Result<Duration> + 'd>);

/// Number of inputs that are prepared before the clock starts.
const READY: u64 = 8;

impl<'d> Prepared<'d> {
    /// Creates an operation that leaves its operands unchanged.
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

    /// Creates an operation that consumes an input; making `input` is not timed. Both receive
    /// `operands`.
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

    /// Returns the time of `count` runs, one after the other. An asynchronous device receives all
    /// of them before they are waited for, as it receives the operations of a model: launches are
    /// hidden if the work takes longer.
    ///
    /// # Errors
    /// Returns the device's errors.
    pub fn time(&mut self, count: u64) -> Result<Duration> {
        (self.0)(count)
    }
}

/// Number of distinct rows; further ones repeat them. A prime, so that no tile of a product holds
/// whole repetitions.
const ROWS: usize = 61;

/// The device of workloads, and the source of their operands.
pub struct Operands<'d, D> {
    /// The device.
    pub device: &'d D,
    /// The numbers of the weights; the pool must suffice for the largest.
    pub pool: &'d Pool,
}

impl<D> Clone for Operands<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Operands<'_, D> {}

impl<D: Timed> Operands<'_, D> {
    /// Returns a matrix of pseudorandom values in -1 to 1. A few rows are uploaded and repeated on
    /// the device: uploading hundreds of megabytes would take longer than the workloads.
    pub(super) fn matrix(&self, rows: usize, columns: usize) -> Result<D::Matrix> {
        let few = rows.min(ROWS);
        let uploaded = self.device.upload(few, columns, &values(few * columns))?;
        if rows <= ROWS {
            return Ok(uploaded);
        }
        let map = RowMap::select(ROWS, (0..rows).map(|r| Some(r % ROWS)));
        self.device.mix_rows(&uploaded, &map, None)
    }

    /// Returns a weight `[out, inside]`.
    pub(super) fn weight(&self, out: usize, inside: usize) -> Result<D::Weight> {
        // Two weights with equally many numbers must not start at the same place, which would make
        // them one, like tied weights.
        let index = usize::from(out > inside);
        let shape = [out, inside];
        let tensor = self.pool.tensor("weight", &shape, index);
        self.device
            .weight(&tensor.ok_or_else(|| too_small(&shape))?)
    }

    /// Returns a copy made on the device.
    pub(super) fn copy(&self, x: &D::Matrix) -> Result<D::Matrix> {
        self.device.mix_rows(x, &RowMap::select(1, [Some(0)]), None)
    }
}

/// Returns the error of a pool that has too few numbers.
fn too_small(shape: &[usize]) -> crate::device::DeviceError {
    crate::device::DeviceError::Shape {
        operation: "weight",
        expected: format!("a pool of numbers for {shape:?}"),
        found: "a smaller one".into(),
    }
}

/// Returns pseudorandom values in -1 to 1.
pub(super) fn values(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

//! Timing on any device, and the inputs of what is timed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{Bencher, BenchmarkGroup, Criterion};
use foveate::checkpoint::Tensor;
use foveate::device::{Device, Result, RowMap};
use foveate::{Cpu, Cuda};

use super::shapes::Shapes;

/// A device whose work can be waited for.
pub trait Timed: Device<Host = f32> {
    /// As it stands in the benches' names.
    fn label(&self) -> String;
    /// Returns when all work is done.
    fn wait(&self);
}

impl Timed for Cpu<f32> {
    fn label(&self) -> String {
        self.name()
    }

    fn wait(&self) {}
}

impl Timed for Cuda {
    fn label(&self) -> String {
        format!("{} {}", self.name(), self.storage())
    }

    fn wait(&self) {
        self.synchronize().expect("the GPU's work succeeds");
    }
}

/// The benches of a family: `family/device/model/operation`.
pub fn group<'c, D: Timed>(
    c: &'c mut Criterion,
    family: &str,
    device: &D,
    shapes: &Shapes,
) -> BenchmarkGroup<'c, WallTime> {
    c.benchmark_group(format!("{family}/{}/{}", device.label(), shapes.name))
}

/// Times an operation. A device that works in the background gets all of a sample's iterations before they are waited for, as it
/// gets the operations of a model: the launches are hidden where the work is longer.
pub fn time<D: Timed, T>(b: &mut Bencher, device: &D, mut operation: impl FnMut() -> Result<T>) {
    b.iter_custom(|iterations| {
        device.wait();
        let start = Instant::now();
        for _ in 0..iterations {
            black_box(operation().expect("the operation succeeds"));
        }
        device.wait();
        start.elapsed()
    });
}

/// Inputs that are ready before the clock starts.
const READY: u64 = 8;

/// Times an operation that takes its input away; `input` is not timed.
pub fn time_taking<D: Timed, I, T>(
    b: &mut Bencher,
    device: &D,
    mut input: impl FnMut() -> Result<I>,
    mut operation: impl FnMut(I) -> Result<T>,
) {
    b.iter_custom(|iterations| {
        let mut time = Duration::ZERO;
        let mut left = iterations;
        while left > 0 {
            let count = left.min(READY);
            let inputs: Result<Vec<I>> = (0..count).map(|_| input()).collect();
            let inputs = inputs.expect("the inputs can be made");
            device.wait();
            let start = Instant::now();
            for input in inputs {
                black_box(operation(input).expect("the operation succeeds"));
            }
            device.wait();
            time += start.elapsed();
            left -= count;
        }
        time
    });
}

/// Values without structure, in -1 to 1.
pub fn values(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A matrix of such values.
pub fn matrix<D: Timed>(device: &D, rows: usize, columns: usize) -> D::Matrix {
    device
        .upload(rows, columns, &values(rows * columns))
        .expect("the count is right")
}

/// A weight of such values.
pub fn weight<D: Timed>(device: &D, out: usize, inside: usize) -> D::Weight {
    let values = values(out * inside);
    device
        .weight(&Tensor::from_f32("weight", &[out, inside], &values))
        .expect("a matrix")
}

/// A copy, made on the device.
pub fn copy<D: Timed>(device: &D, x: &D::Matrix) -> Result<D::Matrix> {
    device.mix_rows(x, &RowMap::select(1, [Some(0)]), None)
}

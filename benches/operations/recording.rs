//! The second half of an encoder's block for one blend, done operation by operation and replayed: what launches cost; elements are
//! floating-point operations.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use foveate::device::{Device, Result};

use super::device::{Timed, group, matrix, time, weight};
use super::shapes::{Layers, Shapes};

/// The weights of a perceptron and of the norm before it, and its input.
struct Perceptron<D: Device> {
    x: D::Matrix,
    gain: D::Matrix,
    bias: D::Matrix,
    up: D::Weight,
    up_bias: D::Matrix,
    down: D::Weight,
    down_bias: D::Matrix,
}

impl<D: Timed> Perceptron<D> {
    fn new(device: &D, s: &Layers) -> Perceptron<D> {
        Perceptron {
            x: matrix(device, s.rows, s.columns),
            gain: matrix(device, 1, s.columns),
            bias: matrix(device, 1, s.columns),
            up: weight(device, s.inside, s.columns),
            up_bias: matrix(device, 1, s.inside),
            down: weight(device, s.columns, s.inside),
            down_bias: matrix(device, 1, s.columns),
        }
    }

    fn forward(&self, device: &D, s: &Layers) -> Result<D::Matrix> {
        let (h, _) = device.layer_norm(&self.x, &self.gain, &self.bias, 1e-5)?;
        let (_, h) = device.linear_activation(s.activation, &h, &self.up, Some(&self.up_bias))?;
        device.linear(&h, &self.down, Some(&self.down_bias), Some(&self.x))
    }
}

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "recording", device, shapes);
    let s = &shapes.encoder;
    let perceptron = LazyCell::new(|| Perceptron::new(device, s));
    group.throughput(Throughput::Elements(
        4 * (s.rows * s.columns * s.inside) as u64,
    ));
    group.bench_function("operation by operation", |b| {
        let perceptron = &*perceptron;
        time(b, device, || perceptron.forward(device, s));
    });
    let mut recording = D::Recording::default();
    group.bench_function("replayed", |b| {
        let perceptron = &*perceptron;
        let mut replay = || -> Result<()> {
            device.replay(&mut recording, || perceptron.forward(device, s))?;
            Ok(())
        };
        // The first is done operation by operation, the second is captured.
        for _ in 0..2 {
            replay().expect("sizes fit");
        }
        time(b, device, replay);
    });
    group.finish();
}

//! Workloads of the second half of an encoder's block for one blend, operation by operation and
//! replayed, which shows the cost of launches.

use super::shapes::{Layers, Shapes};
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally::{self, Linear};
use crate::device::prelude::*;
use crate::device::{DeviceError, Result};

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
    fn new(on: Operands<D>, s: &Layers) -> Result<Perceptron<D>> {
        Ok(Perceptron {
            x: on.matrix(s.rows, s.columns)?,
            gain: on.matrix(1, s.columns)?,
            bias: on.matrix(1, s.columns)?,
            up: on.weight(s.inside, s.columns)?,
            up_bias: on.matrix(1, s.inside)?,
            down: on.weight(s.columns, s.inside)?,
            down_bias: on.matrix(1, s.columns)?,
        })
    }

    fn forward(&self, device: &D, s: &Layers) -> Result<D::Matrix> {
        let (h, _) = device.layer_norm(&self.x, &self.gain, &self.bias, 1e-5)?;
        let (_, h) = device.linear_activation(s.activation, &h, &self.up, Some(&self.up_bias))?;
        device.linear(&h, &self.down, Some(&self.down_bias), Some(&self.x))
    }
}

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let s: &'static Layers = &shapes.encoder;
    let cost = tally::norm(s.rows, s.columns, true)
        + Linear::new(s.columns, s.inside, true).forward(s.rows, 1)
        + Linear::new(s.inside, s.columns, true).forward(s.rows, 1);
    let size = format!("{} x {} to {} and back", s.rows, s.columns, s.inside);
    vec![
        Workload::new(
            Label::new("recording", "operation by operation", size.clone()),
            Target::new(Limit::Latency, cost, None),
            move || {
                let perceptron = Perceptron::new(on, s)?;
                let run = move || perceptron.forward(on.device, s);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new("recording", "replayed", size),
            Target::new(Limit::Latency, cost, None),
            move || {
                let perceptron = Perceptron::new(on, s)?;
                let mut recording = D::Recording::default();
                let mut run = move || -> Result<()> {
                    let work = || perceptron.forward(on.device, s);
                    let read = |_: &D::Matrix| Ok::<_, DeviceError>(());
                    on.device.replay(&mut recording, work, read)
                };
                // The first run is done operation by operation, the second is captured.
                run()?;
                run()?;
                Ok(Prepared::repeating(on.device, run))
            },
        ),
    ]
}

//! Checks of activations and gates, of every kind.

use super::numbers::{Bench, Extent, FORWARD, VJP};
use crate::device::prelude::*;
use crate::device::{Activation, Result};

/// Every activation function.
pub(super) const KINDS: [Activation; 5] = [
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Silu,
    Activation::Relu,
];

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let shapes: &[(usize, usize)] = match bench.extent {
        Extent::Small => &[(1, 1), (3, 11), (2, 264)],
        Extent::Large => &[(1, 1), (3, 11), (577, 4096)],
    };
    let device = bench.device;
    for (&(rows, columns), kind) in shapes.iter().flat_map(|s| KINDS.map(|k| (s, k))) {
        let shape = format!("{kind} {rows} x {columns}");
        // A range that covers both tails.
        let values: Vec<f64> = bench.values(rows * columns);
        let wide = values.iter().map(|v| bench.round(v * 5.0)).collect();
        let x = bench.matrix_of(rows, columns, wide)?;
        let (up, dy) = (bench.matrix(rows, columns)?, bench.matrix(rows, columns)?);
        let on = |values: &[f64]| -> Result<D::Matrix> {
            let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            device.upload(rows, columns, &single)
        };
        let exact =
            |bench: &Bench<D>, values: &[f64]| bench.reference.upload(rows, columns, values);

        let y = device.activation(kind, &x.on)?;
        let reference = bench.reference.activation(kind, &x.exact)?;
        bench.compare_rounded(format!("activation {shape}"), &y, &reference, FORWARD)?;

        let dx = device.activation_vjp(kind, &x.on, on(&dy.values)?)?;
        let dy_exact = exact(bench, &dy.values)?;
        let reference = bench.reference.activation_vjp(kind, &x.exact, dy_exact)?;
        bench.compare_rounded(format!("activation_vjp {shape}"), &dx, &reference, VJP)?;

        let y = device.gate(kind, &x.on, &up.on)?;
        let reference = bench.reference.gate(kind, &x.exact, &up.exact)?;
        bench.compare_rounded(format!("gate {shape}"), &y, &reference, FORWARD)?;

        let (d_gate, d_up) = device.gate_vjp(kind, &x.on, &up.on, on(&dy.values)?)?;
        let dy_exact = exact(bench, &dy.values)?;
        let (gate, other) = bench
            .reference
            .gate_vjp(kind, &x.exact, &up.exact, dy_exact)?;
        bench.compare_rounded(format!("gate_vjp gate {shape}"), &d_gate, &gate, VJP)?;
        bench.compare_rounded(format!("gate_vjp up {shape}"), &d_up, &other, VJP)?;
    }
    Ok(())
}

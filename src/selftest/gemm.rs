//! Checks of linear layers, alone and with fused operations, at shapes that are not a multiple of
//! any tile.

use super::activation::KINDS;
use super::numbers::{Bench, Extent, FORWARD, Operand, VJP};
use crate::device::cpu::{Cpu, CpuMatrix};
use crate::device::prelude::*;
use crate::device::{Activation, Result};

/// Rows, outputs and inputs of a forward pass of 196 blocks of 128 x 128, more than cards have
/// multiprocessors, so that it takes the large tile. Few inputs keep it cheap.
const LARGE_FORWARD: (usize, usize, usize) = (1701, 1704, 40);
/// Likewise of a vjp.
const LARGE_VJP: (usize, usize, usize) = (1701, 40, 1704);

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    // Rows, outputs, inputs; 588 is the patch of 14 x 14.
    let shapes: &[(usize, usize, usize)] = match bench.extent {
        Extent::Small => &[
            (1, 1, 1),
            (5, 24, 588),
            (70, 33, 21),
            (67, 72, 40),
            (1, 136, 64),
        ],
        Extent::Large => &[
            (1, 1, 1),
            (1, 4096, 4096),
            (5, 24, 588),
            (577, 1024, 588),
            (1154, 1000, 1032),
            (301, 33, 21),
            (4096, 2048, 512),
            (4096, 512, 2048),
        ],
    };
    for (i, &shape) in shapes.iter().enumerate() {
        forward(bench, i, shape)?;
        vjp(bench, i, shape)?;
    }
    forward(bench, 0, LARGE_FORWARD)?;
    vjp(bench, 0, LARGE_VJP)?;
    rope(bench)?;
    rows_are_the_same_in_any_batch(bench)
}

/// Returns the activation of check `i`, and whether it has a bias.
fn turn(i: usize) -> (Activation, bool) {
    (KINDS[i % KINDS.len()], i.is_multiple_of(2))
}

fn forward<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    i: usize,
    (rows, out, inside): (usize, usize, usize),
) -> Result<()> {
    let shape = format!("{rows} x {inside} to {out}");
    let (kind, biased) = turn(i);
    let (x, weight) = (bench.matrix(rows, inside)?, bench.weight(out, inside)?);
    let (bias, residual) = (bench.matrix(1, out)?, bench.matrix(rows, out)?);
    let gate = bench.matrix(rows, out)?;
    let device = bench.device;

    let y = device.linear(&x.on, &weight.on, None, None)?;
    let exact = bench
        .reference
        .linear(&x.exact, &weight.exact, None, None)?;
    bench.compare_rounded(format!("linear {shape}"), &y, &exact, FORWARD)?;

    let (b, r) = (Some(&bias.on), Some(&residual.on));
    let y = device.linear(&x.on, &weight.on, b, r)?;
    let (b, r) = (Some(&bias.exact), Some(&residual.exact));
    let exact = bench.reference.linear(&x.exact, &weight.exact, b, r)?;
    let name = format!("linear + bias + residual {shape}");
    bench.compare_rounded(name, &y, &exact, FORWARD)?;

    let (on, at) = (biased.then_some(&bias.on), biased.then_some(&bias.exact));
    let shape = format!("{kind} {shape} bias {biased}");
    let (h, y) = device.linear_activation(kind, &x.on, &weight.on, on)?;
    let (h_exact, exact) = bench
        .reference
        .linear_activation(kind, &x.exact, &weight.exact, at)?;
    let name = format!("linear_activation h {shape}");
    bench.compare_rounded(name, &h, &h_exact, FORWARD)?;
    let name = format!("linear_activation {shape}");
    compare(bench, name, &y, &exact, &h_exact, FORWARD, |cpu, h| {
        cpu.activation(kind, &h)
    })?;

    let (u, y) = device.linear_gate(kind, &gate.on, &x.on, &weight.on, on)?;
    let (u_exact, exact) =
        bench
            .reference
            .linear_gate(kind, &gate.exact, &x.exact, &weight.exact, at)?;
    bench.compare_rounded(format!("linear_gate up {shape}"), &u, &u_exact, FORWARD)?;
    let name = format!("linear_gate {shape}");
    compare(bench, name, &y, &exact, &u_exact, FORWARD, |cpu, up| {
        cpu.gate(kind, &gate.exact, &up)
    })
}

fn vjp<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    i: usize,
    (rows, out, inside): (usize, usize, usize),
) -> Result<()> {
    let shape = format!("{rows} x {inside} to {out}");
    let (kind, _) = turn(i);
    let (dy, weight) = (bench.matrix(rows, out)?, bench.weight(out, inside)?);
    let onto = bench.matrix(rows, inside)?;
    let (gate, up) = (bench.matrix(rows, inside)?, bench.matrix(rows, inside)?);
    let device = bench.device;

    for added in [false, true] {
        let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
        let dx = device.linear_vjp(&dy.on, &weight.on, on)?;
        let exact = bench.reference.linear_vjp(&dy.exact, &weight.exact, at)?;
        bench.compare_rounded(format!("linear_vjp {shape} onto {added}"), &dx, &exact, VJP)?;
    }

    let shape = format!("{kind} {shape}");
    let dh = device.linear_vjp_activation(kind, &dy.on, &weight.on, &gate.on)?;
    let exact =
        bench
            .reference
            .linear_vjp_activation(kind, &dy.exact, &weight.exact, &gate.exact)?;
    let name = format!("linear_vjp_activation {shape}");
    let product = bench.reference.linear_vjp(&dy.exact, &weight.exact, None)?;
    compare(bench, name, &dh, &exact, &product, VJP, |cpu, dy| {
        cpu.activation_vjp(kind, &gate.exact, dy)
    })?;

    let (dg, du) = device.linear_vjp_gate(kind, &dy.on, &weight.on, &gate.on, &up.on)?;
    let (dg_exact, du_exact) =
        bench
            .reference
            .linear_vjp_gate(kind, &dy.exact, &weight.exact, &gate.exact, &up.exact)?;
    let name = format!("linear_vjp_gate gate {shape}");
    compare(bench, name, &dg, &dg_exact, &product, VJP, |cpu, dy| {
        Ok(cpu.gate_vjp(kind, &gate.exact, &up.exact, dy)?.0)
    })?;
    let name = format!("linear_vjp_gate up {shape}");
    compare(bench, name, &du, &du_exact, &product, VJP, |cpu, dy| {
        Ok(cpu.gate_vjp(kind, &gate.exact, &up.exact, dy)?.1)
    })
}

/// Compares the result of a product and its following operation with the reference's. The plain
/// computation rounds once if the device fuses them; otherwise it rounds the product before `next`.
fn compare<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    name: String,
    out: &D::Matrix,
    exact: &CpuMatrix<f64>,
    product: &CpuMatrix<f64>,
    factor: f64,
    next: impl FnOnce(&Cpu<f64>, CpuMatrix<f64>) -> Result<CpuMatrix<f64>>,
) -> Result<()> {
    if bench.fuses {
        return bench.compare_rounded(name, out, exact, factor);
    }
    let rounded = bench.rounded(&bench.exact(product)?);
    let cpu = &bench.reference;
    let rounded = cpu.upload(product.rows(), product.columns(), &rounded)?;
    let plain = bench.rounded(&bench.exact(&next(cpu, rounded)?)?);
    let (out, exact) = (bench.read(out)?, bench.exact(exact)?);
    bench.compare(name, &out, &plain, &exact, factor);
    Ok(())
}

/// Checks a linear layer followed by rotary positions, for heads that fit a tile and heads that do
/// not, with and without a bias.
fn rope<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let small = [16, 24, 64, 80, 128, 256].map(|head_dim| (2, 9, 2, head_dim, 40));
    // Heads that fit the small tile, in 196 blocks of the large one; rows that are not a multiple
    // of eight.
    let others = [(7, 243, 27, 64, 40), (2, 9, 2, 128, 36), (2, 9, 3, 2, 21)];
    let shapes = small.into_iter().chain(others);
    for (i, (sequences, length, heads, head_dim, inside)) in shapes.enumerate() {
        let (rows, out) = (sequences * length, heads * head_dim);
        let (x, weight) = (bench.matrix(rows, inside)?, bench.weight(out, inside)?);
        let bias = bench.matrix(1, out)?;
        let biased = (i / 2).is_multiple_of(2);
        let (given, given_exact) = (biased.then_some(&bias.on), biased.then_some(&bias.exact));
        let half = head_dim / 2;
        let frequencies: Vec<f64> = (0..half)
            .map(|i| 100f64.powf(-(i as f64) / half as f64))
            .collect();
        let positions: Vec<usize> = (0..length).map(|_| bench.below(300)).collect();
        let y = bench.device.linear_rope(
            &x.on,
            &weight.on,
            given,
            head_dim,
            &frequencies,
            &positions,
        )?;
        let exact = bench.reference.linear_rope(
            &x.exact,
            &weight.exact,
            given_exact,
            head_dim,
            &frequencies,
            &positions,
        )?;
        // The plain computation rounds the linear layer's output before the rotation.
        let cpu = &bench.reference;
        let linear = cpu.linear(&x.exact, &weight.exact, given_exact, None)?;
        let linear = bench.rounded(&bench.exact(&linear)?);
        let mut plain = cpu.upload(rows, out, &linear)?;
        cpu.rope(&mut plain, head_dim, &frequencies, &positions, false)?;
        let plain = bench.rounded(&bench.exact(&plain)?);
        let (out, exact) = (bench.read(&y)?, bench.exact(&exact)?);
        let name =
            format!("linear_rope {rows} x {inside}, {heads} heads of {head_dim} bias {biased}");
        bench.compare(name, &out, &plain, &exact, FORWARD);
    }
    Ok(())
}

/// Checks that a row's bits do not depend on the number of rows, though all rows use the large tile
/// and three rows the small one.
fn rows_are_the_same_in_any_batch<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let device = bench.device;
    let few = 3;
    // Sums of several steps, the last one incomplete.
    let (rows, wide, terms) = match bench.extent {
        Extent::Small => (1701, 1704, 72),
        Extent::Large => (4000, 1704, 1032),
    };
    let first = |bench: &Bench<D>, x: &Operand<D>, columns| {
        bench.matrix_of(few, columns, x.values[..few * columns].to_vec())
    };
    let (x, weight) = (bench.matrix(rows, terms)?, bench.weight(wide, terms)?);
    let part = first(bench, &x, terms)?;
    let whole = bench.read(&device.linear(&x.on, &weight.on, None, None)?)?;
    let part = bench.read(&device.linear(&part.on, &weight.on, None, None)?)?;
    let forward = whole[..few * wide] == part[..];

    let (dy, weight) = (bench.matrix(rows, terms)?, bench.weight(terms, wide)?);
    let part = first(bench, &dy, terms)?;
    let whole = bench.read(&device.linear_vjp(&dy.on, &weight.on, None)?)?;
    let part = bench.read(&device.linear_vjp(&part.on, &weight.on, None)?)?;
    let vjp = whole[..few * wide] == part[..];
    bench.require(
        "linear: the same bits of a row in any batch".into(),
        forward,
    );
    bench.require(
        "linear_vjp: the same bits of a row in any batch".into(),
        vjp,
    );
    Ok(())
}

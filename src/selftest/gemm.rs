//! Linear layers, alone and with what is fused to them, at shapes that are no multiple of any tile.

use super::activation::KINDS;
use super::numbers::{Bench, Extent, FORWARD, VJP};
use crate::device::{Device, Result};

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
        ],
    };
    for (i, &(rows, out, inside)) in shapes.iter().enumerate() {
        let shape = format!("{rows} x {inside} to {out}");
        let weight = bench.weight(out, inside)?;
        let (x, dy) = (bench.matrix(rows, inside)?, bench.matrix(rows, out)?);
        let (bias, residual, onto) = (
            bench.matrix(1, out)?,
            bench.matrix(rows, out)?,
            bench.matrix(rows, inside)?,
        );
        let (gate, up) = (bench.matrix(rows, inside)?, bench.matrix(rows, inside)?);
        let gate_out = bench.matrix(rows, out)?;
        let device = bench.device;
        let kind = KINDS[i % KINDS.len()];

        let y = device.linear(&x.on, &weight.on, None, None)?;
        let exact = bench
            .reference
            .linear(&x.exact, &weight.exact, None, None)?;
        bench.compare_rounded(format!("linear {shape}"), &y, &exact, FORWARD)?;

        let (b, r) = (Some(&bias.on), Some(&residual.on));
        let y = device.linear(&x.on, &weight.on, b, r)?;
        let (b, r) = (Some(&bias.exact), Some(&residual.exact));
        let exact = bench.reference.linear(&x.exact, &weight.exact, b, r)?;
        bench.compare_rounded(
            format!("linear + bias + residual {shape}"),
            &y,
            &exact,
            FORWARD,
        )?;

        for added in [false, true] {
            let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
            let dx = device.linear_vjp(&dy.on, &weight.on, on)?;
            let exact = bench.reference.linear_vjp(&dy.exact, &weight.exact, at)?;
            bench.compare_rounded(format!("linear_vjp {shape} onto {added}"), &dx, &exact, VJP)?;
        }

        let (h, y) = device.linear_activation(kind, &x.on, &weight.on, Some(&bias.on))?;
        let bias_exact = Some(&bias.exact);
        let (h_exact, exact) =
            bench
                .reference
                .linear_activation(kind, &x.exact, &weight.exact, bias_exact)?;
        bench.compare_rounded(
            format!("linear_activation h {shape}"),
            &h,
            &h_exact,
            FORWARD,
        )?;
        bench.compare_rounded(
            format!("linear_activation {kind} {shape}"),
            &y,
            &exact,
            FORWARD,
        )?;

        let dh = device.linear_vjp_activation(kind, &dy.on, &weight.on, &gate.on)?;
        let exact =
            bench
                .reference
                .linear_vjp_activation(kind, &dy.exact, &weight.exact, &gate.exact)?;
        bench.compare_rounded(
            format!("linear_vjp_activation {kind} {shape}"),
            &dh,
            &exact,
            VJP,
        )?;

        let (u, y) = device.linear_gate(kind, &gate_out.on, &x.on, &weight.on, None)?;
        let (u_exact, exact) =
            bench
                .reference
                .linear_gate(kind, &gate_out.exact, &x.exact, &weight.exact, None)?;
        bench.compare_rounded(format!("linear_gate up {shape}"), &u, &u_exact, FORWARD)?;
        bench.compare_rounded(format!("linear_gate {kind} {shape}"), &y, &exact, FORWARD)?;

        let (dg, du) = device.linear_vjp_gate(kind, &dy.on, &weight.on, &gate.on, &up.on)?;
        let (dg_exact, du_exact) = bench.reference.linear_vjp_gate(
            kind,
            &dy.exact,
            &weight.exact,
            &gate.exact,
            &up.exact,
        )?;
        bench.compare_rounded(
            format!("linear_vjp_gate gate {kind} {shape}"),
            &dg,
            &dg_exact,
            VJP,
        )?;
        bench.compare_rounded(
            format!("linear_vjp_gate up {kind} {shape}"),
            &du,
            &du_exact,
            VJP,
        )?;
    }
    rope(bench)?;
    rows_are_the_same_in_any_batch(bench)
}

/// A linear layer turned by rotary positions, for heads that fit a tile and heads that do not.
fn rope<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for head_dim in [16, 24, 64, 80, 128, 256] {
        let (sequences, length, heads, inside) = (2, 9, 2, 40);
        let (rows, out) = (sequences * length, heads * head_dim);
        let (x, weight) = (bench.matrix(rows, inside)?, bench.weight(out, inside)?);
        let half = head_dim / 2;
        let frequencies: Vec<f64> = (0..half)
            .map(|i| 100f64.powf(-(i as f64) / half as f64))
            .collect();
        let positions: Vec<usize> = (0..length).map(|_| bench.below(300)).collect();
        let y = bench.device.linear_rope(
            &x.on,
            &weight.on,
            None,
            head_dim,
            &frequencies,
            &positions,
        )?;
        let exact = bench.reference.linear_rope(
            &x.exact,
            &weight.exact,
            None,
            head_dim,
            &frequencies,
            &positions,
        )?;
        // Plainly, the linear layer's output is rounded before it is turned.
        let cpu = &bench.reference;
        let linear = cpu.linear(&x.exact, &weight.exact, None, None)?;
        let linear = bench.rounded(&bench.exact(&linear)?);
        let mut plain = cpu.upload(rows, out, &linear)?;
        cpu.rope(&mut plain, head_dim, &frequencies, &positions, false)?;
        let plain = bench.rounded(&bench.exact(&plain)?);
        let (out, exact) = (bench.read(&y)?, bench.exact(&exact)?);
        let name = format!("linear_rope heads of {head_dim}");
        bench.compare(name, &out, &plain, &exact, FORWARD);
    }
    Ok(())
}

/// A row's bits must not depend on how many rows there are, though products of different sizes take different tiles.
fn rows_are_the_same_in_any_batch<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let (rows, out, inside) = match bench.extent {
        Extent::Small => (200, 200, 72),
        Extent::Large => (4000, 1000, 1032),
    };
    let (x, weight) = (bench.matrix(rows, inside)?, bench.weight(out, inside)?);
    let whole = bench.read(&bench.device.linear(&x.on, &weight.on, None, None)?)?;
    let few: Vec<f32> = x.values[..3 * inside].iter().map(|&v| v as f32).collect();
    let few = bench.device.upload(3, inside, &few)?;
    let part = bench.read(&bench.device.linear(&few, &weight.on, None, None)?)?;
    bench.require(
        "linear: the same bits of a row in any batch".into(),
        whole[..3 * out] == part[..],
    );
    Ok(())
}

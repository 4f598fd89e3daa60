//! Checks of row rearrangements, embedding gather, rotary positions, and the detection of values
//! that are not finite.

use super::numbers::{Bench, FORWARD, VJP};
use crate::device::prelude::*;
use crate::device::{Result, RowMap};

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for columns in [1, 20, 64, 1096] {
        let (batch, inputs, outputs) = (3, 7, 11);
        let terms: Vec<Vec<(usize, f64)>> = (0..outputs)
            .map(|o| {
                (0..o % 4)
                    .map(|_| (bench.below(inputs), bench.values(1)[0]))
                    .collect()
            })
            .collect();
        let map = RowMap::new(inputs, terms);
        let (x, dy) = (
            bench.matrix(batch * inputs, columns)?,
            bench.matrix(batch * outputs, columns)?,
        );
        let (constant, onto) = (
            bench.matrix(outputs, columns)?,
            bench.matrix(batch * inputs, columns)?,
        );
        let device = bench.device;
        for added in [false, true] {
            let (on, at) = (
                added.then_some(&constant.on),
                added.then_some(&constant.exact),
            );
            let y = device.mix_rows(&x.on, &map, on)?;
            let exact = bench.reference.mix_rows(&x.exact, &map, at)?;
            let name = format!("mix_rows {columns} columns, constant {added}");
            bench.compare_rounded(name, &y, &exact, FORWARD)?;
            let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
            let dx = device.mix_rows_vjp(&dy.on, &map, on)?;
            let exact = bench.reference.mix_rows_vjp(&dy.exact, &map, at)?;
            let name = format!("mix_rows_vjp {columns} columns, onto {added}");
            bench.compare_rounded(name, &dx, &exact, VJP)?;
        }
        let table = bench.weight(13, columns)?;
        let ids: Vec<u32> = (0..9).map(|_| bench.below(13) as u32).collect();
        let y = device.gather(&table.on, &ids)?;
        let exact = bench.reference.gather(&table.exact, &ids)?;
        bench.compare_rounded(format!("gather {columns} columns"), &y, &exact, FORWARD)?;
        write(bench, columns)?;
    }
    rope(bench)?;
    finite(bench)
}

fn write<D: Device<Host = f32>>(bench: &mut Bench<D>, columns: usize) -> Result<()> {
    let (mut target, x) = (bench.matrix(6, columns)?, bench.matrix(2, columns)?);
    bench.device.write_rows(&mut target.on, 3, &x.on)?;
    let mut expected = target.values.clone();
    expected[3 * columns..5 * columns].copy_from_slice(&x.values);
    let found = bench.read(&target.on)?;
    bench.require(format!("write_rows {columns} columns"), found == expected);
    Ok(())
}

fn rope<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for (head_dim, inverse) in [
        (2, false),
        (16, true),
        (24, false),
        (80, true),
        (256, false),
    ] {
        let (sequences, length, heads) = (2, 5, 3);
        let mut x = bench.matrix(sequences * length, heads * head_dim)?;
        let frequencies: Vec<f64> = (0..head_dim / 2)
            .map(|i| 50f64.powf(-(i as f64) * 2.0 / head_dim as f64))
            .collect();
        let positions: Vec<usize> = (0..length).map(|_| bench.below(700)).collect();
        let device = bench.device;
        device.rope(&mut x.on, head_dim, &frequencies, &positions, inverse)?;
        let cpu = &bench.reference;
        cpu.rope(&mut x.exact, head_dim, &frequencies, &positions, inverse)?;
        let name = format!("rope heads of {head_dim}, inverse {inverse}");
        bench.compare_rounded(name, &x.on, &x.exact, FORWARD)?;
    }
    Ok(())
}

fn finite<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let (rows, columns) = (3, 1000);
    for (at, value) in [
        (None, 0.0),
        (Some(0), f64::NAN),
        (Some(2999), f64::INFINITY),
    ] {
        let mut values = bench.values(rows * columns);
        if let Some(at) = at {
            values[at] = value;
        }
        let x = bench.matrix_of(rows, columns, values)?;
        let found = bench.device.is_finite(&x.on)?;
        bench.require(format!("is_finite with {value}"), found == at.is_none());
    }
    Ok(())
}

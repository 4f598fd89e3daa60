//! Checks of joining, slicing and scaling columns; of sums, and of reshaping rows.

use super::numbers::{Bench, Extent, FORWARD};
use crate::device::Result;
use crate::device::prelude::*;

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let sizes: &[(usize, usize)] = match bench.extent {
        Extent::Small => &[(1, 1), (3, 20), (5, 264)],
        Extent::Large => &[(1, 1), (3, 20), (1000, 1536)],
    };
    for &(rows, columns) in sizes {
        scale(bench, rows, columns)?;
    }
    for widths in [vec![5], vec![3, 8, 1], vec![8, 264, 16]] {
        join(bench, &widths)?;
    }
    let x = bench.matrix(6, 20)?;
    let y = bench.device.reshape(x.on, 8)?;
    let same = (y.rows(), y.columns()) == (15, 8) && bench.read(&y)? == x.values;
    bench.require("reshape".into(), same);
    Ok(())
}

fn scale<D: Device<Host = f32>>(bench: &mut Bench<D>, rows: usize, columns: usize) -> Result<()> {
    let (x, onto) = (bench.matrix(rows, columns)?, bench.matrix(rows, columns)?);
    let gain = bench.matrix(1, columns)?;
    let (device, name) = (bench.device, format!("{rows} x {columns}"));
    for added in [false, true] {
        let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
        let y = device.scale_columns(&x.on, &gain.on, on)?;
        let exact = bench.reference.scale_columns(&x.exact, &gain.exact, at)?;
        let name = format!("scale_columns {name}, onto {added}");
        bench.compare_rounded(name, &y, &exact, FORWARD)?;
    }
    let y = device.add(&x.on, &onto.on)?;
    let exact = bench.reference.add(&x.exact, &onto.exact)?;
    bench.compare_rounded(format!("add {name}"), &y, &exact, FORWARD)
}

/// Checks that copies keep the bits.
fn join<D: Device<Host = f32>>(bench: &mut Bench<D>, widths: &[usize]) -> Result<()> {
    let parts = widths
        .iter()
        .map(|&width| bench.matrix(7, width))
        .collect::<Result<Vec<_>>>()?;
    let (on, exact): (Vec<_>, Vec<_>) = parts.iter().map(|part| (&part.on, &part.exact)).unzip();
    let y = bench.device.join_columns(&on)?;
    let expected = bench.reference.join_columns(&exact)?;
    let mut same = bench.read(&y)? == bench.exact(&expected)?;
    let mut from = 0;
    for (part, &width) in parts.iter().zip(widths) {
        let taken = bench.device.take_columns(&y, from, width)?;
        same &= bench.read(&taken)? == part.values;
        from += width;
    }
    bench.require(format!("columns joined and taken, {widths:?}"), same);
    Ok(())
}

//! Checks of depthwise convolution and its vjp: grids smaller than the kernel, of one tile and of
//! several, with packed and unpacked channels.

use super::numbers::{Bench, Extent, FORWARD, VJP};
use crate::device::prelude::*;
use crate::device::{DepthwiseShape, Result};

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    // Number of grids, height, width, kernel size, channels.
    let mut cases = vec![
        (2, 2, 3, 7, 8),
        (1, 17, 21, 7, 72),
        (2, 6, 5, 7, 3),
        (1, 9, 4, 3, 16),
        (2, 1, 7, 5, 1),
    ];
    if bench.extent == Extent::Large {
        cases.push((2, 64, 64, 7, 384));
        cases.push((3, 24, 40, 7, 136));
    }
    for (batch, height, width, size, channels) in cases {
        let shape = DepthwiseShape {
            height,
            width,
            size,
        };
        one(bench, batch, channels, shape)?;
    }
    Ok(())
}

fn one<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    batch: usize,
    channels: usize,
    shape: DepthwiseShape,
) -> Result<()> {
    let DepthwiseShape {
        height,
        width,
        size,
    } = shape;
    let rows = batch * height * width;
    let (x, dy, onto) = (
        bench.matrix(rows, channels)?,
        bench.matrix(rows, channels)?,
        bench.matrix(rows, channels)?,
    );
    let kernel = bench.matrix(size * size, channels)?;
    let bias = bench.matrix(1, channels)?;
    let name = format!("{batch} x {height} x {width} x {channels}, {size} x {size} taps");
    let device = bench.device;
    let y = device.depthwise(&x.on, &kernel.on, &bias.on, shape)?;
    let exact = bench
        .reference
        .depthwise(&x.exact, &kernel.exact, &bias.exact, shape)?;
    bench.compare_rounded(format!("depthwise {name}"), &y, &exact, FORWARD)?;
    for added in [false, true] {
        let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
        let dx = device.depthwise_vjp(&dy.on, &kernel.on, shape, on)?;
        let exact = bench
            .reference
            .depthwise_vjp(&dy.exact, &kernel.exact, shape, at)?;
        let name = format!("depthwise_vjp {name}, onto {added}");
        bench.compare_rounded(name, &dx, &exact, VJP)?;
    }

    // A grid's bits do not depend on other grids.
    let each = height * width;
    let last = x.values[(batch - 1) * each * channels..].to_vec();
    let last = bench.matrix_of(each, channels, last)?;
    let alone = device.depthwise(&last.on, &kernel.on, &bias.on, shape)?;
    let (all, alone) = (bench.read(&y)?, bench.read(&alone)?);
    let same = all[(batch - 1) * each * channels..] == alone[..];
    bench.require(format!("depthwise in any batch {name}"), same);
    Ok(())
}

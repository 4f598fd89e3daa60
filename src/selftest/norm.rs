//! Checks of norms, with and without a multiple of eight columns.

use super::numbers::{Bench, Extent, FORWARD, VJP};
use crate::device::Result;
use crate::device::prelude::*;

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let shapes: &[(usize, usize)] = match bench.extent {
        Extent::Small => &[(3, 5), (5, 64), (4, 77), (3, 1032)],
        Extent::Large => &[
            (3, 5),
            (577, 64),
            (301, 77),
            (700, 1024),
            (64, 4096),
            (9, 8200),
        ],
    };
    for &(rows, columns) in shapes {
        let shape = format!("{rows} x {columns}");
        let (x, dy, onto) = (
            bench.matrix(rows, columns)?,
            bench.matrix(rows, columns)?,
            bench.matrix(rows, columns)?,
        );
        let (gain, bias) = (bench.matrix(1, columns)?, bench.matrix(1, columns)?);
        let (device, eps) = (bench.device, 1e-5);

        let (y, statistics) = device.layer_norm(&x.on, &gain.on, &bias.on, eps)?;
        let (exact, exact_statistics) =
            bench
                .reference
                .layer_norm(&x.exact, &gain.exact, &bias.exact, eps)?;
        let (_, single) = bench.single.layer_norm(
            &bench.on_single(&x)?,
            &bench.on_single(&gain)?,
            &bench.on_single(&bias)?,
            eps,
        )?;
        bench.compare_rounded(format!("layer_norm {shape}"), &y, &exact, FORWARD)?;
        bench.compare_single(
            format!("layer_norm statistics {shape}"),
            &statistics,
            &single,
            &exact_statistics,
        )?;
        for added in [false, true] {
            let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
            let dx = device.layer_norm_vjp(&x.on, &statistics, &gain.on, &dy.on, on)?;
            let exact = bench.reference.layer_norm_vjp(
                &x.exact,
                &exact_statistics,
                &gain.exact,
                &dy.exact,
                at,
            )?;
            bench.compare_rounded(
                format!("layer_norm_vjp {shape} onto {added}"),
                &dx,
                &exact,
                VJP,
            )?;
        }

        let (y, statistics) = device.rms_norm(&x.on, &gain.on, eps)?;
        let (exact, exact_statistics) = bench.reference.rms_norm(&x.exact, &gain.exact, eps)?;
        bench.compare_rounded(format!("rms_norm {shape}"), &y, &exact, FORWARD)?;
        for added in [false, true] {
            let (on, at) = (added.then_some(&onto.on), added.then_some(&onto.exact));
            let dx = device.rms_norm_vjp(&x.on, &statistics, &gain.on, &dy.on, on)?;
            let exact = bench.reference.rms_norm_vjp(
                &x.exact,
                &exact_statistics,
                &gain.exact,
                &dy.exact,
                at,
            )?;
            bench.compare_rounded(
                format!("rms_norm_vjp {shape} onto {added}"),
                &dx,
                &exact,
                VJP,
            )?;
        }
    }
    Ok(())
}

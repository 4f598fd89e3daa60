//! Workloads of LayerNorm at the encoder's shape, and of RMSNorm at the decoder's.

use super::goals::COPIES;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally;

const EPS: f64 = 1e-5;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let encoder = (
        shapes.batch * shapes.encoder.rows,
        shapes.encoder.columns,
        true,
    );
    let decoder = (
        shapes.batch * shapes.decoder.rows,
        shapes.decoder.columns,
        false,
    );
    let forward = |(rows, columns, layer)| {
        let cost = tally::norm(rows, columns, layer);
        Target::new(Limit::Copies, cost, Some(COPIES))
    };
    let vjp = |(rows, columns, layer)| {
        let cost = tally::norm_vjp(rows, columns, layer, true);
        Target::new(Limit::Copies, cost, Some(COPIES))
    };
    let what = |name, (rows, columns, _)| Label::new("norm", name, format!("{rows} x {columns}"));
    vec![
        Workload::new(
            what("layer/forward", encoder),
            forward(encoder),
            move || {
                let (rows, columns, _) = encoder;
                let (x, gain) = (on.matrix(rows, columns)?, on.matrix(1, columns)?);
                let bias = on.matrix(1, columns)?;
                let run = move || on.device.layer_norm(&x, &gain, &bias, EPS);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(what("layer/vjp", encoder), vjp(encoder), move || {
            let (rows, columns, _) = encoder;
            let (x, gain) = (on.matrix(rows, columns)?, on.matrix(1, columns)?);
            let (dy, onto) = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            let (_, statistics) = on.device.layer_norm(&x, &gain, &gain, EPS)?;
            let run = move || {
                on.device
                    .layer_norm_vjp(&x, &statistics, &gain, &dy, Some(&onto))
            };
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("rms/forward", decoder), forward(decoder), move || {
            let (rows, columns, _) = decoder;
            let (x, gain) = (on.matrix(rows, columns)?, on.matrix(1, columns)?);
            let run = move || on.device.rms_norm(&x, &gain, EPS);
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("rms/vjp", decoder), vjp(decoder), move || {
            let (rows, columns, _) = decoder;
            let (x, gain) = (on.matrix(rows, columns)?, on.matrix(1, columns)?);
            let (dy, onto) = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            let (_, statistics) = on.device.rms_norm(&x, &gain, EPS)?;
            let run = move || {
                on.device
                    .rms_norm_vjp(&x, &statistics, &gain, &dy, Some(&onto))
            };
            Ok(Prepared::repeating(on.device, run))
        }),
    ]
}

//! Workloads of columns scaled onto a residual, joined, and sliced, at the encoder's shape.

use super::goals::COPIES;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let (rows, columns) = (shapes.batch * shapes.encoder.rows, shapes.encoder.columns);
    let what = |name| Label::new("columns", name, format!("{rows} x {columns}"));
    let moved = |count| {
        let cost = tally::moved(count * rows, columns);
        Target::new(Limit::Copies, cost, Some(COPIES))
    };
    vec![
        Workload::new(what("scaled onto"), moved(3), move || {
            let (x, onto) = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            let gain = on.matrix(1, columns)?;
            let run = move || on.device.scale_columns(&x, &gain, Some(&onto));
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("two joined"), moved(4), move || {
            let both = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            let run = move || on.device.join_columns(&[&both.0, &both.1]);
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("taken of two"), moved(2), move || {
            let x = on.matrix(rows, 2 * columns)?;
            let run = move || on.device.take_columns(&x, columns, columns);
            Ok(Prepared::repeating(on.device, run))
        }),
    ]
}

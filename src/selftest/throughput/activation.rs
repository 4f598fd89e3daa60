//! Workloads of every activation at the encoder's inner shape, and of the gate at the decoder's.

use super::goals::COPIES;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::Activation;
use crate::device::meta::tally;
use crate::lvlm::Tally;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let goal = |cost: Tally| Target::new(Limit::Copies, cost, Some(COPIES));
    let (rows, columns) = (shapes.batch * shapes.encoder.rows, shapes.encoder.inside);
    let size = format!("{rows} x {columns}");
    let mut all = Vec::new();
    for kind in [
        Activation::Gelu,
        Activation::GeluTanh,
        Activation::QuickGelu,
        Activation::Silu,
        Activation::Relu,
    ] {
        all.push(Workload::new(
            Label::new("activation", format!("{kind:?}/forward"), size.clone()),
            goal(tally::moved(2 * rows, columns)),
            move || {
                let x = on.matrix(rows, columns)?;
                let run = move || on.device.activation(kind, &x);
                Ok(Prepared::repeating(on.device, run))
            },
        ));
        all.push(Workload::new(
            Label::new("activation", format!("{kind:?}/vjp"), size.clone()),
            goal(tally::moved(3 * rows, columns)),
            move || {
                let x = on.matrix(rows, columns)?;
                Ok(Prepared::taking(
                    on.device,
                    x,
                    move |x| on.copy(x),
                    move |x, dy| on.device.activation_vjp(kind, x, dy),
                ))
            },
        ));
    }

    let (rows, columns) = (shapes.batch * shapes.decoder.rows, shapes.decoder.inside);
    let (size, kind) = (format!("{rows} x {columns}"), shapes.decoder.activation);
    all.push(Workload::new(
        Label::new("activation", "gate/forward", size.clone()),
        goal(tally::moved(3 * rows, columns)),
        move || {
            let (gate, up) = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            let run = move || on.device.gate(kind, &gate, &up);
            Ok(Prepared::repeating(on.device, run))
        },
    ));
    all.push(Workload::new(
        Label::new("activation", "gate/vjp", size),
        goal(tally::moved(5 * rows, columns)),
        move || {
            let both = (on.matrix(rows, columns)?, on.matrix(rows, columns)?);
            Ok(Prepared::taking(
                on.device,
                both,
                move |(_, up)| on.copy(up),
                move |(gate, up), dy| on.device.gate_vjp(kind, gate, up, dy),
            ))
        },
    ));
    all
}

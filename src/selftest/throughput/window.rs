//! Workloads of attention with one query per sequence over few keys.

use super::attention::Inputs;
use super::goals::WINDOW;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let shape = shapes.window();
    let what = |name| {
        let (batch, keys, heads, size) = (shape.batch, shape.keys, shape.heads, shape.head_dim);
        let sizes = format!("{batch} queries, {keys} keys, {heads} heads of {size}");
        Label::new("window", name, sizes)
    };
    let goal = |cost| Target::new(Limit::Copies, cost, Some(WINDOW));
    let forward = shape.clone();
    let back = shape.clone();
    vec![
        Workload::new(what("forward"), goal(tally::attention(&shape)), move || {
            let (inputs, shape) = (Inputs::new(on, &forward)?, forward.clone());
            let run = move || inputs.forward(on.device, &shape);
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("vjp"), goal(tally::window_vjp(&shape)), move || {
            let (inputs, shape) = (Inputs::new(on, &back)?, back.clone());
            let (out, lse) = inputs.forward(on.device, &shape)?;
            let run = move || {
                let Inputs { q, k, v, .. } = &inputs;
                on.device
                    .attention_vjp(&shape, q, k, v, None, &out, &lse, q)
            };
            Ok(Prepared::repeating(on.device, run))
        }),
    ]
}

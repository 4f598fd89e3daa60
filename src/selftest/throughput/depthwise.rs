//! Workloads of depthwise convolution of 7 x 7 taps and its vjp, over a ConvNeXt's first grid of
//! the view.

use super::goals::DEPTHWISE;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::DepthwiseShape;
use crate::device::meta::tally;

/// Number of channels of the first grid of ConvNeXt-XXL.
const CHANNELS: usize = 384;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let shape = DepthwiseShape {
        height: shapes.grid(),
        width: shapes.grid(),
        size: 7,
    };
    let rows = shapes.batch * shape.height * shape.width;
    let what = |name| {
        let (batch, side) = (shapes.batch, shapes.grid());
        Label::new(
            "depthwise",
            name,
            format!("{batch} x {side} x {side} x {CHANNELS}"),
        )
    };
    let goal = |cost| Target::new(Limit::Copies, cost, Some(DEPTHWISE));
    let cost = tally::depthwise(rows, CHANNELS, 49);
    let onto = tally::moved(rows, CHANNELS);
    vec![
        Workload::new(what("forward"), goal(cost), move || {
            let (x, kernel) = (on.matrix(rows, CHANNELS)?, on.matrix(49, CHANNELS)?);
            let bias = on.matrix(1, CHANNELS)?;
            let run = move || on.device.depthwise(&x, &kernel, &bias, shape);
            Ok(Prepared::repeating(on.device, run))
        }),
        Workload::new(what("vjp onto"), goal(cost + onto), move || {
            let (dy, kernel) = (on.matrix(rows, CHANNELS)?, on.matrix(49, CHANNELS)?);
            let onto = on.matrix(rows, CHANNELS)?;
            let run = move || on.device.depthwise_vjp(&dy, &kernel, shape, Some(&onto));
            Ok(Prepared::repeating(on.device, run))
        }),
    ]
}

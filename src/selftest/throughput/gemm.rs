//! Workloads of linear layers and their vjp, alone and with fused operations.

use super::goals::OWN_PRODUCTS;
use super::shapes::{Layers, Shapes};
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally::Linear;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let mut all = plain(on, shapes);
    all.extend(encoder(on, shapes));
    all.extend(decoder(on, shapes));
    all
}

/// Formats the number of rows, and a layer's inputs and outputs.
fn sizes(rows: usize, inside: usize, out: usize) -> String {
    format!("{rows} x {inside} to {out}")
}

fn plain<'d, D: Timed>(on: Operands<'d, D>, shapes: &Shapes) -> Vec<Workload<'d>> {
    let (encoder, decoder) = (&shapes.encoder, &shapes.decoder);
    let patches = shapes.batch * shapes.patches();
    let (seen, read) = (shapes.batch * encoder.rows, shapes.batch * decoder.rows);
    let (queries, keys) = (decoder.query_columns(), decoder.key_columns());
    let layers = [
        ("patches", patches, encoder.columns, shapes.patch_values()),
        ("encoder square", seen, encoder.columns, encoder.columns),
        ("encoder up", seen, encoder.inside, encoder.columns),
        ("encoder down", seen, encoder.columns, encoder.inside),
        ("decoder query", read, queries, decoder.columns),
        ("decoder key", read, keys, decoder.columns),
        ("decoder up", read, decoder.inside, decoder.columns),
        ("decoder down", read, decoder.columns, decoder.inside),
        ("one token", 1, decoder.inside, decoder.columns),
    ];
    let both = layers.into_iter().map(move |(name, rows, out, inside)| {
        // One row uses every weight once: reading the weights is the limit.
        let (limit, goal) = match rows {
            1 => (Limit::Copies, None),
            _ => (Limit::Products, Some(OWN_PRODUCTS)),
        };
        let linear = Linear::new(inside, out, false);
        let forward = Workload::new(
            Label::new("gemm", format!("{name}/forward"), sizes(rows, inside, out)),
            Target::new(limit, linear.forward(rows, 0), goal),
            move || {
                let (x, w) = (on.matrix(rows, inside)?, on.weight(out, inside)?);
                let run = move || on.device.linear(&x, &w, None, None);
                Ok(Prepared::repeating(on.device, run))
            },
        );
        let vjp = Workload::new(
            Label::new("gemm", format!("{name}/vjp"), sizes(rows, out, inside)),
            Target::new(limit, linear.vjp(rows, 0), goal),
            move || {
                let (dy, w) = (on.matrix(rows, out)?, on.weight(out, inside)?);
                let run = move || on.device.linear_vjp(&dy, &w, None);
                Ok(Prepared::repeating(on.device, run))
            },
        );
        [forward, vjp]
    });
    both.flatten().collect()
}

/// Returns the workloads of fused operations in a perceptron without a gate.
fn encoder<'d, D: Timed>(on: Operands<'d, D>, shapes: &'static Shapes) -> Vec<Workload<'d>> {
    let s: &'static Layers = &shapes.encoder;
    let (rows, kind) = (shapes.batch * s.rows, s.activation);
    let up = Linear::new(s.columns, s.inside, true);
    let down = Linear::new(s.inside, s.columns, true);
    let goal = Some(OWN_PRODUCTS);
    vec![
        Workload::new(
            Label::new(
                "gemm",
                "encoder up, bias and activation/forward",
                sizes(rows, s.columns, s.inside),
            ),
            Target::new(Limit::Products, up.forward(rows, 1), goal),
            move || {
                let (x, w) = (on.matrix(rows, s.columns)?, on.weight(s.inside, s.columns)?);
                let bias = on.matrix(1, s.inside)?;
                let run = move || on.device.linear_activation(kind, &x, &w, Some(&bias));
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new(
                "gemm",
                "encoder down and activation/vjp",
                sizes(rows, s.columns, s.inside),
            ),
            Target::new(Limit::Products, down.vjp(rows, 1), goal),
            move || {
                let (dy, w) = (on.matrix(rows, s.columns)?, on.weight(s.columns, s.inside)?);
                let h = on.matrix(rows, s.inside)?;
                let run = move || on.device.linear_vjp_activation(kind, &dy, &w, &h);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new(
                "gemm",
                "encoder down, bias and residual/forward",
                sizes(rows, s.inside, s.columns),
            ),
            Target::new(Limit::Products, down.forward(rows, 1), goal),
            move || {
                let (h, w) = (on.matrix(rows, s.inside)?, on.weight(s.columns, s.inside)?);
                let (bias, residual) = (on.matrix(1, s.columns)?, on.matrix(rows, s.columns)?);
                let run = move || on.device.linear(&h, &w, Some(&bias), Some(&residual));
                Ok(Prepared::repeating(on.device, run))
            },
        ),
    ]
}

/// Returns the workloads of fused operations in a perceptron with a gate and of rotary attention.
fn decoder<'d, D: Timed>(on: Operands<'d, D>, shapes: &'static Shapes) -> Vec<Workload<'d>> {
    let s: &'static Layers = &shapes.decoder;
    let (rows, kind) = (shapes.batch * s.rows, s.activation);
    let up = Linear::new(s.columns, s.inside, false);
    let down = Linear::new(s.inside, s.columns, false);
    let query = Linear::new(s.columns, s.query_columns(), false);
    let goal = Some(OWN_PRODUCTS);
    vec![
        Workload::new(
            Label::new(
                "gemm",
                "decoder up and gate/forward",
                sizes(rows, s.columns, s.inside),
            ),
            Target::new(Limit::Products, up.forward(rows, 2), goal),
            move || {
                let (x, w) = (on.matrix(rows, s.columns)?, on.weight(s.inside, s.columns)?);
                let gate = on.matrix(rows, s.inside)?;
                let run = move || on.device.linear_gate(kind, &gate, &x, &w, None);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new(
                "gemm",
                "decoder down and gate/vjp",
                sizes(rows, s.columns, s.inside),
            ),
            Target::new(Limit::Products, down.vjp(rows, 3), goal),
            move || {
                let (dy, w) = (on.matrix(rows, s.columns)?, on.weight(s.columns, s.inside)?);
                let (gate, up) = (on.matrix(rows, s.inside)?, on.matrix(rows, s.inside)?);
                let run = move || on.device.linear_vjp_gate(kind, &dy, &w, &gate, &up);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new(
                "gemm",
                "decoder query and rope/forward",
                sizes(rows, s.columns, s.query_columns()),
            ),
            Target::new(Limit::Products, query.forward(rows, 0), goal),
            move || {
                let x = on.matrix(rows, s.columns)?;
                let w = on.weight(s.query_columns(), s.columns)?;
                let (turns, places) = (shapes.frequencies(), shapes.positions());
                let run = move || {
                    on.device
                        .linear_rope(&x, &w, None, s.head_dim, &turns, &places)
                };
                Ok(Prepared::repeating(on.device, run))
            },
        ),
    ]
}

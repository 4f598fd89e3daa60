//! Workloads of rows: embeddings, a cache, placing image tokens among text tokens, rotary
//! positions, and the check for finite values.

use super::shapes::{Layers, Shapes};
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::RowMap;
use crate::device::meta::tally;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let s: &'static Layers = &shapes.decoder;
    let (visual, rows) = (shapes.visual, shapes.batch * s.rows);
    let (images, turned) = (shapes.batch * visual, s.query_columns());
    let what = |name, rows, columns| Label::new("rows", name, format!("{rows} x {columns}"));
    let copies = |cost| Target::new(Limit::Copies, cost, None);
    let map = move || RowMap::select(visual, (0..s.rows).map(|r| (r < visual).then_some(r)));
    vec![
        Workload::new(
            what("place/forward", rows, s.columns),
            copies(tally::mix(images + s.rows, rows, s.columns)),
            move || {
                let (image, text) = (on.matrix(images, s.columns)?, on.matrix(s.rows, s.columns)?);
                let map = map();
                let run = move || on.device.mix_rows(&image, &map, Some(&text));
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("place/vjp", rows, s.columns),
            copies(tally::mix(images, images, s.columns)),
            move || {
                let (dy, map) = (on.matrix(rows, s.columns)?, map());
                let run = move || on.device.mix_rows_vjp(&dy, &map, None);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("finite", rows, s.columns),
            copies(tally::moved(rows, s.columns)),
            move || {
                let x = on.matrix(rows, s.columns)?;
                let run = move || on.device.is_finite(&x);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("rope", rows, turned),
            copies(tally::mix(rows, rows, turned)),
            move || {
                let mut x = on.matrix(rows, turned)?;
                let (turns, places) = (shapes.frequencies(), shapes.positions());
                let run = move || on.device.rope(&mut x, s.head_dim, &turns, &places, false);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("gather", s.rows, s.columns),
            copies(tally::mix(s.rows, s.rows, s.columns)),
            move || {
                let table = on.weight(shapes.vocabulary, s.columns)?;
                // Far apart, as the tokens of a text are.
                let id = |r: usize| (r * 7919 % shapes.vocabulary) as u32;
                let ids: Vec<u32> = (0..s.rows).map(id).collect();
                let run = move || on.device.gather(&table, &ids);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("write", s.rows, s.columns),
            copies(tally::mix(s.rows, s.rows, s.columns)),
            move || {
                let mut cache = on.matrix(shapes.prefix + s.rows, s.columns)?;
                let text = on.matrix(s.rows, s.columns)?;
                let run = move || on.device.write_rows(&mut cache, shapes.prefix, &text);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
    ]
}

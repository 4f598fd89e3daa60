//! Workloads of log-probabilities of key tokens over the whole vocabulary, and of all logits of one
//! row. With so few rows, reading the weights of the vocabulary projection is the limit.

use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::blend::Score;
use crate::device::meta::tally;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let (columns, vocabulary) = (shapes.decoder.columns, shapes.vocabulary);
    let rows = shapes.keys * shapes.batch;
    let what = |name, rows| {
        Label::new(
            "logprob",
            name,
            format!("{rows} x {columns} to {vocabulary}"),
        )
    };
    let copies = |cost| Target::new(Limit::Copies, cost, None);
    let operands = move || Ok((on.matrix(rows, columns)?, on.weight(vocabulary, columns)?));
    let targets = move || vec![7; rows];
    let shares = move || vec![1.0 / rows as f64; rows];
    vec![
        Workload::new(
            what("forward", rows),
            copies(tally::log_probability(rows, columns, vocabulary)),
            move || {
                let ((x, head), targets) = (operands()?, targets());
                let run = move || on.device.log_probability(&x, &head, &targets);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("vjp", rows),
            copies(tally::log_probability_vjp(rows, columns, vocabulary)),
            move || {
                let (x, head) = operands()?;
                let both = (
                    x,
                    head,
                    on.device.weigh(&shares(), Score::LogProbability)?,
                    targets(),
                );
                Ok(Prepared::taking(
                    on.device,
                    both,
                    move |(x, head, _, targets)| Ok(on.device.log_probability(x, head, targets)?.1),
                    move |(_, head, weights, targets), logits| {
                        on.device
                            .log_probability_vjp(logits, head, targets, weights)
                    },
                ))
            },
        ),
        Workload::new(
            what("forward, values read", rows),
            copies(tally::log_probability(rows, columns, vocabulary)),
            move || {
                let ((x, head), targets) = (operands()?, targets());
                let run = move || {
                    let (values, _) = on.device.log_probability(&x, &head, &targets)?;
                    on.device.values(&values)
                };
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            Label::new("logprob", "reweigh", format!("{rows} weights")),
            Target::new(Limit::Latency, tally::numbers(rows), None),
            move || {
                let shares = shares();
                let mut weights = on.device.weigh(&shares, Score::LogProbability)?;
                let run = move || on.device.reweigh(&mut weights, &shares);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
        Workload::new(
            what("logits of one row", 1),
            copies(tally::logits(1, columns, vocabulary)),
            move || {
                let (last, head) = (on.matrix(1, columns)?, on.weight(vocabulary, columns)?);
                let run = move || on.device.logits(&last, &head);
                Ok(Prepared::repeating(on.device, run))
            },
        ),
    ]
}

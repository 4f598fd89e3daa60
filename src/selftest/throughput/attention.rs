//! Workloads of attention and its vjp.

use super::goals::{ATTENTION, ATTENTION_VJP};
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload};
use crate::device::meta::tally;
use crate::device::prelude::*;
use crate::device::{AttentionShape, Result};

/// The operands of one attention.
pub(super) struct Inputs<D: Device> {
    pub q: D::Matrix,
    pub k: D::Matrix,
    pub v: D::Matrix,
    prefix: Option<(D::Matrix, D::Matrix)>,
}

impl<D: Timed> Inputs<D> {
    /// Creates operands of that shape.
    pub fn new(on: Operands<D>, shape: &AttentionShape) -> Result<Inputs<D>> {
        let columns = shape.kv_heads * shape.head_dim;
        let keys = |rows| on.matrix(rows, columns);
        let rows = shape.batch * shape.keys;
        let queries = (shape.batch * shape.queries, shape.heads * shape.head_dim);
        Ok(Inputs {
            q: on.matrix(queries.0, queries.1)?,
            k: keys(rows)?,
            v: keys(rows)?,
            prefix: match shape.prefix {
                0 => None,
                rows => Some((keys(rows)?, keys(rows)?)),
            },
        })
    }

    fn prefix(&self) -> Option<(&D::Matrix, &D::Matrix)> {
        self.prefix.as_ref().map(|(k, v)| (k, v))
    }

    /// Returns the output and its log-sum-exp.
    pub fn forward(
        &self,
        device: &D,
        shape: &AttentionShape,
    ) -> Result<(D::Matrix, D::Statistics)> {
        device.attention(shape, &self.q, &self.k, &self.v, self.prefix())
    }
}

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let mut all = Vec::new();
    for (name, shape) in shapes.attentions() {
        let sizes = format!(
            "{} x {} queries, {} + {} keys, {} / {} heads of {}",
            shape.batch,
            shape.queries,
            shape.prefix,
            shape.keys,
            shape.heads,
            shape.kv_heads,
            shape.head_dim
        );
        // With few queries, reading keys and values takes most of the time.
        let whole = shape.queries == shape.keys && shape.keys > 1;
        let limit = if whole {
            Limit::Products
        } else {
            Limit::Copies
        };
        let goal = |share| whole.then_some(share);
        let operation = Target::new(limit, tally::attention(&shape), goal(ATTENTION));
        let forward = shape.clone();
        all.push(Workload::new(
            Label::new("attention", format!("{name}/forward"), sizes.clone()),
            operation,
            move || {
                let (inputs, shape) = (Inputs::new(on, &forward)?, forward.clone());
                let run = move || inputs.forward(on.device, &shape);
                Ok(Prepared::repeating(on.device, run))
            },
        ));
        // A generated token has no gradient.
        if shape.keys == 1 {
            continue;
        }
        let operation = Target::new(limit, tally::attention_vjp(&shape), goal(ATTENTION_VJP));
        all.push(Workload::new(
            Label::new("attention", format!("{name}/vjp"), sizes),
            operation,
            move || {
                let (inputs, shape) = (Inputs::new(on, &shape)?, shape.clone());
                let (out, lse) = inputs.forward(on.device, &shape)?;
                let run = move || {
                    let Inputs { q, k, v, .. } = &inputs;
                    let prefix = inputs.prefix();
                    on.device
                        .attention_vjp(&shape, q, k, v, prefix, &out, &lse, q)
                };
                Ok(Prepared::repeating(on.device, run))
            },
        ));
    }
    all
}

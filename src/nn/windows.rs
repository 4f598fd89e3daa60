//! Attention inside windows of a sequence.

use super::Result;
use crate::device::{AttentionShape, Device, Matrix, RowMap, Visible};

/// Windows of a sequence, which follow each other: each row sees the rows of its own window.
pub struct Windows {
    /// Windows of one length each, which are computed together.
    groups: Vec<Group>,
}

/// The windows of one length.
struct Group {
    count: usize,
    length: usize,
    /// Takes their rows from a sequence. `None` if they are all of its rows.
    rows: Option<RowMap>,
}

/// Gradients of queries, keys and values.
type Gradients<M> = (M, M, M);

impl Windows {
    /// Cuts a sequence into windows of these lengths.
    pub(crate) fn new(lengths: &[usize]) -> Windows {
        let total = lengths.iter().sum();
        let mut kinds = lengths.to_vec();
        kinds.sort_unstable_by(|a, b| b.cmp(a));
        kinds.dedup();
        let alone = kinds.len() == 1;
        let group = |&length: &usize| {
            let mut rows = Vec::new();
            let mut start = 0;
            for &own in lengths {
                if own == length {
                    rows.extend((start..start + own).map(Some));
                }
                start += own;
            }
            Group {
                count: lengths.iter().filter(|own| **own == length).count(),
                length,
                rows: (!alone).then(|| RowMap::select(total, rows)),
            }
        };
        Windows {
            groups: kinds.iter().map(group).collect(),
        }
    }

    /// Computes attention, as [`Attention::attention`](crate::device::Attention::attention) does
    /// for whole sequences of the shape `whole`. Returns the output, and the log-sum-exp of each
    /// group of windows.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub(super) fn attention<D: Device>(
        &self,
        device: &D,
        whole: &AttentionShape,
        [q, k, v]: [&D::Matrix; 3],
    ) -> Result<(D::Matrix, Vec<D::Statistics>)> {
        let mut all = Vec::with_capacity(self.groups.len());
        let mut mixed = None;
        for group in &self.groups {
            let shape = group.shape(whole);
            let (out, lse) = match &group.rows {
                None => device.attention(&shape, q, k, v, None)?,
                Some(rows) => {
                    let take = |x| device.mix_rows(x, rows, None);
                    let (out, lse) =
                        device.attention(&shape, &take(q)?, &take(k)?, &take(v)?, None)?;
                    (device.mix_rows_vjp(&out, rows, mixed.as_ref())?, lse)
                }
            };
            mixed = Some(out);
            all.push(lse);
        }
        let mixed = match mixed {
            Some(mixed) => mixed,
            None => device.zeros(q.rows(), q.columns())?,
        };
        Ok((mixed, all))
    }

    /// Returns the gradients of queries, keys and values from the output, its log-sum-exp and its
    /// gradient.
    ///
    /// # Errors
    /// As [`Windows::attention`].
    pub(super) fn attention_vjp<D: Device>(
        &self,
        device: &D,
        whole: &AttentionShape,
        [q, k, v]: [&D::Matrix; 3],
        (out, lse): (&D::Matrix, &[D::Statistics]),
        dy: &D::Matrix,
    ) -> Result<Gradients<D::Matrix>> {
        let mut gradients: Option<Gradients<D::Matrix>> = None;
        for (group, lse) in self.groups.iter().zip(lse) {
            let shape = group.shape(whole);
            let Some(rows) = &group.rows else {
                gradients = Some(device.attention_vjp(&shape, q, k, v, None, out, lse, dy)?);
                continue;
            };
            let take = |x| device.mix_rows(x, rows, None);
            let (q, k, v) = (take(q)?, take(k)?, take(v)?);
            let (out, dy) = (take(out)?, take(dy)?);
            let (dq, dk, dv) = device.attention_vjp(&shape, &q, &k, &v, None, &out, lse, &dy)?;
            drop((q, k, v, out, dy));
            let onto = gradients.as_ref();
            let put = |x, onto| device.mix_rows_vjp(x, rows, onto);
            gradients = Some((
                put(&dq, onto.map(|g| &g.0))?,
                put(&dk, onto.map(|g| &g.1))?,
                put(&dv, onto.map(|g| &g.2))?,
            ));
        }
        Ok(match gradients {
            Some(gradients) => gradients,
            None => {
                let zeros = |x: &D::Matrix| device.zeros(x.rows(), x.columns());
                (zeros(q)?, zeros(k)?, zeros(v)?)
            }
        })
    }
}

impl Group {
    /// Returns the shape of the attention inside these windows.
    fn shape(&self, whole: &AttentionShape) -> AttentionShape {
        AttentionShape {
            batch: whole.batch * self.count,
            queries: self.length,
            keys: self.length,
            visible: Visible::All,
            ..whole.clone()
        }
    }
}

//! Self-attention with optional rotary positions, grouped queries and a shared prefix.

use std::ops::Range;

use super::rope::{Positions, Rope, Turn};
use super::windows::Windows;
use super::{AttentionValues, Linear, Norm, Result};
use crate::device::{AttentionShape, Device, Matrix, Memory, Real, RowMap, Visible};

/// Self-attention without its norm and residual.
pub struct Attention<D: Device> {
    /// To queries.
    pub query: Linear<D>,
    /// To keys.
    pub key: Linear<D>,
    /// To values.
    pub value: Linear<D>,
    /// From the heads back.
    pub output: Linear<D>,
    /// Query heads.
    pub heads: usize,
    /// Key-value heads.
    pub kv_heads: usize,
    /// Size of a head.
    pub head_dim: usize,
    /// Norms of queries and keys before they are rotated.
    pub norms: Option<QueryKeyNorms<D>>,
    /// Factors of the queries' columns after they are rotated, `[1, heads * head_dim]`; 1 if `None`.
    pub query_gain: Option<D::Matrix>,
    /// Rotary frequencies, where queries and keys are rotated.
    pub rope: Option<Rope>,
}

/// Norms of queries and of keys.
pub struct QueryKeyNorms<D: Device> {
    /// Of queries.
    pub query: Norm<D>,
    /// Of keys.
    pub key: Norm<D>,
    /// The number of columns that are normalised together: one head's, or all.
    pub columns: usize,
}

/// The input of a norm, in rows of its columns, and its statistics.
pub(super) type NormSaved<D> = (<D as Memory>::Matrix, <D as Memory>::Statistics);

/// Keys (rotated) and values of positions that every sequence sees before its own.
pub struct KeyValues<D: Device> {
    /// At least `length` rows of `kv_heads * head_dim`.
    pub key: D::Matrix,
    /// Likewise.
    pub value: D::Matrix,
    /// Rows in use.
    pub length: usize,
}

/// The rows of a sequence whose output is wanted, when it is not all of them.
pub struct Queries {
    places: Vec<usize>,
    map: RowMap,
}

impl Queries {
    /// Selects the rows `places`, all below `length`, of sequences of `length` rows.
    pub(crate) fn new(length: usize, places: Vec<usize>) -> Queries {
        let map = RowMap::select(length, places.iter().map(|&p| Some(p)));
        Queries { places, map }
    }

    /// Returns the selection as a row map.
    pub fn map(&self) -> &RowMap {
        &self.map
    }
}

/// The attention pattern of the rows of a batch.
pub struct Sequence<'a, D: Device> {
    /// Sequences in the batch.
    pub batch: usize,
    /// Rows per sequence.
    pub length: usize,
    /// Whether a row sees only rows up to its own.
    pub causal: bool,
    /// Of a causal sequence, the rows that see each other in both directions: ranges that follow
    /// one another.
    pub mutual: &'a [Range<usize>],
    /// Keys and values before the sequence; their length is the position of the first row.
    pub prefix: Option<&'a KeyValues<D>>,
    /// The rows whose output is wanted; all when `None`.
    pub queries: Option<&'a Queries>,
    /// The rotary positions of rows, counted from the prefix's first on; their numbers when `None`.
    pub positions: Option<&'a Positions>,
    /// The windows in which rows see each other, where they do not see all: all rows are wanted
    /// then, there is no prefix, and none is causal.
    pub windows: Option<&'a Windows>,
}

impl<D: Device> Sequence<'_, D> {
    fn prefix_length(&self) -> usize {
        self.prefix.map_or(0, |p| p.length)
    }

    fn places(&self) -> Vec<usize> {
        self.queries
            .map_or_else(|| (0..self.length).collect(), |q| q.places.clone())
    }

    /// Returns the last row that each wanted row of a causal sequence sees.
    fn limits(&self) -> Vec<usize> {
        let last = |place: usize| {
            let together = self.mutual.iter().find(|rows| rows.contains(&place));
            together.map_or(place, |rows| rows.end - 1)
        };
        self.places().into_iter().map(last).collect()
    }

    /// Returns the rows of output per sequence.
    pub fn outputs(&self) -> usize {
        self.queries.map_or(self.length, |q| q.places.len())
    }
}

/// Activations that [`Attention::forward`] saved.
pub struct AttentionSaved<D: Device> {
    query: D::Matrix,
    /// Rotated keys, `[batch * length, kv_heads * head_dim]`.
    pub key: D::Matrix,
    /// Values, likewise.
    pub value: D::Matrix,
    mixed: D::Matrix,
    /// Of each group of windows, or of the whole.
    lse: Vec<D::Statistics>,
    /// Of the norms of queries and keys.
    normed: Option<[NormSaved<D>; 2]>,
}

impl<D: Device> Attention<D> {
    fn shape(&self, sequence: &Sequence<D>) -> AttentionShape {
        AttentionShape {
            batch: sequence.batch,
            queries: sequence.outputs(),
            keys: sequence.length,
            prefix: sequence.prefix_length(),
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            visible: if sequence.causal {
                Visible::Causal(sequence.limits())
            } else {
                Visible::All
            },
        }
    }

    fn query_key_norms(&self) -> [Option<&Norm<D>>; 2] {
        let norms = self.norms.as_ref();
        [norms.map(|n| &n.query), norms.map(|n| &n.key)]
    }

    /// Returns `layer(x)`, normalised and rotated where that is done, and what the norm saved.
    fn project(
        &self,
        device: &D,
        layer: &Linear<D>,
        norm: Option<&Norm<D>>,
        x: &D::Matrix,
        sequence: &Sequence<D>,
        places: &[usize],
    ) -> Result<(D::Matrix, Option<NormSaved<D>>)> {
        let turns = self.turns(sequence, places);
        let Some((norm, norms)) = norm.zip(self.norms.as_ref()) else {
            let Some((first, others)) = turns.split_first() else {
                return Ok((layer.forward(device, x)?, None));
            };
            let (weight, bias) = (&layer.weight, layer.bias.as_ref());
            let (frequencies, positions) = (&first.frequencies, &first.positions);
            let mut rotated =
                device.linear_rope(x, weight, bias, self.head_dim, frequencies, positions)?;
            self.rotate(device, &mut rotated, others, false)?;
            return Ok((rotated, None));
        };
        let projected = layer.forward(device, x)?;
        let columns = projected.columns();
        let projected = device.reshape(projected, norms.columns)?;
        let (normed, statistics) = norm.forward(device, &projected)?;
        let mut normed = device.reshape(normed, columns)?;
        self.rotate(device, &mut normed, &turns, false)?;
        Ok((normed, Some((projected, statistics))))
    }

    /// Returns the rotations of the rows `places` of every sequence: none without rotary positions.
    fn turns(&self, sequence: &Sequence<D>, places: &[usize]) -> Vec<Turn> {
        let Some(rope) = &self.rope else {
            return Vec::new();
        };
        let start = sequence.prefix_length();
        let rows: Vec<usize> = places.iter().map(|place| start + place).collect();
        rope.turns(sequence.positions, &rows)
    }

    fn rotate(&self, device: &D, x: &mut D::Matrix, turns: &[Turn], inverse: bool) -> Result<()> {
        for turn in turns {
            let (frequencies, positions) = (&turn.frequencies, &turn.positions);
            device.rope(x, self.head_dim, frequencies, positions, inverse)?;
        }
        Ok(())
    }

    /// Returns queries with their factors, or gradients of queries likewise.
    fn scale_query(&self, device: &D, x: D::Matrix) -> Result<D::Matrix> {
        match &self.query_gain {
            Some(gain) => Ok(device.scale_columns(&x, gain, None)?),
            None => Ok(x),
        }
    }

    /// Returns the gradient of a layer's output from that of what [`Attention::project`] made of
    /// it.
    fn project_vjp(
        &self,
        device: &D,
        norm: Option<&Norm<D>>,
        saved: Option<NormSaved<D>>,
        mut dy: D::Matrix,
        sequence: &Sequence<D>,
        places: &[usize],
    ) -> Result<D::Matrix> {
        self.rotate(device, &mut dy, &self.turns(sequence, places), true)?;
        let (Some(norm), Some((x, statistics))) = (norm, saved) else {
            return Ok(dy);
        };
        let columns = dy.columns();
        let dy = device.reshape(dy, x.columns())?;
        let dx = norm.vjp(device, &x, &statistics, &dy, None)?;
        Ok(device.reshape(dx, columns)?)
    }

    /// Returns `output(attention(x)) + residual`, the residual 0 if there is none: x `[batch *
    /// length, c]`, residual and result `[batch * outputs, c]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        residual: Option<&D::Matrix>,
        sequence: &Sequence<D>,
    ) -> Result<(D::Matrix, AttentionSaved<D>)> {
        let [query_norm, key_norm] = self.query_key_norms();
        let project = |layer, norm, x: &D::Matrix, places: &[usize]| {
            self.project(device, layer, norm, x, sequence, places)
        };
        let (query, query_saved) = match sequence.queries {
            Some(queries) => {
                let x = device.mix_rows(x, &queries.map, None)?;
                project(&self.query, query_norm, &x, &queries.places)?
            }
            None => project(&self.query, query_norm, x, &sequence.places())?,
        };
        let query = self.scale_query(device, query)?;
        let all: Vec<usize> = (0..sequence.length).collect();
        let (key, key_saved) = project(&self.key, key_norm, x, &all)?;
        let value = self.value.forward(device, x)?;
        let shape = self.shape(sequence);
        let (mixed, lse) = match sequence.windows {
            Some(windows) => windows.attention(device, &shape, [&query, &key, &value])?,
            None => {
                let prefix = sequence.prefix.map(|p| (&p.key, &p.value));
                let (mixed, lse) = device.attention(&shape, &query, &key, &value, prefix)?;
                (mixed, vec![lse])
            }
        };
        let y = match residual {
            Some(residual) => self.output.forward_onto(device, &mixed, residual)?,
            None => self.output.forward(device, &mixed)?,
        };
        Ok((
            y,
            AttentionSaved {
                query,
                key,
                value,
                mixed,
                lse,
                normed: query_saved.zip(key_saved).map(|(query, key)| [query, key]),
            },
        ))
    }

    /// Returns dx, without the residual's share. dy `[batch * outputs, c]`, dx `[batch * length,
    /// c]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn vjp(
        &self,
        device: &D,
        saved: AttentionSaved<D>,
        dy: &D::Matrix,
        sequence: &Sequence<D>,
    ) -> Result<D::Matrix> {
        let d_mixed = self.output.vjp(device, dy, None)?;
        let AttentionSaved {
            query,
            key,
            value,
            mixed,
            lse,
            normed,
        } = saved;
        let shape = self.shape(sequence);
        let (q, k, v) = (&query, &key, &value);
        let (dq, dk, dv) = match (sequence.windows, &lse[..]) {
            (None, [lse]) => {
                let prefix = sequence.prefix.map(|p| (&p.key, &p.value));
                device.attention_vjp(&shape, q, k, v, prefix, &mixed, lse, &d_mixed)?
            }
            (Some(windows), lse) => {
                windows.attention_vjp(device, &shape, [q, k, v], (&mixed, lse), &d_mixed)?
            }
            (None, _) => unreachable!("without windows, one was saved"),
        };
        drop((query, key, value, mixed, lse, d_mixed));
        let [query_norm, key_norm] = self.query_key_norms();
        let [query_saved, key_saved] = match normed {
            Some(saved) => saved.map(Some),
            None => [None, None],
        };
        let places = sequence.places();
        let dq = self.scale_query(device, dq)?;
        let dq = self.project_vjp(device, query_norm, query_saved, dq, sequence, &places)?;
        let all: Vec<usize> = (0..sequence.length).collect();
        let dk = self.project_vjp(device, key_norm, key_saved, dk, sequence, &all)?;
        let from_queries = self.query.vjp(device, &dq, None)?;
        let from_queries = match sequence.queries {
            Some(queries) => device.mix_rows_vjp(&from_queries, &queries.map, None)?,
            None => from_queries,
        };
        let with_keys = self.key.vjp(device, &dk, Some(&from_queries))?;
        self.value.vjp(device, &dv, Some(&with_keys))
    }

    /// Copies the operands of an attention of one sequence without windows from the device; with
    /// `dy`, the gradient of the layer's output, that of the attention's too.
    ///
    /// # Errors
    /// When sizes do not fit, and errors of the device.
    pub fn values(
        &self,
        device: &D,
        saved: &AttentionSaved<D>,
        dy: Option<&D::Matrix>,
        sequence: &Sequence<D>,
    ) -> Result<AttentionValues> {
        let read = |x: &D::Matrix| -> Result<Vec<f32>> {
            let values = device.download(x)?.into_iter();
            Ok(values.map(|v| v.to_f64() as f32).collect())
        };
        let [lse] = &saved.lse[..] else {
            unreachable!("without windows, one was saved");
        };
        let lse = device.download_statistics(lse)?;
        Ok(AttentionValues {
            places: sequence.places(),
            seen: sequence.limits().into_iter().map(|last| last + 1).collect(),
            heads: self.heads,
            kv_heads: self.kv_heads,
            head_dim: self.head_dim,
            query: read(&saved.query)?,
            key: read(&saved.key)?,
            value: read(&saved.value)?,
            lse: lse.into_iter().map(Real::to_f64).collect(),
            d_out: match dy {
                Some(dy) => read(&self.output.vjp(device, dy, None)?)?,
                None => Vec::new(),
            },
        })
    }
}

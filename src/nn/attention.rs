//! Self-attention with optional rotary positions, grouped queries and a shared prefix.

use super::{Linear, Result};
use crate::device::{AttentionShape, Device, RowMap, Visible};

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
    /// Rotary frequencies, `head_dim / 2` of them, in radians per position.
    pub rope: Option<Vec<f64>>,
}

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
    /// Keys and values before the sequence; their length is the position of the first row.
    pub prefix: Option<&'a KeyValues<D>>,
    /// The rows whose output is wanted; all when `None`.
    pub queries: Option<&'a Queries>,
}

impl<D: Device> Sequence<'_, D> {
    fn prefix_length(&self) -> usize {
        self.prefix.map_or(0, |p| p.length)
    }

    fn places(&self) -> Vec<usize> {
        self.queries
            .map_or_else(|| (0..self.length).collect(), |q| q.places.clone())
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
    lse: D::Statistics,
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
                Visible::Causal(sequence.places())
            } else {
                Visible::All
            },
        }
    }

    /// Returns `layer(x)`, rotated where positions are rotary.
    fn project(
        &self,
        device: &D,
        layer: &Linear<D>,
        x: &D::Matrix,
        sequence: &Sequence<D>,
        places: &[usize],
    ) -> Result<D::Matrix> {
        let Some(frequencies) = &self.rope else {
            return layer.forward(device, x);
        };
        let start = sequence.prefix_length();
        let positions: Vec<usize> = places.iter().map(|p| start + p).collect();
        let (weight, bias) = (&layer.weight, layer.bias.as_ref());
        let rotated =
            device.linear_rope(x, weight, bias, self.head_dim, frequencies, &positions)?;
        Ok(rotated)
    }

    /// Rotates a gradient back.
    fn rotate_back(
        &self,
        device: &D,
        x: &mut D::Matrix,
        start: usize,
        places: &[usize],
    ) -> Result<()> {
        if let Some(frequencies) = &self.rope {
            let positions: Vec<usize> = places.iter().map(|p| start + p).collect();
            device.rope(x, self.head_dim, frequencies, &positions, true)?;
        }
        Ok(())
    }

    /// Returns `output(attention(x)) + residual`: x `[batch * length, c]`, residual and result
    /// `[batch * outputs, c]`.
    ///
    /// # Errors
    /// When sizes do not fit.
    pub fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        residual: &D::Matrix,
        sequence: &Sequence<D>,
    ) -> Result<(D::Matrix, AttentionSaved<D>)> {
        let query = match sequence.queries {
            Some(queries) => {
                let x = device.mix_rows(x, &queries.map, None)?;
                self.project(device, &self.query, &x, sequence, &queries.places)?
            }
            None => self.project(device, &self.query, x, sequence, &sequence.places())?,
        };
        let all: Vec<usize> = (0..sequence.length).collect();
        let key = self.project(device, &self.key, x, sequence, &all)?;
        let value = self.value.forward(device, x)?;
        let prefix = sequence.prefix.map(|p| (&p.key, &p.value));
        let (mixed, lse) = device.attention(&self.shape(sequence), &query, &key, &value, prefix)?;
        let y = self.output.forward_onto(device, &mixed, residual)?;
        Ok((
            y,
            AttentionSaved {
                query,
                key,
                value,
                mixed,
                lse,
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
        let start = sequence.prefix_length();
        let d_mixed = self.output.vjp(device, dy, None)?;
        let prefix = sequence.prefix.map(|p| (&p.key, &p.value));
        let AttentionSaved {
            query,
            key,
            value,
            mixed,
            lse,
        } = saved;
        let (mut dq, mut dk, dv) = device.attention_vjp(
            &self.shape(sequence),
            &query,
            &key,
            &value,
            prefix,
            &mixed,
            &lse,
            &d_mixed,
        )?;
        drop((query, key, value, mixed, lse, d_mixed));
        self.rotate_back(device, &mut dq, start, &sequence.places())?;
        let all: Vec<usize> = (0..sequence.length).collect();
        self.rotate_back(device, &mut dk, start, &all)?;
        let from_queries = self.query.vjp(device, &dq, None)?;
        let from_queries = match sequence.queries {
            Some(queries) => device.mix_rows_vjp(&from_queries, &queries.map, None)?,
            None => from_queries,
        };
        let with_keys = self.key.vjp(device, &dk, Some(&from_queries))?;
        self.value.vjp(device, &dv, Some(&with_keys))
    }
}

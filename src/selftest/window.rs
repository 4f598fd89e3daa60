//! Checks of attention with one query per sequence over few keys: heads of every team size, packed
//! and unpacked, with and without grouped queries and masks, as in Cambrian-1 and Mini-Gemini.

use super::attention;
use super::numbers::{Bench, Extent};
use crate::device::prelude::*;
use crate::device::{AttentionShape, Result, Visible};

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    // Sequences and rows of the mask (0: none), keys, heads and key-value heads, head size.
    let mut shapes = vec![
        ((6, 3), 19, (2, 2), 64),
        ((4, 0), 64, (1, 1), 1024),
        ((2, 2), 5, (4, 2), 48),
        ((3, 1), 33, (3, 1), 256),
        ((5, 0), 3, (2, 1), 20),
        ((6, 2), 7, (16, 16), 2),
        ((2, 1), 4, (2, 1), 264),
        ((2, 2), 3, (1, 1), 37),
        ((3, 0), 1, (2, 2), 8),
    ];
    if bench.extent == Extent::Large {
        shapes.push(((1152, 576), 19, (16, 16), 64));
        shapes.push(((300, 0), 64, (1, 1), 2880));
    }
    for ((batch, period), keys, (heads, kv_heads), head_dim) in shapes {
        let shape = shape(bench, batch, period, keys, heads, kv_heads, head_dim);
        attention::one(bench, &shape)?;
    }
    for head_dim in [16, 264] {
        let all = shape(bench, 3, 0, 9, 2, 1, head_dim);
        attention::alone_or_not(bench, |batch| AttentionShape {
            batch,
            ..all.clone()
        })?;
    }
    Ok(())
}

/// Returns the shape of one query per sequence, with a random mask of `period` rows unless that is
/// 0.
fn shape<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    batch: usize,
    period: usize,
    keys: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
) -> AttentionShape {
    let mut seen: Vec<bool> = (0..period * keys).map(|_| bench.below(3) > 0).collect();
    for row in seen.chunks_mut(keys) {
        row[bench.below(keys)] = true;
    }
    AttentionShape {
        batch,
        queries: 1,
        keys,
        prefix: 0,
        heads,
        kv_heads,
        head_dim,
        visible: if period > 0 {
            Visible::Masked(seen)
        } else {
            Visible::All
        },
    }
}

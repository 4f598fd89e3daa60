//! Checks of attention and its vjp: every head size in full, causal after a shared prefix, and for
//! the few queries of a last layer; first rows that see each other; with and without grouped
//! queries.

use super::numbers::{Bench, Extent, FORWARD, Operand, VJP};
use crate::device::prelude::*;
use crate::device::{AttentionShape, Result, Visible};

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for shape in shapes(bench) {
        one(bench, &shape)?;
    }
    sequences_do_not_see_each_other(bench)
}

/// The head sizes that have kernels.
const SIZES: [usize; 5] = [32, 64, 96, 128, 256];
/// Head sizes between these, which use the kernels of the next larger size, some after widening.
const BETWEEN: [usize; 7] = [12, 16, 20, 24, 72, 80, 192];
/// Number of query heads, and of key-value heads.
const GROUPS: [(usize, usize); 3] = [(2, 2), (4, 2), (3, 1)];

/// Which keys a query attends to.
#[derive(Clone, Copy)]
enum KeyMask {
    Full,
    Causal,
    /// Causal, for the few rows that a last layer continues with.
    Last,
    /// Causal, but the first rows see each other: more than a tile of them.
    Mutual,
}

/// The keys of a sequence.
#[derive(Clone, Copy)]
struct Keys {
    mask: KeyMask,
    count: usize,
    prefix: usize,
}

impl Keys {
    fn new(mask: KeyMask, count: usize, prefix: usize) -> Keys {
        Keys {
            mask,
            count,
            prefix,
        }
    }
}

fn shapes<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Vec<AttentionShape> {
    use KeyMask::{Causal, Full, Last};
    let keys = match bench.extent {
        Extent::Small => [(Full, 70, 0), (Causal, 40, 35), (Last, 70, 3)],
        Extent::Large => [(Full, 300, 0), (Causal, 300, 35), (Last, 130, 1)],
    };
    let keys = keys.map(|(mask, count, prefix)| Keys::new(mask, count, prefix));
    let mut shapes = Vec::new();
    for (i, &head_dim) in SIZES.iter().enumerate() {
        for (j, &keys) in keys.iter().enumerate() {
            let (heads, kv_heads) = GROUPS[(i + j) % GROUPS.len()];
            shapes.push(shape(bench, keys, 2, heads, kv_heads, head_dim));
        }
    }
    for (i, &head_dim) in BETWEEN.iter().enumerate() {
        let (heads, kv_heads) = GROUPS[i / 3 % GROUPS.len()];
        shapes.push(shape(bench, keys[i % 3], 2, heads, kv_heads, head_dim));
    }
    if bench.extent == Extent::Large {
        // The encoder and the decoder of LLaVA-1.5, with fewer heads.
        shapes.push(shape(bench, Keys::new(Full, 577, 0), 1, 2, 2, 64));
        shapes.push(shape(bench, Keys::new(Causal, 624, 35), 1, 2, 2, 128));
    }
    // The decoder of Gemma 3: rows of a picture, and text after them.
    let mutual = Keys::new(KeyMask::Mutual, 70, 3);
    shapes.push(shape(bench, mutual, 2, 2, 1, 64));
    // One token after a cache, as in generation.
    shapes.push(AttentionShape {
        batch: 1,
        queries: 1,
        keys: 1,
        prefix: 90,
        heads: 2,
        kv_heads: 1,
        head_dim: 64,
        visible: Visible::Causal(vec![0]),
    });
    shapes
}

fn shape<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    keys: Keys,
    batch: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
) -> AttentionShape {
    let Keys {
        mask,
        count,
        prefix,
    } = keys;
    let (queries, visible) = match mask {
        KeyMask::Full => (count, Visible::All),
        KeyMask::Causal => (count, Visible::Causal((0..count).collect())),
        KeyMask::Mutual => {
            let last = 2 * count / 3;
            let places = (0..count).map(|place| place.max(last)).collect();
            (count, Visible::Causal(places))
        }
        KeyMask::Last => {
            let places = (0..5).map(|_| bench.below(count)).collect();
            (5, Visible::Causal(places))
        }
    };
    AttentionShape {
        batch,
        queries,
        keys: count,
        prefix,
        heads,
        kv_heads,
        head_dim,
        visible,
    }
}

fn name(s: &AttentionShape) -> String {
    let visible = match s.visible {
        Visible::All => "full",
        Visible::Causal(_) => "causal",
        Visible::Masked(_) => "masked",
    };
    format!(
        "{visible}, {} x {} queries, {} + {} keys, {} of {} heads of {}",
        s.batch, s.queries, s.prefix, s.keys, s.kv_heads, s.heads, s.head_dim
    )
}

/// The operands of one attention.
struct Operands<D: Device> {
    q: Operand<D>,
    k: Operand<D>,
    v: Operand<D>,
    prefix: Option<(Operand<D>, Operand<D>)>,
    dy: Operand<D>,
}

fn operands<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    s: &AttentionShape,
) -> Result<Operands<D>> {
    let (queries, keys) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let prefix = if s.prefix > 0 {
        // More rows than are used.
        let rows = s.prefix + 2;
        Some((bench.matrix(rows, keys)?, bench.matrix(rows, keys)?))
    } else {
        None
    };
    Ok(Operands {
        q: bench.matrix(s.batch * s.queries, queries)?,
        k: bench.matrix(s.batch * s.keys, keys)?,
        v: bench.matrix(s.batch * s.keys, keys)?,
        dy: bench.matrix(s.batch * s.queries, queries)?,
        prefix,
    })
}

/// Checks forward and vjp of one shape.
pub(super) fn one<D: Device<Host = f32>>(bench: &mut Bench<D>, s: &AttentionShape) -> Result<()> {
    let o = operands(bench, s)?;
    let on = o.prefix.as_ref().map(|(k, v)| (&k.on, &v.on));
    let at = o.prefix.as_ref().map(|(k, v)| (&k.exact, &v.exact));
    let device = bench.device;
    let (y, lse) = device.attention(s, &o.q.on, &o.k.on, &o.v.on, on)?;
    let (exact, exact_lse) = bench
        .reference
        .attention(s, &o.q.exact, &o.k.exact, &o.v.exact, at)?;
    let plain = Plain::of(bench, s, &o);
    let name = name(s);
    let (out, reference) = (bench.read(&y)?, bench.exact(&exact)?);
    bench.compare(
        format!("attention {name}"),
        &out,
        &plain.out,
        &reference,
        FORWARD,
    );
    let (out, reference) = (bench.read_statistics(&lse)?, bench.exact(&exact_lse)?);
    let single: Vec<f64> = reference.iter().map(|&v| f64::from(v as f32)).collect();
    bench.compare(
        format!("attention lse {name}"),
        &out,
        &single,
        &reference,
        FORWARD,
    );

    let (dq, dk, dv) =
        device.attention_vjp(s, &o.q.on, &o.k.on, &o.v.on, on, &y, &lse, &o.dy.on)?;
    let (q, k, v) = bench.reference.attention_vjp(
        s,
        &o.q.exact,
        &o.k.exact,
        &o.v.exact,
        at,
        &exact,
        &exact_lse,
        &o.dy.exact,
    )?;
    for (part, out, plain, exact) in [
        ("dq", &dq, &plain.dq, &q),
        ("dk", &dk, &plain.dk, &k),
        ("dv", &dv, &plain.dv, &v),
    ] {
        let (out, reference) = (bench.read(out)?, bench.exact(exact)?);
        bench.compare(
            format!("attention_vjp {part} {name}"),
            &out,
            plain,
            &reference,
            VJP,
        );
    }
    Ok(())
}

/// A direct computation of attention and its vjp in f64, with probabilities, the output and the
/// gradients of scores rounded to the storage type before further use.
struct Plain {
    out: Vec<f64>,
    dq: Vec<f64>,
    dk: Vec<f64>,
    dv: Vec<f64>,
}

impl Plain {
    fn of<D: Device<Host = f32>>(bench: &Bench<D>, s: &AttentionShape, o: &Operands<D>) -> Plain {
        let d = s.head_dim;
        let (wide, narrow) = (s.heads * d, s.kv_heads * d);
        let (q, dy) = (&o.q.values, &o.dy.values);
        let mut plain = Plain {
            out: vec![0.0; q.len()],
            dq: vec![0.0; q.len()],
            dk: vec![0.0; o.k.values.len()],
            dv: vec![0.0; o.v.values.len()],
        };
        let inner = |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
        for (b, r) in (0..s.batch).flat_map(|b| (0..s.queries).map(move |r| (b, r))) {
            for h in 0..s.heads {
                let at = (b * s.queries + r) * wide + h * d;
                let head = h / (s.heads / s.kv_heads) * d;
                // Key j of the prefix, then of the sequence: its offset in its own matrix.
                let place = |j: usize| match j.checked_sub(s.prefix) {
                    None => (true, j * narrow + head),
                    Some(own) => (false, (b * s.keys + own) * narrow + head),
                };
                let (pk, pv) = match &o.prefix {
                    Some((k, v)) => (&k.values[..], &v.values[..]),
                    None => (&[][..], &[][..]),
                };
                let key = |j: usize| match place(j) {
                    (true, at) => &pk[at..at + d],
                    (false, at) => &o.k.values[at..at + d],
                };
                let value = |j: usize| match place(j) {
                    (true, at) => &pv[at..at + d],
                    (false, at) => &o.v.values[at..at + d],
                };
                let (query, slope) = (&q[at..at + d], &dy[at..at + d]);
                let seen = s.seen(r);
                let scores: Vec<f64> = (0..seen)
                    .map(|j| match s.sees(b, r, j) {
                        true => inner(query, key(j)) * s.scale(),
                        false => f64::NEG_INFINITY,
                    })
                    .collect();
                let top = scores.iter().fold(f64::NEG_INFINITY, |m, &v| m.max(v));
                let total: f64 = scores.iter().map(|v| (v - top).exp()).sum();
                let p: Vec<f64> = scores.iter().map(|v| (v - top).exp() / total).collect();
                for (j, &p) in p.iter().enumerate() {
                    let p = bench.round(p);
                    for (out, v) in plain.out[at..].iter_mut().zip(value(j)) {
                        *out += p * v;
                    }
                }
                for out in &mut plain.out[at..at + d] {
                    *out = bench.round(*out);
                }
                let delta = inner(&plain.out[at..at + d], slope);
                for (j, &p) in p.iter().enumerate() {
                    let rounded = bench.round(p);
                    let ds = bench.round(p * (inner(slope, value(j)) - delta)) * s.scale();
                    for (dq, k) in plain.dq[at..].iter_mut().zip(key(j)) {
                        *dq += ds * k;
                    }
                    if let (false, start) = place(j) {
                        for c in 0..d {
                            plain.dk[start + c] += ds * query[c];
                            plain.dv[start + c] += rounded * slope[c];
                        }
                    }
                }
            }
        }
        for part in [&mut plain.dq, &mut plain.dk, &mut plain.dv] {
            part.iter_mut().for_each(|v| *v = bench.round(*v));
        }
        plain
    }
}

/// Checks that a sequence's bits do not depend on the number of other sequences.
fn sequences_do_not_see_each_other<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let shape = |batch| AttentionShape {
        batch,
        queries: 40,
        keys: 40,
        prefix: 0,
        heads: 2,
        kv_heads: 1,
        head_dim: 64,
        visible: Visible::Causal((0..40).collect()),
    };
    alone_or_not(bench, shape)
}

/// Computes the third of three sequences of a shape, alone and with the others.
pub(super) fn alone_or_not<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    shape: impl Fn(usize) -> AttentionShape,
) -> Result<()> {
    let o = operands(bench, &shape(3))?;
    let device = bench.device;
    let (y, lse) = device.attention(&shape(3), &o.q.on, &o.k.on, &o.v.on, None)?;
    let whole = device.attention_vjp(
        &shape(3),
        &o.q.on,
        &o.k.on,
        &o.v.on,
        None,
        &y,
        &lse,
        &o.dy.on,
    )?;
    let last = |x: &Operand<D>| {
        let (third, rows) = (x.values.len() / 3, x.exact.rows() / 3);
        bench.matrix_of(rows, third / rows, x.values[2 * third..].to_vec())
    };
    let (q, k, v, dy) = (last(&o.q)?, last(&o.k)?, last(&o.v)?, last(&o.dy)?);
    let (one_y, one_lse) = device.attention(&shape(1), &q.on, &k.on, &v.on, None)?;
    let one = device.attention_vjp(
        &shape(1),
        &q.on,
        &k.on,
        &v.on,
        None,
        &one_y,
        &one_lse,
        &dy.on,
    )?;
    let mut same = true;
    for (all, alone) in [
        (&y, &one_y),
        (&whole.0, &one.0),
        (&whole.1, &one.1),
        (&whole.2, &one.2),
    ] {
        let (all, alone) = (bench.read(all)?, bench.read(alone)?);
        same &= all[all.len() / 3 * 2..] == alone[..];
    }
    let name = name(&shape(1));
    bench.require(format!("attention in any batch {name}"), same);
    Ok(())
}

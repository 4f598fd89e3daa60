//! What every device asks of its operands, stated once: sizes that fit, and indices inside their tables.

use super::error::expect;
use super::{
    AttentionShape, Blend, DepthwiseShape, DeviceError, Masks, Result, Sampling, ViewPair, Visible,
};
use crate::checkpoint::Tensor;

/// Colours of a picture.
pub(super) const CHANNELS: usize = 3;

/// Rows and columns.
type Size = (usize, usize);

/// Every index below `limit`, else a [`DeviceError::Index`].
fn below(
    operation: &'static str,
    indices: impl IntoIterator<Item = usize>,
    limit: usize,
) -> Result<()> {
    match indices.into_iter().find(|&index| index >= limit) {
        None => Ok(()),
        Some(index) => Err(DeviceError::Index {
            operation,
            index,
            limit,
        }),
    }
}

/// As many values as a matrix has elements.
pub(super) fn upload(rows: usize, columns: usize, values: usize) -> Result<()> {
    let expected = || format!("{rows} x {columns} values");
    let fits = Some(values) == rows.checked_mul(columns);
    expect(fits, "upload", expected, || format!("{values}"))
}

/// Rows and columns of a weight: a tensor whose first dimension is the output, with all of its bytes.
pub(super) fn weight(tensor: &Tensor) -> Result<Size> {
    let bytes = tensor
        .shape
        .iter()
        .try_fold(tensor.dtype.size(), |bytes, &size| bytes.checked_mul(size));
    let expected = || format!("{} of {:?} {}", tensor.name, tensor.shape, tensor.dtype);
    let fits = !tensor.shape.is_empty() && bytes == Some(tensor.bytes().len());
    expect(fits, "weight", expected, || {
        format!("{} bytes", tensor.bytes().len())
    })?;
    let rows = tensor.shape.first().copied().unwrap_or(0);
    Ok((rows, tensor.shape.iter().skip(1).product()))
}

/// Views of one size, which is returned as rows and columns of pixels; two pictures of that size for each, and patches that
/// tile it.
pub(super) fn pictures(views: &[ViewPair], patch: usize, mask_size: usize) -> Result<Size> {
    let size = |pair: &ViewPair| (pair.view.height, pair.view.width);
    let (height, width) = views.first().map_or((0, 0), size);
    let whole = patch > 0 && height >= patch && width >= patch;
    let expected = || {
        format!("views of 3 x {height} x {width} values and patches of {patch} that fit into them")
    };
    let length = height
        .checked_mul(width)
        .and_then(|pixels| pixels.checked_mul(CHANNELS));
    expect(whole, "pictures", expected, || {
        format!("{} views", views.len())
    })?;
    for pair in views {
        let lengths = (Some(pair.picture.len()), Some(pair.baseline.len()));
        let there = size(pair) == (height, width) && lengths == (length, length);
        expect(there, "pictures", expected, || {
            let (x, b) = (pair.picture.len(), pair.baseline.len());
            format!("{:?} with {x} and {b} values", size(pair))
        })?;
    }
    let cells = || "a mask of at least one cell a side, numbered in 32 bits".to_string();
    let numbered = (1..=1 << 16).contains(&mask_size);
    expect(numbered, "pictures", cells, || mask_size.to_string())?;
    Ok((height, width))
}

/// Where each element of the patch matrix stands in a picture: patch by patch, in it channel, row, column.
pub(super) fn patch_order(
    (height, width): Size,
    patch: usize,
) -> impl Iterator<Item = usize> + Clone {
    let across = width / patch;
    let patches = height / patch * across;
    (0..patches).flat_map(move |p| {
        (0..CHANNELS * patch).flat_map(move |line| {
            let (c, i) = (line / patch, line % patch);
            let start = (c * height + p / across * patch + i) * width + p % across * patch;
            start..start + patch
        })
    })
}

/// Masks of `size` cells a side, and blends that name no others.
pub(super) fn masks(size: usize, masks: Masks, blends: &[Blend]) -> Result<()> {
    let fits = masks.size == size && masks.values.iter().all(|m| m.len() == size * size);
    let expected = || format!("masks of {size} cells a side");
    expect(fits, "blend", expected, || masks.size.to_string())?;
    let used = blends.iter().flat_map(|b| match b.sampling {
        Sampling::One(m) => [m, m],
        Sampling::Product(m, n) => [m, n],
    });
    // The largest, so that the message says how many masks there would have to be.
    below("blend", used.max(), masks.values.len())
}

/// As many masks and blends as those in whose place they go.
pub(super) fn restage(expected: Size, found: Size) -> Result<()> {
    let say = |(masks, blends): Size| format!("{masks} masks and {blends} blends");
    expect(
        expected == found,
        "restage",
        || say(expected),
        || say(found),
    )
}

/// Weights that are as many as those in whose place they go.
pub(super) fn reweigh(expected: usize, found: usize) -> Result<()> {
    let expects = || format!("{expected} weights");
    expect(expected == found, "reweigh", expects, || format!("{found}"))
}

/// Heads that rotary positions fit.
pub(super) fn rope(
    (rows, columns): Size,
    head_dim: usize,
    frequencies: &[f64],
    positions: &[usize],
) -> Result<()> {
    let heads =
        head_dim > 0 && columns.is_multiple_of(head_dim) && head_dim == 2 * frequencies.len();
    let positions_fit = !positions.is_empty() || rows == 0;
    let expected = || {
        format!(
            "heads of {head_dim}, even, with {} frequencies, and a position",
            head_dim / 2
        )
    };
    let found = || {
        format!(
            "{columns} columns, {} frequencies, {} positions",
            frequencies.len(),
            positions.len()
        )
    };
    expect(heads && positions_fit, "rope", expected, found)
}

/// Operands of an attention against its shape.
pub(super) fn attention(
    s: &AttentionShape,
    q: Size,
    k: Size,
    v: Size,
    prefix: Option<(Size, Size)>,
) -> Result<()> {
    let size = |rows: Size, columns: usize| {
        Some((
            rows.0.checked_mul(rows.1)?,
            columns.checked_mul(s.head_dim)?,
        ))
    };
    let own = size((s.batch, s.keys), s.kv_heads);
    let sizes = size((s.batch, s.queries), s.heads) == Some(q) && own == Some(k) && own == Some(v);
    let heads = s.kv_heads > 0 && s.heads.is_multiple_of(s.kv_heads) && s.head_dim > 0;
    let keys = s.queries == 0 || s.keys > 0 || s.prefix > 0;
    let expected = || format!("sizes of {s:?}, with a key for every query");
    expect(sizes && heads && keys, "attention", expected, || {
        format!("q {q:?}, k {k:?}, v {v:?}")
    })?;
    let kv_width = k.1;
    let prefix_fits = match prefix {
        None => s.prefix == 0,
        Some((k, v)) => k.0 >= s.prefix && v.0 >= s.prefix && k.1 == kv_width && v.1 == kv_width,
    };
    expect(
        prefix_fits,
        "attention: prefix",
        || format!("{} x {kv_width}", s.prefix),
        || format!("{prefix:?}"),
    )?;
    match &s.visible {
        Visible::All => Ok(()),
        Visible::Causal(places) => {
            let expected = || format!("{} places", s.queries);
            let fits = places.len() == s.queries;
            expect(fits, "attention", expected, || places.len().to_string())?;
            below("attention", places.iter().copied(), s.keys)
        }
        Visible::Masked(seen) => mask(s, seen),
    }
}

/// One query per sequence, a whole number of rows of the mask that go into the batch, and a key in each.
fn mask(s: &AttentionShape, seen: &[bool]) -> Result<()> {
    let whole = s.keys > 0 && !seen.is_empty() && seen.len().is_multiple_of(s.keys);
    let repeats = whole && s.batch.is_multiple_of(seen.len() / s.keys);
    let sighted = whole && seen.chunks(s.keys).all(|row| row.contains(&true));
    let expected = || {
        let (keys, batch) = (s.keys, s.batch);
        format!(
            "one query, no prefix, and a mask of {keys} keys, one of them seen, for sequences whose number divides {batch}"
        )
    };
    expect(
        s.is_window() && repeats && sighted,
        "attention: mask",
        expected,
        || {
            format!(
                "{} queries, a prefix of {}, {} elements",
                s.queries,
                s.prefix,
                seen.len()
            )
        },
    )
}

/// Rows of so many columns that a matrix can be cut into without rest: how many there are.
pub(super) fn reshape((rows, columns): Size, to: usize) -> Result<usize> {
    let count = rows * columns;
    let expected = || format!("a row length that divides {rows} x {columns}");
    expect(
        to > 0 && count.is_multiple_of(to),
        "reshape",
        expected,
        || to.to_string(),
    )?;
    Ok(count / to)
}

/// Parts of as many rows: the size of all side by side.
pub(super) fn join_columns(parts: impl Iterator<Item = Size> + Clone) -> Result<Size> {
    let rows = parts.clone().next().map(|first| first.0);
    let even = parts.clone().all(|part| Some(part.0) == rows);
    let expected = || "matrices of as many rows".to_string();
    expect(rows.is_some() && even, "join_columns", expected, || {
        format!("{:?}", parts.clone().collect::<Vec<_>>())
    })?;
    Ok((rows.unwrap_or(0), parts.map(|part| part.1).sum()))
}

/// Columns that there are.
pub(super) fn take_columns((_, columns): Size, from: usize, count: usize) -> Result<()> {
    let fits = from.checked_add(count).is_some_and(|end| end <= columns);
    let expected = || format!("columns of {columns}");
    expect(fits, "take_columns", expected, || {
        format!("{count} from {from} on")
    })
}

/// Grids, an odd kernel of as many channels, and a bias: the number of grids.
pub(super) fn depthwise(
    x: Size,
    kernel: Size,
    bias: Option<Size>,
    shape: DepthwiseShape,
) -> Result<usize> {
    let DepthwiseShape {
        height,
        width,
        size,
    } = shape;
    let places = height.checked_mul(width).filter(|&places| places > 0);
    let taps = size.checked_mul(size).filter(|_| size % 2 == 1);
    let grids = places.is_some_and(|places| x.0.is_multiple_of(places));
    let fits = taps == Some(kernel.0) && kernel.1 == x.1;
    let expected = || {
        format!("grids of {height} x {width}, and {size} x {size} taps, odd, of as many channels")
    };
    expect(grids && fits, "depthwise", expected, || {
        format!("{x:?} and {kernel:?}")
    })?;
    bias.map_or(Ok(()), |bias| {
        let expected = || format!("{:?}", (1, x.1));
        let found = || format!("{bias:?}");
        expect(bias == (1, x.1), "depthwise: bias", expected, found)
    })?;
    Ok(places.map_or(0, |places| x.0 / places))
}

/// Rows of a table.
pub(super) fn gather(table_rows: usize, ids: &[u32]) -> Result<()> {
    below("gather", ids.iter().map(|&id| id as usize), table_rows)
}

/// Rows that fit into `target` from row `at` on.
pub(super) fn write_rows(target: Size, at: usize, x: Size) -> Result<()> {
    let end = at.checked_add(x.0);
    let fits = end.is_some_and(|end| end <= target.0) && x.1 == target.1;
    let expected = || format!("rows of {} up to row {}", target.1, target.0);
    expect(fits, "write_rows", expected, || {
        format!("{x:?} from row {at} on")
    })
}

/// One target per row, inside the vocabulary.
pub(super) fn targets(rows: usize, vocabulary: usize, targets: &[u32]) -> Result<()> {
    let (expected, found) = (
        || format!("{rows} targets"),
        || format!("{}", targets.len()),
    );
    expect(targets.len() == rows, "log_probability", expected, found)?;
    let tokens = targets.iter().map(|&t| t as usize);
    below("log_probability", tokens, vocabulary)
}

/// One weight per row of a score.
pub(super) fn weights(rows: usize, weights: usize) -> Result<()> {
    let (expected, found) = (
        || format!("{rows} weights"),
        || format!("{weights} weights"),
    );
    expect(weights == rows, "log_probability_vjp", expected, found)
}

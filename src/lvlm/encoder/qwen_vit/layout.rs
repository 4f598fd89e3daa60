//! The order of a picture's patches in the encoder.

use crate::device::RowMap;
use crate::lvlm::bilinear::{aligned_taps, crossed};
use crate::nn::{Positions, Windows};

/// The order of a picture's patches in the encoder: the patches of a row of the decoder follow each
/// other, and so do the rows of a window.
pub(in crate::lvlm) struct PatchLayout {
    /// Puts patches, line by line, into that order.
    pub(super) place: RowMap,
    /// Rows and columns of the patches, in that order.
    pub(super) positions: Positions,
    pub(super) windows: Option<Windows>,
    /// Makes the patches' learned positions, in that order, of the table.
    pub(super) learned: Option<RowMap>,
    /// The place of each of the decoder's rows, in that order, line by line.
    pub order: Vec<usize>,
    /// Puts the decoder's rows, in that order, line by line.
    pub lines: RowMap,
}

impl PatchLayout {
    /// Lays out `rows` x `columns` patches, `merge` x `merge` of a row of the decoder, and `side` x
    /// `side` of those of a window, or fewer at the right and lower border. A table of `positions`
    /// rows begins with the positions of a square, which becomes as large as the picture.
    pub(super) fn new(
        (rows, columns): (usize, usize),
        merge: usize,
        side: Option<usize>,
        positions: Option<usize>,
    ) -> PatchLayout {
        let (down, across) = (rows / merge, columns / merge);
        let (tall, wide) = (side.unwrap_or(down).max(1), side.unwrap_or(across).max(1));
        // The decoder's rows, in the encoder's order.
        let mut order = Vec::with_capacity(down * across);
        let mut lengths = Vec::new();
        for top in (0..down).step_by(tall) {
            for left in (0..across).step_by(wide) {
                let before = order.len();
                for y in top..down.min(top + tall) {
                    order.extend((left..across.min(left + wide)).map(|x| (y, x)));
                }
                lengths.push((order.len() - before) * merge.pow(2));
            }
        }
        let patch = |&(y, x): &(usize, usize)| {
            (0..merge.pow(2)).map(move |n| (y * merge + n / merge, x * merge + n % merge))
        };
        let patches: Vec<(usize, usize)> = order.iter().flat_map(patch).collect();
        let place = patches.iter().map(|&(y, x)| Some(y * columns + x));
        let axes = vec![
            patches.iter().map(|patch| patch.0).collect(),
            patches.iter().map(|patch| patch.1).collect(),
        ];
        let learned = positions.map(|positions| {
            let square = positions.isqrt();
            let taps = (aligned_taps(square, rows), aligned_taps(square, columns));
            let of = |&(y, x): &(usize, usize)| {
                let terms = crossed(&taps.0[y], &taps.1[x]);
                terms.map(|(i, j, w)| (i * square + j, w)).collect()
            };
            RowMap::new(positions, patches.iter().map(of).collect())
        });
        let order: Vec<usize> = order.iter().map(|&(y, x)| y * across + x).collect();
        let mut lines = vec![None; order.len()];
        for (n, &line) in order.iter().enumerate() {
            lines[line] = Some(n);
        }
        PatchLayout {
            place: RowMap::select(rows * columns, place),
            positions: Positions::new(axes, patches.len()),
            windows: side.map(|_| Windows::new(&lengths)),
            learned,
            lines: RowMap::select(order.len(), lines),
            order,
        }
    }
}

//! Sizes of Mini-Gemini's views, and which of ConvNeXt's positions lie under which of CLIP's
//! patches.

use crate::device::RowMap;
use crate::lvlm::bilinear::{crossed, taps};
use crate::lvlm::encoder::STEM;

/// Sizes of the views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct ViewSizes {
    /// Pixels each way of what ConvNeXt sees.
    pub large: usize,
    /// Pixels each way of what CLIP sees.
    pub small: usize,
    /// Side of CLIP's patches.
    pub patch: usize,
    /// Tiles each way; with more than one, the whole picture is a view of CLIP's beside them, the
    /// first.
    pub grid: usize,
}

impl ViewSizes {
    /// Returns the number of CLIP's views.
    pub fn count(&self) -> usize {
        match self.grid {
            1 => 1,
            grid => 1 + grid * grid,
        }
    }

    /// Returns the number of CLIP's patches each way.
    pub fn across(&self) -> usize {
        self.small / self.patch
    }
}

/// Maps from ConvNeXt's positions to those under each of CLIP's patches.
#[derive(Clone, Debug)]
pub(in crate::lvlm) struct Blocks {
    /// Per stage, from its positions to those under the patches: view by view, patch by patch, row
    /// by row.
    pub stages: Vec<RowMap>,
    /// Positions under a patch.
    pub keys: usize,
}

/// Stages of ConvNeXt.
pub(in crate::lvlm) const STAGES: usize = 4;

/// Terms of one position along an axis.
type Terms = Vec<(usize, f64)>;

impl Blocks {
    /// Makes the blocks of these views. Every stage is first made as large as the first; for the
    /// whole picture beside tiles, that is then made as much smaller as there are tiles.
    pub fn of(views: &ViewSizes) -> Blocks {
        let (side, across, grid) = (views.large / STEM, views.across(), views.grid);
        let tile = side / grid;
        let under = tile / across;
        let stage = |i: usize| {
            let enlarged = taps(side >> i, side);
            let small: Vec<Terms> = taps(side, tile)
                .iter()
                .map(|t| through(t, &enlarged))
                .collect();
            let rows = views_of(grid).into_iter().flat_map(|view| {
                let axis = |start: Option<usize>| match start {
                    None => &small[..],
                    Some(start) => &enlarged[start * tile..][..tile],
                };
                let (down, along) = (axis(view.map(|v| v.0)), axis(view.map(|v| v.1)));
                let patches = (0..across).flat_map(move |u| (0..across).map(move |v| (u, v)));
                let places = patches.flat_map(move |(u, v)| {
                    (0..under * under).map(move |k| (u * under + k / under, v * under + k % under))
                });
                places.map(move |(y, x)| product(&down[y], &along[x], side >> i))
            });
            let rows: Vec<Terms> = rows.collect();
            RowMap::new((side >> i).pow(2), rows)
        };
        Blocks {
            stages: (0..STAGES).map(stage).collect(),
            keys: under * under,
        }
    }
}

/// The whole picture (`None`), then the tiles if there are several, by row and column.
fn views_of(grid: usize) -> Vec<Option<(usize, usize)>> {
    let tiles = (0..grid).flat_map(|y| (0..grid).map(move |x| Some((y, x))));
    match grid {
        1 => vec![None],
        _ => std::iter::once(None).chain(tiles).collect(),
    }
}

/// Composes one change of size with another.
fn through(terms: &Terms, first: &[Terms]) -> Terms {
    let mut sums = std::collections::BTreeMap::new();
    for &(at, a) in terms {
        for &(from, b) in &first[at] {
            *sums.entry(from).or_insert(0.0) += a * b;
        }
    }
    sums.into_iter().collect()
}

fn product(rows: &Terms, columns: &Terms, side: usize) -> Terms {
    crossed(rows, columns)
        .map(|(i, j, weight)| (i * side + j, weight))
        .collect()
}

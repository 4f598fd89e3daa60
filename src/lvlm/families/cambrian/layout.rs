//! The token layout of Cambrian-1: the queries that are not padding, the window of each in the
//! encoders' grids, and the decoder's rows.

use crate::device::{RowMap, Visible};
use crate::lvlm::error::{LvlmError, Result};

/// The maps for pictures of one size.
#[derive(Clone, Debug)]
pub(in crate::lvlm) struct CambrianLayout {
    /// Lines of queries, and queries of a line.
    grid: (usize, usize),
    /// By encoder, from its grid to the windows: query by query, each row by row.
    pub windows: Vec<RowMap>,
    /// By encoder, keys of a window.
    pub keys: Vec<usize>,
    /// The keys that a query sees.
    pub visible: Visible,
    /// Puts one row at every query.
    pub spread: RowMap,
    /// As many empty rows.
    pub blank: RowMap,
    /// From queries to the decoder's rows, a newline's row after each line.
    pub lines: RowMap,
    /// Puts the one newline at its rows.
    pub newlines: RowMap,
}

impl CambrianLayout {
    /// Makes the maps for a picture of that width and height in pixels, `queries` each way, and the
    /// encoders' tokens each way, multiples of that.
    ///
    /// # Errors
    /// [`LvlmError::TooThin`] for a picture all of whose queries are padding.
    pub fn of(
        (width, height): (u32, u32),
        queries: usize,
        sides: &[usize],
    ) -> Result<CambrianLayout> {
        let (top, left) = padding(width, height, queries);
        let grid = (
            queries.saturating_sub(2 * top),
            queries.saturating_sub(2 * left),
        );
        let count = grid.0 * grid.1;
        if count == 0 {
            let limit = queries;
            return Err(LvlmError::TooThin {
                limit,
                width,
                height,
            });
        }
        let places = (0..grid.0).flat_map(|y| (0..grid.1).map(move |x| (top + y, left + x)));
        let places: Vec<(usize, usize)> = places.collect();
        let windows = sides.iter().map(|&side| windows(&places, side / queries));
        let windows: Vec<Windows> = windows.collect();
        let all = windows.iter().zip(sides);
        let maps = all.clone().map(|(windows, &side)| {
            let keys = windows.iter().flatten().map(|&(y, x)| Some(y * side + x));
            RowMap::select(side * side, keys)
        });
        let seen: Vec<Vec<Vec<bool>>> = all
            .map(|(windows, &side)| seen(windows, side, padding(width, height, side)))
            .collect();
        let by_query = (0..count).flat_map(|q| seen.iter().flat_map(move |seen| &seen[q]));
        let by_query: Vec<bool> = by_query.copied().collect();
        let row = |line: usize, place: usize| (place < grid.1).then_some(line * grid.1 + place);
        let rows = (0..grid.0).flat_map(|line| (0..=grid.1).map(move |place| (line, place)));
        let rows: Vec<Option<usize>> = rows.map(|(line, place)| row(line, place)).collect();
        let newlines = rows.iter().map(|row| row.is_none().then_some(0));
        Ok(CambrianLayout {
            grid,
            visible: match by_query.iter().all(|&seen| seen) {
                true => Visible::All,
                false => Visible::Masked(by_query),
            },
            windows: maps.collect(),
            keys: sides.iter().map(|side| (side / queries).pow(2)).collect(),
            spread: RowMap::select(1, (0..count).map(|_| Some(0))),
            blank: RowMap::select(1, (0..count).map(|_| None)),
            newlines: RowMap::select(1, newlines),
            lines: RowMap::select(count, rows),
        })
    }

    /// Returns the place of every row of the decoder among `queries` x `queries`, the padding's
    /// included; none of a newline.
    pub fn places(&self, queries: usize) -> Vec<Vec<(usize, f64)>> {
        let (top, left) = ((queries - self.grid.0) / 2, (queries - self.grid.1) / 2);
        let place = |&(query, weight): &(usize, f64)| {
            let (line, column) = (query / self.grid.1, query % self.grid.1);
            ((top + line) * queries + left + column, weight)
        };
        let rows = self.lines.forward().iter();
        rows.map(|terms| terms.iter().map(place).collect())
            .collect()
    }

    /// Returns the number of queries.
    pub fn queries(&self) -> usize {
        self.grid.0 * self.grid.1
    }

    /// Returns the map of the queries among `length` rows of the decoder, the picture's first.
    pub fn picked(&self, length: usize) -> RowMap {
        let rows =
            (0..self.queries()).map(|q| q / self.grid.1 * (self.grid.1 + 1) + q % self.grid.1);
        RowMap::select(length, rows.map(Some))
    }
}

/// Returns the rows above (and below) and columns left (and right) of a grid of `side x side` that
/// the square's padding covers.
fn padding(width: u32, height: u32, side: usize) -> (usize, usize) {
    let (width, height, length) = (f64::from(width), f64::from(height), side as f64);
    // In this order of operations, whose rounding decides.
    let covered = |short: f64, long: f64| (side - (short * (length / long)) as usize) / 2;
    if width / height > 1.0 {
        (covered(height, width), 0)
    } else {
        (0, covered(width, height))
    }
}

/// Places (row, column) of an encoder's grid, query by query.
type Windows = Vec<Vec<(usize, usize)>>;

/// Returns the windows of `r x r` under queries.
fn windows(queries: &[(usize, usize)], r: usize) -> Windows {
    let key = |y: usize, x: usize, k: usize| (y * r + k / r, x * r + k % r);
    let window = |&(y, x): &(usize, usize)| (0..r * r).map(|k| key(y, x, k)).collect();
    queries.iter().map(window).collect()
}

/// Returns which keys of every window are not padding; all where none would be.
fn seen(windows: &Windows, side: usize, (top, left): (usize, usize)) -> Vec<Vec<bool>> {
    let inside = |&(y, x): &(usize, usize)| {
        (top..side - top).contains(&y) && (left..side - left).contains(&x)
    };
    let window = |window: &Vec<(usize, usize)>| {
        let none = !window.iter().any(inside);
        window.iter().map(|place| none || inside(place)).collect()
    };
    windows.iter().map(window).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: 30 x 20 on 6 x 6 queries leaves 4 lines, on 12 x 12 keys 8 rows, on 18 x 18 keys 12
    /// rows; nothing is hidden.
    #[test]
    fn whole_windows_of_padding_are_left_out() {
        let a = CambrianLayout::of((30, 20), 6, &[6, 12, 18]).unwrap();
        assert_eq!((a.grid, a.queries()), ((4, 6), 24));
        assert_eq!(a.keys, [1, 4, 9]);
        assert!(matches!(a.visible, Visible::All));
        // The first query's window: row 1 of the queries is row 2 of the keys.
        let first: Vec<usize> = a.windows[1].forward()[..4].iter().map(|t| t[0].0).collect();
        assert_eq!(first, [24, 25, 36, 37]);
        assert_eq!(a.lines.outputs(), 4 * 7);
        assert!(a.lines.forward()[6].is_empty() && a.newlines.forward()[6].len() == 1);
        let picked = a.picked(30);
        assert_eq!(picked.forward()[6], [(7, 1.0)]);
    }

    /// 20 x 26: on 4 x 4 queries int(20 * 4 / 26) = 3 columns are the picture's, so (4 - 3) / 2 = 0
    /// are left out; on 8 x 8 keys int(6.15) = 6, so one column on each side is hidden from the
    /// outer windows.
    #[test]
    fn padding_inside_a_window_is_hidden() {
        let a = CambrianLayout::of((20, 26), 4, &[4, 8]).unwrap();
        assert_eq!(a.grid, (4, 4));
        let Visible::Masked(seen) = &a.visible else {
            panic!("{:?}", a.visible);
        };
        assert_eq!(seen.len(), 16 * 5);
        assert_eq!(seen[..5], [true, false, true, false, true]);
        assert_eq!(seen[5..10], [true; 5]);
        assert_eq!(seen[15..20], [true, true, false, true, false]);
    }

    #[test]
    fn a_line_of_pixels_is_refused() {
        let error = CambrianLayout::of((1000, 3), 24, &[24]).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("1000 x 3") && text.contains("24"), "{text}");
    }
}

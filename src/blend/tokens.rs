//! Places of a model's tokens in the picture, and maps of a value per token in a mask's plane.

use super::View;

/// A grid of tokens over one view: token (0, 0) covers the view's first `step` x `step` pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TokenGrid {
    /// The view.
    pub view: View,
    /// Rows of tokens.
    pub rows: usize,
    /// Tokens of a row.
    pub columns: usize,
    /// Pixels of the view that a token covers each way.
    pub step: f64,
}

/// The places of a model's tokens in the grids of its views.
///
/// A token may be a mixture of several places, and several tokens may share one. Tokens without a
/// place, such as a class token or the end of a line, are no part of the picture.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenPlaces {
    grids: Vec<TokenGrid>,
    /// The number of grids of each picture: its grids follow those of the pictures before it.
    pictures: Vec<usize>,
    /// For each token, its places, counted through all grids, each row by row, and their weights.
    tokens: Vec<Vec<(usize, f64)>>,
}

impl TokenPlaces {
    /// Creates the places of tokens: for each token the places that it is a mixture of, counted
    /// through all grids, and their weights. Places beyond the grids are left out.
    pub(crate) fn new(grids: Vec<TokenGrid>, mut tokens: Vec<Vec<(usize, f64)>>) -> TokenPlaces {
        let count: usize = grids.iter().map(|grid| grid.rows * grid.columns).sum();
        for places in &mut tokens {
            places.retain(|&(place, weight)| place < count && weight > 0.0);
        }
        TokenPlaces {
            pictures: vec![grids.len()],
            grids,
            tokens,
        }
    }

    /// Joins the places of tokens of several pictures, which follow one another. Tokens of pictures
    /// that are not `masked` have no place.
    pub(crate) fn joined(pictures: impl IntoIterator<Item = (TokenPlaces, bool)>) -> TokenPlaces {
        let mut all = TokenPlaces {
            grids: Vec::new(),
            pictures: Vec::new(),
            tokens: Vec::new(),
        };
        let mut before = 0;
        for (own, masked) in pictures {
            if !masked {
                all.tokens.extend(own.tokens.iter().map(|_| Vec::new()));
                continue;
            }
            let moved = |places: Vec<(usize, f64)>| {
                let moved = places.into_iter().map(|(place, w)| (before + place, w));
                moved.collect()
            };
            all.tokens.extend(own.tokens.into_iter().map(moved));
            before += own.grids.iter().map(|g| g.rows * g.columns).sum::<usize>();
            all.grids.extend(own.grids);
            all.pictures.extend(own.pictures);
        }
        all
    }

    /// Creates the places of tokens that are no mixtures: for each token its place, counted through
    /// all grids, if it has one.
    pub(crate) fn of(
        grids: Vec<TokenGrid>,
        places: impl IntoIterator<Item = Option<usize>>,
    ) -> TokenPlaces {
        let weighed = |place: Option<usize>| place.map(|place| (place, 1.0)).into_iter().collect();
        TokenPlaces::new(grids, places.into_iter().map(weighed).collect())
    }

    /// Returns the grids.
    pub fn grids(&self) -> &[TokenGrid] {
        &self.grids
    }

    /// Returns the number of tokens, with those that have no place.
    pub fn tokens(&self) -> usize {
        self.tokens.len()
    }

    /// Returns the tokens that have a place, ascending.
    pub fn placed(&self) -> Vec<usize> {
        let tokens = self.tokens.iter().enumerate();
        tokens
            .filter(|(_, places)| !places.is_empty())
            .map(|(token, _)| token)
            .collect()
    }

    /// Returns the values of every grid, row by row: the mean of the tokens at a place by their
    /// weights, `None` where there is no token. `values` are one per token.
    pub fn on_grids(&self, values: &[f64]) -> Vec<Vec<Option<f64>>> {
        let count: usize = self.grids.iter().map(|g| g.rows * g.columns).sum();
        let mut sums = vec![(0.0, 0.0); count];
        for (places, value) in self.tokens.iter().zip(values) {
            for &(place, weight) in places {
                sums[place].0 += weight * value;
                sums[place].1 += weight;
            }
        }
        let mut all = sums
            .into_iter()
            .map(|(sum, weight)| (weight > 0.0).then(|| sum / weight));
        let grids = self.grids.iter();
        grids
            .map(|grid| all.by_ref().take(grid.rows * grid.columns).collect())
            .collect()
    }

    /// Returns the map of grids' values, as [`TokenPlaces::on_grids`] returns them, at the cells of
    /// a mask of `size` x `size`, row by row, picture by picture: at each cell the mean over the
    /// views that see it of the bilinear sample between the centres of tokens; 0 where no view sees
    /// it.
    ///
    /// Outside the centres of its outermost tokens, a grid continues with their values to the edge
    /// of the view. Places without a token have no weight.
    pub(crate) fn sample(&self, grids: &[Vec<Option<f64>>], size: usize) -> Vec<f64> {
        let mut all = self.grids.iter().zip(grids);
        let of_picture = |&count: &usize| sampled(all.by_ref().take(count), size);
        self.pictures.iter().flat_map(of_picture).collect()
    }

    /// Returns [`TokenPlaces::sample`] of [`TokenPlaces::on_grids`].
    pub(crate) fn cells(&self, values: &[f64], size: usize) -> Vec<f64> {
        self.sample(&self.on_grids(values), size)
    }
}

/// Returns the map of the grids of one picture, as [`TokenPlaces::sample`] does.
fn sampled<'g>(
    grids: impl Iterator<Item = (&'g TokenGrid, &'g Vec<Option<f64>>)>,
    size: usize,
) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); size * size];
    for (grid, values) in grids {
        let View {
            height,
            width,
            resized_height,
            resized_width,
            offset_y,
            offset_x,
            unit,
        } = grid.view;
        let axis = |length, resized, offset, tokens| {
            taps(grid.step, unit, (length, resized, offset), tokens, size)
        };
        let down = axis(height, resized_height, offset_y, grid.rows);
        let across = axis(width, resized_width, offset_x, grid.columns);
        for (i, row) in down.iter().enumerate() {
            for (j, column) in across.iter().enumerate() {
                let (mut sum, mut weight) = (0.0, 0.0);
                for &(r, a) in row {
                    for &(c, b) in column {
                        let value = values.get(r * grid.columns + c).copied().flatten();
                        if let Some(value) = value {
                            sum += a * b * value;
                            weight += a * b;
                        }
                    }
                }
                if weight > 0.0 {
                    sums[i * size + j].0 += sum / weight;
                    sums[i * size + j].1 += 1.0;
                }
            }
        }
    }
    let mean = |(sum, views): (f64, f64)| if views > 0.0 { sum / views } else { 0.0 };
    sums.into_iter().map(mean).collect()
}

/// Returns the tokens of a grid's axis, with their weights, at every cell of a mask's axis; none
/// where the view does not see the cell.
fn taps(
    step: f64,
    unit: usize,
    (length, resized, offset): (usize, usize, isize),
    tokens: usize,
    size: usize,
) -> Vec<Vec<(usize, f64)>> {
    let unit_pixels = unit.max(1) as f64;
    let last_cell = size.saturating_sub(1).max(1) as f64;
    let cell = |cell: usize| {
        // The cell's place among the view's pixels, whose centres are whole numbers.
        let place = cell as f64 / last_cell * resized.saturating_sub(unit) as f64;
        let pixel = (place - offset as f64) / unit_pixels;
        if tokens == 0 || pixel < -0.5 || pixel > length as f64 - 0.5 {
            return Vec::new();
        }
        let at = ((pixel + 0.5) / step - 0.5).clamp(0.0, (tokens - 1) as f64);
        let low = at as usize;
        let weight = at - low as f64;
        let taps = [(low, 1.0 - weight), (low + 1, weight)];
        taps.into_iter().filter(|&(_, w)| w > 0.0).collect()
    };
    (0..size).map(cell).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(view: View, rows: usize, columns: usize, step: f64) -> TokenGrid {
        TokenGrid {
            view,
            rows,
            columns,
            step,
        }
    }

    fn identity(count: usize) -> Vec<Vec<(usize, f64)>> {
        (0..count).map(|token| vec![(token, 1.0)]).collect()
    }

    /// Two tokens across 8 pixels: centres at pixels 1.5 and 5.5, cells at pixels 0, 3.5 and 7.
    #[test]
    fn cells_lie_between_the_centres_of_tokens() {
        let whole = grid(View::whole(8, 8), 2, 2, 4.0);
        let places = TokenPlaces::new(vec![whole], identity(4));
        let found = places.cells(&[0.0, 1.0, 2.0, 3.0], 3);
        assert_eq!(found, [0.0, 0.5, 1.0, 1.0, 1.5, 2.0, 2.0, 2.5, 3.0]);
        // The second row of the mask's four lies at pixel 7 / 3, between the centres.
        let found = places.cells(&[0.0, 0.0, 1.0, 1.0], 4);
        assert!((found[4] - (7.0 / 3.0 - 1.5) / 4.0).abs() < 1e-12);
    }

    /// A view of the right half, and one of everything whose last token is missing.
    #[test]
    fn views_share_what_they_both_see() {
        let mut right = View::whole(8, 4);
        (right.resized_width, right.offset_x) = (8, 4);
        let grids = vec![
            grid(View::whole(8, 8), 1, 2, 4.0),
            grid(right, 1, 1, 4.0),
            grid(View::whole(8, 8), 0, 0, 4.0),
        ];
        let tokens = vec![vec![(0, 1.0), (2, 3.0)], vec![], vec![(2, 1.0), (9, 1.0)]];
        let places = TokenPlaces::new(grids, tokens);
        assert_eq!(places.placed(), [0, 2]);
        let values = [2.0, 9.0, 6.0];
        assert_eq!(
            places.on_grids(&values),
            [vec![Some(2.0), None], vec![Some(3.0)], vec![]]
        );
        // The first token alone to the left; in the middle and to the right the tile sees too.
        let found = places.cells(&values, 2);
        assert_eq!(found[0], 2.0);
        assert_eq!(found[1], 3.0, "the whole picture has no token there");
    }

    #[test]
    fn cells_that_no_view_sees_are_zero() {
        let mut crop = View::whole(4, 4);
        (crop.resized_width, crop.offset_x) = (12, 4);
        let places = TokenPlaces::new(vec![grid(crop, 1, 1, 4.0)], identity(1));
        assert_eq!(places.cells(&[5.0], 3)[..3], [0.0, 5.0, 0.0]);
        assert_eq!(places.cells(&[5.0], 1), [0.0], "one cell lies at the left");
    }
}

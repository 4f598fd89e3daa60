//! The rows of a picture in tiles: the tokens of the whole picture, then those of the tiles as one
//! large picture without its padding, a newline after every row. After `pack_image_features` of
//! `transformers`' LLaVA-NeXT and LLaVA-OneVision.

use crate::device::RowMap;
use crate::lvlm::bilinear::{crossed, taps};

/// A picture's tiles and tokens.
#[derive(Clone, Copy, Debug)]
pub(in crate::lvlm) struct Packing {
    /// Rows and columns of tiles.
    pub grid: (usize, usize),
    /// Tokens of a view each way.
    pub side: usize,
    /// Width and height of the picture in pixels.
    pub picture: (u32, u32),
    /// The large picture is made smaller where it has many more tokens than so many views have.
    pub most_views: Option<usize>,
    /// The rounding of the length without padding.
    pub unpadding: Unpadding,
}

/// The rounding of the length of a picture without its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::lvlm) enum Unpadding {
    /// Cut off after rounding at the seventh decimal: `transformers`.
    Rounded,
    /// Cut off, though 47 * (12 / 188) is a little less than 3: the original program.
    Cut,
}

/// The rows that come of it. Input rows are the tokens of the whole picture, then those of the
/// tiles, view by view.
#[derive(Clone, Debug)]
pub(in crate::lvlm) struct Packed {
    /// Tokens that are used at all, in their order.
    pub used: RowMap,
    /// From those to the rows; a newline's row has no terms.
    pub rows: RowMap,
    /// Puts the one newline at its rows.
    pub newlines: RowMap,
}

/// Terms of a row, or a newline.
type Terms = Vec<(usize, f64)>;

impl Packed {
    /// Returns the input rows of every row, with their weights; none of a newline.
    pub fn places(&self) -> Vec<Terms> {
        let used = self.used.forward();
        let input = |&(row, weight): &(usize, f64)| {
            let inputs = used.get(row).into_iter().flatten();
            inputs.map(move |&(input, own)| (input, own * weight))
        };
        let rows = self.rows.forward().iter();
        rows.map(|terms| terms.iter().flat_map(input).collect())
            .collect()
    }

    /// Packs the whole picture alone, `side` tokens each way: no tiles, and a newline at its end if
    /// `ended`.
    pub fn without_tiles(side: usize, ended: bool) -> Packed {
        let tokens = side * side;
        let newline = || ended.then_some(Some(0));
        Packed {
            used: RowMap::select(tokens, (0..tokens).map(Some)),
            rows: RowMap::select(tokens, (0..tokens).map(Some).chain(newline().map(|_| None))),
            newlines: RowMap::select(1, (0..tokens).map(|_| None).chain(newline())),
        }
    }
}

impl Packing {
    /// Returns the number of input rows.
    fn tokens(&self) -> usize {
        (1 + self.grid.0 * self.grid.1) * self.side * self.side
    }

    /// Makes the maps.
    pub fn pack(&self) -> Packed {
        let lines = self.lines();
        let base = (0..self.side * self.side).map(|t| vec![(t, 1.0)]);
        let ended = lines
            .into_iter()
            .flat_map(|line| line.into_iter().chain([Vec::new()]));
        let all: Vec<Terms> = base.chain(ended).collect();
        let mut place = vec![None; self.tokens()];
        for &(token, _) in all.iter().flatten() {
            place[token] = Some(0);
        }
        let mut count = 0;
        for place in place.iter_mut().flatten() {
            *place = count;
            count += 1;
        }
        let used = place
            .iter()
            .enumerate()
            .filter_map(|(t, p)| p.map(|_| Some(t)));
        let among = |&(token, weight): &(usize, f64)| Some((place[token]?, weight));
        let rows = all
            .iter()
            .map(|terms| terms.iter().filter_map(among).collect());
        Packed {
            used: RowMap::select(self.tokens(), used),
            rows: RowMap::new(count, rows.collect()),
            newlines: RowMap::select(1, all.iter().map(|terms| terms.is_empty().then_some(0))),
        }
    }

    /// Returns the large picture's tokens, line by line.
    fn lines(&self) -> Vec<Vec<Terms>> {
        let (rows, columns) = (self.grid.0 * self.side, self.grid.1 * self.side);
        let ((top, height), (left, width)) = self.unpadded(rows, columns);
        let token = |y: usize, x: usize| {
            let (y, x) = (top + y, left + x);
            let tile = y / self.side * self.grid.1 + x / self.side;
            (1 + tile) * self.side * self.side + y % self.side * self.side + x % self.side
        };
        let (lower, narrower) = self.smaller(height, width);
        let (down, across) = (taps(height, lower), taps(width, narrower));
        let cell = |y: &[(usize, f64)], x: &[(usize, f64)]| {
            crossed(y, x)
                .map(|(i, j, weight)| (token(i, j), weight))
                .collect()
        };
        let line = |y: &Vec<(usize, f64)>| across.iter().map(|x| cell(y, x)).collect();
        down.iter().map(line).collect()
    }

    /// Returns the first row and the number of rows, the first column and number of columns without
    /// the padding: `unpad_image`.
    fn unpadded(&self, rows: usize, columns: usize) -> ((usize, usize), (usize, usize)) {
        let (width, height) = (f64::from(self.picture.0), f64::from(self.picture.1));
        let (r, c) = (rows as f64, columns as f64);
        let whole = |length: f64| match self.unpadding {
            Unpadding::Rounded => ((length * 1e7).round() / 1e7) as usize,
            Unpadding::Cut => length as usize,
        };
        if width / height > c / r {
            let padding = rows.saturating_sub(whole(height * (c / width))) / 2;
            ((padding, rows - 2 * padding), (0, columns))
        } else {
            let padding = columns.saturating_sub(whole(width * (r / height))) / 2;
            ((0, rows), (padding, columns - 2 * padding))
        }
    }

    /// Returns the rows and columns after the reduction to `most_views`.
    fn smaller(&self, height: usize, width: usize) -> (usize, usize) {
        let Some(most) = self.most_views else {
            return (height, width);
        };
        let room = (most * self.side * self.side) as f64;
        let ratio = ((height * width) as f64 / room).sqrt();
        if ratio <= 1.1 {
            return (height, width);
        }
        let part = |length: usize| ((length as f64 / ratio).floor() as usize).max(1);
        (part(height), part(width))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Against `pack_image_features` on tokens that are the unit vectors.
    #[test]
    fn rows_are_those_of_transformers() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/data/picture/anyres.json"
        );
        let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let cases = cases.as_array().unwrap();
        assert!(cases.len() > 20);
        for case in cases {
            let number = |name: &str| case[name].as_u64().unwrap() as usize;
            let grid = &case["grid"];
            let grid = [0, 1].map(|i| grid[i].as_u64().unwrap() as usize);
            let packing = Packing {
                grid: (grid[0], grid[1]),
                side: number("side"),
                picture: (number("width") as u32, number("height") as u32),
                most_views: case["most"].as_u64().map(|most| most as usize),
                unpadding: Unpadding::Rounded,
            };
            let packed = packing.pack();
            let newline = packing.tokens();
            let terms = |r: usize| -> Vec<(usize, f64)> {
                let used = |i: usize| packed.used.forward()[i][0].0;
                let rows = packed.rows.forward()[r].iter().map(|&(i, w)| (used(i), w));
                let newlines = packed.newlines.forward()[r].iter().map(|_| (newline, 1.0));
                rows.chain(newlines).collect()
            };
            let expected = case["rows"].as_array().unwrap();
            assert_eq!(packed.rows.outputs(), expected.len(), "{packing:?}");
            for (r, expected) in expected.iter().enumerate() {
                let expected: Vec<(usize, f64)> = serde_json::from_value(expected.clone()).unwrap();
                let mut found = terms(r);
                found.sort_by_key(|&(i, _)| i);
                assert_eq!(found.len(), expected.len(), "{packing:?}, row {r}");
                for (a, b) in found.iter().zip(&expected) {
                    assert!(
                        a.0 == b.0 && (a.1 - b.1).abs() < 1e-12,
                        "{packing:?}, row {r}"
                    );
                }
            }
        }
    }
}

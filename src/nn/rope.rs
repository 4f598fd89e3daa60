//! Rotary positions along one axis, or along several.

/// Rotary frequencies.
pub struct Rope {
    /// `head_dim / 2` of them, in radians per position.
    pub frequencies: Vec<f64>,
    /// The axis of each frequency's positions. Empty if all have one axis.
    pub axes: Vec<usize>,
}

/// Positions along several axes of the rows of a sequence. Rows of the picture have their own; all
/// others are counted as text, with the same position along every axis.
#[derive(Clone, Debug)]
pub struct Positions {
    /// Rows before the picture's. Their positions are their numbers.
    before: usize,
    /// For each axis, the positions of the picture's rows, counted from the first of them.
    picture: Vec<Vec<usize>>,
    /// The position of the first row after the picture's, counted likewise.
    after: usize,
}

/// A rotation of all rows by the positions of one axis.
pub(super) struct Turn {
    /// Frequencies, zero for pairs of another axis.
    pub frequencies: Vec<f64>,
    /// A position for each row.
    pub positions: Vec<usize>,
}

impl Positions {
    /// Creates positions of a sequence that begins with the picture's rows, at
    /// `picture[axis][row]`. Text goes on at `after`.
    ///
    /// # Panics
    /// If the axes have different numbers of rows: positions are made by model code, never from a
    /// user's data.
    pub(crate) fn new(picture: Vec<Vec<usize>>, after: usize) -> Positions {
        let rows = |axis: &Vec<usize>| axis.len();
        let first = picture.first().map_or(0, rows);
        assert!(picture.iter().all(|axis| axis.len() == first));
        Positions {
            before: 0,
            picture,
            after,
        }
    }

    /// Returns the positions of the same rows after `before` rows of text.
    #[must_use]
    pub(crate) fn after(mut self, before: usize) -> Positions {
        self.before += before;
        self
    }

    /// Returns the position of row `row` of the sequence along an axis.
    fn of(&self, axis: usize, row: usize) -> usize {
        let own = &self.picture[axis];
        match row.checked_sub(self.before) {
            None => row,
            Some(row) => {
                let from_first = own.get(row).copied();
                self.before + from_first.unwrap_or_else(|| self.after + row - own.len())
            }
        }
    }
}

impl Rope {
    /// Returns the rotations of these rows of a sequence, one after the other: one if the rows have
    /// the same position along all axes, which are their numbers without `positions`.
    pub(super) fn turns(&self, positions: Option<&Positions>, rows: &[usize]) -> Vec<Turn> {
        let one = |positions| {
            vec![Turn {
                frequencies: self.frequencies.clone(),
                positions,
            }]
        };
        let Some(positions) = positions.filter(|_| !self.axes.is_empty()) else {
            return one(rows.to_vec());
        };
        let along = |axis| rows.iter().map(|&row| positions.of(axis, row)).collect();
        let mut all: Vec<Vec<usize>> = (0..positions.picture.len()).map(along).collect();
        if all.windows(2).all(|two| two[0] == two[1]) {
            return all.pop().map_or_else(Vec::new, one);
        }
        let turn = |(axis, positions): (usize, Vec<usize>)| {
            let pairs = self.frequencies.iter().zip(&self.axes);
            Turn {
                frequencies: pairs
                    .map(|(&f, &own)| if own == axis { f } else { 0.0 })
                    .collect(),
                positions,
            }
        };
        all.into_iter().enumerate().map(turn).collect()
    }
}

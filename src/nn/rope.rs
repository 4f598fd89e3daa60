//! Rotary positions along one axis, or along several.

/// Rotary frequencies.
pub struct Rope {
    /// `head_dim / 2` of them, in radians per position.
    pub frequencies: Vec<f64>,
    /// The axis of each frequency's positions. Empty if all have one axis.
    pub axes: Vec<usize>,
}

/// Positions along several axes of the rows of a sequence. Rows of pictures have their own; all
/// others are counted as text, with the same position along every axis.
#[derive(Clone, Debug)]
pub struct Positions {
    /// The pictures in the order of their rows.
    pictures: Vec<PicturePositions>,
}

/// Positions of the rows of one picture.
#[derive(Clone, Debug)]
struct PicturePositions {
    /// The row of the sequence that is the picture's first.
    first: usize,
    /// For each axis, the positions of the picture's rows, counted from that of a text token in
    /// the place of the first of them.
    axes: Vec<Vec<usize>>,
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
        let first = PicturePositions {
            first: 0,
            axes: picture,
            after,
        };
        Positions {
            pictures: vec![first],
        }
    }

    /// Returns the positions of the same rows after `before` rows of text.
    #[must_use]
    pub(crate) fn after(mut self, before: usize) -> Positions {
        for picture in &mut self.pictures {
            picture.first += before;
        }
        self
    }

    /// Joins the positions of pictures whose rows follow each other in one sequence.
    pub(crate) fn joined(pictures: impl IntoIterator<Item = Positions>) -> Positions {
        let all = pictures.into_iter().flat_map(|own| own.pictures);
        Positions {
            pictures: all.collect(),
        }
    }

    /// Returns the number of axes.
    fn axes(&self) -> usize {
        self.pictures.first().map_or(0, |first| first.axes.len())
    }

    /// Returns the position of row `row` of the sequence along an axis.
    fn of(&self, axis: usize, row: usize) -> usize {
        // Text after the last picture so far: its first row, and the position of that row.
        let (mut text, mut position) = (0, 0);
        for picture in &self.pictures {
            let Some(own) = row.checked_sub(picture.first) else {
                break;
            };
            let begin = position + (picture.first - text);
            if let Some(from_begin) = picture.axes[axis].get(own) {
                return begin + from_begin;
            }
            text = picture.first + picture.axes[axis].len();
            position = begin + picture.after;
        }
        position + (row - text)
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
        let mut all: Vec<Vec<usize>> = (0..positions.axes()).map(along).collect();
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

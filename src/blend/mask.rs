//! The mask in the plane of the picture.

use super::Extent;

/// Mask values that do not form a square or that contain NaN.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("mask: expected {expected}, found {found}")]
pub struct MaskError {
    /// The expected value or shape.
    pub expected: String,
    /// The value or shape that was given.
    pub found: String,
}

/// S x S values in [0, 1], row by row: 1 keeps the picture, 0 replaces it with the baseline. A mask
/// has at least one cell. The mask of several pictures has S x S cells for each of them, one
/// picture after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    size: usize,
    values: Vec<f64>,
    extent: Option<Extent>,
}

/// Masks in the plane of the original picture: each `size * size` values in [0, 1], row by row, for
/// every picture, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Masks<'a> {
    /// Cells per side.
    pub size: usize,
    /// The masks.
    pub values: &'a [Vec<f64>],
}

impl Mask {
    /// Creates a mask of `size * size` values, each clamped to [0, 1].
    ///
    /// # Errors
    /// [`MaskError`] if `size` is 0, if `values` has another length, or if a value is NaN.
    pub fn new(size: usize, values: Vec<f64>) -> Result<Mask, MaskError> {
        Mask::of_pictures(size, 1, values)
    }

    /// Creates the mask of `pictures` pictures, of `size * size` values for each, each value clamped
    /// to [0, 1].
    ///
    /// # Errors
    /// [`MaskError`] if `size` or `pictures` is 0, if `values` has another length, or if a value is
    /// NaN.
    pub fn of_pictures(size: usize, pictures: usize, values: Vec<f64>) -> Result<Mask, MaskError> {
        let refused = |expected: String, found: String| Err(MaskError { expected, found });
        if size == 0 {
            return refused("at least one cell per side".into(), "none".into());
        }
        if pictures == 0 {
            return refused("at least one picture".into(), "none".into());
        }
        let cells = size.checked_mul(size).and_then(|n| n.checked_mul(pictures));
        if cells != Some(values.len()) {
            let expected = match pictures {
                1 => format!("{size} x {size} values"),
                _ => format!("{pictures} x {size} x {size} values"),
            };
            return refused(expected, values.len().to_string());
        }
        if let Some(cell) = values.iter().position(|v| v.is_nan()) {
            return refused("numbers".into(), format!("NaN in cell {cell}"));
        }
        let whole = Mask {
            size,
            values,
            extent: None,
        };
        Ok(whole.mapped(|_, value| value))
    }

    /// Returns a mask of the same size with the values that `value` returns for each cell's number
    /// and value, clamped to [0, 1].
    pub(crate) fn mapped(&self, mut value: impl FnMut(usize, f64) -> f64) -> Mask {
        let cells = self.values.iter().enumerate();
        Mask {
            size: self.size,
            values: cells
                .map(|(cell, &v)| value(cell, v).clamp(0.0, 1.0))
                .collect(),
            extent: self.extent,
        }
    }

    /// Sets the part of the picture's plane that the mask covers; `None` is the whole picture.
    #[must_use]
    pub fn covering(self, extent: Option<Extent>) -> Mask {
        Mask { extent, ..self }
    }

    /// Returns the part of the picture's plane that the mask covers, or `None` for the whole
    /// picture.
    pub fn extent(&self) -> Option<Extent> {
        self.extent
    }

    /// Returns a mask of the same size that covers the picture: the mask itself, or bilinear
    /// samples of it, and 1 outside of it.
    #[must_use]
    pub fn over_picture(&self) -> Mask {
        let Some(extent) = self.extent.filter(|_| self.pictures() == 1) else {
            return self.clone();
        };
        let rows = taps(self.size, extent.top, extent.bottom);
        let columns = taps(self.size, extent.left, extent.right);
        let cell = |row: &Option<(usize, f64)>, column: &Option<(usize, f64)>| {
            let (&Some((i, down)), &Some((j, right))) = (row, column) else {
                return 1.0;
            };
            let (below, beside) = ((i + 1).min(self.size - 1), (j + 1).min(self.size - 1));
            let line = |i: usize| {
                let (one, other) = (
                    self.values[i * self.size + j],
                    self.values[i * self.size + beside],
                );
                one * (1.0 - right) + other * right
            };
            line(i) * (1.0 - down) + line(below) * down
        };
        let values = rows
            .iter()
            .flat_map(|row| columns.iter().map(move |column| cell(row, column)));
        Mask {
            size: self.size,
            values: values.collect(),
            extent: None,
        }
    }

    /// Returns the number of cells per side.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Returns the number of pictures that it covers.
    pub fn pictures(&self) -> usize {
        self.values.len() / (self.size * self.size)
    }

    /// Returns the masks of its pictures, one each.
    pub fn split(&self) -> Vec<Mask> {
        let of_picture = |values: &[f64]| Mask {
            size: self.size,
            values: values.to_vec(),
            extent: self.extent,
        };
        let pictures = self.values.chunks(self.size * self.size);
        pictures.map(of_picture).collect()
    }

    /// Returns the values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Returns `1 - mask` over the picture: high where the answer depends on it.
    pub fn saliency(&self) -> Vec<f32> {
        self.over_picture()
            .values
            .iter()
            .map(|v| (1.0 - v) as f32)
            .collect()
    }

    /// Returns the cells in ascending order of the mask, the most needed first; equal cells row by
    /// row.
    pub fn ascending(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|&a, &b| self.values[a].total_cmp(&self.values[b]));
        order
    }
}

/// Maps the cells of one axis of the picture to an axis from `from` to `to`: for each, the cell at
/// or before it and the weight of the next cell. `None` for cells outside the axis.
fn taps(size: usize, from: f64, to: f64) -> Vec<Option<(usize, f64)>> {
    let last = size.saturating_sub(1) as f64;
    let tap = |cell: usize| {
        let at = (cell as f64 / last.max(1.0) - from) / (to - from);
        // Rounding may place a cell on the edge slightly outside of it.
        let at = (at * 1e12).round() / 1e12;
        let place = (0.0..=1.0).contains(&at).then_some(at * last)?;
        Some((place as usize, place.fract()))
    };
    (0..size).map(tap).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_of_a_square_around_the_picture_is_cut_to_the_picture() {
        // The picture is the middle half of the square's height: its rows lie at 1/4 to 3/4 of the
        // mask's.
        let extent = Extent {
            top: -0.5,
            bottom: 1.5,
            ..Extent::PICTURE
        };
        let values = (0..25).map(|cell| f64::from(cell / 5) / 4.0).collect();
        let mask = Mask::new(5, values).unwrap().covering(Some(extent));
        let over = mask.over_picture();
        assert_eq!((over.size(), over.extent()), (5, None));
        let rows: Vec<f64> = over.values().chunks(5).map(|row| row[0]).collect();
        assert_eq!(rows, [0.25, 0.375, 0.5, 0.625, 0.75]);
        assert!(
            over.values()
                .chunks(5)
                .all(|row| row.iter().all(|v| *v == row[0]))
        );
        assert_eq!(mask.saliency()[0], 0.75);
        // Its own values stay.
        assert_eq!(mask.values()[0], 0.0);
    }

    #[test]
    fn the_picture_is_kept_where_a_mask_of_its_middle_does_not_reach() {
        let extent = Extent {
            left: 0.25,
            right: 0.75,
            ..Extent::PICTURE
        };
        let mask = Mask::new(5, vec![0.5; 25]).unwrap().covering(Some(extent));
        for row in mask.over_picture().values().chunks(5) {
            assert_eq!(row, [1.0, 0.5, 0.5, 0.5, 1.0]);
        }
        assert_eq!(
            Mask::new(1, vec![0.5])
                .unwrap()
                .covering(Some(extent))
                .over_picture()
                .values()
                .len(),
            1
        );
    }
}

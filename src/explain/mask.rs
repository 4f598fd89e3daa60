//! The mask in the plane of the picture.

use super::{ExplainError, Result};

/// S x S values in [0, 1], row by row: 1 keeps the picture, 0 replaces it by the baseline. It has at least one cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    size: usize,
    values: Vec<f64>,
}

impl Mask {
    /// A mask of `size * size` values, each clamped to [0, 1].
    ///
    /// # Errors
    /// [`ExplainError::Mask`] when `size` is 0, when `values` has another length, or when one of them is NaN.
    pub fn new(size: usize, values: Vec<f64>) -> Result<Mask> {
        let refused = |expected: String, found: String| Err(ExplainError::Mask { expected, found });
        if size == 0 {
            return refused("at least one cell per side".into(), "none".into());
        }
        if size.checked_mul(size) != Some(values.len()) {
            return refused(format!("{size} x {size} values"), values.len().to_string());
        }
        if let Some(cell) = values.iter().position(|v| v.is_nan()) {
            return refused("numbers".into(), format!("NaN in cell {cell}"));
        }
        let whole = Mask { size, values };
        Ok(whole.mapped(|_, value| value))
    }

    /// A mask of as many cells, of what `value` makes of each cell's number and value, clamped to [0, 1].
    pub(crate) fn mapped(&self, mut value: impl FnMut(usize, f64) -> f64) -> Mask {
        let cells = self.values.iter().enumerate();
        Mask {
            size: self.size,
            values: cells
                .map(|(cell, &v)| value(cell, v).clamp(0.0, 1.0))
                .collect(),
        }
    }

    /// Cells per side.
    pub fn size(&self) -> usize {
        self.size
    }

    /// The values, row by row.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// What people are shown, `1 - mask`: high where the answer needs the picture.
    pub fn saliency(&self) -> Vec<f32> {
        self.values.iter().map(|v| (1.0 - v) as f32).collect()
    }

    /// Cells in ascending order of the mask, that is, the most needed first; equal ones row by row.
    pub fn ascending(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.values.len()).collect();
        order.sort_by(|&a, &b| self.values[a].total_cmp(&self.values[b]));
        order
    }
}

//! The mask in the plane of the picture.

/// S x S values in [0, 1], row by row: 1 keeps the picture, 0 replaces it by the baseline.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    size: usize,
    values: Vec<f64>,
}

impl Mask {
    /// A mask of `size * size` values, each clamped to [0, 1].
    ///
    /// # Panics
    /// When `values` has another length.
    pub fn new(size: usize, values: Vec<f64>) -> Mask {
        assert_eq!(values.len(), size * size, "a mask of {size} cells a side");
        Mask {
            size,
            values: values.into_iter().map(|v| v.clamp(0.0, 1.0)).collect(),
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

//! Sizes of matrices and weights.

use super::Meta;
use super::meter::Held;
use crate::checkpoint::Tensor;
use crate::device::{Matrix, Memory, Result};

/// The size of a matrix.
#[derive(Debug)]
pub(crate) struct MetaMatrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) _held: Held,
}

/// The size of a weight `[out, in]`.
#[derive(Debug)]
pub(crate) struct MetaWeight {
    pub(super) out: usize,
    pub(super) inside: usize,
}

impl Matrix for MetaMatrix {
    fn rows(&self) -> usize {
        self.rows
    }

    fn columns(&self) -> usize {
        self.columns
    }
}

impl Matrix for MetaWeight {
    fn rows(&self) -> usize {
        self.out
    }

    fn columns(&self) -> usize {
        self.inside
    }
}

impl Memory for Meta {
    type Host = f32;
    type Matrix = MetaMatrix;
    type Statistics = MetaMatrix;
    type Weight = MetaWeight;

    fn element_bytes(&self) -> usize {
        self.element
    }

    fn scratch_bytes(&self, _: usize, _: usize) -> usize {
        0
    }

    fn memory_budget(&self) -> usize {
        usize::MAX
    }

    fn limit_memory(&self, _: usize) {}

    fn upload_impl(&self, rows: usize, columns: usize, _: &[f32]) -> Result<MetaMatrix> {
        self.meter.load(rows * columns);
        Ok(self.matrix(rows, columns))
    }

    fn zeros(&self, rows: usize, columns: usize) -> Result<MetaMatrix> {
        Ok(self.matrix(rows, columns))
    }

    fn download(&self, x: &MetaMatrix) -> Result<Vec<f32>> {
        Ok(vec![0.0; x.rows * x.columns])
    }

    fn download_statistics(&self, x: &MetaMatrix) -> Result<Vec<f32>> {
        self.download(x)
    }

    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<MetaWeight> {
        self.meter.load_once(&tensor.name, out * inside);
        Ok(MetaWeight { out, inside })
    }

    fn reads_weights(&self) -> bool {
        false
    }
}

//! Costs of operations on columns.

use super::{Meta, MetaMatrix, tally};
use crate::device::{Columns, Result};

impl Columns for Meta {
    fn reshape_impl(&self, x: MetaMatrix, rows: usize, columns: usize) -> Result<MetaMatrix> {
        self.meter.wide(rows);
        Ok(MetaMatrix { rows, columns, ..x })
    }

    fn add_impl(&self, a: &MetaMatrix, _: &MetaMatrix) -> Result<MetaMatrix> {
        self.moved(3, a);
        Ok(self.matrix(a.rows, a.columns))
    }

    fn scale_columns_impl(
        &self,
        x: &MetaMatrix,
        _: &MetaMatrix,
        onto: Option<&MetaMatrix>,
    ) -> Result<MetaMatrix> {
        let rows = (2 + usize::from(onto.is_some())) * x.rows;
        self.meter.count(tally::moved(rows + 1, x.columns));
        Ok(self.matrix(x.rows, x.columns))
    }

    fn join_columns_impl(
        &self,
        _: &[&MetaMatrix],
        rows: usize,
        columns: usize,
    ) -> Result<MetaMatrix> {
        self.meter.count(tally::mix(rows, rows, columns));
        Ok(self.matrix(rows, columns))
    }

    fn take_columns_impl(&self, x: &MetaMatrix, _: usize, count: usize) -> Result<MetaMatrix> {
        self.meter.count(tally::mix(x.rows, x.rows, count));
        Ok(self.matrix(x.rows, count))
    }
}

//! Costs of operations on rows.

use super::{Meta, MetaMatrix, MetaWeight, tally};
use crate::device::{Result, RowMap, Rows};

impl Rows for Meta {
    fn is_finite(&self, _: &MetaMatrix) -> Result<bool> {
        Ok(true)
    }

    fn gather_impl(&self, weight: &MetaWeight, ids: &[u32]) -> Result<MetaMatrix> {
        let rows = ids.len();
        self.meter.count(tally::mix(rows, rows, weight.inside));
        Ok(self.matrix(rows, weight.inside))
    }

    fn write_rows_impl(&self, _: &mut MetaMatrix, _: usize, x: &MetaMatrix) -> Result<()> {
        self.moved(2, x);
        Ok(())
    }

    fn mix_rows_impl(
        &self,
        x: &MetaMatrix,
        map: &RowMap,
        constant: Option<&MetaMatrix>,
        batch: usize,
    ) -> Result<MetaMatrix> {
        let read = batch * terms(map.forward()) + constant.map_or(0, |c| c.rows);
        let rows = batch * map.outputs();
        self.meter.count(tally::mix(read, rows, x.columns));
        Ok(self.matrix(rows, x.columns))
    }

    fn mix_rows_vjp_impl(
        &self,
        dy: &MetaMatrix,
        map: &RowMap,
        onto: Option<&MetaMatrix>,
        batch: usize,
    ) -> Result<MetaMatrix> {
        let read = batch * terms(map.backward()) + onto.map_or(0, |x| x.rows);
        let rows = batch * map.inputs();
        self.meter.count(tally::mix(read, rows, dy.columns));
        Ok(self.matrix(rows, dy.columns))
    }

    fn rope_impl(
        &self,
        x: &mut MetaMatrix,
        _: usize,
        _: &[f64],
        _: &[usize],
        _: bool,
    ) -> Result<()> {
        self.moved(2, x);
        Ok(())
    }
}

/// Returns the number of rows that the terms of a map read, per sequence.
fn terms(rows: &[Vec<(usize, f64)>]) -> usize {
    rows.iter().map(Vec::len).sum()
}

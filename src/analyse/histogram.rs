//! Histograms.

use std::collections::BTreeMap;

use serde::Serialize;

/// The largest number of bins.
const BINS: usize = 60;
/// The width of the narrowest bin.
const NARROWEST: f64 = 0.125;

/// Counts of numbers of several kinds, in bins of one width.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// The lower bound of the first bin; every bin includes its lower bound and excludes its upper.
    pub first: f64,
    /// The width of a bin: 1/8, doubled until at most 60 bins hold all numbers.
    pub width: f64,
    /// The kinds, with the count in each bin.
    pub counts: BTreeMap<&'static str, Vec<usize>>,
}

impl Histogram {
    /// Counts finite numbers; returns `None` if there are none.
    pub fn new(kinds: &[(&'static str, Vec<f64>)]) -> Option<Histogram> {
        let finite = || {
            kinds
                .iter()
                .flat_map(|(_, v)| v)
                .copied()
                .filter(|v| v.is_finite())
        };
        let lowest = finite().reduce(f64::min)?;
        let highest = finite().reduce(f64::max)?;
        let place = |value: f64, width: f64| (value / width).floor();
        let mut width = NARROWEST;
        while place(highest, width) - place(lowest, width) >= BINS as f64 {
            width *= 2.0;
        }
        let low = place(lowest, width);
        let bins = (place(highest, width) - low) as usize + 1;
        let count = |values: &[f64]| {
            let mut counts = vec![0; bins];
            for &value in values.iter().filter(|v| v.is_finite()) {
                counts[(place(value, width) - low) as usize] += 1;
            }
            counts
        };
        Some(Histogram {
            first: low * width,
            width,
            counts: kinds
                .iter()
                .map(|(kind, values)| (*kind, count(values)))
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_everything_once() {
        let counted = Histogram::new(&[
            ("a", vec![-0.01, 0.0, 0.1, 0.125, f64::NAN]),
            ("b", vec![0.3]),
        ]);
        let counted = counted.unwrap();
        assert_eq!((counted.first, counted.width), (-0.125, 0.125));
        let expected = [("a", vec![1, 2, 1, 0]), ("b", vec![0, 0, 0, 1])];
        assert_eq!(counted.counts, BTreeMap::from(expected));
        let wide = Histogram::new(&[("a", vec![-3.0, 1000.0])]).unwrap();
        assert!(
            wide.width == 32.0 && wide.counts["a"].len() == 33,
            "{wide:?}"
        );
        assert_eq!(wide.counts["a"].iter().sum::<usize>(), 2);
        assert_eq!(Histogram::new(&[("a", vec![])]), None);
    }
}

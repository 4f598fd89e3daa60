//! Percentile bootstrap.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

/// The settings of bootstrap intervals (Efron and Tibshirani, "An Introduction to the Bootstrap",
/// chapter 13): the units, which are samples of the run, are drawn with replacement, as many as
/// there are; the interval lies between percentiles of the statistic. Resample `r` draws from
/// stream `r` of ChaCha8 with this seed, so that the result does not depend on the number of
/// threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bootstrap {
    /// The seed.
    pub seed: u64,
    /// Number of resamples, at least 1.
    pub resamples: usize,
    /// The share of the distribution that an interval covers, within (0, 1).
    pub confidence: f64,
}

/// A value and its interval; `None` if it is based on fewer than two units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The statistic of the original units.
    pub value: f64,
    /// The bounds of the interval, the lower first.
    pub interval: Option<[f64; 2]>,
}

impl Bootstrap {
    /// Estimates a statistic of groups of units, each resampled independently. `statistic` receives
    /// the number of draws of each unit of each group.
    pub(crate) fn estimate(
        &self,
        sizes: &[usize],
        statistic: impl Fn(&[Vec<u32>]) -> f64 + Sync,
    ) -> Estimate {
        let drawn = |times| sizes.iter().map(|&n| vec![times; n]).collect::<Vec<_>>();
        let value = statistic(&drawn(1));
        if sizes.iter().any(|&n| n < 2) {
            let interval = None;
            return Estimate { value, interval };
        }
        let draw = |times: &mut Vec<Vec<u32>>, resample| {
            let mut random = ChaCha8Rng::seed_from_u64(self.seed);
            random.set_stream(resample);
            for group in times.iter_mut() {
                group.fill(0);
                let units = group.len();
                for _ in 0..units {
                    group[random.random_range(0..units)] += 1;
                }
            }
            statistic(times)
        };
        let resamples = (0..self.resamples as u64).into_par_iter();
        let mut values: Vec<f64> = resamples.map_init(|| drawn(0), draw).collect();
        values.sort_by(f64::total_cmp);
        let tail = (1.0 - self.confidence) / 2.0;
        Estimate {
            value,
            interval: Some([quantile(&values, tail), quantile(&values, 1.0 - tail)]),
        }
    }

    /// Estimates the mean; `values` must not be empty.
    pub(crate) fn mean(&self, values: &[f64]) -> Estimate {
        self.estimate(&[values.len()], |drawn| mean(values, &drawn[0]))
    }

    /// Estimates the mean of `a` minus that of `b`, each resampled independently; neither may be
    /// empty.
    pub(crate) fn difference(&self, a: &[f64], b: &[f64]) -> Estimate {
        let sizes = [a.len(), b.len()];
        self.estimate(&sizes, |drawn| mean(a, &drawn[0]) - mean(b, &drawn[1]))
    }

    /// Estimates the mean over all numbers of all clusters, which are drawn whole; none may be
    /// empty.
    pub(crate) fn clustered_mean(&self, clusters: &[Vec<f64>]) -> Estimate {
        let sums: Vec<f64> = clusters.iter().map(|c| c.iter().sum()).collect();
        self.estimate(&[clusters.len()], |drawn| {
            let numbers = drawn[0].iter().zip(clusters);
            let count: f64 = numbers
                .map(|(&times, c)| f64::from(times) * c.len() as f64)
                .sum();
            weighted(&sums, &drawn[0]) / count
        })
    }

    /// Estimates a quantile of all numbers of all clusters, which are drawn whole; none may be
    /// empty.
    pub(crate) fn clustered_quantile(&self, clusters: &[Vec<f64>], share: f64) -> Estimate {
        let of = |(cluster, values): (usize, &Vec<f64>)| {
            values
                .iter()
                .map(move |&v| (v, cluster))
                .collect::<Vec<_>>()
        };
        let mut sorted: Vec<(f64, usize)> = clusters.iter().enumerate().flat_map(of).collect();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        self.estimate(&[clusters.len()], |drawn| {
            let times = |cluster: usize| u64::from(drawn[0][cluster]);
            let count: u64 = sorted.iter().map(|&(_, cluster)| times(cluster)).sum();
            let place = share * (count - 1) as f64;
            let (low, high) = (place.floor() as u64, place.ceil() as u64);
            let (mut passed, mut below) = (0, None);
            for &(value, cluster) in &sorted {
                passed += times(cluster);
                if below.is_none() && passed > low {
                    below = Some(value);
                }
                if passed > high {
                    let below = below.unwrap_or(value);
                    return below + (place - low as f64) * (value - below);
                }
            }
            f64::NAN
        })
    }
}

fn weighted(values: &[f64], times: &[u32]) -> f64 {
    let pairs = values.iter().zip(times);
    pairs.map(|(v, &times)| v * f64::from(times)).sum()
}

fn mean(values: &[f64], times: &[u32]) -> f64 {
    weighted(values, times) / values.len() as f64
}

/// Returns the quantile of values in ascending order, at least one, with linear interpolation (type
/// 7 of Hyndman and Fan).
pub fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (low, high) = (
        sorted[place.floor() as usize],
        sorted[place.ceil() as usize],
    );
    low + (place - place.floor()) * (high - low)
}

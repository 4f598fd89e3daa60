//! Comparisons with scipy and scikit-learn (`tests/data/statistics/make.py`), and properties that
//! hold for any data.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;

use super::*;

fn recorded(name: &str) -> Vec<Value> {
    let text = include_str!("../../../tests/data/statistics/statistics.json");
    let all: Value = serde_json::from_str(text).unwrap();
    let cases = all[name].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "{name}");
    cases
}

fn numbers(case: &Value, name: &str) -> Vec<f64> {
    serde_json::from_value(case[name].clone()).unwrap()
}

fn number(case: &Value, name: &str) -> f64 {
    case[name].as_f64().unwrap()
}

#[track_caller]
fn close(found: f64, expected: f64, what: &Value) {
    assert!(
        (found - expected).abs() <= 1e-9 * expected.abs().max(1e-3),
        "{found}, expected {expected}: {what}"
    );
}

#[test]
fn signed_rank_equals_scipy() {
    let mut names = Vec::new();
    for case in recorded("signed_rank") {
        let test = signed_rank(&numbers(&case, "differences"));
        close(test.statistic, number(&case, "statistic"), &case);
        close(test.p, number(&case, "p"), &case);
        names.push(test.name);
    }
    names.dedup();
    let both =
        ["exact", "normal approximation"].map(|kind| format!("Wilcoxon signed-rank, {kind}"));
    assert_eq!(names, both);
}

#[test]
fn rank_sum_equals_scipy() {
    let mut names = Vec::new();
    for case in recorded("rank_sum") {
        let test = rank_sum(&numbers(&case, "a"), &numbers(&case, "b")).unwrap();
        close(test.statistic, number(&case, "statistic"), &case);
        close(test.p, number(&case, "p"), &case);
        names.push(test.name);
    }
    names.dedup();
    let both = ["exact", "normal approximation"].map(|kind| format!("Mann-Whitney U, {kind}"));
    assert_eq!(names, both);
}

#[test]
fn tests_of_shares_equal_scipy() {
    let pair = |case: &Value, name: &str| -> (u64, u64) {
        serde_json::from_value(case[name].clone()).unwrap()
    };
    for case in recorded("fisher") {
        let test = fisher(pair(&case, "a"), pair(&case, "b")).unwrap();
        close(test.p, number(&case, "p"), &case);
    }
    for case in recorded("mcnemar") {
        let count = |name: &str| case[name].as_u64().unwrap();
        let test = mcnemar(count("first"), count("second"));
        close(test.p, number(&case, "p"), &case);
    }
}

#[test]
fn holm_spearman_and_quantiles_equal_scipy() {
    for case in recorded("holm") {
        let found = holm(&numbers(&case, "p"));
        for (found, expected) in found.iter().zip(numbers(&case, "corrected")) {
            close(*found, expected, &case);
        }
    }
    for case in recorded("spearman") {
        let found = spearman(&numbers(&case, "a"), &numbers(&case, "b")).unwrap();
        close(found, number(&case, "r"), &case);
    }
    for case in recorded("quantile") {
        let found = quantile(&numbers(&case, "values"), number(&case, "share"));
        close(found, number(&case, "quantile"), &case);
    }
}

#[test]
fn average_precision_equals_scikit_learn() {
    for case in recorded("average_precision") {
        let scores: Vec<f32> = serde_json::from_value(case["scores"].clone()).unwrap();
        let inside: Vec<bool> = serde_json::from_value(case["inside"].clone()).unwrap();
        let levels = levels(&scores, &inside);
        let found = average_precision(&levels).unwrap();
        close(found, number(&case, "average_precision"), &case);
    }
    assert_eq!(average_precision(&levels(&[1.0, 0.5], &[false; 2])), None);
    assert_eq!(average_precision(&levels(&[], &[])), None);
}

/// By hand: of 3, 2, 2, 1 the first and one of the second belong to the set: 1/2 at precision 1,
/// 1/2 at 2/3.
#[test]
fn equal_scores_are_one_level_of_a_ranking() {
    for inside in [[true, true, false, false], [true, false, true, false]] {
        let levels = levels(&[3.0, 2.0, 2.0, 1.0], &inside);
        assert_eq!(levels.len(), 3);
        assert_eq!(average_precision(&levels), Some(0.5 + 0.5 * 2.0 / 3.0));
    }
    let zeros = levels(&[0.0, -0.0], &[true, false]);
    assert_eq!(average_precision(&zeros), Some(0.5));
}

const PLAN: Bootstrap = Bootstrap {
    seed: 1,
    resamples: 10_000,
    confidence: 0.95,
};

/// Both are random: scipy's use 200 000 resamples, ours 100 000. A twentieth of the interval is far
/// more than their noise.
#[test]
fn intervals_are_near_those_of_scipy() {
    let plan = Bootstrap {
        resamples: 100_000,
        ..PLAN
    };
    for case in recorded("bootstrap") {
        let (values, other) = (numbers(&case, "values"), numbers(&case, "other"));
        for (estimate, name) in [
            (plan.mean(&values), "mean"),
            (plan.difference(&values, &other), "difference"),
        ] {
            let (found, expected) = (estimate.interval.unwrap(), numbers(&case, name));
            let tolerated = (expected[1] - expected[0]) / 20.0;
            for (found, expected) in found.iter().zip(&expected) {
                assert!(
                    (found - expected).abs() < tolerated,
                    "{name}: {found}, {expected}"
                );
            }
        }
    }
}

/// Intervals at 90 % of the mean of 40 exponential numbers, whose mean is 1.
#[test]
fn intervals_cover_the_truth_as_often_as_they_say() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rounds = 1000;
    let mut covered = 0;
    for seed in 0..rounds {
        let values: Vec<f64> = (0..40)
            .map(|_| -(1.0 - random.random::<f64>()).ln())
            .collect();
        let plan = Bootstrap {
            seed,
            resamples: 500,
            confidence: 0.9,
        };
        let [low, high] = plan.mean(&values).interval.unwrap();
        covered += usize::from(low <= 1.0 && 1.0 <= high);
    }
    // The percentile interval of a skewed distribution covers a little less than its nominal share
    // at this size: about 0.87. The bounds are six standard errors (0.011) away from that.
    let share = covered as f64 / rounds as f64;
    assert!((0.80..0.94).contains(&share), "{share}");
}

#[test]
fn the_seed_decides_and_threads_do_not() {
    let values: Vec<f64> = (0..30).map(|i| f64::from(i).sqrt()).collect();
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let one = pool(1).install(|| PLAN.mean(&values));
    assert_eq!(one, pool(3).install(|| PLAN.mean(&values)));
    assert_ne!(one, Bootstrap { seed: 2, ..PLAN }.mean(&values));
    assert_eq!(
        PLAN.mean(&[3.0]),
        Estimate {
            value: 3.0,
            interval: None
        }
    );
}

/// With one number in each, clusters are equivalent to the numbers; doubling all numbers within
/// clusters does not change the result either.
#[test]
fn clusters_are_drawn_whole() {
    let values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6, 5.0];
    let single: Vec<Vec<f64>> = values.iter().map(|&v| vec![v]).collect();
    let double: Vec<Vec<f64>> = values.iter().map(|&v| vec![v, v]).collect();
    let [low, high] = PLAN.mean(&values).interval.unwrap();
    for clusters in [&single, &double] {
        let found = PLAN.clustered_mean(clusters);
        let interval = found.interval.unwrap();
        assert!((interval[0] - low).abs() + (interval[1] - high).abs() < 1e-12);
    }
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    for share in [0.0, 0.3, 0.5, 1.0] {
        let found = PLAN.clustered_quantile(&single, share);
        assert!((found.value - quantile(&sorted, share)).abs() < 1e-12);
    }
    // Computed by hand for 1, 1, 1, 5 and 1, 1, 5, 5.
    let unequal = |a: usize, b: usize| [vec![1.0; a], vec![5.0; b]];
    assert_eq!(PLAN.clustered_mean(&unequal(3, 1)).value, 2.0);
    assert_eq!(PLAN.clustered_quantile(&unequal(3, 1), 0.5).value, 1.0);
    assert_eq!(PLAN.clustered_quantile(&unequal(2, 2), 0.5).value, 3.0);
}

#[test]
fn what_cannot_be_tested_is_said() {
    assert_eq!(signed_rank(&[0.0, 0.0]).p, 1.0);
    assert_eq!(signed_rank(&[]).p, 1.0);
    assert_eq!(mcnemar(0, 0).p, 1.0);
    assert!(rank_sum(&[], &[1.0]).is_none());
    assert_eq!(rank_sum(&[2.0; 30], &[2.0; 30]).unwrap().p, 1.0);
    assert_eq!(rank_sum(&[2.0; 3], &[2.0; 3]).unwrap().p, 1.0);
    assert!(fisher((0, 0), (1, 2)).is_none());
    assert!(spearman(&[1.0, 1.0], &[1.0, 2.0]).is_none());
    assert!(holm(&[]).is_empty());
}

/// Under the null hypothesis a p-value of at most 0.05 occurs in at most about a twentieth of all
/// data.
#[test]
fn tests_are_as_strict_as_they_say() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut rejected = [0; 4];
    for round in 0..2000 {
        // Alternately exact and approximate; one decimal makes ties.
        let n = if round % 2 == 0 { 15 } else { 60 };
        let mut draw = || -> Vec<f64> {
            (0..n)
                .map(|_| (random.random_range(-10.0..10.0_f64) * 10.0).round())
                .collect()
        };
        let (a, b) = (draw(), draw());
        let positive = |v: &[f64]| v.iter().filter(|&&x| x > 0.0).count() as u64;
        let pairs = |first: bool| {
            let differ = a
                .iter()
                .zip(&b)
                .filter(|(x, y)| (**x > 0.0) == first && (**y > 0.0) != first);
            differ.count() as u64
        };
        let tests = [
            signed_rank(&a),
            rank_sum(&a, &b).unwrap(),
            fisher((positive(&a), n), (positive(&b), n)).unwrap(),
            mcnemar(pairs(true), pairs(false)),
        ];
        for (rejected, test) in rejected.iter_mut().zip(&tests) {
            *rejected += usize::from(test.p <= 0.05);
        }
    }
    // A twentieth is 100; five standard errors (10) above it.
    assert!(rejected.iter().all(|&r| r <= 150), "{rejected:?}");
    // The first two are tests of many values, which must not be much too strict either.
    assert!(rejected[..2].iter().all(|&r| r >= 50), "{rejected:?}");
}

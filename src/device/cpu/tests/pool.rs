//! The memory of matrices is reused, and freed at the limit.

use super::support::{Random, device};
use crate::device::Real;
use crate::device::prelude::*;

#[test]
fn the_peak_does_not_grow_over_repeated_calls() {
    let (d, mut random) = (device::<f32>(), Random::new(81));
    let (w, _) = random.weight(&d, 33, 17);
    let (x, _) = random.matrix(&d, 65, 17);
    let once = || {
        let y = d.linear(&x, &w, None, None).unwrap();
        drop(d.linear_vjp(&y, &w, Some(&x)).unwrap());
    };
    once();
    let peak = d.peak_bytes();
    assert_eq!(
        peak,
        (65 * 17 + 65 * 33 + 65 * 17) * size_of::<f32>(),
        "x, y and dx"
    );
    for _ in 0..20 {
        once();
    }
    assert_eq!(d.peak_bytes(), peak);
}

#[test]
fn free_memory_is_given_back_before_the_limit() {
    let d = device::<f32>();
    let limit = 10_000 * size_of::<f32>();
    d.limit_memory(limit);
    // Every length is new, so that nothing can be reused.
    for n in 1..200 {
        drop(d.upload(1, 17 * n, &vec![f32::ZERO; 17 * n]).unwrap());
        assert!(d.peak_bytes() <= limit, "{n}");
    }
}

#[test]
fn the_peak_is_measured_anew() {
    let d = device::<f64>();
    let kept = d.upload(1, 10, &[0.0; 10]).unwrap();
    drop(d.upload(10, 10, &[0.0; 100]).unwrap());
    assert_eq!(d.peak_bytes(), 110 * size_of::<f64>());
    d.reset_peak();
    assert_eq!(d.peak_bytes(), 10 * size_of::<f64>());
    drop(kept);
}

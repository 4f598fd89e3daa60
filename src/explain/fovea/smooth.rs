//! Smoothing of maps.

/// Returns a square map of `size * size` cells under a Gaussian of standard deviation `sigma`
/// cells, cut off at four of them. Beyond its borders the map goes on with its border cells.
pub(super) fn smoothed(values: &[f64], size: usize, sigma: f64) -> Vec<f64> {
    let reach = (4.0 * sigma).ceil() as usize;
    if reach == 0 {
        return values.to_vec();
    }
    let weight = |d: usize| (-0.5 * (d as f64 / sigma).powi(2)).exp();
    let total = weight(0) + 2.0 * (1..=reach).map(weight).sum::<f64>();
    // Along one axis, whose cells lie `stride` apart.
    let along = |values: &[f64], stride: usize| -> Vec<f64> {
        let cell = |at: usize| {
            let place = at / stride % size;
            let line = at - place * stride;
            let value = |place: usize| values[line + place.min(size - 1) * stride];
            let neighbours = |d: usize| value(place.saturating_sub(d)) + value(place + d);
            let sum = weight(0) * value(place)
                + (1..=reach).map(|d| weight(d) * neighbours(d)).sum::<f64>();
            sum / total
        };
        (0..values.len()).map(cell).collect()
    };
    along(&along(values, 1), size)
}

#[cfg(test)]
mod tests {
    use super::smoothed;

    #[test]
    fn a_gaussian_keeps_constants_and_sums_and_spreads_a_point_by_its_variance() {
        let size = 41;
        assert!(
            smoothed(&vec![0.3; size * size], size, 2.0)
                .iter()
                .all(|v| (v - 0.3).abs() < 1e-12)
        );
        let mut point = vec![0.0; size * size];
        point[20 * size + 20] = 1.0;
        let spread = smoothed(&point, size, 1.5);
        let (mut sum, mut variance) = (0.0, 0.0);
        for (at, value) in spread.iter().enumerate() {
            sum += value;
            variance += value
                * (at as f64 / size as f64)
                    .floor()
                    .mul_add(1.0, -20.0)
                    .powi(2);
        }
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        assert!((variance - 2.25).abs() < 0.01, "{variance}");
        assert_eq!(smoothed(&point, size, 0.0), point);
    }
}

//! The method fovea.

use super::*;

/// The first step of fovea evaluates one path for both: its gradient is that of both paths with
/// the same noise.
#[test]
fn one_path_stands_for_both_where_the_mask_keeps_everything() {
    let model = Quadratic::new();
    let settings = Settings {
        noise: 0.0,
        steps: 6,
        iterations: 1,
        ..settings(Method::Fovea)
    };
    let keys = [0, 2];
    let method = Method::Fovea.with(&settings);
    let mask = method.run(&model, &keys, &mut go_on, &mut |_, _, _| {});
    let ones = [vec![1.0; 16]];
    let masks = Masks {
        size: 4,
        values: &ones,
    };
    let midpoints = |path, sign: f64| {
        (0..6).map(move |n| {
            let alpha = (f64::from(n) + 0.5) / 6.0;
            let whole = Blend::whole(0, path);
            (Blend { alpha, ..whole }, sign / 6.0)
        })
    };
    let both = midpoints(Path::Deletion, 1.0).chain(midpoints(Path::Insertion, -1.0));
    let (blends, weights): (Vec<_>, Vec<_>) = both.unzip();
    let (_, gradients) = model
        .gradient(masks, &blends, &weights, &keys, Score::LogOdds, &mut go_on)
        .unwrap();
    let largest = gradients[0].iter().fold(0.0, |m: f64, &g| m.max(g));
    let removed = gradients[0]
        .iter()
        .map(|g| (0.5 * g / largest).clamp(0.0, 1.0));
    let removed: Vec<f64> = removed.collect();
    // A mask of 4 x 4 cells over 16 visual tokens is smoothed by half a cell.
    let weight = |d: i32| (-2.0 * f64::from(d * d)).exp();
    let total: f64 = (-2..=2).map(weight).sum();
    let at = |i: i32, j: i32| removed[(i.clamp(0, 3) * 4 + j.clamp(0, 3)) as usize];
    let smoothed = |cell: usize| -> f64 {
        let (i, j) = (cell as i32 / 4, cell as i32 % 4);
        let near = (-2..=2).flat_map(|d| (-2..=2).map(move |e| (d, e)));
        near.map(|(d, e)| weight(d) * weight(e) * at(i + d, j + e))
            .sum::<f64>()
            / (total * total)
    };
    let largest = (0..16).map(smoothed).fold(0.0, f64::max);
    for (cell, &found) in mask.unwrap().values().iter().enumerate() {
        close(found, 1.0 - smoothed(cell) / largest, 1e-12, "mask");
    }
}

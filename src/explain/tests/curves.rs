//! Key tokens, and the deletion and insertion curves.

use super::*;

#[test]
fn key_tokens_gain_from_the_picture_and_carry_content() {
    let texts: Vec<String> = [" The", " circle", " is", " red", "."]
        .map(String::from)
        .to_vec();
    let baseline = [-3.0, -3.0, -3.0, -3.0, -3.0];
    let image = [-0.5, -2.0, -0.5, -0.5, -0.5];
    // " The", " is" and "." are function words; " circle" gains exactly 1.0, which is not above the
    // threshold.
    assert_eq!(key_tokens(&image, &baseline, &texts, 1.0), [3]);
    assert_eq!(key_tokens(&image, &baseline, &texts, 0.9), [1, 3]);
    let one = [String::from(" red")];
    assert_eq!(key_tokens(&[0.4f64.ln()], &[0.2f64.ln()], &one, 1.0), [0]);
    assert_eq!(
        key_tokens(&[0.4f64.ln()], &[0.21f64.ln()], &one, 1.0),
        [] as [usize; 0]
    );
    assert!(is_function_word(" THE ") && !is_function_word(" red"));
}

#[test]
fn cells_go_in_ascending_order_equal_ones_by_place() {
    let mask = Mask::new(2, vec![0.5, 0.0, 0.5, 0.0]).unwrap();
    assert_eq!(mask.ascending(), [1, 3, 0, 2]);
    assert_eq!(
        Mask::new(1, vec![2.0]).unwrap().values(),
        [1.0],
        "values are clamped"
    );
}

#[test]
fn curves_of_a_mask_and_when_their_scores_are_undefined() {
    let model = Quadratic::new();
    let mask = Mask::new(4, random(5, 16)).unwrap();
    let (picture, baseline) = (
        [0.0],
        [-model.weights[0].iter().sum::<f64>().powi(2) / 256.0],
    );
    let curves = deletion_insertion(
        &model,
        &mask,
        &[0],
        (&picture, &baseline),
        CurvePoints::All,
        &mut go_on,
    )
    .unwrap();
    assert_eq!(curves.fraction.len(), 17);
    close(curves.fraction[1], 1.0 / 16.0, 1e-12, "fraction");
    // The most important cell is first.
    let first = mask.ascending()[0];
    let hidden = model.weights[0][first] / 16.0;
    close(
        curves.deletion[1],
        (-hidden * hidden).exp(),
        1e-12,
        "first cell removed",
    );
    close(
        curves.deletion[16],
        baseline[0].exp(),
        1e-12,
        "all removed is the baseline",
    );
    close(
        curves.insertion[16],
        1.0,
        1e-12,
        "all revealed is the picture",
    );
    let normal = |s: &f64| (s - curves.deletion[16]) / (1.0 - curves.deletion[16]);
    let points: Vec<f64> = curves.deletion.iter().map(normal).collect();
    let area: f64 = points.windows(2).map(|p| (p[0] + p[1]) / 32.0).sum();
    close(
        curves.deletion_score.unwrap(),
        area,
        1e-12,
        "area under the normalised curve",
    );
    let alike = deletion_insertion(
        &model,
        &mask,
        &[0],
        (&[-1.0], &[-1.02]),
        CurvePoints::All,
        &mut go_on,
    )
    .unwrap();
    assert_eq!((alike.deletion_score, alike.insertion_score), (None, None));
    assert!(alike.reason.unwrap().contains("too small"));
}

/// On every mask, adaptive points are some of all points, the curves agree there, and the scores
/// differ by no more than the tolerance, since these curves are monotone.
#[test]
fn adaptive_points_keep_the_scores() {
    let size = 16;
    let cells = size * size;
    for seed in 20..30 {
        // Few cells matter, so that the curves are steep.
        let weights = random(seed, cells);
        let weights: Vec<f64> = weights.iter().map(|w| 40.0 * w.powi(12)).collect();
        let mask = Mask::new(size, weights.iter().map(|w| 1.0 - w / 40.0).collect()).unwrap();
        let model = Quadratic {
            weights: vec![weights.clone()],
            ..Quadratic::new()
        };
        let baseline = [-(weights.iter().sum::<f64>() / 16.0).powi(2)];
        let count = std::cell::Cell::new(0);
        let with = |points| {
            let evaluated = &mut |n| {
                count.set(count.get() + n);
                std::ops::ControlFlow::Continue(())
            };
            let ends = (&[0.0][..], &baseline[..]);
            let curves = deletion_insertion(&model, &mask, &[0], ends, points, evaluated).unwrap();
            (curves, count.take())
        };
        let (all, of_all) = with(CurvePoints::All);
        let (some, of_some) = with(CurvePoints::Adaptive);
        assert_eq!(of_all, 2 * (all.fraction.len() - 1), "beginnings are known");
        assert_eq!(
            of_some,
            2 * (some.fraction.len() - 1),
            "no point is computed twice"
        );
        assert!(of_some < of_all / 2, "{of_some} of {of_all}");
        for (at, fraction) in some.fraction.iter().enumerate() {
            let same = all.fraction.iter().position(|f| f == fraction).unwrap();
            assert_eq!(some.deletion[at], all.deletion[same]);
            assert_eq!(some.insertion[at], all.insertion[same]);
        }
        let difference = |score: fn(&Curves) -> Option<f64>| {
            (score(&some).unwrap() - score(&all).unwrap()).abs()
        };
        assert!(difference(|c| c.deletion_score) <= 0.002, "{seed}");
        assert!(difference(|c| c.insertion_score) <= 0.002, "{seed}");
    }
}

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
    let curves = deletion_insertion(&model, &mask, &[0], &picture, &baseline, &mut go_on).unwrap();
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
    let alike = deletion_insertion(&model, &mask, &[0], &[-1.0], &[-1.02], &mut go_on).unwrap();
    assert_eq!((alike.deletion_score, alike.insertion_score), (None, None));
    assert!(alike.reason.unwrap().contains("too small"));
}

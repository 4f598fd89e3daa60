//! The objective, its regularisers and their gradients.

use super::*;

#[test]
fn the_regularisers_gradient_is_its_slope() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
    let mask = random(2, 16);
    let (_, gradient) = regulariser.value_and_gradient(&Mask::new(4, mask.clone()).unwrap(), 2);
    for cell in 0..16 {
        let at = |step: f64| {
            let mut moved = mask.clone();
            moved[cell] += step;
            regulariser
                .value_and_gradient(&Mask::new(4, moved).unwrap(), 2)
                .0
        };
        close(
            gradient[cell],
            (at(1e-5) - at(-1e-5)) / 2e-5,
            1e-7,
            "regulariser",
        );
    }
}

#[test]
fn the_regulariser_of_the_mask_alone() {
    let regulariser = Regulariser::of_mask(2.0, 3.0);
    let at =
        |mask: &[f64]| regulariser.value_and_gradient(&Mask::new(2, mask.to_vec()).unwrap(), 4);
    // Down: 1 and 0; across: 0.5 and -0.5.
    let mask = [1.0, 0.5, 0.0, 0.5];
    let (value, gradient) = at(&mask);
    let variation = (1.0 + 0.0) / 2.0 + (0.25 + 0.25) / 2.0;
    close(value, 2.0 * 0.5 + 3.0 * variation, 1e-12, "value");
    for cell in 1..4 {
        let moved = |step: f64| {
            let mut moved = mask;
            moved[cell] += step;
            at(&moved).0
        };
        // No step leaves the mask's range, whose ends are 0 and 1.
        let (ahead, back) = if mask[cell] > 0.0 {
            (0.0, 1e-6)
        } else {
            (1e-6, 0.0)
        };
        let slope = (moved(ahead) - moved(-back)) / 1e-6;
        close(gradient[cell], slope, 1e-5, "gradient");
    }
}

#[test]
fn the_regularisers_terms() {
    // One pixel and one cell: no neighbours, so only the two terms of the distance from 1 remain.
    let one = View {
        height: 1,
        width: 1,
        unit: 1,
        resized_height: 1,
        resized_width: 1,
        offset_x: 0,
        offset_y: 0,
    };
    let regulariser = Regulariser::new(&one, &[0.0; 3], [2.0, 0.5, 10.0], 1.0).unwrap();
    let (value, gradient) = regulariser.value_and_gradient(&Mask::new(1, vec![0.25]).unwrap(), 3);
    let decayed = 0.5 * (-3.0f64).exp();
    close(value, 2.0 * 0.75 + decayed * 0.75 * 0.75, 1e-12, "value");
    close(gradient[0], -2.0 - 2.0 * decayed * 0.75, 1e-12, "gradient");
    // At a mask of ones the gradient is 0.
    let (value, gradient) = regulariser.value_and_gradient(&Mask::new(1, vec![1.0]).unwrap(), 0);
    assert_eq!((value, gradient[0]), (0.0, 0.0));
}

#[test]
fn bilateral_variation_of_a_flat_picture() {
    // Equal pixels: every weight is 1, so BTV is the mask's own variation twice, once by cells and
    // once by pixels.
    let flat = View {
        height: 2,
        width: 2,
        unit: 1,
        resized_height: 2,
        resized_width: 2,
        offset_x: 0,
        offset_y: 0,
    };
    let regulariser = Regulariser::new(&flat, &[0.3; 12], [0.0, 0.0, 1.0], 1.0).unwrap();
    let (value, _) = regulariser.total_variation(&Mask::new(2, vec![1.0, 0.5, 0.0, 0.5]).unwrap());
    // Down: 1 and 0; across: 0.5 and -0.5.
    let own = 0.5 * ((1.0 + 0.0) / 2.0 + (0.25 + 0.25) / 2.0);
    close(value, 2.0 * own, 1e-12, "BTV");
}

#[test]
fn the_objectives_gradient_is_its_slope_for_one_mask_and_for_two() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [1.0, 0.1, 10.0], 1.0).unwrap();
    let settings = settings(Method::IgosPlus);
    for (count, igos) in [
        (1, Igos::first(&settings)),
        (1, Igos::plus(&settings)),
        (2, Igos::plus_plus(&settings)),
    ] {
        let objective = Objective {
            scorer: &model,
            regularisers: std::slice::from_ref(&regulariser),
            settings: &settings,
            paths: &igos.paths,
            keys: &[0, 2],
        };
        let values: Vec<Vec<f64>> = (0..count).map(|m| random(20 + m, 16)).collect();
        let masks = |values: &[Vec<f64>]| -> Vec<Mask> {
            let masks = values.iter().map(|v| Mask::new(4, v.clone()).unwrap());
            masks.collect()
        };
        let at = objective.gradient(&masks(&values), 1, &mut go_on).unwrap();
        let gradients = at.gradients;
        for mask in 0..values.len() {
            for cell in 0..16 {
                let moved = |step: f64| {
                    let mut moved = values.clone();
                    moved[mask][cell] += step;
                    objective.loss(&masks(&moved), 1, &mut go_on).unwrap()
                };
                let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                close(
                    gradients[mask][cell],
                    slope,
                    1e-7,
                    &format!("{}, mask {mask}, cell {cell}", igos.name()),
                );
            }
        }
    }
}

#[test]
fn deletion_is_the_mean_over_the_path() {
    let model = Quadratic::new();
    let regulariser = Regulariser::new(&model.view, &model.pixels, [0.0; 3], 1.0).unwrap();
    let settings = settings(Method::IgosPlus);
    let objective = Objective {
        scorer: &model,
        regularisers: std::slice::from_ref(&regulariser),
        settings: &settings,
        paths: &Igos::plus(&settings).paths,
        keys: &[1],
    };
    let ones = [Mask::new(4, vec![1.0; 16]).unwrap()];
    let at = objective.gradient(&ones, 0, &mut go_on).unwrap();
    // With a mask of ones a share 1 - n/3 of token 1's weight is hidden at step n, or n/3 of it.
    let whole = model.weights[1].iter().sum::<f64>() / 16.0;
    let mean = |hidden: [f64; 3]| hidden.iter().map(|h| -(whole * h).powi(2)).sum::<f64>() / 3.0;
    close(at.deletion, mean([2.0 / 3.0, 1.0 / 3.0, 0.0]), 1e-12, "D");
    close(at.insertion, mean([1.0 / 3.0, 2.0 / 3.0, 1.0]), 1e-12, "R");
    close(at.loss, at.deletion - at.insertion, 1e-12, "D - R");
}

/// Each term is the value of the regulariser with its weight alone.
#[test]
fn the_terms_of_the_regulariser_add_up() {
    let model = Quadratic::new();
    let mask = Mask::new(4, random(23, 16)).unwrap();
    let with = |weights| Regulariser::new(&model.view, &model.pixels, weights, 0.5).unwrap();
    let (value, terms, _) = with([1.5, 0.25, 10.0]).evaluate(&mask, 2);
    close(terms.l1 + terms.l2 + terms.l3, value, 1e-12, "sum");
    for (term, weights) in [
        (terms.l1, [1.5, 0.0, 0.0]),
        (terms.l2, [0.0, 0.25, 0.0]),
        (terms.l3, [0.0, 0.0, 10.0]),
    ] {
        let (alone, _) = with(weights).value_and_gradient(&mask, 2);
        assert!(alone > 0.0);
        close(term, alone, 1e-12, "term");
    }
}

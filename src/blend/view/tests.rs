use super::super::random::{key, philox4x32};
use super::*;

fn uniform(count: usize, seed: u64) -> Vec<f64> {
    let word = |index: usize| philox4x32([index as u32, 0, 0, 0], key(seed))[0];
    (0..count)
        .map(|index| f64::from(word(index)) / 4294967296.0)
        .collect()
}

fn view(sizes: (usize, usize, usize, usize, isize, isize), unit: usize) -> View {
    let (height, width, resized_height, resized_width, offset_y, offset_x) = sizes;
    View {
        height,
        width,
        resized_height,
        resized_width,
        offset_y,
        offset_x,
        unit,
    }
}

/// Returns views that are square, not square, cropped, padded on one side or both, one pixel
/// thin, or of fractional pixel sizes.
fn views() -> Vec<View> {
    [
        (56, 56, 56, 84, 0, 14),
        (24, 24, 24, 24, 0, 0),
        (20, 20, 20, 5, 0, -8),
        (9, 13, 40, 60, 30, 50),
        (12, 7, 8, 3, -2, -1),
        (5, 6, 1, 9, 0, 1),
        (4, 4, 1, 1, -2, -1),
    ]
    .map(|sizes| view(sizes, 1))
    .into_iter()
    // A picture of 30 x 20 in a square of 30, resized to 13 x 13; and its right half at twice
    // that size.
    .chain([
        view((13, 13, 13 * 20, 13 * 30, -13 * 5, 0), 30),
        view((13, 13, 26 * 20, 26 * 30, -26 * 5, 13 * 30), 30),
    ])
    .collect()
}

/// Samples by the definition, with hat functions around every cell instead of taps.
fn by_definition(view: &View, mask: &[f64], size: usize, i: usize, j: usize) -> f64 {
    let place = |index: usize, offset: isize, resized: usize| {
        let unit = view.unit as f64;
        let position = index as f64 + offset as f64 / unit;
        if resized == view.unit {
            position
        } else {
            position / (resized as f64 / unit - 1.0)
        }
    };
    let (px, py) = (
        place(j, view.offset_x, view.resized_width),
        place(i, view.offset_y, view.resized_height),
    );
    let thin = |resized: usize, p: f64| resized == view.unit && p != 0.0;
    let unit = 0.0..=1.0;
    let outside = thin(view.resized_width, px) || thin(view.resized_height, py);
    if !unit.contains(&px) || !unit.contains(&py) || outside {
        return 1.0;
    }
    let hat = |p: f64, cell: usize| (1.0 - (p * (size as f64 - 1.0) - cell as f64).abs()).max(0.0);
    (0..size * size)
        .map(|cell| mask[cell] * hat(py, cell / size) * hat(px, cell % size))
        .sum()
}

#[test]
fn a_sample_is_what_the_definition_says() {
    for view in views() {
        for size in [1, 2, 5, 8, 33] {
            let mask = uniform(size * size, 11);
            let sampled = view.sampled(&mask, size);
            assert_eq!(sampled.len(), view.height * view.width);
            for (index, value) in sampled.iter().enumerate() {
                let expected =
                    by_definition(&view, &mask, size, index / view.width, index % view.width);
                assert!(
                    (value - expected).abs() < 1e-12,
                    "{view:?}, size {size}, pixel {index}"
                );
            }
        }
    }
}

#[test]
fn accumulate_is_the_adjoint_of_sample() {
    for view in views() {
        for size in [1, 2, 7, 16] {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let (mask, grad) = (
                uniform(size * size, 21),
                uniform(view.height * view.width, 22),
            );
            // The sample is affine; minus the sample of zeros it is linear.
            let constant = view.sampled(&vec![0.0; size * size], size);
            let linear: Vec<f64> = view
                .sampled(&mask, size)
                .iter()
                .zip(&constant)
                .map(|(a, b)| a - b)
                .collect();
            let mut back = vec![0.0; size * size];
            view.accumulate(&grad, size, &mut back);
            let (left, right) = (dot(&linear, &grad), dot(&mask, &back));
            assert!(
                (left - right).abs() <= 1e-12 * left.abs().max(1.0),
                "{view:?}, size {size}: {left} {right}"
            );
            let once = back.clone();
            view.accumulate(&grad, size, &mut back);
            let twice = back
                .iter()
                .zip(&once)
                .all(|(back, once)| (back - 2.0 * once).abs() < 1e-12);
            assert!(twice, "accumulate adds");
        }
    }
}

#[test]
fn an_extent_is_where_the_corner_pixels_lie() {
    assert_eq!(View::whole(24, 24).extent(), Extent::PICTURE);
    // The middle 56 of 84 columns: pixels 14 to 69 of 0 to 83.
    let crop = view((56, 56, 56, 84, 0, 14), 1).extent();
    assert_eq!((crop.top, crop.bottom), (0.0, 1.0));
    assert_eq!((crop.left, crop.right), (14.0 / 83.0, 69.0 / 83.0));
    // 30 x 20 in the middle of a square of 30, resized to 13 x 13: the picture has 26/3 rows,
    // below 13/6 rows of padding.
    let padded = view((13, 13, 13 * 20, 13 * 30, -13 * 5, 0), 30).extent();
    let last = 26.0 / 3.0 - 1.0;
    for (found, expected) in [
        (padded.left, 0.0),
        (padded.right, 1.0),
        (padded.top, -13.0 / 6.0 / last),
        (padded.bottom, (12.0 - 13.0 / 6.0) / last),
    ] {
        assert!((found - expected).abs() < 1e-12, "{padded:?}");
    }
}

#[test]
fn the_corners_of_a_whole_view_are_the_corners_of_the_mask() {
    let view = View::whole(7, 9);
    let mask = uniform(36, 31);
    let sampled = view.sampled(&mask, 6);
    assert_eq!(
        [sampled[0], sampled[8], sampled[54], sampled[62]],
        [mask[0], mask[5], mask[30], mask[35]]
    );
}

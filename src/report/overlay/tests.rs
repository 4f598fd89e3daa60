//! Properties of the overlay, the grey map and the colours.

use image::{Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::report::colour::{Ramp, contrast, lightness};
use crate::report::*;

/// Returns a map with one bright cell.
fn one_cell(size: usize, cell: usize) -> Vec<f32> {
    (0..size * size).map(|i| f32::from(i == cell)).collect()
}

/// Returns the part of an overlay that shows the picture.
fn shown(out: &RgbImage, width: u32, height: u32) -> RgbImage {
    image::imageops::crop_imm(out, (out.width() - width) / 2, 0, width, height).to_image()
}

#[test]
fn grey_has_the_pictures_size_and_the_maps_peak() {
    let out = saliency_grey(&one_cell(5, 7), 5, 41, 21).unwrap();
    assert_eq!(out.dimensions(), (41, 21));
    // Cell 7 is row 1, column 2 of 5: corners on corners, pixel (20, 5).
    assert_eq!(out.get_pixel(20, 5).0, [255]);
    assert_eq!(out.pixels().filter(|p| p.0 == [255]).count(), 1);
}

#[test]
fn grey_is_the_bilinear_sample_with_corners_on_corners() {
    let seed = 11;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for (size, width, height) in [
        (1, 3, 2),
        (2, 1, 1),
        (4, 1, 9),
        (7, 9, 1),
        (5, 31, 17),
        (32, 6, 5),
    ] {
        let map: Vec<f32> = (0..size * size).map(|_| random.random()).collect();
        let out = saliency_grey(&map, size, width, height).unwrap();
        let place = |i: u32, n: u32| f64::from(i) / f64::from((n - 1).max(1)) * (size - 1) as f64;
        for (x, y, pixel) in out.enumerate_pixels() {
            let (px, py) = (place(x, width), place(y, height));
            // The sum over all cells of the value times the cell's tent function.
            let expected: f64 = (0..size * size)
                .map(|c| {
                    let (row, column) = ((c / size) as f64, (c % size) as f64);
                    let tent = |d: f64| (1.0 - d.abs()).max(0.0);
                    f64::from(map[c]) * tent(px - column) * tent(py - row)
                })
                .sum();
            let error = f64::from(pixel.0[0]) - expected * 255.0;
            assert!(
                error.abs() < 0.501,
                "{size} to {width} x {height}, ({x}, {y}): {error}"
            );
        }
    }
}

#[test]
fn maps_and_pictures_that_do_not_fit_are_named() {
    let what = |e| match e {
        ReportError::Length {
            what,
            expected,
            found,
        } => format!("{what} {expected} {found}"),
        ReportError::Size {
            what,
            width,
            height,
        } => format!("{what} {width} x {height}"),
        e => e.to_string(),
    };
    let grey = |map: &[f32], size, w, h| what(saliency_grey(map, size, w, h).unwrap_err());
    assert_eq!(grey(&[0.0], 2, 1, 1), "saliency 4 1");
    assert_eq!(grey(&[], 0, 1, 1), "saliency 0 x 0");
    assert_eq!(
        grey(&[], usize::MAX, 1, 1),
        format!("saliency {0} x {0}", usize::MAX)
    );
    assert_eq!(grey(&[0.0], 1, 0, 4), "picture 0 x 4");
    let over = |rgb: &[u8], w, h| what(overlay(rgb, w, h, &[0.0], 1, None).unwrap_err());
    assert_eq!(over(&[0; 5], 1, 1), "picture 3 5");
    assert_eq!(over(&[], 0, 7), "picture 0 x 7");
}

#[test]
fn values_outside_the_range_are_clamped() {
    let map = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 7.0];
    let out = saliency_grey(&map, 2, 3, 2).unwrap();
    assert_eq!(out.into_raw(), [0, 128, 255, 0, 128, 255]);
    assert!(overlay(&[0; 12], 2, 2, &map, 2, None).is_ok());
}

#[test]
fn overlay_is_brightest_at_the_peak() {
    let out = overlay(
        &vec![128; 112 * 112 * 3],
        112,
        112,
        &one_cell(8, 27),
        8,
        None,
    )
    .unwrap();
    assert_eq!(out.width() % 112, 0, "enlarged by a whole factor");
    let side = out.width();
    let picture = shown(&out, side, side);
    let (x, y, _) = picture
        .enumerate_pixels()
        .max_by(|a, b| lightness(*a.2).total_cmp(&lightness(*b.2)))
        .unwrap();
    // Cell 27 is row 3, column 3 of 8.
    let expected = 3.0 / 7.0 * (side as f32 - 1.0);
    let near = |at: u32| (at as f32 - expected).abs() < 3.0;
    assert!(near(x) && near(y), "({x}, {y}), expected {expected}");
}

#[test]
fn the_picture_is_seen_under_the_map() {
    // A black half and a white half, under a map of 0, and one of 1.
    let rgb: Vec<u8> = (0..640 * 2)
        .flat_map(|i| [if i % 640 < 320 { 0 } else { 255 }; 3])
        .collect();
    for value in [0.0, 1.0] {
        let out = overlay(&rgb, 640, 2, &[value], 1, None).unwrap();
        assert_eq!(out.width(), 640, "kept at its own size");
        let (dark, bright) = (*out.get_pixel(100, 0), *out.get_pixel(600, 0));
        assert!(contrast(dark, bright) > 2.0, "{value}: {dark:?} {bright:?}");
        let grey = |p: Rgb<u8>| p.0[0] == p.0[1] && p.0[1].abs_diff(p.0[2]) <= 2;
        assert_eq!(
            grey(dark) && grey(bright),
            value == 0.0,
            "colour where the map is high"
        );
    }
}

#[test]
fn odd_pictures_are_drawn_within_bounds() {
    // Width and height, and those of the displayed picture.
    let cases = [
        ((1, 1), (480, 480)),
        ((3, 4000), (3, 4000)),
        ((4000, 3), (4000, 3)),
        ((1, 999), (1, 999)),
        ((3, 400), (12, 1600)),
        ((479, 2), (958, 4)),
        ((481, 2), (481, 2)),
        ((480, 1), (480, 1)),
        ((70_000, 1), (23_334, 1)),
        ((1, 70_000), (1, 23_334)),
    ];
    for ((w, h), (shown_w, shown_h)) in cases {
        let rgb = vec![9; w as usize * h as usize * 3];
        let out = overlay(&rgb, w, h, &one_cell(4, 3), 4, None).unwrap();
        assert_eq!(out.width(), 480.max(shown_w), "{w} x {h}");
        let legend = out.height() - shown_h;
        assert!(
            (75..=420).contains(&legend),
            "{w} x {h}: {legend} rows of legend"
        );
        // The peak is in the upper right corner of the map and of the picture.
        let picture = shown(&out, shown_w, shown_h);
        let corner = lightness(*picture.get_pixel(shown_w - 1, 0));
        if shown_w > 1 {
            assert!(
                picture.pixels().all(|p| lightness(*p) <= corner + 1e-9),
                "{w} x {h}"
            );
        }
    }
}

#[test]
fn a_reduced_picture_is_whole() {
    // White on its last tenth.
    let rgb: Vec<u8> = (0..70_000)
        .flat_map(|i| [if i < 63_000 { 0 } else { 255 }; 3])
        .collect();
    let out = overlay(&rgb, 70_000, 1, &[0.0], 1, None).unwrap();
    let white = (0..out.width())
        .filter(|&x| out.get_pixel(x, 0).0[0] > 100)
        .count() as f64;
    let share = white / f64::from(out.width());
    assert!((share - 0.1).abs() < 1e-3, "{share}");
}

#[test]
fn ramps_are_monotone_and_even() {
    let steps = |ramp: &Ramp, n: usize| -> Vec<f64> {
        let at: Vec<f64> = (0..=n)
            .map(|i| lightness(ramp.at(i as f32 / n as f32)))
            .collect();
        at.windows(2).map(|w| w[1] - w[0]).collect()
    };
    let heat = Ramp::new(colorous::INFERNO);
    assert!(steps(&heat, 64).iter().all(|&d| d > 0.0));
    let blue = Ramp::even(colorous::BLUES, 0.97);
    let steps = steps(&blue, 10);
    let mean = steps.iter().sum::<f64>() / 10.0;
    assert!(
        mean < -6.0 && steps.iter().all(|d| (d - mean).abs() < 1.0),
        "{steps:?}"
    );
    for i in 0..=255 {
        let ground = blue.at(i as f32 / 255.0);
        let best = contrast(ground, Rgb([0; 3])).max(contrast(ground, Rgb([255; 3])));
        assert!(best >= 4.5, "text on {ground:?}: {best}");
    }
    assert_eq!(blue.at(f32::NAN), blue.at(0.0));
    assert_eq!(blue.at(f32::INFINITY), blue.at(1.0));
}

#[test]
fn the_legends_ramp_rises_in_lightness() {
    let out = overlay(&[0; 3], 1, 1, &[0.0], 1, None).unwrap();
    let row = |y| {
        (0..out.width())
            .map(|x| lightness(*out.get_pixel(x, y)))
            .collect::<Vec<_>>()
    };
    let inside = |r: &[f64]| {
        let dark = r.iter().position(|v| *v < 10.0)?;
        Some(
            r[dark..]
                .iter()
                .copied()
                .take_while(|v| *v < 99.9)
                .collect::<Vec<_>>(),
        )
    };
    // The ramp is the longest row that is not background.
    let ramp = (480..out.height())
        .filter_map(|y| inside(&row(y)))
        .max_by_key(Vec::len)
        .unwrap();
    assert!(ramp.len() > 400, "{} columns", ramp.len());
    assert!(ramp.windows(2).all(|w| w[1] >= w[0]), "{ramp:?}");
}

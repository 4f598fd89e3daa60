//! Properties of the pictures.

use image::Rgb;

use super::*;

/// A map of one bright cell.
fn one_cell(size: usize, cell: usize) -> Vec<f32> {
    (0..size * size)
        .map(|i| if i == cell { 1.0 } else { 0.0 })
        .collect()
}

fn luminance(p: &Rgb<u8>) -> f32 {
    0.299 * f32::from(p.0[0]) + 0.587 * f32::from(p.0[1]) + 0.114 * f32::from(p.0[2])
}

#[test]
fn grey_has_the_pictures_size_and_the_maps_peak() {
    let out = saliency_grey(&one_cell(5, 7), 5, 41, 21).unwrap();
    assert_eq!((out.width(), out.height()), (41, 21));
    // Cell 7 is row 1, column 2 of 5: corners on corners, pixel (20, 5).
    assert_eq!(out.get_pixel(20, 5).0, [255]);
    assert_eq!(out.pixels().filter(|p| p.0 == [255]).count(), 1);
    assert_eq!(
        saliency_grey(&[0.5], 1, 1, 1).unwrap().get_pixel(0, 0).0,
        [128]
    );
}

#[test]
fn overlay_is_brightest_at_the_peak() {
    let rgb = vec![128; 112 * 112 * 3];
    let out = overlay(&rgb, 112, 112, &one_cell(8, 27), 8).unwrap();
    let factor = out.width() / 112;
    let picture = image::imageops::crop_imm(&out, 0, 0, 112 * factor, 112 * factor).to_image();
    let (x, y, _) = picture
        .enumerate_pixels()
        .max_by(|a, b| luminance(a.2).total_cmp(&luminance(b.2)))
        .unwrap();
    // Cell 27 is row 3, column 3 of 8.
    let expected = 3.0 / 7.0 * (112.0 * factor as f32 - 1.0);
    assert!(
        (x as f32 - expected).abs() < 3.0 && (y as f32 - expected).abs() < 3.0,
        "({x}, {y}), expected {expected}"
    );
}

#[test]
fn the_legends_ramp_rises_in_luminance() {
    let out = overlay(&[0; 3], 1, 1, &[0.0], 1).unwrap();
    let row = |y: u32| {
        (0..out.width())
            .map(|x| luminance(out.get_pixel(x, y)))
            .collect::<Vec<_>>()
    };
    // The ramp is the row with the most different colours.
    let ramp = (0..out.height())
        .map(row)
        .max_by_key(|r| {
            r.iter()
                .map(|v| v.round() as i32)
                .collect::<std::collections::BTreeSet<_>>()
                .len()
        })
        .unwrap();
    let dark = ramp.iter().position(|v| *v < 10.0).unwrap();
    let inside: Vec<f32> = ramp[dark..]
        .iter()
        .copied()
        .take_while(|v| *v < 254.0)
        .collect();
    assert!(
        inside.len() > 300 && inside.windows(2).all(|w| w[1] >= w[0] - 1.0),
        "{inside:?}"
    );
}

#[test]
fn odd_pictures_are_drawn() {
    for (w, h) in [(1, 1), (3, 4000), (4000, 3), (1, 999)] {
        let out = overlay(
            &vec![9; w as usize * h as usize * 3],
            w,
            h,
            &one_cell(4, 3),
            4,
        )
        .unwrap();
        assert!(out.width() >= 480 && out.height() >= h);
    }
    assert!(matches!(
        overlay(&[0; 5], 1, 1, &[0.0], 1),
        Err(ReportError::Length {
            what: "picture",
            ..
        })
    ));
    assert!(matches!(
        overlay(&[0; 3], 1, 1, &[0.0], 2),
        Err(ReportError::Length {
            what: "saliency",
            ..
        })
    ));
    assert!(overlay(&[0; 3], 1, 1, &[f32::NAN], 1).is_ok());
}

#[test]
fn curves_are_drawn_whatever_their_values() {
    let fraction = [0.0, 0.5, 1.0];
    let plot = CurvesPlot {
        fraction: &fraction,
        deletion: &[0.9, 0.2, 0.1],
        insertion: &[0.1, 0.8, 0.9],
        deletion_score: Some(0.2),
        insertion_score: None,
    };
    let out = curves(&plot).unwrap();
    let red = |p: &&Rgb<u8>| p.0[0] > 150 && p.0[1] < 60;
    let (left, right): (Vec<_>, Vec<_>) = out
        .enumerate_pixels()
        .partition(|(x, _, _)| *x < out.width() / 2);
    assert!(
        left.iter().map(|p| p.2).filter(red).count() > 300,
        "the deletion curve is drawn in its panel"
    );
    assert_eq!(
        right.iter().map(|p| p.2).filter(red).count(),
        0,
        "and nowhere else"
    );
    assert!(
        curves(&CurvesPlot {
            deletion: &[f64::NAN; 3],
            insertion: &[f64::INFINITY; 3],
            ..plot
        })
        .is_ok()
    );
    assert!(
        curves(&CurvesPlot {
            fraction: &[],
            deletion: &[],
            insertion: &[],
            ..plot
        })
        .is_ok()
    );
    assert!(matches!(
        curves(&CurvesPlot {
            deletion: &[],
            ..plot
        }),
        Err(ReportError::Length { .. })
    ));
}

#[test]
fn key_tokens_are_marked() {
    let word = |text, llr, key| TokenShade { text, llr, key };
    let marks = |key| {
        let out = tokens("What?", &[word("The", 0.0, false), word(" red", 5.0, key)]).unwrap();
        out.pixels().filter(|p| p.0 == [230, 97, 1]).count()
    };
    // The legend has one mark of its own.
    assert!(marks(true) > marks(false));
}

#[test]
fn any_text_is_drawn() {
    let long = "x".repeat(4000);
    for text in ["", "\n", "\u{0}", "日本語", "🦀", &long, "مرحبا"] {
        let shade = TokenShade {
            text,
            llr: f64::NAN,
            key: true,
        };
        let out = tokens(text, &[shade]).unwrap();
        assert_eq!(out.width(), 960);
    }
    assert!(tokens(&long, &[]).is_ok());
}

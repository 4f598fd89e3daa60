//! Properties of the curves, the words and the encoded pictures.

use image::{GrayImage, Rgb, RgbImage};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::colour::lightness;
use super::font::{Neighbours, REGULAR, Text};
use super::layout::Layout;
use super::*;
use crate::explain::{Iteration, Terms};

const MARK: [u8; 3] = [230, 97, 1];

fn word(text: &str, llr: f64, key: bool) -> TokenShade<'_> {
    TokenShade { text, llr, key }
}

const FRACTION: [f64; 3] = [0.0, 0.5, 1.0];

fn plot() -> CurvesPlot<'static> {
    CurvesPlot {
        fraction: &FRACTION,
        deletion: &[0.9, 0.2, 0.1],
        insertion: &[0.1, 0.8, 0.9],
        deletion_score: Some(0.2),
        insertion_score: None,
    }
}

#[test]
fn each_curve_is_drawn_in_its_panel() {
    let out = curves(&plot()).unwrap();
    // The line at full strength; the headings above have the same colours.
    let count = |colour: [u8; 3], left: bool| {
        let here = |(x, y, p): &(u32, u32, &Rgb<u8>)| {
            *y > 90 && (*x < out.width() / 2) == left && p.0 == colour
        };
        out.enumerate_pixels().filter(here).count()
    };
    let (deletion, insertion) = ([178, 24, 43], [33, 102, 172]);
    assert!(count(deletion, true) > 300 && count(insertion, false) > 300);
    assert_eq!((count(deletion, false), count(insertion, true)), (0, 0));
}

#[test]
fn scores_stand_in_the_headings() {
    let differs = |a: &CurvesPlot, b: &CurvesPlot| {
        let (a, b) = (curves(a).unwrap(), curves(b).unwrap());
        let rows = a.rows().zip(b.rows()).enumerate();
        let changed: Vec<usize> = rows
            .filter(|(_, (a, b))| a.clone().ne(b.clone()))
            .map(|r| r.0)
            .collect();
        changed
    };
    let other = CurvesPlot {
        deletion_score: Some(0.7),
        ..plot()
    };
    let undefined = CurvesPlot {
        deletion_score: None,
        ..plot()
    };
    for changed in [differs(&plot(), &other), differs(&plot(), &undefined)] {
        assert!(
            !changed.is_empty() && changed.iter().all(|&y| y < 50),
            "{changed:?}"
        );
    }
    // If a score is undefined for a known reason, the reason is below it.
    let close = CurvesPlot {
        deletion: &[0.105, 0.2, 0.1],
        ..plot()
    };
    let without = CurvesPlot {
        deletion_score: None,
        ..close
    };
    assert!(
        differs(&close, &without)
            .iter()
            .any(|y| (52..84).contains(y))
    );
}

fn iteration(deletion: f64, insertion: f64, terms: Option<[f64; 3]>) -> Iteration {
    let terms = terms.map(|[l1, l2, l3]| Terms { l1, l2, l3 });
    Iteration {
        deletion,
        insertion,
        regulariser: terms.map_or(0.0, |t| t.l1 + t.l2 + t.l3),
        terms,
    }
}

#[test]
fn every_part_of_the_objective_has_its_line() {
    let (deletion, insertion) = ([178, 24, 43], [33, 102, 172]);
    let terms = [[213, 94, 0], [0, 114, 178], [0, 158, 115]];
    let drawn = |iterations: &[Iteration]| {
        let out = losses(iterations).unwrap();
        assert_eq!(out.dimensions(), (1200, 620));
        // More pixels than the legend has, on either half.
        move |colour: [u8; 3]| {
            let count = |left: bool| {
                let on = |x: u32| (x < out.width() / 2) == left;
                let pixels = out.enumerate_pixels();
                pixels.filter(|(x, _, p)| on(*x) && p.0 == colour).count() > 200
            };
            (count(true), count(false))
        }
    };
    let both = [
        (-1.0, -1.0, [0.0, 0.0, 0.0]),
        (-6.0, -1.5, [0.1, 2.0, 0.4]),
        (-9.0, -1.2, [0.2, 1.0, 0.5]),
    ];
    let both = both.map(|(d, r, terms)| iteration(d, r, Some(terms)));
    let found = drawn(&both);
    assert_eq!([deletion, insertion].map(&found), [(true, false); 2]);
    assert_eq!(terms.map(&found), [(false, true); 3]);
    // Without a term, without a path, without any term.
    let first = both.map(|i| iteration(i.deletion, 0.0, i.terms.map(|t| [t.l1, 0.0, t.l3])));
    let found = drawn(&first);
    assert_eq!(
        [deletion, insertion].map(&found),
        [(true, false), (false, false)]
    );
    assert_eq!(
        terms.map(&found),
        [(false, true), (false, false), (false, true)]
    );
    let found = drawn(&both.map(|i| iteration(i.deletion, i.insertion, None)));
    assert_eq!([deletion, insertion].map(&found), [(true, true); 2]);
    assert_eq!(terms.map(&found), [(false, false); 3]);
}

#[test]
fn losses_are_drawn_whatever_their_values() {
    for value in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e308,
        -1e308,
        1e-320,
        1e12,
        0.0,
        -2.0,
    ] {
        for count in [2, 3, 40, 1000] {
            let same = vec![iteration(value, value, Some([value; 3])); count];
            assert!(losses(&same).is_ok(), "{value} {count}");
        }
        let mixed = [
            iteration(-1.0, value, Some([0.1, value, 0.0])),
            iteration(value, -2.0, None),
        ];
        assert!(losses(&mixed).is_ok(), "{value}");
    }
    for few in [&[][..], &[iteration(-1.0, -1.0, None)]] {
        assert!(matches!(losses(few), Err(ReportError::Length { .. })));
    }
}

/// Every map lies over its own copy of the picture.
#[test]
fn maps_of_words_stand_side_by_side() {
    let (width, height) = (60, 40);
    let rgb = [90, 90, 90].repeat(width as usize * height as usize);
    // A map is high in one of four quarters.
    let maps: Vec<[f32; 4]> = (0..4)
        .map(|high| [0, 1, 2, 3].map(|cell| f32::from(u8::from(cell == high))))
        .collect();
    let panels: Vec<EachPanel> = maps
        .iter()
        .map(|saliency| EachPanel {
            text: "word",
            saliency,
        })
        .collect();
    let out = each(&rgb, width, height, 2, &panels).unwrap();
    // The picture is repeated six times; panels are 360 + 16 pixels apart, 36 + 240 + 16 high.
    let bright = |panel: u32, cell: u32| {
        let (left, top) = (16 + panel % 3 * 376, panel / 3 * 292 + 36);
        let (x, y) = (left + cell % 2 * 359, top + cell / 2 * 239);
        out.get_pixel(x, y).0.map(u32::from).iter().sum::<u32>()
    };
    for panel in 0..4 {
        for cell in 0..4 {
            let alone = cell != panel;
            assert_eq!(
                bright(panel, cell) < bright(panel, panel),
                alone,
                "{panel} {cell}"
            );
        }
    }
    // Any picture and any number of maps.
    for (width, height) in [(1, 1), (1, 5000), (5000, 1), (369, 368), (3000, 2)] {
        let rgb = vec![7; width as usize * height as usize * 3];
        for count in [1, 2, 61] {
            let panels = vec![
                EachPanel {
                    text: "\u{1F600} \n\u{202e}long".repeat(9).leak(),
                    saliency: &[0.5]
                };
                count
            ];
            let out = each(&rgb, width, height, 1, &panels).unwrap();
            assert!(out.width() >= 480 && out.width() <= 1200 && out.height() < 9000);
        }
    }
    assert!(each(&[7; 3], 1, 1, 2, &panels[..1]).is_ok());
    assert!(each(&[7; 3], 1, 1, 3, &panels[..1]).is_err());
    assert!(each(&[7; 4], 1, 1, 2, &panels[..1]).is_err());
    assert!(each(&[], 0, 1, 2, &panels[..1]).is_err());
}

#[test]
fn curves_are_drawn_whatever_their_values() {
    for value in [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        1e308,
        -1e308,
        0.0,
        1e-320,
    ] {
        let same = [value; 3];
        let all = CurvesPlot {
            fraction: &same,
            deletion: &same,
            insertion: &same,
            deletion_score: Some(value),
            insertion_score: Some(value),
        };
        assert_eq!(curves(&all).unwrap().dimensions(), (1200, 620), "{value}");
        let one = [0.1, value, 0.9];
        assert!(
            curves(&CurvesPlot {
                deletion: &one,
                insertion: &one,
                ..plot()
            })
            .is_ok()
        );
    }
    let none = CurvesPlot {
        fraction: &[],
        deletion: &[],
        insertion: &[],
        ..plot()
    };
    assert!(curves(&none).is_ok());
    let short = curves(&CurvesPlot {
        insertion: &[],
        ..plot()
    });
    assert!(matches!(
        short,
        Err(ReportError::Length {
            what: "insertion",
            expected: 3,
            found: 0
        })
    ));
}

#[test]
fn points_that_are_not_finite_are_left_out() {
    let gap = CurvesPlot {
        fraction: &[0.0, 0.3, 0.5, f64::INFINITY, 1.0],
        deletion: &[0.9, f64::NAN, 0.2, 0.4, 0.1],
        insertion: &[0.1, f64::NAN, 0.8, 0.4, 0.9],
        ..plot()
    };
    assert_eq!(curves(&gap).unwrap(), curves(&plot()).unwrap());
}

#[test]
fn the_axis_of_small_probabilities_ends_at_two_hundredths() {
    let low = CurvesPlot {
        deletion: &[0.01; 3],
        insertion: &[0.0; 3],
        ..plot()
    };
    let out = curves(&low).unwrap();
    let line = |(_, y, p): &(u32, u32, &Rgb<u8>)| *y > 90 && p.0 == [178, 24, 43];
    let rows: Vec<u32> = out.enumerate_pixels().filter(line).map(|p| p.1).collect();
    // Half way up: the panel's axes take rows 90 to 512.
    assert!(
        !rows.is_empty() && rows.iter().all(|y| y.abs_diff(301) < 8),
        "{rows:?}"
    );
}

#[test]
fn text_is_legible_on_its_ground() {
    let has = |llr, ink: [u8; 3]| {
        let out = tokens("", &[word("HHH", llr, false), word(" x", 9.0, false)]).unwrap();
        // Inside the first token's background.
        let inside = image::imageops::crop_imm(&out, 28, 45, 60, 36).to_image();
        inside.pixels().any(|p| p.0 == ink)
    };
    assert!(has(0.0, [0; 3]) && has(9.0, [255; 3]));
    assert!(!has(9.0, [0; 3]));
}

#[test]
fn key_tokens_are_marked() {
    let marks = |key| {
        let out = tokens("What?", &[word("The", 0.0, false), word(" red", 5.0, key)]).unwrap();
        out.enumerate_rows()
            .map(|(_, row)| row.filter(|p| p.2.0 == MARK).count())
            .filter(|&pixels| pixels > 0)
            .collect::<Vec<_>>()
    };
    assert!(marks(false).is_empty(), "no mark, and none in the legend");
    // Five rows below the word, five below the legend's.
    let rows = marks(true);
    assert_eq!(rows.len(), 10);
    assert!(
        rows[0] > 40 && rows[..5].iter().all(|&r| r == rows[0]),
        "{rows:?}"
    );
}

#[test]
fn grounds_darken_with_the_log_ratio() {
    // The darkest pixel of a column inside the full stop's background, above its ink.
    let ground = |llr| {
        let out = tokens("", &[word(".", llr, false), word(" x", 4.0, false)]).unwrap();
        lightness(*out.get_pixel(30, 48))
    };
    let at: Vec<f64> = [-2.0, 0.0, 1.0, 2.0, 3.0, 4.0].map(ground).into();
    assert_eq!(at[0], at[1]);
    assert!(at[1..].windows(2).all(|w| w[1] < w[0] - 10.0), "{at:?}");
    assert_eq!(ground(f64::NAN), at[1]);
    assert_eq!(ground(f64::INFINITY), at[5]);
    assert_eq!(ground(f64::NEG_INFINITY), at[1]);
}

#[test]
fn what_has_no_ink_is_made_visible() {
    let text = Text::new(REGULAR, 20.0).unwrap();
    assert_eq!(
        text.visible("a é\n\t\u{1}\r"),
        "a é\u{23ce}\u{21e5}\\u{1}\\r"
    );
    assert_eq!(text.visible("日한\u{1f980}م"), "日한\u{1f980}م");
    assert_eq!(text.visible("\u{e000}\u{12000}"), "\u{fffd}\u{fffd}");
    assert_eq!(text.visible("a\u{200d}\u{202e}\u{fe0f}b"), "ab");
}

#[test]
fn every_script_has_glyphs_of_its_own() {
    let text = Text::new(REGULAR, 32.0).unwrap();
    let drawn = |c: char| {
        let mut pixels = Vec::new();
        text.ink(&c.to_string(), Neighbours::default(), |x, y, share| {
            pixels.push((x, y, share > 0.5));
        });
        pixels
    };
    let missing = drawn('\u{fffd}');
    for c in "图颜色あカ漢字한글مש😀🦀é".chars() {
        let pixels = drawn(c);
        assert!(pixels.iter().any(|&(_, _, inked)| inked), "{c}");
        assert_ne!(pixels, missing, "{c}");
        // On the line, and as high as the others.
        assert!(pixels.iter().all(|&(_, y, _)| (-6..40).contains(&y)), "{c}");
    }
}

#[test]
fn arabic_letters_are_joined_across_tokens() {
    let text = Text::new(REGULAR, 32.0).unwrap();
    let neighbours = |before, after| Neighbours { before, after };
    let alone = text.width("ب");
    let widths = [(None, Some('ب')), (Some('ب'), Some('ب')), (Some('ب'), None)]
        .map(|(before, after)| text.width_between("ب", neighbours(before, after)));
    assert!(
        widths[0] < alone && widths[1] < alone,
        "{alone}, {widths:?}"
    );
    assert_eq!(text.width_between("ب", neighbours(Some('ا'), None)), alone);
    assert!(text.width("ببب") < 3 * alone);
}

#[test]
fn text_from_right_to_left_is_put_in_its_order() {
    let font = Text::new(REGULAR, 32.0).unwrap();
    let mut layout = Layout::new(900, 3);
    for (i, word) in ["ما", " لون", " الدائرة", "?", "\n", "red", " شمس", " 12"]
        .iter()
        .enumerate()
    {
        layout.push(&[(i, &font, word)]);
    }
    layout.finish();
    let at: Vec<(u32, u32)> = layout.placed.iter().map(|p| (p.line, p.x)).collect();
    let places = |range: std::ops::Range<usize>| {
        let mut items: Vec<usize> = range.collect();
        items.sort_by_key(|&i| at[i]);
        items
    };
    // A line that begins from right to left is ordered so as a whole; in another one, only a part
    // is.
    assert_eq!(places(0..4), [3, 2, 1, 0]);
    assert_eq!(places(5..8), [5, 7, 6]);
    assert!(layout.placed[0].backwards && !layout.placed[5].backwards);
}

#[test]
fn words_stay_whole_and_lines_bounded() {
    let font = Text::new(REGULAR, 32.0).unwrap();
    let mut layout = Layout::new(300, 6);
    for (i, parts) in [
        ["un", "be", "lievable"],
        [" is", "n", "'t"],
        [" the", "-", "word"],
    ]
    .iter()
    .enumerate()
    {
        let items: Vec<_> = parts.iter().map(|part| (i, &font, *part)).collect();
        layout.push(&items);
    }
    for word in 0..3 {
        let lines: Vec<u32> = layout
            .placed
            .iter()
            .filter(|p| p.item == word)
            .map(|p| p.line)
            .collect();
        assert!(
            lines.windows(2).all(|w| w[0] == w[1]),
            "word {word}: {lines:?}"
        );
    }
    assert!(layout.lines() > 1, "the words do not fit one line");
    assert!(
        layout
            .placed
            .iter()
            .all(|p| p.x > 0 || !p.text.starts_with(' '))
    );
    assert!(!layout.cut);
    layout.push(&[(3, &font, "\n"), (4, &font, &"wide".repeat(500))]);
    assert!(layout.cut && layout.lines() == 6);
    assert!(layout.placed.iter().all(|p| p.x + p.width <= 300));
}

#[test]
fn any_text_is_drawn() {
    let long = "x".repeat(400_000);
    let marks = format!(" {}", "\u{301}".repeat(200_000));
    for text in [
        "",
        " ",
        "\n",
        "\u{0}",
        "日本語",
        "🦀",
        "مرحبا",
        " \u{301}",
        &long,
        &marks,
    ] {
        for llr in [f64::NAN, f64::INFINITY, -1e308, 1e308] {
            let out = tokens(
                text,
                &[
                    word(text, llr, true),
                    word("x", llr, true),
                    word(text, llr, false),
                ],
            )
            .unwrap();
            assert_eq!(out.width(), 960);
            assert!(out.height() < 9000, "{}", out.height());
        }
    }
    assert!(tokens("", &[]).is_ok());
    let many = vec![word("\n", 1.0, true); 100_000];
    assert!(tokens("", &many).unwrap().height() < 9000);
    let seed = 5;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..300 {
        let text: String = (0..40).map(|_| random.random::<char>()).collect();
        let basic: String = (0..40)
            .filter_map(|_| char::from_u32(random.random_range(0..0x3000)))
            .collect();
        assert!(tokens(&text, &[word(&basic, 1.0, true), word(&text, 2.0, false)]).is_ok());
    }
}

#[test]
fn png_gives_the_same_pixels_back() {
    let picture = RgbImage::from_fn(13, 7, |x, y| Rgb([x as u8 * 19, y as u8 * 31, 200]));
    let back = image::load_from_memory(&png(&picture).unwrap()).unwrap();
    assert_eq!(back.as_rgb8(), Some(&picture));
    let grey = saliency_grey(&[0.2, 0.9, 0.0, 1.0], 2, 9, 5).unwrap();
    let back = image::load_from_memory(&png(&grey).unwrap()).unwrap();
    assert_eq!(back.as_luma8(), Some(&grey));
    assert!(matches!(
        png(&GrayImage::new(0, 3)),
        Err(ReportError::Encode { .. })
    ));
}

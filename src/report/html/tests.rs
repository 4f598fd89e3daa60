//! The page's numbers, and the embedding of all data as data.

use serde_json::Value;

use super::*;
use crate::report::ReportError;

/// Text that would end its element, begin a comment, or run as a script.
const NASTY: &str =
    "</script><script>alert(1)</script><!-- <b>&amp; \"'`{{ title }}{% raw %} \u{2028}\u{0} é 你";

fn entries() -> Vec<Entry> {
    let entry = |index, correct, image_dependent, insertion, cause: Option<&str>| Entry {
        index,
        id: format!("s{index}"),
        correct,
        image_dependent,
        insertion,
        cause: cause.map(String::from),
        ..Entry::default()
    };
    vec![
        entry(0, Some(true), Some(true), Some(0.5), None),
        entry(3, Some(false), Some(true), Some(1.0), None),
        entry(4, None, Some(false), None, None),
        entry(7, Some(true), Some(false), Some(f64::NAN), None),
        entry(8, None, None, None, Some("picture")),
        entry(9, None, None, None, Some("memory")),
        entry(11, None, None, None, Some("picture")),
    ]
}

fn page(entries: Vec<Entry>) -> Page {
    Page {
        title: NASTY.into(),
        expected: 10,
        facts: vec![(NASTY.into(), NASTY.into())],
        entries,
    }
}

fn written(page: &Page, details: Vec<Detail>) -> Result<String, ReportError> {
    let mut out = Vec::new();
    write_page(
        &mut out,
        page,
        details.into_iter().map(Ok::<_, ReportError>),
    )?;
    Ok(String::from_utf8(out).unwrap())
}

/// Returns an element's content as a browser determines it: everything up to the first `</script`.
fn content<'a>(html: &'a str, opening: &str) -> &'a str {
    let start = html.find(opening).unwrap_or_else(|| panic!("no {opening}")) + opening.len();
    let end = html[start..].find("</script").unwrap();
    &html[start..start + end]
}

fn data(html: &str, id: &str) -> Value {
    let opening = format!("<script type=\"application/json\" id=\"{id}\">");
    serde_json::from_str(content(html, &opening)).unwrap()
}

#[test]
fn a_summary_counts_what_is_known() {
    let summary = Summary::of(&entries());
    assert_eq!(summary.samples, 7);
    assert_eq!(summary.correct, Share { count: 2, of: 3 });
    assert_eq!(summary.correct.percent().as_deref(), Some("66.7 %"));
    assert_eq!(summary.image_dependent, Share { count: 2, of: 4 });
    let insertion = Mean {
        value: Some(0.75),
        of: 2,
    };
    assert_eq!(summary.insertion, insertion);
    assert_eq!(summary.deletion, Mean { value: None, of: 0 });
    assert_eq!(summary.failed, 3);
    let causes: Vec<(&str, usize)> = summary
        .causes
        .iter()
        .map(|(c, &n)| (c.as_str(), n))
        .collect();
    assert_eq!(causes, [("memory", 1), ("picture", 2)]);
    assert_eq!(Summary::of(&[]).correct.percent(), None);
}

#[test]
fn texts_arrive_as_they_are_and_as_nothing_else() {
    let entry = Entry {
        question: NASTY.into(),
        answer: NASTY.into(),
        cause: Some(NASTY.into()),
        ..Entry::default()
    };
    let detail = Detail {
        message: Some(NASTY.into()),
        choices: vec![NASTY.into()],
        ..Detail::default()
    };
    let html = written(&page(vec![entry]), vec![detail]).unwrap();
    let index = data(&html, "index");
    assert_eq!(index["entries"][0]["question"], NASTY);
    assert_eq!(index["entries"][0]["answer"], NASTY);
    assert_eq!(data(&html, "detail0")["message"], NASTY);
    assert_eq!(data(&html, "detail0")["choices"][0], NASTY);
    // Index, detail and the program are the only scripts, and no text opens another one.
    assert_eq!(html.matches("<script").count(), 3);
    assert_eq!(html.matches("</script").count(), 3);
    assert!(!html.contains("<!-- ") && !html.contains("<b>"));
    assert!(html.contains("<title>&lt;&#x2f;script&gt;&lt;script&gt;alert(1)"));
    assert!(
        html.contains("{{ title }}{% raw %}"),
        "a text is not a template"
    );
}

#[test]
fn the_page_runs_its_own_program_alone() {
    use base64::Engine;
    use sha2::Digest;
    let html = written(&page(Vec::new()), Vec::new()).unwrap();
    let hash = sha2::Sha256::digest(content(&html, "<script>"));
    let hash = base64::engine::general_purpose::STANDARD.encode(hash);
    let policy = html
        .split("Content-Security-Policy\" content=\"")
        .nth(1)
        .unwrap();
    let policy = policy
        .split('"')
        .next()
        .unwrap()
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/");
    assert!(
        policy.ends_with(&format!("script-src 'sha256-{hash}'")),
        "{policy}"
    );
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    for outside in ["http://", "https://", "@import", " src=\""] {
        let found = html
            .replace("http://www.w3.org/2000/svg", "")
            .contains(outside);
        assert!(!found, "{outside}");
    }
}

#[test]
fn details_keep_the_order_of_their_entries() {
    let details = (0..7).map(|i| Detail {
        path: format!("{i}.png"),
        ..Detail::default()
    });
    let html = written(&page(entries()), details.collect()).unwrap();
    let indices: Vec<Value> = data(&html, "index")["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| e["index"].clone())
        .collect();
    assert_eq!(indices, [0, 3, 4, 7, 8, 9, 11]);
    for place in 0..7 {
        assert_eq!(
            data(&html, &format!("detail{place}"))["path"],
            format!("{place}.png")
        );
    }
    assert!(html.contains("7 of 10 samples"));
    assert!(html.contains("memory 1, picture 2"));
    // JSON cannot represent NaN.
    assert_eq!(data(&html, "index")["entries"][3]["insertion"], Value::Null);
}

#[test]
fn a_page_of_other_details_than_entries_is_an_error() {
    for count in [6, 8] {
        let details = vec![Detail::default(); count];
        let error = written(&page(entries()), details).unwrap_err().to_string();
        assert!(
            error.contains("expected 7 values") && error.contains(&count.to_string()),
            "{error}"
        );
    }
    let mut out = Vec::new();
    let broken = || ReportError::Plot {
        reason: "broken".into(),
    };
    let details = [Ok(Detail::default()), Err(broken())];
    let error = write_page(&mut out, &page(entries()), details.into_iter()).unwrap_err();
    assert_eq!(error.to_string(), broken().to_string());
}

#[test]
fn numbers_have_four_digits() {
    let detail = Detail {
        curves: Some(CurveLines {
            fraction: vec![0.0, 1.0 / 3.0],
            deletion: vec![f64::INFINITY, 0.99999],
            insertion: vec![-1.23456, 2e-5],
        }),
        ..Detail::default()
    };
    let value = serde_json::to_value(&detail).unwrap();
    let expected = serde_json::json!({
        "fraction": [0.0, 0.3333], "deletion": [null, 1.0], "insertion": [-1.2346, 0.0]
    });
    assert_eq!(value["curves"], expected);
}

#[test]
fn a_thumbnail_is_the_picture_made_small() {
    use base64::Engine;
    for ((width, height), expected) in [
        ((640, 480), (320, 240)),
        ((100, 1600), (20, 320)),
        ((5000, 2), (320, 1)),
        ((320, 7), (320, 7)),
    ] {
        // The left half is red, the right half blue.
        let pixel = |i: u32| {
            if i % width < width / 2 {
                [250, 10, 10]
            } else {
                [10, 10, 250]
            }
        };
        let rgb: Vec<u8> = (0..width * height).flat_map(pixel).collect();
        let address = thumbnail(&rgb, width, height).unwrap();
        let bytes = address.strip_prefix("data:image/jpeg;base64,").unwrap();
        let bytes = base64::engine::general_purpose::STANDARD
            .decode(bytes)
            .unwrap();
        let small = image::load_from_memory(&bytes).unwrap().to_rgb8();
        assert_eq!(small.dimensions(), expected);
        let (left, right) = (
            small.get_pixel(1, 0).0,
            small.get_pixel(expected.0 - 2, 0).0,
        );
        assert!(left[0] > 220 && left[2] < 40, "{left:?}");
        assert!(right[2] > 220 && right[0] < 40, "{right:?}");
    }
    assert!(matches!(
        thumbnail(&[], 0, 3),
        Err(ReportError::Size { .. })
    ));
    assert!(matches!(
        thumbnail(&[1, 2, 3], 2, 1),
        Err(ReportError::Length { .. })
    ));
}

#[test]
fn a_map_is_a_byte_a_cell() {
    use base64::Engine;
    let decode = |map: &MapCells| {
        base64::engine::general_purpose::STANDARD
            .decode(&map.cells)
            .unwrap()
    };
    let map = MapCells::new(&[0.0, 1.0, 0.5, f32::NAN], 2).unwrap();
    assert_eq!((map.size, decode(&map)), (2, vec![0, 255, 128, 0]));
    let large = MapCells::new(&vec![1.0; 300 * 300], 300).unwrap();
    assert_eq!((large.size, decode(&large)), (128, vec![255; 128 * 128]));
    assert!(MapCells::new(&[0.0; 5], 2).is_err());
}

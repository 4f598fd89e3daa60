//! Comparisons with pycocotools (`tests/data/segmentation/make.py`), and what is refused.

use serde::Deserialize;
use serde_json::{Value, json};

use super::*;
use crate::run::{Columns, Data, DataOptions, EvidenceMask, EvidenceSource, Shard};

#[derive(Deserialize)]
struct Case {
    name: String,
    width: u32,
    height: u32,
    segmentation: Value,
    size: [usize; 2],
    /// `None` where no pixel belongs to the region.
    counts: Option<Vec<u32>>,
}

fn mask(value: &Value, size: (u32, u32)) -> Result<EvidenceMask, String> {
    let segmentation = Segmentation::of(value)?;
    EvidenceMask::of_segmentation(&segmentation, size).map_err(|bad| bad.message)
}

#[test]
fn masks_are_those_of_pycocotools() {
    let text = include_str!("../../../tests/data/segmentation/segmentations.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    let empty = cases.iter().filter(|case| case.counts.is_none()).count();
    assert!(cases.len() > 70 && empty > 3, "{} {empty}", cases.len());
    for case in cases {
        assert!(Segmentation::is_like(&case.segmentation), "{}", case.name);
        let found = mask(&case.segmentation, (case.width, case.height));
        let found = found.map(|mask| (mask.size(), mask.counts().to_vec()));
        match case.counts {
            Some(counts) => assert_eq!(found, Ok((case.size, counts)), "{}", case.name),
            None => {
                let message = found.unwrap_err();
                assert!(message.contains("found none"), "{}: {message}", case.name);
            }
        }
    }
}

/// Polygons are nested lists in Parquet, run lengths groups, and their strings may be bytes.
#[test]
fn parquet_holds_segmentations() {
    let text = include_str!("../../../tests/data/segmentation/segmentations.json");
    let cases: Vec<Case> = serde_json::from_str(text).unwrap();
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = path.join("tests/data/segmentation/rows.parquet");
    for (column, names) in [
        ("polygons", ["a line and a triangle", "overlapping"]),
        ("plain", ["plain 0", "plain 1"]),
        ("compressed", ["compressed 0", "compressed 1"]),
    ] {
        let options = DataOptions {
            columns: Columns {
                evidence: Some(column.into()),
                ..Columns::default()
            },
            ..DataOptions::default()
        };
        let data = Data::open(&path, None, options).unwrap();
        let samples = data.samples(Shard::WHOLE, 0).unwrap();
        for (picked, name) in samples.zip(names) {
            let sample = picked.unwrap().sample.unwrap();
            let case = cases.iter().find(|case| case.name == name).unwrap();
            let Some(EvidenceSource::Segmentation(found)) = sample.evidence else {
                panic!("{name}: {:?}", sample.evidence);
            };
            let found = EvidenceMask::of_segmentation(&found, (case.width, case.height));
            assert_eq!(
                found.unwrap().counts(),
                case.counts.as_ref().unwrap(),
                "{name}"
            );
        }
    }
}

/// Run lengths may have another size of the picture's aspect.
#[test]
fn smaller_run_lengths_are_enlarged() {
    let half = json!({"size": [2, 3], "counts": [2, 1, 3]});
    let found = mask(&half, (6, 4)).unwrap();
    // Pixel (1, 0) of the smaller one covers (2, 0) to (3, 1).
    assert_eq!(found.counts(), [8, 2, 2, 2, 10]);
    assert_eq!(mask(&half, (3, 2)).unwrap().counts(), [2, 1, 3]);
}

#[test]
fn other_segmentations_say_what_and_where() {
    let long = vec![json!([0, 0, 1, 0, 1, 1]); MOST_PARTS + 1];
    let zigzag: Vec<f64> = (0..2000)
        .flat_map(|n| [f64::from(n % 2) * 60_000.0, 1.0])
        .collect();
    for (value, words) in [
        (
            json!({"size": [3, 4], "counts": [5, 6]}),
            "counts: expected runs of 12 pixels in all, of 3 x 4, found 11",
        ),
        (
            json!({"size": [3, 4], "counts": [5, 8, u32::MAX]}),
            "found 13 up to run 1",
        ),
        (
            json!({"size": [3, 4], "counts": [5, -1, 8]}),
            "run 1: expected a number of pixels below 2^32, found -1",
        ),
        (json!({"size": [3, 4], "counts": [5.5]}), "found 5.5"),
        (
            json!({"size": [3, 4], "counts": [4294967296_u64]}),
            "found 4294967296",
        ),
        (json!({"size": [3, 4], "counts": "P"}), "found the end"),
        (json!({"size": [3, 4], "counts": "12 "}), "run 2: "),
        (
            json!({"size": [3, 4], "counts": "<\u{e9}"}),
            "run 1: expected characters from '0' to 'o', found byte 195",
        ),
        (
            json!({"size": [3, 4], "counts": "oooooooooooooooo0"}),
            "run 0: expected a number below 2^32",
        ),
        (
            json!({"size": [3, 4], "counts": "O"}),
            "run 0: expected a number of pixels below 2^32, found -1",
        ),
        // The fourth count is the second one less 2.
        (
            json!({"size": [3, 4], "counts": "111N"}),
            "run 3: expected a number of pixels below 2^32, found -1",
        ),
        (json!({"size": [3, 4], "counts": null}), "counts: expected"),
        (json!({"size": [3, 4]}), "counts: expected"),
        (json!({"size": [3], "counts": [3]}), "size: expected"),
        (json!({"size": [0, 4], "counts": [0]}), "size: expected"),
        (json!({"size": [-3, 4], "counts": [0]}), "size: expected"),
        (
            json!({"size": [4294967296_u64, 1], "counts": [0]}),
            "size: expected",
        ),
        (
            json!({"size": [4294967295_u64, 4294967295_u64], "counts": [1, 2]}),
            "found 3",
        ),
        (
            json!({"size": [4, 3], "counts": [0, 12]}),
            "part 0: size: expected 3 x 4 (height, width), or that aspect, found 4 x 3",
        ),
        (
            json!([[0, 0, 1, 1], [0, 0, 1, 0, 1, 1]]),
            "part 0: expected x and y of at least 3 points, found 4",
        ),
        (json!([[0, 0, 1, 0, 1, 1, 2]]), "found 7 numbers"),
        (
            json!([[0, 0, 1, 0, 1, 1], [0, 0, 1, null, 1, 1]]),
            "part 1: y of point 1: expected a coordinate in pixels, found null",
        ),
        (
            json!([[[0, 0, 1, 0, 1, 1], [1e9, 0, 1, 0, 1, 1]]]),
            "part 0: polygon 1: x of point 0: expected",
        ),
        (
            json!([[0, 0, 1, 0, 1, 1], "a"]),
            "part 1: expected a polygon",
        ),
        (json!(long), "at most 4096"),
        (json!([zigzag]), "at most 4194304 pixels"),
    ] {
        assert!(Segmentation::is_like(&value), "{value}");
        let message = mask(&value, (4, 3)).unwrap_err();
        assert!(message.contains(words), "{value}: {message}");
    }
}

/// Coordinates as far away as any cost no memory, and no time beyond their limit.
#[test]
fn far_points_are_drawn() {
    let far = f64::from(1 << 18);
    let found = mask(&json!([[-far, -far, far, -far, 0, far]]), (5, 5));
    assert_eq!(found.unwrap().counts(), [0, 25]);
}

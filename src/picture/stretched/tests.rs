use serde_json::Value;

use super::super::testing::Recorded;
use super::*;

const CLASS: &str = "Idefics3ImageProcessor";

fn read(config: &str) -> Result<StretchedTiles, PictureError> {
    let stretching = match config.contains("GotOcr2") {
        true => Stretching::GotOcr2,
        false => Stretching::Idefics3,
    };
    StretchedTiles::from_json(config, "file", CLASS, stretching)
}

#[test]
fn equals_transformers() {
    let recorded = Recorded::read("split");
    for (index, config) in recorded.cases.iter().enumerate() {
        let picture = recorded.picture(&format!("in{index}")).unwrap();
        let (shape, bytes) = recorded.get(&format!("out{index}")).unwrap();
        let numbers = bytes.as_chunks().0.iter();
        let mut expected: Vec<f32> = numbers.map(|&b| f32::from_le_bytes(b)).collect();
        // The whole picture is last there.
        expected.rotate_right(shape[1..].iter().product());
        let tiles = read(&config.to_string()).unwrap();
        let found = tiles.process(&picture).unwrap();
        let tiling = tiles.tiling(picture.width(), picture.height()).unwrap();
        assert_eq!(found.len(), shape[0], "{config}");
        assert_eq!(tiling.views.len(), shape[0], "{config}");
        let found = found.concat();
        assert_eq!(found.len(), expected.len());
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst <= 2e-6, "{worst} off: {config}");
    }
    assert!(recorded.cases.len() > 30);
}

/// The published processors' grids, and the sizes of both resizings, for 90 sizes of pictures each.
#[test]
fn sizes_are_those_of_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/picture/split.json");
    let cases: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for case in cases.as_array().unwrap() {
        let tiles = read(&case["config"].to_string()).unwrap();
        let pictures = case["pictures"].as_array().unwrap();
        assert!(pictures.len() > 80);
        for picture in pictures {
            let pair = |name: &str| -> Option<(u32, u32)> {
                serde_json::from_value(picture[name].clone()).unwrap()
            };
            let side = |name: &str| picture[name].as_u64().unwrap() as u32;
            let (width, height) = (side("width"), side("height"));
            let plan = tiles.plan(width, height).unwrap();
            let turned = |(rows, columns)| (columns, rows);
            assert_eq!(plan.first.map(turned), pair("first"), "{picture}");
            assert_eq!(turned(plan.large), pair("large").unwrap(), "{picture}");
            // No rows and columns are one view, the whole picture.
            let grid = pair("grid").filter(|grid| *grid != (0, 0));
            assert_eq!(plan.grid, grid.unwrap_or((1, 1)), "{picture}");
            let views = tiles.tiling(width, height).unwrap().views.len();
            let (rows, columns) = plan.grid;
            let expected = rows * columns + u32::from(rows * columns > 1);
            assert_eq!(views, expected as usize, "{picture}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    for (text, field) in [
        (
            r#"{"image_processor_type": "CLIPImageProcessor"}"#,
            "image_processor_type",
        ),
        (
            r#"{"image_processor_type": "LlavaNextImageProcessor"}"#,
            "image_processor_type",
        ),
        (r#"{"size": {"shortest_edge": 12}}"#, "size"),
        (r#"{"size": {"longest_edge": 0}}"#, "size.longest_edge"),
        (r#"{"max_image_size": 364}"#, "max_image_size"),
        (r#"{"max_image_size": null}"#, "max_image_size"),
        (
            r#"{"max_image_size": {"longest_edge": 0}}"#,
            "max_image_size.longest_edge",
        ),
        (r#"{"do_image_splitting": 1}"#, "do_image_splitting"),
        (r#"{"do_resize": false, "resample": null}"#, "resample"),
        (
            r#"{"image_processor_type": "GotOcr2ImageProcessor", "max_patches": null}"#,
            "max_patches",
        ),
        (
            r#"{"image_processor_type": "GotOcr2ImageProcessor", "size": {"height": 4, "width": 6}}"#,
            "size",
        ),
        (
            r#"{"image_processor_type": "GotOcr2ImageProcessor", "do_resize": false}"#,
            "do_resize",
        ),
        (
            r#"{"image_processor_type": "GotOcr2ImageProcessor", "max_patches": 0}"#,
            "max_patches",
        ),
        (
            r#"{"image_processor_type": "GotOcr2ImageProcessor", "min_patches": 13}"#,
            "min_patches",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(
            matches!(&error, PictureError::Field { field: found, .. } if found == field),
            "{text}: {error}"
        );
    }
    let other = r#"{"image_processor_type": "GotOcr2ImageProcessor"}"#;
    let error = StretchedTiles::from_json(other, "file", CLASS, Stretching::Idefics3);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("image_processor_type"), "{error}");
    // One column of pixels becomes none of tiles; 2^24 tiles.
    for (config, size) in [
        (
            r#"{"max_image_size": {"longest_edge": 98}, "size": {"longest_edge": 98}}"#,
            (1, 200),
        ),
        (
            r#"{"max_image_size": {"longest_edge": 1}, "size": {"longest_edge": 4096}}"#,
            (9, 9),
        ),
    ] {
        let error = read(config).unwrap().tiling(size.0, size.1).unwrap_err();
        assert!(matches!(error, PictureError::Output { .. }), "{error}");
    }
    let huge = r#"{"max_image_size": {"longest_edge": 8192}}"#;
    let error = read(huge).unwrap().tiling(5, 5).unwrap_err();
    assert!(matches!(error, PictureError::Output { .. }), "{error}");
}

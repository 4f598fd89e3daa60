use super::super::testing::Recorded;
use super::*;

const NEXT: &str = "LlavaNextImageProcessor";

#[test]
fn equals_transformers() {
    let recorded = Recorded::read("anyres");
    for (index, config) in recorded.cases.iter().enumerate() {
        let picture = recorded.picture(&format!("in{index}")).unwrap();
        let (shape, bytes) = recorded.get(&format!("out{index}")).unwrap();
        let numbers = bytes.as_chunks().0.iter();
        let expected: Vec<f32> = numbers.map(|&b| f32::from_le_bytes(b)).collect();
        let any = AnyResolution::from_json(&config.to_string(), "file", NEXT, &[]).unwrap();
        let found = any.process(&picture).unwrap();
        let tiling = any.tiling(picture.width(), picture.height()).unwrap();
        assert_eq!(found.len(), shape[0], "{config}");
        assert_eq!(tiling.views.len(), shape[0], "{config}");
        assert_eq!(1 + tiling.grid.0 * tiling.grid.1, shape[0], "{config}");
        let found = found.concat();
        assert_eq!(found.len(), expected.len());
        let differences = found.iter().zip(&expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst <= 2e-6, "{worst} off: {config}");
    }
    assert!(recorded.cases.len() > 10);
}

/// A pixel is black from padding exactly where its view is outside of the picture.
#[test]
fn views_are_outside_of_the_picture_where_the_padding_is() {
    let json = r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 8, "width": 8},
        "image_mean": 0, "image_std": 1, "image_grid_pinpoints": [[8, 8], [16, 16], [24, 24]]}"#;
    let any = AnyResolution::from_json(json, "file", NEXT, &[]).unwrap();
    for (width, height) in [(40, 17), (9, 30), (3, 3), (50, 50)] {
        let white = vec![255; (3 * width * height) as usize];
        let picture = Picture::from_rgb(width, height, white).unwrap();
        let views = any.tiling(width, height).unwrap().views;
        for (view, pixels) in views.iter().zip(any.process(&picture).unwrap()) {
            // A mask of zeros: 0 inside, 1 outside.
            let outside = view.sampled(&[0.0; 4], 2);
            let black: Vec<f64> = pixels[..64].iter().map(|&v| f64::from(v == 0.0)).collect();
            assert_eq!(outside, black, "{width} x {height}, {view:?}");
        }
    }
}

#[test]
fn what_does_not_fit_is_named() {
    let read = |text: &str| AnyResolution::from_json(text, "file", NEXT, &[]).unwrap_err();
    for (text, field) in [
        (
            r#"{"image_processor_type": "CLIPImageProcessor"}"#,
            "image_processor_type",
        ),
        (
            r#"{"image_processor_type": "LlavaNextImageProcessor", "size": {"shortest_edge": 12}, "crop_size": 10}"#,
            "crop_size",
        ),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 12, "width": 10}}"#,
            "size",
        ),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "size": {"height": 10, "width": 10}}"#,
            "image_grid_pinpoints",
        ),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "image_grid_pinpoints": [[384, 49152]]}"#,
            "image_grid_pinpoints",
        ),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "image_grid_pinpoints": [[384]]}"#,
            "image_grid_pinpoints",
        ),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor", "image_grid_pinpoints": []}"#,
            "image_grid_pinpoints",
        ),
    ] {
        let error = read(text);
        assert!(
            matches!(&error, PictureError::Field { field: found, .. } if found == field),
            "{text}: {error}"
        );
    }
}

/// The model joins tiles by its own list of resolutions.
#[test]
fn pictures_that_config_json_would_cut_otherwise_are_refused() {
    let json = r#"{"size": 8, "crop_size": 8, "image_grid_pinpoints": [[16, 16], [8, 24]]}"#;
    let read = |model: &[(u32, u32)]| AnyResolution::from_json(json, "file", NEXT, model).unwrap();
    assert!(read(&[(8, 24), (16, 16)]).tiling(30, 10).is_ok());
    let other = read(&[(16, 16), (24, 8)]);
    assert_eq!(other.tiling(16, 16).unwrap().grid, (2, 2));
    let error = other.tiling(30, 10).unwrap_err();
    assert!(
        matches!(&error, PictureError::Field { field, .. } if field == "image_grid_pinpoints"),
        "{error}"
    );
}

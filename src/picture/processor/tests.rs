use super::super::testing::{Recorded, noise};
use super::*;

fn processor(config: &str) -> Processor {
    Processor::from_json(config, "preprocessor_config.json").unwrap()
}

#[test]
fn equals_transformers() {
    let recorded = Recorded::read("processor");
    for (index, config) in recorded.cases.iter().enumerate() {
        let picture = recorded.picture(&format!("in{index}")).unwrap();
        let (shape, bytes) = recorded.get(&format!("out{index}")).unwrap();
        let expected: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|&bytes| f32::from_le_bytes(bytes))
            .collect();
        let processor = processor(&config.to_string());
        let size = processor
            .output_size(picture.width(), picture.height())
            .unwrap();
        assert_eq!([3, size.0, size.1], shape.as_slice(), "{config}");
        let found = processor.process(&picture).unwrap();
        let worst = found
            .iter()
            .zip(&expected)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert_eq!(found.len(), expected.len());
        assert!(worst <= 2e-6, "{worst} off: {config}");
    }
}

#[test]
fn fields_left_out_have_the_defaults_of_their_class() {
    let clip = processor("{}");
    assert_eq!(clip.output_size(500, 300).unwrap(), (224, 224));
    assert_eq!(
        clip.mean(),
        [0.48145466_f64, 0.4578275, 0.40821073].map(|mean| mean as f32)
    );
    assert_eq!(
        clip.std(),
        [0.26862954_f64, 0.26130258, 0.27577711].map(|std| std as f32)
    );
    let siglip = processor(r#"{"image_processor_type": "SiglipImageProcessorFast"}"#);
    assert_eq!(siglip.output_size(500, 300).unwrap(), (224, 224));
    assert_eq!(siglip.view(500, 300).unwrap().offset_x, 0);
    assert_eq!((siglip.mean(), siglip.std()), ([0.5; 3], [0.5; 3]));
    let gemma = processor(
        r#"{"image_processor_type": "Gemma3ImageProcessor", "do_center_crop": true, "crop_size": 8}"#,
    );
    assert_eq!(gemma.output_size(500, 300).unwrap(), (224, 224));
    assert_eq!((gemma.mean(), gemma.std()), ([0.5; 3], [0.5; 3]));
}

#[test]
fn older_and_newer_spellings_say_the_same() {
    let spellings = [
        r#"{"size": {"shortest_edge": 336}, "crop_size": {"height": 336, "width": 336}}"#,
        r#"{"feature_extractor_type": "CLIPFeatureExtractor", "size": 336, "crop_size": 336}"#,
        r#"{"image_processor": {"image_processor_type": "CLIPImageProcessorFast", "size": {"shortest_edge": 336},
            "crop_size": {"height": 336, "width": 336}}, "processor_class": "LlavaProcessor", "patch_size": 14}"#,
    ];
    for spelling in spellings {
        let view = processor(spelling).view(640, 480).unwrap();
        let expected = View {
            height: 336,
            width: 336,
            resized_height: 336,
            resized_width: 448,
            offset_y: 0,
            offset_x: 56,
            unit: 1,
        };
        assert_eq!(view, expected, "{spelling}");
    }
}

#[test]
fn the_longer_edge_is_cut_off_not_rounded() {
    let processor = processor(r#"{"size": 100, "do_center_crop": false}"#);
    assert_eq!(processor.output_size(300, 199).unwrap(), (100, 150));
    assert_eq!(processor.output_size(199, 300).unwrap(), (150, 100));
    assert_eq!(processor.output_size(300, 200).unwrap(), (100, 150));
    let resized = processor.resized_rgb(&noise(30, 20, 1)).unwrap();
    assert_eq!((resized.width(), resized.height()), (150, 100));
}

#[test]
fn a_crop_larger_than_the_picture_is_black_around_it() {
    let processor = processor(r#"{"do_resize": false, "crop_size": {"height": 8, "width": 6}}"#);
    let picture = Picture::from_rgb(3, 3, vec![255; 27]).unwrap();
    let pixels = processor.process(&picture).unwrap();
    let view = processor.view(3, 3).unwrap();
    // If the difference is odd, the larger half is above and before.
    assert_eq!((view.offset_y, view.offset_x), (-3, -2));
    let taps = view.taps(4);
    for (i, row) in taps.0.iter().enumerate() {
        for (j, col) in taps.1.iter().enumerate() {
            let white = pixels[i * 6 + j] > 0.0;
            assert_eq!(white, row.inside && col.inside, "row {i}, column {j}");
        }
    }
}

#[test]
fn padding_to_a_square_surrounds_the_picture_with_the_mean_colour() {
    let config =
        r#"{"size": 20, "crop_size": 20, "do_normalize": false, "image_mean": [0.999, 0.5, 0.1]}"#;
    let processor = processor(config).with_pad_to_square(true);
    let resized = processor
        .resized_rgb(&Picture::from_rgb(10, 40, vec![7; 1200]).unwrap())
        .unwrap();
    assert_eq!((resized.width(), resized.height()), (20, 20));
    // 0.999 * 255 = 254.7, 0.5 * 255 = 127.5, 0.1 * 255 = 25.5, all truncated.
    assert_eq!(&resized.rgb()[..3], [254, 127, 25]);
    let middle = (10 * 20 + 9) * 3;
    assert_eq!(&resized.rgb()[middle..middle + 3], [7, 7, 7]);
    let view = processor.view(10, 40).unwrap();
    // Padded on the left by 15 of 40, which is 7.5 of 20: in units of 1 / 40.
    let expected = View {
        height: 20,
        width: 20,
        resized_height: 800,
        resized_width: 200,
        offset_y: 0,
        offset_x: -300,
        unit: 40,
    };
    assert_eq!(view, expected);
    let own = r#"{"size": 20, "crop_size": 20, "do_pad": true}"#;
    let own = |class: &str| Processor::of_class(own, "f", class).unwrap();
    let llava = own("LlavaImageProcessor").view(10, 40).unwrap();
    assert_eq!(llava, expected);
    let clip = own("CLIPImageProcessor").view(10, 40).unwrap();
    assert_eq!(clip.resized_height, 80);
}

#[test]
fn extreme_shapes_are_processed_in_little_time() {
    let processor = processor(r#"{"size": 336, "crop_size": 336}"#);
    for (width, height) in [(1, 1), (3, 4000), (4000, 3), (1, 100_000)] {
        let picture = noise(width, height, 2);
        let pixels = processor.process(&picture).unwrap();
        assert_eq!(pixels.len(), 3 * 336 * 336);
        assert!(pixels.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn nonsense_is_an_error_that_names_file_and_field() {
    let cases = [
        (r#"{"size": 0}"#, "size"),
        (r#"{"size": {"shortest_edge": -3}}"#, "size.shortest_edge"),
        (r#"{"size": {"shortest_edge": 3.5}}"#, "size.shortest_edge"),
        (r#"{"size": {"height": 3}}"#, "size"),
        (
            r#"{"size": {"height": 3, "width": 100000000}}"#,
            "size.width",
        ),
        (r#"{"size": "large"}"#, "size"),
        (r#"{"crop_size": {"height": 3}}"#, "crop_size"),
        (r#"{"crop_size": [0, 3]}"#, "crop_size.0"),
        (r#"{"resample": 6}"#, "resample"),
        (r#"{"resample": "bicubic"}"#, "resample"),
        (r#"{"do_resize": 1}"#, "do_resize"),
        (r#"{"do_convert_rgb": "yes"}"#, "do_convert_rgb"),
        (r#"{"rescale_factor": "1/255"}"#, "rescale_factor"),
        (
            r#"{"rescale_factor": 1e300}"#,
            "rescale_factor, image_mean, image_std",
        ),
        (r#"{"image_mean": [0.5, 0.5]}"#, "image_mean"),
        (r#"{"image_mean": [0.5, 0.5, "a"]}"#, "image_mean"),
        (r#"{"image_std": [0.5, 0, 0.5]}"#, "image_std"),
        (r#"{"image_std": -1}"#, "image_std"),
        (
            r#"{"image_std": 1e-300}"#,
            "rescale_factor, image_mean, image_std",
        ),
        (
            r#"{"do_pad": true, "pad_size": {"height": 9, "width": 9}}"#,
            "pad_size",
        ),
        (r#"{"use_square_size": true}"#, "use_square_size"),
        (r#"{"size": null}"#, "size"),
        (r#"{"resample": null}"#, "resample"),
        (r#"{"crop_size": null}"#, "crop_size"),
        (r#"{"image_mean": null}"#, "image_mean"),
        (r#"{"rescale_factor": null}"#, "rescale_factor"),
        (
            r#"{"image_processor_type": "LlavaOnevisionImageProcessor"}"#,
            "image_processor_type",
        ),
        (
            r#"{"image_processor": {"size": 0}}"#,
            "image_processor.size",
        ),
        ("[]", "(the whole file)"),
    ];
    for (config, field) in cases {
        let error = Processor::from_json(config, "some/config.json")
            .unwrap_err()
            .to_string();
        let start = format!("some/config.json: field `{field}`: expected ");
        assert!(error.starts_with(&start), "{config}: {error}");
    }
    let error = Processor::from_json("{", "some/config.json").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("some/config.json: not valid JSON"),
        "{error}"
    );
}

#[test]
fn sizes_that_vanish_or_explode_are_errors() {
    let shrinking = processor(r#"{"size": {"shortest_edge": 20, "longest_edge": 30}}"#);
    assert!(matches!(
        shrinking.process(&noise(1, 1000, 1)),
        Err(PictureError::Output { .. })
    ));
    let whole = processor(r#"{"size": 5000, "do_center_crop": false}"#);
    assert!(matches!(
        whole.output_size(3, 4),
        Err(PictureError::Output { .. })
    ));
    let padded = processor("{}").with_pad_to_square(true);
    assert!(matches!(
        padded.view(1, 1 << 20),
        Err(PictureError::Size { .. })
    ));
    let colour = processor(r#"{"image_mean": 2.5}"#).with_pad_to_square(true);
    assert!(matches!(
        colour.process(&noise(2, 3, 1)),
        Err(PictureError::Field { .. })
    ));
}

/// A processor that resizes to whole patches.
fn whole_patches(config: &str) -> Result<(Processor, Patches), PictureError> {
    Processor::of_patches(config, "file", "Qwen2VLImageProcessor")
}

#[test]
fn whole_patches_equal_transformers() {
    let recorded = Recorded::read("smart");
    for (index, config) in recorded.cases.iter().enumerate() {
        let picture = recorded.picture(&format!("in{index}")).unwrap();
        let (shape, bytes) = recorded.get(&format!("out{index}")).unwrap();
        let numbers = bytes.as_chunks().0.iter();
        let expected = numbers.map(|&bytes| f32::from_le_bytes(bytes));
        let (processor, _) = whole_patches(&config.to_string()).unwrap();
        let size = processor.output_size(picture.width(), picture.height());
        let size = size.unwrap();
        assert_eq!([3, size.0, size.1], shape.as_slice(), "{config}");
        let view = processor.view(picture.width(), picture.height()).unwrap();
        assert_eq!(view, View::whole(size.0, size.1));
        let found = processor.process(&picture).unwrap();
        assert_eq!(found.len(), 3 * size.0 * size.1);
        let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        let worst = differences.fold(0.0, f32::max);
        assert!(worst <= 2e-6, "{worst} off: {config}");
    }
    assert!(recorded.cases.len() >= 20);
}

/// The sizes of the published processors and of others, for over 100 sizes of pictures each.
#[test]
fn sizes_in_whole_patches_are_those_of_transformers() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/picture/smart.json");
    let cases = std::fs::read_to_string(path).unwrap();
    let cases: serde_json::Value = serde_json::from_str(&cases).unwrap();
    for case in cases.as_array().unwrap() {
        let (processor, _) = whole_patches(&case["config"].to_string()).unwrap();
        let pictures = case["pictures"].as_array().unwrap();
        assert!(pictures.len() > 100);
        for picture in pictures {
            let side = |name: &str| picture[name].as_u64().unwrap() as u32;
            let found = processor.output_size(side("width"), side("height"));
            let found = found.ok().map(|(rows, columns)| (columns, rows));
            let expected: Option<(usize, usize)> =
                serde_json::from_value(picture["resized"].clone()).unwrap();
            assert_eq!(found, expected, "{picture} {}", case["config"]);
        }
    }
}

#[test]
fn bad_fields_of_whole_patches_are_named() {
    for (config, field) in [
        (r#"{"size": {"shortest_edge": 3136}}"#, "size"),
        (r#"{"size": {"height": 28, "width": 28}}"#, "size"),
        (r#"{"size": 28}"#, "size"),
        (r#"{"min_pixels": 0}"#, "min_pixels"),
        (r#"{"max_pixels": "many"}"#, "max_pixels"),
        (
            r#"{"size": {"shortest_edge": 1, "longest_edge": -1}}"#,
            "size.longest_edge",
        ),
        (r#"{"patch_size": null}"#, "patch_size"),
        (r#"{"merge_size": 0}"#, "merge_size"),
        (r#"{"temporal_patch_size": 1.5}"#, "temporal_patch_size"),
        (r#"{"do_resize": false}"#, "do_resize"),
        (
            r#"{"image_processor_type": "CLIPImageProcessor"}"#,
            "image_processor_type",
        ),
    ] {
        match whole_patches(config) {
            Err(PictureError::Field { field: found, .. }) => assert_eq!(found, field, "{config}"),
            other => panic!("{config}: {other:?}"),
        }
    }
    let (processor, patches) = whole_patches(r#"{"size": null, "merge_size": 4}"#).unwrap();
    assert_eq!((patches.size, patches.merge, patches.frames), (14, 4, 2));
    assert_eq!(processor.output_size(84, 84).unwrap(), (112, 112));
    // A view of more pixels than any encoder takes, and a strip.
    let (large, _) = whole_patches(r#"{"max_pixels": 100000000}"#).unwrap();
    assert!(large.output_size(9000, 9000).is_err());
    assert!(processor.output_size(2010, 10).is_err());
    let class = r#"{"image_processor_type": "Qwen2VLImageProcessor"}"#;
    let other = Processor::from_json(class, "file").unwrap_err().to_string();
    assert!(other.contains("the picture's shape"), "{other}");
}

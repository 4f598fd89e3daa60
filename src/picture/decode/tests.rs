use serde_json::Value;

use super::super::testing::Recorded;
use super::*;

/// All cases are checked before the test fails, so that one run shows every difference.
#[test]
fn every_kind_of_file_decodes_as_in_pillow_or_says_why_not() {
    let recorded = Recorded::read("decode");
    let faults: Vec<String> = recorded
        .cases
        .iter()
        .filter_map(|case| {
            let name = case["name"].as_str().unwrap();
            fault(&recorded, case, name).map(|fault| format!("{name}: {fault}"))
        })
        .collect();
    assert!(recorded.cases.len() > 200);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Returns a description of the difference between a case and its record, if any.
fn fault(recorded: &Recorded, case: &Value, name: &str) -> Option<String> {
    let (_, file) = recorded.get(&format!("file_{name}")).unwrap();
    let decoded = Picture::decode(&file, name);
    let (found, expected) = match (decoded, recorded.picture(&format!("rgb_{name}"))) {
        (Ok(found), Some(expected)) => (found, expected),
        (Err(error), Some(_)) => return Some(error.to_string()),
        (Ok(_), None) => return Some("decodes".to_owned()),
        (Err(error), None) => {
            let error = error.to_string();
            let part = case["error"].as_str().unwrap();
            let says = error.starts_with(&format!("{name}: ")) && error.contains(part);
            return (!says).then_some(error);
        }
    };
    let sizes = [&found, &expected].map(|picture| (picture.width(), picture.height()));
    if sizes[0] != sizes[1] {
        return Some(format!("found and expected sizes {sizes:?}"));
    }
    let pairs = || found.rgb().iter().zip(expected.rgb());
    let worst = pairs().map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    let differ = pairs().filter(|(a, b)| a != b).count();
    let allowed = case["tolerance"].as_u64().unwrap();
    let wrong = u64::from(worst) > allowed;
    wrong.then(|| {
        format!(
            "{differ} samples of {} differ, by {worst}",
            found.rgb().len()
        )
    })
}

#[test]
fn bytes_that_do_not_fit_are_refused() {
    assert!(matches!(
        Picture::from_rgb(2, 2, vec![0; 11]),
        Err(PictureError::Length {
            expected: 12,
            found: 11,
            ..
        })
    ));
    assert!(matches!(
        Picture::from_rgb(0, 2, vec![]),
        Err(PictureError::Size { .. })
    ));
    assert!(matches!(
        Picture::from_rgb(u32::MAX, u32::MAX, vec![]),
        Err(PictureError::Size { .. })
    ));
}

#[test]
fn a_missing_file_and_a_folder_are_errors_that_name_them() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.png");
    let error = Picture::open(&missing).unwrap_err();
    assert!(
        matches!(&error, PictureError::Open { name, .. } if *name == missing.display().to_string()),
        "{error}"
    );
    let error = Picture::open(folder.path()).unwrap_err().to_string();
    assert!(
        error.starts_with(&folder.path().display().to_string()),
        "{error}"
    );
}

#[test]
fn a_hundred_megapixels_decode() {
    let mut file = b"P5 10000 10000 255\n".to_vec();
    let header = file.len();
    file.resize(header + 100_000_000, 9);
    let picture = Picture::decode(&file, "large.pgm").unwrap();
    assert_eq!(
        (
            picture.width(),
            picture.height(),
            picture.rgb()[299_999_999]
        ),
        (10_000, 10_000, 9)
    );
}
#[test]
fn limits_hold_before_anything_is_allocated_and_can_be_raised() {
    // A GIF of 35 bytes with a header of 262 megapixels, and a picture one pixel wide.
    let gif = b"GIF89a\xff\x3f\xff\x3f\0\0\0,\0\0\0\0\xff\x3f\xff\x3f\0\x02\x02\x4c\x01\0;";
    let thin = b"P5 1 65537 255\n".iter().copied().chain([0; 65537]);
    let thin: Vec<u8> = thin.collect();
    for (file, size) in [(&gif[..], "16383 x 16383"), (&thin, "1 x 65537")] {
        let error = Picture::decode(file, "large").unwrap_err();
        assert!(matches!(error, PictureError::TooLarge { .. }), "{error}");
        let error = error.to_string();
        assert!(
            error.contains(size) && error.contains("--max-pixels"),
            "{error}"
        );
    }
    let raised = Picture::decode_within(&thin, "thin", &Limits::of_pixels(65537)).unwrap();
    assert_eq!((raised.width(), raised.height()), (1, 65537));
    let error = Picture::decode_within(&thin, "thin", &Limits::of_pixels(65536));
    assert!(matches!(error, Err(PictureError::TooLarge { .. })));
}

#[test]
fn only_regular_files_of_a_bounded_length_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.pgm");
    std::fs::write(&path, b"P5 1 1 255\n\x07").unwrap();
    let limits = |max_bytes| Limits {
        max_bytes,
        ..Limits::default()
    };
    let error = Picture::open_within(&path, &limits(11)).unwrap_err();
    assert!(
        matches!(
            error,
            PictureError::FileSize {
                found: 12,
                limit: 11,
                ..
            }
        ),
        "{error}"
    );
    let picture = Picture::open_within(&path, &limits(12)).unwrap();
    assert_eq!(picture.rgb(), [7; 3]);
    #[cfg(unix)]
    for endless in ["/dev/zero", "/dev/null"] {
        let error = Picture::open(Path::new(endless)).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("expected a regular file"), "{message}");
    }
}

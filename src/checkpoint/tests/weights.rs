use super::{Spec, files, raw, weights, write};
use crate::checkpoint::{CheckpointError, Dtype, Files, Tensor, Tensors};
use serde_json::{Value, json};
use tempfile::TempDir;

type Outcome = Result<Tensors, CheckpointError>;

/// Opens a folder that holds only this `model.safetensors`.
fn open(bytes: impl AsRef<[u8]>) -> (TempDir, Outcome) {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "model.safetensors", bytes);
    let outcome = Tensors::open(&files(&dir));
    (dir, outcome)
}

fn fails(bytes: impl AsRef<[u8]>) -> CheckpointError {
    let (dir, outcome) = open(bytes);
    let error = outcome.unwrap_err();
    let path = dir.path().join("model.safetensors").display().to_string();
    assert!(error.to_string().contains(&path), "names the file: {error}");
    error
}

fn entry(dtype: &str, shape: &[u64], begin: u64, end: u64) -> Value {
    json!({"dtype": dtype, "shape": shape, "data_offsets": [begin, end]})
}

fn spec(name: &str, dtype: &'static str, shape: &[usize]) -> Spec {
    (name.to_string(), dtype, shape.to_vec())
}

#[test]
fn numbers_of_every_dtype_aligned_or_not() {
    // 1, -2, 0.5, infinity; the bit patterns are those of IEEE 754 and bfloat16.
    let wanted = [1.0f32, -2.0, 0.5, f32::INFINITY];
    let half = [0x3c00u16, 0xc000, 0x3800, 0x7c00]
        .map(u16::to_le_bytes)
        .concat();
    let brain = [0x3f80u16, 0xc000, 0x3f00, 0x7f80]
        .map(u16::to_le_bytes)
        .concat();
    let single = wanted.map(f32::to_le_bytes).concat();
    for pad in 0..4 {
        let end = pad + 8;
        let header = json!({
            "pad": entry("U8", &[pad], 0, pad), "half": entry("F16", &[2, 2], pad, end),
            "brain": entry("BF16", &[4], end, end + 8),
            "single": entry("F32", &[1, 4], end + 8, end + 24),
            "__metadata__": {"format": "pt"},
        });
        let mut bytes = raw(&header, pad as usize);
        bytes.extend([half.as_slice(), &brain, &single].concat());
        let (_dir, outcome) = open(bytes);
        let tensors = outcome.unwrap();
        for (name, dtype, shape) in [
            ("half", Dtype::F16, vec![2, 2]),
            ("brain", Dtype::Bf16, vec![4]),
            ("single", Dtype::F32, vec![1, 4]),
        ] {
            let tensor = tensors.require(name, &shape).unwrap();
            assert_eq!(
                (tensor.dtype, tensor.elements(), tensor.bytes().len()),
                (dtype, 4, 4 * dtype.size())
            );
            assert_eq!(tensor.to_f32(), wanted, "{name} after {pad} bytes");
        }
        assert_eq!(
            (tensors.total_parameters(), tensors.total_bytes()),
            (12, 32)
        );
        assert_eq!(
            tensors.names().collect::<Vec<_>>(),
            ["brain", "half", "single"]
        );
    }
}

#[test]
fn too_short() {
    for length in 0..8 {
        assert!(matches!(
            fails(vec![0; length]),
            CheckpointError::TooShort { bytes, .. } if bytes == length
        ));
    }
}

#[test]
fn header_longer_than_the_file() {
    let sound = weights(&[spec("a", "F32", &[2])]);
    for length in [200, u64::MAX, u64::MAX - 7, 1 << 62] {
        let bytes = [length.to_le_bytes().as_slice(), &sound[8..]].concat();
        assert!(matches!(
            fails(bytes),
            CheckpointError::HeaderBeyondFile { header, .. } if header == length
        ));
    }
}

#[test]
fn header_that_is_no_header() {
    for header in [
        json!([1]),
        json!({"a": 1}),
        json!({"a": {"dtype": "F99", "shape": [], "data_offsets": [0, 0]}}),
    ] {
        assert!(
            matches!(fails(raw(&header, 0)), CheckpointError::BadHeader { .. }),
            "{header}"
        );
    }
    let negative = json!({"odd": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}});
    assert!(fails(raw(&negative, 4)).to_string().contains("tensor odd"));
    let mut broken = raw(&json!({}), 0);
    broken[8] = 0xff;
    assert!(matches!(fails(broken), CheckpointError::BadHeader { .. }));
}

#[test]
fn every_truncation_is_an_error() {
    let sound = weights(&[spec("first", "F32", &[3]), spec("second", "F16", &[2, 2])]);
    assert!(open(&sound).1.is_ok());
    for length in 0..sound.len() {
        let error = fails(&sound[..length]);
        if length >= sound.len() - 8 {
            assert!(
                matches!(
                    &error,
                    CheckpointError::BeyondFile { tensor, end: 20, .. } if tensor == "second"
                ),
                "{error}"
            );
        }
    }
}

#[test]
fn offsets_beyond_the_file() {
    let header = json!({"a": entry("F32", &[2], 0, 8), "b": entry("F32", &[100], 8, 408)});
    let error = fails(raw(&header, 16));
    assert!(
        matches!(
            &error,
            CheckpointError::BeyondFile { tensor, end: 408, data: 16, .. } if tensor == "b"
        ),
        "{error}"
    );
}

#[test]
fn sizes_that_overflow() {
    let cases = [
        entry("F32", &[1 << 40, 1 << 40], 0, 8),
        entry("F32", &[u64::MAX], 0, 8),
        entry("F32", &[u64::MAX, u64::MAX, 0], 0, 0),
        entry("F16", &[1 << 63], 0, 8),
    ];
    for case in cases {
        let error = fails(raw(&json!({"huge": case}), 8));
        assert!(
            matches!(&error, CheckpointError::ShapeOverflow { tensor, .. } if tensor == "huge"),
            "{error}"
        );
    }
    // Sizes that fit individually but whose sum overflows.
    let third = (1u64 << 61) - 8;
    let mut header = serde_json::Map::new();
    for i in 0..8 {
        header.insert(
            format!("t{i}"),
            entry("U8", &[third], i * third, (i + 1) * third),
        );
    }
    assert!(matches!(
        fails(raw(&header.into(), 8)),
        CheckpointError::BeyondFile { .. }
    ));
}

#[test]
fn overlapping_tensors_are_both_named() {
    let header = json!({"left": entry("F32", &[4], 0, 16), "right": entry("F32", &[4], 8, 24)});
    let error = fails(raw(&header, 24));
    assert!(
        matches!(
            &error,
            CheckpointError::Overlap { first, second, .. } if first == "left" && second == "right"
        ),
        "{error}"
    );
    let header = json!({"a": entry("F32", &[2], 0, 8), "b": entry("F32", &[2], 0, 8)});
    assert!(matches!(
        fails(raw(&header, 8)),
        CheckpointError::Overlap { .. }
    ));
}

#[test]
fn bytes_of_no_tensor() {
    let header = json!({"a": entry("F32", &[1], 0, 4), "b": entry("F32", &[1], 8, 12)});
    assert!(matches!(
        fails(raw(&header, 12)),
        CheckpointError::Gap {
            begin: 4,
            end: 8,
            ..
        }
    ));
    let header = json!({"a": entry("F32", &[1], 0, 4)});
    assert!(matches!(
        fails(raw(&header, 6)),
        CheckpointError::Gap {
            begin: 4,
            end: 6,
            ..
        }
    ));
}

#[test]
fn shape_that_contradicts_the_bytes() {
    for (begin, end) in [(0, 8), (0, 16), (12, 0), (4, 0)] {
        let error = fails(raw(&json!({"a": entry("F32", &[3], begin, end)}), 16));
        assert!(
            matches!(
                &error,
                CheckpointError::ByteRange { tensor, expected: 12, .. } if tensor == "a"
            ),
            "{error}"
        );
    }
}

#[test]
fn unsupported_dtypes() {
    for dtype in ["F64", "F8_E4M3", "F8_E5M2"] {
        let error = fails(weights(&[spec("w", dtype, &[2])]));
        let message = error.to_string();
        assert!(
            message.contains("tensor w is ") && message.contains(dtype),
            "{message}"
        );
    }
    // An unused buffer of integers is tolerated until it is requested.
    let (_dir, outcome) = open(weights(&[
        spec("position_ids", "I64", &[1, 5]),
        spec("w", "F32", &[2]),
    ]));
    let tensors = outcome.unwrap();
    assert!(tensors.get("position_ids").is_none());
    let error = tensors.require("position_ids", &[1, 5]).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::UnsupportedDtype { dtype, .. } if dtype == "I64"),
        "{error}"
    );
}

#[test]
fn git_lfs_pointer() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 123\n";
    assert!(matches!(fails(pointer), CheckpointError::LfsPointer { .. }));
}

#[test]
fn missing_and_foreign_weights() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        Tensors::open(&files(&dir)),
        Err(CheckpointError::MissingFile { .. })
    ));
    write(&dir, "pytorch_model.bin", "x");
    let message = Tensors::open(&files(&dir)).unwrap_err().to_string();
    assert!(
        message.contains("pytorch_model.bin is not a format that is read"),
        "{message}"
    );
    assert!(matches!(
        Files::folder(dir.path().join("none")),
        Err(CheckpointError::NoFolder { .. })
    ));
    assert!(matches!(
        Files::folder(dir.path().join("pytorch_model.bin")),
        Err(CheckpointError::NoFolder { .. })
    ));
    std::fs::create_dir(dir.path().join("model.safetensors")).unwrap();
    assert!(matches!(
        Tensors::open(&files(&dir)),
        Err(CheckpointError::Io { .. })
    ));
}

#[test]
fn missing_tensor_and_contradicting_shape() {
    let (_dir, outcome) = open(weights(&[spec("w", "F32", &[2, 3])]));
    let tensors = outcome.unwrap();
    assert!(matches!(
        tensors.require("v", &[2]),
        Err(CheckpointError::MissingTensor { tensor, .. }) if tensor == "v"
    ));
    let error = tensors.require("w", &[3, 2]).unwrap_err();
    assert!(
        matches!(
            &error,
            CheckpointError::ShapeMismatch { expected, found, .. }
                if *expected == [3, 2] && *found == [2, 3]
        ),
        "{error}"
    );
}

/// Creates a folder of two shards with this index.
fn shards(index: Value) -> (TempDir, Outcome) {
    let dir = tempfile::tempdir().unwrap();
    write(&dir, "one.safetensors", weights(&[spec("a", "F32", &[2])]));
    write(&dir, "two.safetensors", weights(&[spec("b", "F16", &[3])]));
    write(
        &dir,
        "again.safetensors",
        weights(&[spec("a", "F32", &[2])]),
    );
    write(&dir, "model.safetensors.index.json", index.to_string());
    let outcome = Tensors::open(&files(&dir));
    (dir, outcome)
}

#[test]
fn sharded_weights() {
    let index = |map: Value| json!({"metadata": {"total_size": 14}, "weight_map": map});
    let (_dir, outcome) = shards(index(
        json!({"a": "one.safetensors", "b": "two.safetensors"}),
    ));
    let tensors = outcome.unwrap();
    assert_eq!((tensors.total_bytes(), tensors.files().len()), (14, 2));
    assert!(tensors.get("b").unwrap().file.ends_with("two.safetensors"));

    let error = shards(index(
        json!({"a": "one.safetensors", "b": "lost.safetensors"}),
    ))
    .1
    .unwrap_err();
    assert!(
        matches!(
            &error,
            CheckpointError::MissingShard { shard, .. } if shard == "lost.safetensors"
        ),
        "{error}"
    );
    let error = shards(index(
        json!({"a": "one.safetensors", "b": "one.safetensors"}),
    ))
    .1
    .unwrap_err();
    assert!(
        matches!(&error, CheckpointError::NotInShard { tensor, .. } if tensor == "b"),
        "{error}"
    );
    let error = shards(index(
        json!({"a": "one.safetensors", "c": "again.safetensors"}),
    ))
    .1
    .unwrap_err();
    assert!(
        matches!(&error, CheckpointError::DuplicateTensor { tensor, .. } if tensor == "a"),
        "{error}"
    );
    for outside in ["../one.safetensors", "/etc/passwd", "a\\b", "..", ".", ""] {
        let error = shards(index(json!({"a": outside}))).1.unwrap_err();
        assert!(
            matches!(&error, CheckpointError::ShardOutside { shard, .. } if shard == outside),
            "{error}"
        );
    }
    for map in [json!(1), json!({"a": 2}), Value::Null] {
        let error = shards(index(map)).1.unwrap_err();
        assert!(matches!(&error, CheckpointError::Json { .. }), "{error}");
    }
}

#[test]
fn rows_of_a_tensor() {
    let tensor = Tensor::from_f32("t", &[3, 2], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(tensor.rows(1..3).unwrap().to_f32(), [2.0, 3.0, 4.0, 5.0]);
    assert_eq!(tensor.rows(3..3).unwrap().elements(), 0);
    #[expect(clippy::reversed_empty_ranges, reason = "what is to be refused")]
    for rows in [2..1, 0..4, 4..4, usize::MAX..0, 0..usize::MAX] {
        let refused = tensor.rows(rows.clone());
        assert!(
            matches!(&refused, Err(CheckpointError::Rows { rows: 3, .. })),
            "{rows:?}"
        );
    }
    let scalar = Tensor::from_f32("s", &[], &[1.0]);
    assert!(scalar.rows(0..1).is_err());
}

//! Tables of other data: their columns, pictures and boxes.

use super::*;
use crate::run::{Data, DataOptions, Shard};

#[test]
fn a_table_with_the_usual_columns() {
    let row = row(json!({
        "id": "x", "image": "a/b.png", "question": "Which?", "answer": "two", "category": "k",
        "choices": "[\"one\", \"two\"]", "box": "[1, 2, 3, 4]", "evidence": "Because.",
    }));
    assert_eq!(Layout::detect(&names(&row)), Layout::Table);
    let (open, choice) = both(Layout::Table, &row, 0);
    assert_eq!(open.question, "Which?");
    assert_eq!(
        choice.question,
        "Which?\nA. one\nB. two\nAnswer with the option's letter from the given choices directly."
    );
    assert_eq!(open.right, right("two", 'B'));
    assert_eq!(open.boxes, [[1.0, 2.0, 3.0, 4.0]]);
    assert_eq!(open.picture, Source::File(vec!["a/b.png".into()]));
    // A column of that name may hold anything; it is read if it is named.
    assert_eq!(open.evidence, None);
    assert_eq!(
        (open.id.as_str(), open.category.as_deref()),
        ("x", Some("k"))
    );
}

#[test]
fn a_table_with_named_columns() {
    let columns = Columns {
        id: Some("key".into()),
        image: Some("file".into()),
        question: Some("q".into()),
        right: Some("gold".into()),
        choices: Some("opts".into()),
        boxes: Some("where".into()),
        evidence: Some("shown".into()),
        category: Some("type".into()),
        explain: Some("said".into()),
        box_format: BoxFormat::Xywh,
        ..Columns::default()
    };
    assert_eq!(
        Layout::Table.required(&columns),
        [
            "file", "q", "key", "gold", "opts", "where", "shown", "type", "said"
        ]
    );
    let row = row(json!({
        "key": 5, "file": "f.png", "q": "Is it?", "gold": "(a)", "opts": "(a) Yes (b) No",
        "where": [[10, 20, 3, 4]], "shown": "m.png", "type": "yn", "said": " It is.",
        "answer": "not this",
    }));
    let sample = Layout::Table
        .sample(
            &row,
            9,
            &Reading {
                columns,
                ..Reading::default()
            },
        )
        .unwrap();
    assert_eq!(sample.id, "5");
    assert_eq!(sample.right, right("Yes", 'A'));
    assert_eq!(sample.boxes, [[10.0, 20.0, 13.0, 24.0]]);
    let mask = Source::File(vec!["m.png".into()]);
    assert_eq!(sample.evidence, Some(EvidenceSource::Picture(mask)));
    assert_eq!(sample.answer.as_deref(), Some(" It is."));
    assert_eq!(sample.category.as_deref(), Some("yn"));
}

#[test]
fn pictures_come_as_paths_base64_or_bytes() {
    use base64::Engine;
    let bytes: Vec<u8> = (0..300u16).map(|b| b as u8).collect();
    let encoded = base64::engine::general_purpose::STANDARD.encode(&bytes);
    let picture = |image: Value| {
        let row = row(json!({"question": "?", "image": image}));
        let sample = Layout::Table.sample(&row, 2, &Reading::default());
        sample.map(|s| s.picture).map_err(|e| e.message)
    };
    let inside = Source::Bytes("image of 2".into(), bytes.clone());
    assert_eq!(picture(json!(encoded)), Ok(inside.clone()));
    assert_eq!(
        picture(json!(format!("data:image/png;base64,{encoded}"))),
        Ok(inside)
    );
    let long = format!("{}.png", "folder/".repeat(20));
    assert_eq!(picture(json!(long)), Ok(Source::File(vec![long.clone()])));
    assert!(
        picture(json!("~".repeat(1000)))
            .unwrap_err()
            .contains("base64")
    );
    assert!(
        picture(json!(null))
            .unwrap_err()
            .contains("expected a picture")
    );
    let named = with_bytes(
        json!({"question": "?", "image": "cat.png"}),
        "image",
        &bytes,
    );
    let sample = Layout::Table
        .sample(&named, 2, &Reading::default())
        .unwrap();
    assert_eq!(sample.picture, Source::Bytes("cat.png".into(), bytes));
}

#[test]
fn a_list_has_one_picture_or_several() {
    let pictures = |image: Value| {
        let row = row(json!({"question": "?", "image": image}));
        let sample = Layout::Table.sample(&row, 2, &Reading::default());
        let all = |s: Sample| [vec![s.picture], s.more_pictures].concat();
        sample.map(all).map_err(|e| e.message)
    };
    let file = |name: &str| Source::File(vec![name.into()]);
    for form in [
        json!("a.png"),
        json!(["a.png"]),
        json!({"path": "a.png", "bytes": null}),
        json!([{"path": "a.png", "bytes": null}]),
        json!("['a.png']"),
        json!("[\"a.png\"]"),
    ] {
        assert_eq!(pictures(form.clone()), Ok(vec![file("a.png")]), "{form}");
    }
    for form in [
        json!(["a.png", "b.png"]),
        json!([{"path": "a.png"}, {"path": "b.png"}]),
        json!("['a.png', 'b.png']"),
    ] {
        let both = vec![file("a.png"), file("b.png")];
        assert_eq!(pictures(form.clone()), Ok(both), "{form}");
    }
    let base64 = "data:image/png;base64,AAEC";
    let bytes = |number: usize| Source::Bytes(format!("image {number} of 2"), vec![0, 1, 2]);
    let found = pictures(json!([base64, "b.png", base64])).unwrap();
    assert_eq!(found, [bytes(1), file("b.png"), bytes(3)]);
    // A file name that looks like a list.
    assert_eq!(pictures(json!("[1] a.png")), Ok(vec![file("[1] a.png")]));
    // A box or a mask of the evidence would be in one of them.
    let boxed = row(json!({"question": "?", "image": ["a.png", "b.png"], "box": [1, 2, 3, 4]}));
    let boxed = Layout::Table.sample(&boxed, 2, &Reading::default());
    let message = boxed.unwrap_err().message;
    assert!(
        message.contains("expected a question about one picture, found 2"),
        "{message}"
    );
    for (form, word) in [
        (
            json!([{"path": "a.png"}, {"path": "b.png"}, null]),
            "expected a picture, found [",
        ),
        (json!([]), "an empty list"),
        (
            json!(vec!["a.png"; 65]),
            "expected at most 64 pictures, found 65",
        ),
        (
            json!({"path": null, "bytes": null}),
            "expected a picture, found {",
        ),
        (json!([null]), "expected a picture"),
    ] {
        let message = pictures(form.clone()).unwrap_err();
        assert!(message.contains(word), "{form}: {message}");
    }
}

#[test]
fn rows_without_question_or_with_odd_boxes_say_so() {
    let message = |cells: Value| {
        let sample = Layout::Table.sample(&row(cells), 0, &Reading::default());
        sample.unwrap_err().message
    };
    assert!(message(json!({"image": "a.png", "question": " "})).contains("\"question\""));
    let odd = message(json!({"image": "a.png", "question": "?", "box": [1, 2, 3]}));
    assert!(
        odd.contains("four numbers") && odd.contains("[1,2,3]"),
        "{odd}"
    );
    let words = message(json!({"image": "a.png", "question": "?", "bbox": "1 2 3 4"}));
    assert!(words.contains("found 1 2 3 4"), "{words}");
}

#[test]
fn boxes_that_cannot_be_are_the_samples_error() {
    let boxes = |value: Value, box_format| {
        let columns = Columns {
            box_format,
            ..Columns::default()
        };
        let reading = Reading {
            columns,
            ..Reading::default()
        };
        let row = row(json!({"image": "a.png", "question": "?", "boxes": value}));
        Layout::Table
            .sample(&row, 0, &reading)
            .map(|s| s.boxes)
            .map_err(|e| e.message)
    };
    use BoxFormat::{Xywh, Xyxy};
    for (value, format, expected) in [
        (json!([1, 2, 3, 4]), Xyxy, [1.0, 2.0, 3.0, 4.0]),
        (json!([-1.5, -2, 3, 4]), Xyxy, [-1.5, -2.0, 3.0, 4.0]),
        (json!([-1.5, -2, 3, 4]), Xywh, [-1.5, -2.0, 1.5, 2.0]),
        (json!([1, 2, 0, 0]), Xywh, [1.0, 2.0, 1.0, 2.0]),
        (json!([0, 0, 1e308, 1e308]), Xyxy, [0.0, 0.0, 1e308, 1e308]),
    ] {
        assert_eq!(boxes(value.clone(), format), Ok(vec![expected]), "{value}");
    }
    for (value, format) in [
        (json!([1e308, 1e308, 1e308, 1e308]), Xywh),
        (json!([-1e308, 0, -1e308, 1]), Xywh),
        (json!([1, 2, -3, 4]), Xywh),
        (json!([3, 2, 1, 4]), Xyxy),
        (json!([1, 4, 3, 2]), Xyxy),
        (json!([[1, 2, 3, 4], [1, 2, 3]]), Xyxy),
        // NaN in Parquet.
        (json!([1, 2, null, 4]), Xyxy),
    ] {
        let message = boxes(value.clone(), format).unwrap_err();
        assert!(
            message.contains("\"boxes\": expected"),
            "{value}: {message}"
        );
    }
}

/// Evidence comes as a picture or as a segmentation; in text files the latter is JSON.
#[test]
fn evidence_comes_as_a_picture_or_in_coco_s_notation() {
    let columns = Columns {
        evidence: Some("shown".into()),
        ..Columns::default()
    };
    let reading = Reading {
        columns,
        ..Reading::default()
    };
    let read = |shown: Value| {
        let row = row(json!({"image": "a.png", "question": "q", "shown": shown}));
        let sample = Layout::Table.sample(&row, 0, &reading);
        sample
            .map(|sample| sample.evidence)
            .map_err(|bad| bad.message)
    };
    let picture = |name: &str| Some(EvidenceSource::Picture(Source::File(vec![name.into()])));
    for (shown, name) in [
        (json!("m.png"), "m.png"),
        (json!(["m.png"]), "m.png"),
        (json!("['m.png']"), "m.png"),
        (json!("[1].png"), "[1].png"),
        (json!({"path": "m.png"}), "m.png"),
    ] {
        assert_eq!(read(shown.clone()), Ok(picture(name)), "{shown}");
    }
    for shown in [
        json!([[1, 1, 5, 1, 5, 4]]),
        json!({"size": [4, 6], "counts": "52a0"}),
        json!([{"size": [4, 6], "counts": [5, 2, 17]}]),
    ] {
        let found = read(shown.clone()).unwrap();
        assert!(
            matches!(found, Some(EvidenceSource::Segmentation(_))),
            "{shown}"
        );
        assert_eq!(read(json!(format!(" {shown}"))), Ok(found), "{shown}");
    }
    for (shown, words) in [
        (json!("[[1, 1, nan]]"), "expected a segmentation in JSON"),
        (json!("{'size': [4, 6]}"), "expected a segmentation in JSON"),
        (json!([[1, 1]]), "part 0: expected x and y of at least 3"),
        (json!([]), "an empty list"),
        (
            json!(vec!["a.png"; 65]),
            "expected at most 64 pictures, found 65",
        ),
    ] {
        let message = read(shown.clone()).unwrap_err();
        assert!(message.starts_with("column \"shown\": "), "{message}");
        assert!(message.contains(words), "{shown}: {message}");
    }
}

/// A list of pictures in Parquet, as `tests/data/several/make.py` writes them: each is bytes, or each
/// is a name.
#[test]
fn parquet_holds_lists_of_pictures() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join("tests/data/several/pictures.parquet");
    let read = |column: &str| {
        let options = DataOptions {
            columns: Columns {
                image: Some(column.into()),
                ..Columns::default()
            },
            ..DataOptions::default()
        };
        let data = Data::open(&path, None, options).unwrap();
        let samples = data.samples(Shard::WHOLE, 0).unwrap();
        let samples = samples.map(|picked| picked.unwrap().sample);
        samples.collect::<Vec<_>>()
    };
    let all = |sample: &Result<Sample, BadRow>| {
        let sample = sample.as_ref().unwrap();
        assert_eq!(sample.choices, ["yes", "no"]);
        let first = std::iter::once(sample.picture.clone());
        first
            .chain(sample.more_pictures.clone())
            .collect::<Vec<_>>()
    };
    let bytes = |name: &str, number: u8| {
        let bytes = [b"\x89PNG", &[number][..]].concat();
        Source::Bytes(name.into(), bytes)
    };
    let file = |name: &str| Source::File(vec![name.into()]);
    let found = read("image");
    assert_eq!(
        all(&found[0]),
        [bytes("a.png", 1), bytes("image 2 of 0", 2)]
    );
    assert_eq!(all(&found[1]), [bytes("c.png", 3)]);
    assert_eq!(all(&found[2]), [file("d.png"), file("e.png")]);
    for refused in &found[3..] {
        let message = &refused.as_ref().unwrap_err().message;
        assert!(message.contains("column \"image\""), "{message}");
    }
    let found = read("raw");
    assert_eq!(
        all(&found[0]),
        [bytes("raw 1 of 0", 1), bytes("raw 2 of 0", 2)]
    );
    assert_eq!(all(&found[1]), [bytes("raw of 1", 3)]);
    assert!(found[2..].iter().all(Result::is_err));
}

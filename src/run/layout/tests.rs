//! Rows in the benchmarks' formats, made up here, and the samples expected from them.

use serde_json::{Value, json};

use super::*;
use crate::run::{ImageFolder, Right};

fn row(cells: Value) -> Row {
    Row {
        cells: cells.as_object().unwrap().clone(),
        bytes: Vec::new(),
    }
}

fn with_bytes(cells: Value, column: &str, bytes: &[u8]) -> Row {
    Row {
        bytes: vec![(column.to_string(), bytes.to_vec())],
        ..row(cells)
    }
}

fn reading(ask: Ask) -> Reading {
    Reading {
        ask,
        ..Reading::default()
    }
}

fn both(layout: Layout, row: &Row, index: usize) -> (Sample, Sample) {
    let sample = |ask| layout.sample(row, index, &reading(ask)).unwrap();
    (sample(Ask::Open), sample(Ask::Choice))
}

fn names(row: &Row) -> Vec<String> {
    row.cells.keys().cloned().collect()
}

fn right(text: &str, letter: char) -> Option<Right> {
    Some(Right {
        text: Some(text.into()),
        letter: Some(letter),
        ..Right::default()
    })
}

#[test]
fn mmvp() {
    let row = row(json!({
        "Index": "7",
        "Question": "Is the door of the truck open?",
        "Options": "(a) Yes, all the way (b) No",
        "Correct Answer": "(b)",
    }));
    assert_eq!(Layout::detect(&names(&row)), Layout::Mmvp);
    // With an l, as in the published file.
    let published = ["lndex", "Question", "Options", "Correct Answer"].map(String::from);
    assert_eq!(Layout::detect(&published), Layout::Mmvp);
    let mut with_an_l = row.clone();
    let id = with_an_l.cells.shift_remove("Index").unwrap();
    with_an_l.cells.insert("lndex".into(), id);
    assert_eq!(both(Layout::Mmvp, &with_an_l, 6).0.id, "7");
    let (open, choice) = both(Layout::Mmvp, &row, 6);
    assert_eq!(open.question, "Is the door of the truck open?");
    assert_eq!(
        choice.question,
        "Is the door of the truck open? (a) Yes, all the way (b) No"
    );
    assert_eq!(open.choices, ["Yes, all the way", "No"]);
    assert_eq!((open.right, open.id.as_str()), (right("No", 'B'), "7"));
    let mut unread = row.clone();
    unread.cells.insert("Options".into(), json!("Yes or No"));
    let right = both(Layout::Mmvp, &unread, 6).0.right.unwrap();
    assert!(right.unclear.is_some() && right.letter.is_none());
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("MMVP Images")).unwrap();
    assert_eq!(
        open.picture.name(&ImageFolder::new(folder.path(), false)),
        "MMVP Images/7.jpg"
    );
    std::fs::write(folder.path().join("7.jpg"), "").unwrap();
    assert_eq!(
        open.picture.name(&ImageFolder::new(folder.path(), false)),
        "7.jpg"
    );
    std::fs::write(folder.path().join("MMVP Images/7.png"), "").unwrap();
    assert_eq!(
        open.picture.name(&ImageFolder::new(folder.path(), false)),
        "MMVP Images/7.png"
    );
}

#[test]
fn cv_bench() {
    let cells = json!({
        "idx": 3, "type": "3D", "task": "Depth",
        "question": "Which is closer, the chair or the desk?",
        "choices": ["chair", "desk"],
        "answer": "(B)",
        "prompt": "Which is closer, the chair or the desk?\n(A) chair\n(B) desk",
        "filename": "img/3D/depth/x.png",
        "source": "Omni3D", "source_dataset": "Omni3D SUNRGBD", "source_filename": "x", "target_class": null,
        "target_size": null,
        "bbox": [[1.5, 2.0, 30.0, 40.0], [5.0, 6.0, 7.0, 8.0]],
    });
    let lines = row(cells.clone());
    assert_eq!(Layout::detect(&names(&lines)), Layout::CvBench);
    let (open, choice) = both(Layout::CvBench, &lines, 3);
    assert_eq!(open.question, "Which is closer, the chair or the desk?");
    assert_eq!(
        choice.question,
        "Which is closer, the chair or the desk?\n(A) chair\n(B) desk\n\
         Answer with the option's letter from the given choices directly."
    );
    assert_eq!(open.right, right("desk", 'B'));
    assert_eq!(open.boxes, [[1.5, 2.0, 30.0, 40.0], [5.0, 6.0, 7.0, 8.0]]);
    assert_eq!(
        (open.category.as_deref(), open.id.as_str()),
        (Some("Depth"), "3")
    );
    let expected = [
        "img/3D/depth/x.png",
        "3D/depth/x.png",
        "img/img/3D/depth/x.png",
    ];
    assert_eq!(
        open.picture,
        Source::File(expected.map(String::from).to_vec())
    );
    let parquet = with_bytes(cells, "image", b"png");
    let (open, _) = both(Layout::CvBench, &parquet, 3);
    assert_eq!(
        open.picture,
        Source::Bytes("image of 3".into(), b"png".to_vec())
    );
}

#[test]
fn mmstar() {
    let sample = |question: &str, more: Value| {
        let mut cells = json!({
            "index": 12, "question": question, "answer": "C", "category": "coarse perception",
            "l2_category": "image scene and topic",
            "meta_info": {"source": "MMBench", "split": "val", "image_path": "images/12.jpg"},
            "image": null,
        });
        for (key, value) in more.as_object().unwrap() {
            cells[key] = value.clone();
        }
        let row = with_bytes(cells, "image", b"jpg");
        assert_eq!(Layout::detect(&names(&row)), Layout::Mmstar);
        both(Layout::Mmstar, &row, 12)
    };
    let question = "Where is the cat?\nOptions: A: On the mat, B: Under the mat: asleep, C: By the mat., D: Away";
    let (open, choice) = sample(question, json!({}));
    assert_eq!(open.question, "Where is the cat?");
    assert_eq!(
        choice.question,
        format!("{question}\nAnswer with the option's letter from the given choices directly.")
    );
    assert_eq!(
        open.choices,
        ["On the mat", "Under the mat: asleep", "By the mat.", "Away"]
    );
    assert_eq!(open.right, right("By the mat.", 'C'));
    assert_eq!(open.category.as_deref(), Some("coarse perception"));
    let (open, _) = sample("Which? (A) one (B) two (C) three", json!({}));
    assert_eq!(
        (open.question.as_str(), open.right),
        ("Which?", right("three", 'C'))
    );
    // Options that are only in the picture.
    let (open, choice) = sample("Which of the drawn answers is right?", json!({}));
    assert_eq!(open.question, "Which of the drawn answers is right?");
    assert_eq!(open.right.as_ref().unwrap().letter, Some('C'));
    assert!(choice.question.ends_with("directly."));
    // Options in columns, as in copies of the data in TSV.
    let (open, choice) = sample("How many?", json!({"A": "1", "B": "2", "C": "3"}));
    assert_eq!(
        (open.question.as_str(), open.right),
        ("How many?", right("3", 'C'))
    );
    assert!(
        choice
            .question
            .starts_with("How many?\nA. 1\nB. 2\nC. 3\nAnswer")
    );
}

#[test]
fn llava_bench() {
    let wild = row(
        json!({"question_id": 4, "image": "002.jpg", "text": "Describe it.", "category": "detail"}),
    );
    assert_eq!(Layout::detect(&names(&wild)), Layout::LlavaBench);
    let (open, choice) = both(Layout::LlavaBench, &wild, 4);
    assert_eq!((&open, open.question.as_str()), (&choice, "Describe it."));
    assert_eq!(
        (open.right, open.category.as_deref()),
        (None, Some("detail"))
    );
    let folder = tempfile::tempdir().unwrap();
    for name in ["COCO_val2014_002.jpg", "images/002.jpg", "002.jpg"] {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
        assert_eq!(
            open.picture.name(&ImageFolder::new(folder.path(), false)),
            name
        );
    }
}

#[test]
fn llava_bench_carries_reference_answers() {
    let folder = tempfile::tempdir().unwrap();
    let questions = folder.path().join("questions.jsonl");
    assert_eq!(references_beside(&questions), None);
    let answers = folder.path().join("answers_gpt4.jsonl");
    std::fs::write(&answers, "").unwrap();
    assert_eq!(references_beside(&questions), Some(answers));
    let lines = "{\"question_id\": 4, \"text\": \"Diamond Head.\"}\nbroken\n{\"question_id\": \"x\", \"text\": \"Other.\"}\n";
    let reading = Reading {
        references: references(lines),
        ..Reading::default()
    };
    let wild = row(json!({"question_id": 4, "image": "002.jpg", "text": "Where is it?"}));
    let sample = Layout::LlavaBench.sample(&wild, 4, &reading).unwrap();
    assert_eq!(sample.right.unwrap().text.as_deref(), Some("Diamond Head."));
    let inside = json!({"question_id": 5, "image": null, "question": "Where?", "gpt_answer": "There.", "category": "conv"});
    let inside = with_bytes(inside, "image", b"jpg");
    assert_eq!(Layout::detect(&names(&inside)), Layout::LlavaBench);
    let sample = Layout::LlavaBench.sample(&inside, 5, &reading).unwrap();
    assert_eq!(
        (
            sample.question.as_str(),
            sample.right.unwrap().text.as_deref()
        ),
        ("Where?", Some("There."))
    );
    assert_eq!(
        sample.picture,
        Source::Bytes("image of 5".into(), b"jpg".to_vec())
    );
}

#[test]
fn a_table_with_the_usual_columns() {
    let row = row(json!({
        "id": "x", "image": "a/b.png", "question": "Which?", "answer": "two", "category": "k",
        "choices": "[\"one\", \"two\"]", "box": "[1, 2, 3, 4]",
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
        category: Some("type".into()),
        explain: Some("said".into()),
        box_format: BoxFormat::Xywh,
        ..Columns::default()
    };
    assert_eq!(
        Layout::Table.required(&columns),
        ["file", "q", "key", "gold", "opts", "where", "type", "said"]
    );
    let row = row(json!({
        "key": 5, "file": "f.png", "q": "Is it?", "gold": "(a)", "opts": "(a) Yes (b) No",
        "where": [[10, 20, 3, 4]], "type": "yn", "said": " It is.", "answer": "not this",
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
fn options_are_cut_at_their_marks_in_order() {
    use super::choices::{brackets, colon, small_brackets, split, stop};
    let marks: [fn(char) -> String; 4] = [small_brackets, brackets, stop, colon];
    for (text, before, options) in [
        ("(a) Open (b) Closed", "", vec!["Open", "Closed"]),
        ("What?\n(A) x, y,\n(B) z", "What?", vec!["x, y", "z"]),
        (
            "A. Vitamin B. or so\nB. none",
            "",
            vec!["Vitamin", "or so\nB. none"],
        ),
        ("A: 1, B: 2", "", vec!["1", "2"]),
        ("no options (a) at all", "no options (a) at all", vec![]),
        ("", "", vec![]),
    ] {
        let (head, found) = split(text, &marks);
        assert_eq!(
            (head.as_str(), found),
            (before, options.iter().map(|o| o.to_string()).collect()),
            "{text}"
        );
    }
}

#[test]
fn options_come_in_many_forms() {
    let options = |options: Value| {
        let row =
            row(json!({"image": "a.png", "question": "?", "answer": "A", "options": options}));
        let sample = Layout::Table.sample(&row, 0, &reading(Ask::Choice));
        sample
            .map(|sample| sample.choices)
            .map_err(|bad| bad.message)
    };
    for (form, expected) in [
        (json!(["one", "two"]), &["one", "two"][..]),
        (json!("[\"one\", \"two\"]"), &["one", "two"]),
        (json!("['one', \"it's two\"]"), &["one", "it's two"]),
        (json!("['one' 'two'\n 'three']"), &["one", "two", "three"]),
        (json!("('one', 'two')"), &["one", "two"]),
        (json!({"A": "one", "B": "two"}), &["one", "two"]),
        (
            json!({"text": ["one", "two"], "label": ["A", "B"]}),
            &["one", "two"],
        ),
        (json!("{\"A\": \"one\", \"B\": \"two\"}"), &["one", "two"]),
        (json!([1, 2.5, true]), &["1", "2.5", "true"]),
        (json!("A. one B. two"), &["one", "two"]),
        (json!("[]"), &[]),
        (json!([]), &[]),
        (json!(""), &[]),
        (json!(null), &[]),
    ] {
        assert_eq!(options(form.clone()).unwrap(), expected, "{form}");
    }
    for form in [
        json!("['one', 'two'"),
        json!("one; two"),
        json!([["one"], ["two"]]),
        json!(["one", null]),
        json!({"B": "one", "A": "two"}),
        json!({"text": ["one"], "label": ["A", "B"]}),
        json!(7),
    ] {
        let message = options(form.clone()).unwrap_err();
        assert!(
            message.contains("\"options\": expected options"),
            "{form}: {message}"
        );
    }
}

/// Options that cannot be read leave an open question unchanged, and its right answer unclear.
#[test]
fn what_cannot_be_read_is_not_judged() {
    let cells = json!({"image": "a.png", "question": "?", "answer": "B", "options": "one; two"});
    let sample = Layout::Table
        .sample(&row(cells.clone()), 0, &reading(Ask::Open))
        .unwrap();
    assert!(sample.right.unwrap().unclear.unwrap().contains("one; two"));
    let named = Columns {
        choices: Some("options".into()),
        ..Columns::default()
    };
    let named = Reading {
        columns: named,
        ..Reading::default()
    };
    assert!(Layout::Table.sample(&row(cells), 0, &named).is_err());
    let cells =
        json!({"image": "a.png", "question": "?", "answer": "three", "options": ["one", "two"]});
    let sample = Layout::Table
        .sample(&row(cells), 0, &reading(Ask::Open))
        .unwrap();
    let right = sample.right.unwrap();
    assert_eq!((right.text.as_deref(), right.letter), (Some("three"), None));
    assert_eq!(right.unclear.as_deref(), Some("none of the options"));
}

#[test]
fn a_list_of_one_picture_is_a_picture() {
    let picture = |image: Value| {
        let row = row(json!({"question": "?", "image": image}));
        let sample = Layout::Table.sample(&row, 2, &Reading::default());
        sample.map(|s| s.picture).map_err(|e| e.message)
    };
    for form in [
        json!("a.png"),
        json!(["a.png"]),
        json!({"path": "a.png", "bytes": null}),
        json!([{"path": "a.png", "bytes": null}]),
        json!("['a.png']"),
        json!("[\"a.png\"]"),
    ] {
        let expected = Source::File(vec!["a.png".into()]);
        assert_eq!(picture(form.clone()), Ok(expected), "{form}");
    }
    // A file name that looks like a list.
    let bracket = Source::File(vec!["[1] a.png".into()]);
    assert_eq!(picture(json!("[1] a.png")), Ok(bracket));
    for (form, word) in [
        (
            json!(["a.png", "b.png"]),
            "a list of 2: a sample is about one",
        ),
        (
            json!([{"path": "a.png"}, {"path": "b.png"}, null]),
            "a list of 3",
        ),
        (json!("['a.png', 'b.png']"), "a list of 2"),
        (json!([]), "an empty list"),
        (
            json!({"path": null, "bytes": null}),
            "expected a picture, found {",
        ),
        (json!([null]), "expected a picture"),
    ] {
        let message = picture(form.clone()).unwrap_err();
        assert!(message.contains(word), "{form}: {message}");
    }
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

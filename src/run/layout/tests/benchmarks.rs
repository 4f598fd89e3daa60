//! The columns of the published benchmarks.

use super::*;

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
        "source": "Omni3D", "source_dataset": "Omni3D SUNRGBD", "source_filename": "x",
        "target_class": null,
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
    let question = "Where is the cat?\nOptions: A: On the mat, B: Under the mat: \
                    asleep, C: By the mat., D: Away";
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
    let lines = "{\"question_id\": 4, \"text\": \"Diamond Head.\"}\nbroken\n\
                 {\"question_id\": \"x\", \"text\": \"Other.\"}\n";
    let reading = Reading {
        references: references(lines),
        ..Reading::default()
    };
    let wild = row(json!({"question_id": 4, "image": "002.jpg", "text": "Where is it?"}));
    let sample = Layout::LlavaBench.sample(&wild, 4, &reading).unwrap();
    assert_eq!(sample.right.unwrap().text.as_deref(), Some("Diamond Head."));
    let inside = json!({
        "question_id": 5, "image": null, "question": "Where?", "gpt_answer": "There.",
        "category": "conv"
    });
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

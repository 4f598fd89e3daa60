//! Options of questions, and judgement of answers.

use super::*;

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

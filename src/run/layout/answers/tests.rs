use serde_json::json;

use super::*;

fn format(rows: &[(Value, &[&str])]) -> AnswerFormat {
    let mut survey = Survey::default();
    for (answer, choices) in rows {
        survey.add(&written(answer), &texts(choices), false);
    }
    survey.format()
}

fn written(answer: &Value) -> Written {
    let row = Row {
        cells: json!({"a": answer}).as_object().unwrap().clone(),
        bytes: Vec::new(),
    };
    Written::of(&row, "a").unwrap()
}

fn texts(choices: &[&str]) -> Vec<String> {
    choices.iter().map(|c| c.to_string()).collect()
}

#[test]
fn a_column_is_read_in_one_way() {
    const COLOURS: &[&str] = &["red", "blue", "green"];
    const NUMBERS: &[&str] = &["1", "2", "3"];
    use AnswerFormat::*;
    for (rows, expected) in [
        (&[(json!(0), COLOURS), (json!(1), NUMBERS)][..], Index),
        (&[(json!(2.0), COLOURS)], Index),
        (&[(json!(3), COLOURS), (json!(1), COLOURS)], Number),
        // Text that looks like a number is an option's text if it is one in every row.
        (&[(json!("0"), COLOURS), (json!("1"), NUMBERS)], Index),
        (&[(json!("2"), NUMBERS), (json!("1"), NUMBERS)], Text),
        (&[(json!("blue"), COLOURS)], Text),
        (&[(json!("Blue "), COLOURS)], Text),
        (
            &[(json!("B"), COLOURS), (json!("A"), &["C", "A", "B"])],
            Letter,
        ),
        (&[(json!("(b)"), COLOURS), (json!("green"), COLOURS)], Auto),
        (&[(json!("purple"), COLOURS)], Auto),
        (&[(json!("B"), &[]), (json!("C"), &[])], Letter),
        (&[(json!("B"), &[]), (json!("yes"), &[])], Text),
        (&[(json!(3), &[])], Text),
    ] {
        assert_eq!(format(rows), expected, "{rows:?}");
    }
    // An integer among options that are also integers is an option's text.
    let mut survey = Survey::default();
    survey.add(&written(&json!(2)), &texts(NUMBERS), true);
    assert_eq!(survey.format(), Text);
}

#[test]
fn what_is_none_of_the_options_is_unclear() {
    let choices = texts(&["red", "blue", "Blue"]);
    let of = |answer: Value, format| read(&written(&answer), &choices, format, true);
    use AnswerFormat::*;
    for (answer, format, expected) in [
        (json!(1), Index, Some('B')),
        (json!(1), Number, Some('A')),
        (json!(3), Index, None),
        (json!(0), Number, None),
        (json!("1.5"), Index, None),
        (json!("-1"), Index, None),
        (json!("B"), Letter, Some('B')),
        (json!("D"), Letter, None),
        (json!("B. blue"), Letter, Some('B')),
        (json!("B. red"), Auto, None),
        (json!("blue"), Text, Some('B')),
        (json!("BLUE"), Text, None),
        (json!("RED"), Text, Some('A')),
        (json!("purple"), Auto, None),
        (json!(["red"]), Auto, Some('A')),
        (json!(["red", "blue"]), Auto, None),
    ] {
        let right = of(answer.clone(), format);
        assert_eq!(right.letter, expected, "{answer} {format:?}");
        assert_eq!(
            right.unclear.is_none(),
            expected.is_some(),
            "{answer} {format:?}: {right:?}"
        );
    }
    let note = of(json!(1), Number).note.unwrap();
    assert_eq!(note, "option 1, counted from 1");
}

#[test]
fn a_list_of_answers_has_several_right_ones() {
    for answer in [json!(["24/7", "3.429"]), json!("['24/7', '3.429']")] {
        let right = read(&written(&answer), &[], AnswerFormat::Text, false);
        assert_eq!(right.text.as_deref(), Some("24/7"));
        assert_eq!(right.others, ["3.429"]);
    }
    let asked = read(&written(&json!("B")), &[], AnswerFormat::Letter, true);
    assert_eq!((asked.letter, asked.unclear), (Some('B'), None));
    assert!(
        read(&written(&json!("B")), &[], AnswerFormat::Letter, false)
            .unclear
            .is_some()
    );
    assert!(
        read(&written(&json!("1")), &[], AnswerFormat::Index, true)
            .unclear
            .is_some()
    );
}

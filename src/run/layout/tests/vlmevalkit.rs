//! VLMEvalKit's TSV: prompts and pictures of its own code (`tests/data/vlmevalkit/make.py`).

use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::*;
use crate::run::{Data, DataOptions, Shard};

#[derive(Deserialize)]
struct Expected {
    id: String,
    prompt: String,
    picture: String,
}

type Samples = Vec<Result<Sample, String>>;

fn samples(path: &Path, options: DataOptions) -> Samples {
    let data = Data::open(path, None, options).unwrap();
    assert_eq!(data.identity().layout, Layout::Vlmevalkit);
    let picked = data.samples(Shard::WHOLE, 0).unwrap();
    let samples = picked.map(|picked| picked.unwrap().sample.map_err(|bad| bad.message));
    samples.collect()
}

fn asked(ask: Ask) -> DataOptions {
    DataOptions {
        ask,
        ..DataOptions::default()
    }
}

fn of_text(text: &str, name: &str, options: DataOptions) -> Samples {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    samples(&path, options)
}

/// A picture's text: long enough to be one.
fn picture(letter: &str) -> String {
    letter.repeat(80)
}

#[test]
fn prompts_and_pictures_are_those_of_vlmevalkit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vlmevalkit");
    let text = std::fs::read_to_string(folder.join("expected.json")).unwrap();
    let mut expected: HashMap<String, Vec<Expected>> = serde_json::from_str(&text).unwrap();
    for (name, count) in [("choice", 7), ("words", 3)] {
        let path = folder.join(format!("{name}.tsv"));
        let found = samples(&path, asked(Ask::Choice));
        let expected = expected.remove(name).unwrap();
        assert_eq!((found.len(), expected.len()), (count, count));
        for (found, expected) in found.into_iter().zip(expected) {
            let found = found.unwrap();
            let Source::Bytes(_, bytes) = &found.picture else {
                panic!("{:?}", found.picture);
            };
            let digest: String = Sha256::digest(bytes)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect();
            assert_eq!(
                (found.id, found.question, digest),
                (expected.id, expected.prompt, expected.picture)
            );
        }
    }
}

#[test]
fn right_answers_are_letters_or_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/vlmevalkit");
    let choice = samples(&folder.join("choice.tsv"), asked(Ask::Open));
    let choice: Vec<Sample> = choice.into_iter().map(Result::unwrap).collect();
    assert_eq!(choice[0].question, "Which one is it?");
    assert_eq!(choice[0].right, right("red", 'A'));
    assert_eq!(choice[0].category.as_deref(), Some("colour"));
    assert_eq!(choice[1].right, right(" spaces ", 'D'));
    // The letter, not the option whose text is "C".
    assert_eq!(choice[3].right, right("C", 'C'));
    // An option that pandas reads as missing is not there.
    assert_eq!(choice[4].choices, ["Yes", "No"]);
    assert_eq!(
        (&choice[6].right, choice[5].category.as_ref()),
        (&None, None)
    );
    let words = samples(&folder.join("words.tsv"), asked(Ask::Open));
    let words: Vec<Sample> = words.into_iter().map(Result::unwrap).collect();
    assert_eq!(words[1].question, "Several answers?\tYes.");
    let several = words[1].right.clone().unwrap();
    assert_eq!(
        (several.text.as_deref(), &several.others[..]),
        (Some("a cat"), &["cat".to_string()][..])
    );
    assert!(matches!(&words[2].picture, Source::Bytes(name, _) if name == "a/b.png"));
}

/// Rows are found by their index also after a byte order mark, and with other line ends.
#[test]
fn a_picture_may_be_that_of_another_row() {
    let (a, b) = (picture("aaaa"), picture("bbbb"));
    let text = format!(
        "\u{feff}index\timage\tquestion\r\n1\t2\tq\r\n2\t{a}\tq\r\n\r\n3\t2\t\"long\r\nq\"\r\n\
         4\t{b}\tq\r\n5\t4\tq\r\n6\t1\tq\r\n7\t9\tq\r\n8\t{b}\tq\r\n8\t{a}\tq\r\n10\t8\tq\r\n\
         11\t\tq\r\n"
    );
    let found = of_text(&text, "d.tsv", asked(Ask::Open));
    let bytes = |place: usize| match &found[place].as_ref().unwrap().picture {
        Source::Bytes(_, bytes) => bytes.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(found.len(), 11);
    assert_eq!((bytes(0), bytes(2)), (bytes(1), bytes(1)));
    assert_eq!(bytes(4), bytes(3));
    assert_ne!(bytes(1), bytes(3));
    for (place, words) in [
        (5, "found \"1\": that row has no picture of its own"),
        (
            6,
            "found \"9\": expected one row of index \"9\", found none",
        ),
        (
            9,
            "found \"8\": expected one row of index \"8\", found several",
        ),
        (10, "column \"image\": expected a picture, found nothing"),
    ] {
        let message = found[place].as_ref().unwrap_err();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn what_is_not_supported_is_named() {
    let long = picture("aaaa");
    let row = |image: &str, question: &str, options: &str| {
        let text = format!("index\timage\tquestion\tA\tB\tC\n1\t{image}\t{question}\t{options}\n");
        of_text(&text, "d.tsv", asked(Ask::Choice)).remove(0)
    };
    for (image, question, options, words) in [
        (
            &*format!("[{long}]"),
            "q",
            "a\tb\tc",
            "a list that Python does not read",
        ),
        (&*format!("{long}!"), "q", "a\tb\tc", "a picture in base64"),
        (&*long, "nan", "a\tb\tc", "column \"question\""),
        (
            &*long,
            "q",
            "a\tNone\tc",
            "column \"B\": expected an option, since there is one in column \"C\", found None",
        ),
        (&*long, "q", "\tb\t", "column \"A\": expected an option"),
    ] {
        let message = row(image, question, options).unwrap_err();
        assert!(message.contains(words), "{message}");
    }
    assert!(row(&long, "q", "a\tb\t").is_ok());
}

/// Tables that name a column, and CSV, keep their layout; names of files lie below the folder.
#[test]
fn other_tables_are_not_taken_for_it() {
    let text =
        "index\timage_path\tquestion\n1\ta/b.png\tq\n2\t['c.png']\tq\n3\t['c', 'd']\tq\n4\t[]\tq\n";
    let found = of_text(text, "d.tsv", asked(Ask::Open));
    let source = |name: &str| Source::File(vec![name.into()]);
    assert_eq!(found[0].as_ref().unwrap().picture, source("a/b.png"));
    assert_eq!(found[1].as_ref().unwrap().picture, source("c.png"));
    let both = found[2].as_ref().unwrap();
    assert_eq!(
        (&both.picture, &both.more_pictures[..]),
        (&source("c"), &[source("d")][..])
    );
    let message = found[3].as_ref().unwrap_err();
    assert!(message.contains("column \"image_path\": expected a picture, found an empty list"));
    // In base64, with their names and without, and by the index of another row.
    let (a, b) = (picture("aaaa"), picture("bbbb"));
    let text = format!(
        "index\timage\timage_path\tquestion\n1\t['{a}', '{b}']\t['x.png', 'y.png']\tq\n\
         2\t['{a}', '{b}']\t\tq\n3\t1\t\tq\n"
    );
    let names = |sample: &Sample| {
        let all = std::iter::once(&sample.picture).chain(&sample.more_pictures);
        let name = |source: &Source| match source {
            Source::Bytes(name, bytes) => (name.clone(), bytes.len()),
            other => panic!("{other:?}"),
        };
        all.map(name).collect::<Vec<_>>()
    };
    let found = of_text(&text, "d.tsv", asked(Ask::Open));
    let found: Vec<_> = found
        .iter()
        .map(|sample| names(sample.as_ref().unwrap()))
        .collect();
    let expected = |names: [&str; 2]| names.map(|name| (name.to_string(), 240));
    assert_eq!(found[0], expected(["x.png", "y.png"]));
    assert_eq!(found[1], expected(["image 1 of 2", "image 2 of 2"]));
    assert_eq!(found[2], expected(["image 1 of 3", "image 2 of 3"]));
    let folder = tempfile::tempdir().unwrap();
    let layout = |name: &str, text: &str, columns: Columns| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        let options = DataOptions {
            columns,
            ..DataOptions::default()
        };
        Data::open(&path, None, options).unwrap().identity().layout
    };
    let text = "index\timage\tquestion\n1\ta.png\tq\n";
    let named = Columns {
        id: Some("index".into()),
        ..Columns::default()
    };
    assert_eq!(
        layout("d.tsv", text, Columns::default()),
        Layout::Vlmevalkit
    );
    assert_eq!(layout("d.tsv", text, named), Layout::Table);
    assert_eq!(
        layout("d.csv", &text.replace('\t', ","), Columns::default()),
        Layout::Table
    );
}

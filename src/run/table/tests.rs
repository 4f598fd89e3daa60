//! Every format gives the same rows.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::run::export::testing::parquet_of;

fn file(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn rows(path: &Path, wanted: impl Fn(usize) -> bool + Send + Sync + 'static) -> Vec<(usize, Row)> {
    let table = Table::open(path).unwrap();
    let rows = table.read(Arc::new(wanted)).unwrap();
    rows.map(|row| row.map(|(n, row)| (n, row.unwrap())).unwrap())
        .collect()
}

#[test]
fn every_format_gives_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let f = folder.path();
    let lines = "{\"id\":\"a\",\"n\":1,\"q\":\"x, \\\"y\\\"\"}\n\n{\"id\":\"b\",\"n\":2,\"q\":\"two\\nlines\"}\n";
    let paths = [
        file(f, "d.jsonl", lines),
        file(f, "lines.json", lines),
        file(
            f,
            "array.json",
            " [{\"id\":\"a\",\"n\":1,\"q\":\"x, \\\"y\\\"\"},\n {\"id\":\"b\",\"n\":2,\"q\":\"two\\nlines\"}]",
        ),
        file(
            f,
            "d.csv",
            "\u{feff}id,n,q\na,1,\"x, \"\"y\"\"\"\nb,2,\"two\nlines\"\n",
        ),
        file(
            f,
            "d.TSV",
            "id\tn\tq\na\t1\t\"x, \"\"y\"\"\"\nb\t2\t\"two\nlines\"\n",
        ),
        parquet_of(
            f,
            "d.parquet",
            &[
                ("id", &["a", "b"]),
                ("n", &["1", "2"]),
                ("q", &["x, \"y\"", "two\nlines"]),
            ],
        ),
    ];
    for path in paths {
        let table = Table::open(&path).unwrap();
        assert_eq!(
            (table.rows, table.columns.len()),
            (2, 3),
            "{}",
            path.display()
        );
        assert_eq!(table.columns, ["id", "n", "q"], "{}", path.display());
        let found = rows(&path, |_| true);
        for (place, expected) in [["a", "1", "x, \"y\""], ["b", "2", "two\nlines"]]
            .iter()
            .enumerate()
        {
            assert_eq!(found[place].0, place);
            for (column, text) in table.columns.iter().zip(expected) {
                assert_eq!(
                    found[place].1.text(column).as_deref(),
                    Some(*text),
                    "{}",
                    path.display()
                );
            }
        }
        let second = rows(&path, |n| n == 1);
        assert_eq!(second, found[1..], "{}", path.display());
    }
}

#[test]
fn a_bad_row_does_not_hide_the_others() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, word) in [
        ("d.jsonl", "{\"a\":1}\n{\"a\":\n{\"a\":3,\"b\":0}\n", "JSON"),
        ("e.jsonl", "{\"a\":1}\n7\n{\"a\":3}\n", "a number"),
        ("d.csv", "a,b\n1,2\n1,2,3\n5,6\n", "2 fields"),
        ("d.tsv", "a\tb\n1\t2\n1\n5\t6\n", "found 1"),
    ] {
        let path = file(folder.path(), name, text);
        let table = Table::open(&path).unwrap();
        assert_eq!(table.rows, 3, "{name}");
        if name != "e.jsonl" {
            assert_eq!(table.columns, ["a", "b"], "{name}");
        }
        let rows: Vec<_> = table
            .read(Arc::new(|_| true))
            .unwrap()
            .map(|r| r.unwrap().1)
            .collect();
        assert!(rows[0].is_ok() && rows[2].is_ok(), "{name}");
        let message = &rows[1].as_ref().unwrap_err().message;
        assert!(message.contains(word), "{name}: {message}");
    }
}

#[test]
fn files_that_are_no_tables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text, word) in [
        ("d.txt", "a", ".parquet"),
        ("d.json", "[1, 2", "JSON array"),
        ("d.csv", "a,b\n", "at least one row"),
        ("d.jsonl", " \n\n", "at least one row"),
        ("d.parquet", "PAR1 or so", "a Parquet file"),
    ] {
        let error = Table::open(&file(folder.path(), name, text))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(word) && error.contains(name),
            "{name}: {error}"
        );
    }
    let missing = Table::open(&folder.path().join("missing.csv"))
        .unwrap_err()
        .to_string();
    assert!(
        missing.contains("missing.csv: could not be read"),
        "{missing}"
    );
}

#[test]
fn the_fingerprint_is_of_the_content_alone() {
    let folder = tempfile::tempdir().unwrap();
    let of = |name: &str, text: &str| {
        Table::open(&file(folder.path(), name, text))
            .unwrap()
            .fingerprint
    };
    assert_eq!(of("a.csv", "a\n1\n"), of("b.csv", "a\n1\n"));
    assert_ne!(of("a.csv", "a\n1\n"), of("a.csv", "a\n2\n"));
    // SHA-256 of "a\n1\n", by `sha256sum`.
    assert_eq!(of("c.csv", "a\n1\n"), "309b0e45a73d3fc5325e2b6ed0a01ef8");
}

#[test]
fn cells_are_text_json_or_bytes() {
    let cells = json!({"n": 1.5, "t": " ", "j": "[1, 2]", "a": ["x"], "z": null});
    let row = Row {
        cells: cells.as_object().unwrap().clone(),
        bytes: vec![("b".into(), b"hello".to_vec())],
    };
    assert_eq!(row.text("n").as_deref(), Some("1.5"));
    assert_eq!(
        (row.text("t"), row.text("z"), row.text("none")),
        (None, None, None)
    );
    assert_eq!(row.text("b").as_deref(), Some("hello"));
    assert_eq!(
        (row.json("j"), row.json("a")),
        (Some(json!([1, 2])), Some(json!(["x"])))
    );
    assert_eq!(row.bytes("b"), Some(&b"hello"[..]));
}

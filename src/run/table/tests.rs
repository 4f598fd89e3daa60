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
    let lines = "{\"id\":\"a\",\"n\":1,\"q\":\"x, \\\"y\\\"\"}\n\n\
                 {\"id\":\"b\",\"n\":2,\"q\":\"two\\nlines\"}\n";
    let paths = [
        file(f, "d.jsonl", lines),
        file(f, "lines.json", lines),
        file(
            f,
            "array.json",
            " [{\"id\":\"a\",\"n\":1,\"q\":\"x, \\\"y\\\"\"},\n \
             {\"id\":\"b\",\"n\":2,\"q\":\"two\\nlines\"}]",
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
        (
            "d.jsonl",
            "{\"a\":1}\n{\"a\":\n{\"a\":3,\"b\":0}\n",
            "line 2: not valid JSON",
        ),
        ("e.jsonl", "{\"a\":1}\n7\n{\"a\":3}\n", "a number"),
        (
            "d.csv",
            "a,b\n1,2\n1,2,3\n5,6\n",
            "line 3: expected 2 fields",
        ),
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
        ("e.json", "[{\"a\":1},\n{\"a\":2} {\"a\":3}]", "line 2"),
        ("f.json", "[{\"a\":1}]\n[]", "more behind the array"),
        ("g.json", "[{\"a\":1},]", "JSON array"),
        ("h.json", "[]", "at least one row"),
        ("u.csv", "\u{feff}", "at least one row"),
        (
            "two.csv",
            "a,b,a\n1,2,3\n",
            "two.csv: line 1: expected columns of different names, found \"a\" twice",
        ),
        ("two.tsv", "a\t a\n1\t2\n", "\"a\" twice"),
        (
            "end.csv",
            "a,b\n1,2\n1,\"x\n3,4\n",
            "end.csv: line 3: expected a quoted field",
        ),
        (
            "end.tsv",
            "a\tb\n\"1\t2\n",
            "line 2: expected a quoted field",
        ),
        // The closing quote is that which begins another field.
        (
            "next.csv",
            "a,b\n1,\"x\n2,\"y\"\n",
            "line 2: expected a quoted field",
        ),
        (
            "head.csv",
            "\"a,b\n1,2\n",
            "line 1: expected a quoted field",
        ),
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

#[test]
fn a_byte_order_mark_is_no_part_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("d.jsonl", "{\"a\":\"x\"}\n"),
        ("d.ndjson", "\n{\"a\":\"x\"}"),
        ("lines.json", "{\"a\":\"x\"}\n"),
        ("array.json", "[{\"a\":\"x\"}]"),
        ("d.csv", "a\nx\n"),
        ("quoted.csv", "\"a\"\n\"x\"\n"),
        ("d.tsv", "a\nx\n"),
    ] {
        let path = file(folder.path(), name, &format!("\u{feff}{text}"));
        assert_eq!(Table::open(&path).unwrap().columns, ["a"], "{name}");
        let found = rows(&path, |_| true);
        assert_eq!(found[0].1.text("a").as_deref(), Some("x"), "{name}");
    }
    let path = folder.path().join("wide.csv");
    let wide: Vec<u8> = "\u{feff}a\nx\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    std::fs::write(&path, wide).unwrap();
    assert!(
        Table::open(&path)
            .unwrap_err()
            .to_string()
            .contains("UTF-16")
    );
}

#[test]
fn quotes_that_are_meant_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for (text, expected) in [
        (
            "a,b\n1,\"two\r\nlines, \"\"quoted\"\"\"\r\n3,4",
            &["two\r\nlines, \"quoted\"", "4"][..],
        ),
        ("a,b\n1,a 5\" disk\n2,\"\"\n", &["a 5\" disk", ""]),
        // Readers take the text after the quote into the field; it stays on its line.
        ("a,b\n1,\"x\" y\n2,z\n", &["x y", "z"]),
        ("a,b\r1,x\r2,\"y\"\r", &["x", "y"]),
    ] {
        let path = file(folder.path(), "d.csv", text);
        let found = rows(&path, |_| true);
        let found: Vec<_> = found
            .iter()
            .map(|(_, row)| row.cells["b"].as_str().unwrap())
            .collect();
        assert_eq!(found, expected, "{text:?}");
    }
}

#[test]
fn rows_that_are_no_rows_are_errors_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5000), "]".repeat(5000));
    for (row, word) in [
        (
            "{\"a\":1,\"b\":2,\"a\":3}",
            "line 2: the column \"a\" is there twice",
        ),
        (deep.as_str(), "recursion limit"),
        ("{\"a\":1e999}", "number out of range"),
        ("[1]", "found an array"),
        ("null", "found null"),
    ] {
        let good = "{\"a\":0}";
        for (name, text) in [
            ("d.jsonl", format!("{good}\n{row}\n{good}\n")),
            ("d.json", format!("[{good},\n{row},\n{good}]")),
        ] {
            let table = Table::open(&file(folder.path(), name, &text)).unwrap();
            assert_eq!(table.rows, 3, "{name} {word}");
            let rows = table.read(Arc::new(|_| true)).unwrap();
            let rows: Vec<_> = rows.map(|row| row.unwrap().1).collect();
            assert!(rows[0].is_ok() && rows[2].is_ok(), "{name} {word}");
            let message = &rows[1].as_ref().unwrap_err().message;
            assert!(message.contains(word), "{name} {word}: {message}");
        }
    }
}

#[test]
fn a_row_without_an_end_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let long = "x".repeat(LONGEST_ROW as usize);
    for (name, text) in [
        ("d.jsonl", format!("{{\"a\":0}}\n{{\"a\":\"{long}\"}}\n")),
        ("d.json", format!("[{{\"a\":0}},\n{{\"a\":\"{long}\"}}]")),
        ("d.csv", format!("a\n{long}x\n")),
    ] {
        let error = Table::open(&file(folder.path(), name, &text))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("at most 64 MiB"),
            "{name}: {error}"
        );
    }
}

/// Changes random bytes anywhere in a file: it is refused, or every row is returned, either read or
/// with its error. Nothing panics, and no allocation exceeds the file's contents.
#[test]
fn a_corrupt_parquet_file_or_row_is_an_error() {
    use rand::rngs::StdRng;
    use rand::{Rng, SeedableRng};
    let folder = tempfile::tempdir().unwrap();
    let texts: Vec<String> = (0..40)
        .map(|n| format!("text {} {}", n % 5, "long ".repeat(n)))
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let good = std::fs::read(parquet_of(
        folder.path(),
        "good.parquet",
        &[("a", &texts), ("b", &texts)],
    ))
    .unwrap();
    let seed = rand::random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut refused, mut broken) = (0, 0);
    for _ in 0..3000 {
        let mut bytes = good.clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = match rng.random_range(0..3) {
                0 => bytes[at] ^ (1 << rng.random_range(0..8)),
                1 => 0xFF,
                _ => rng.random(),
            };
        }
        if rng.random_range(0..8) == 0 {
            bytes.truncate(rng.random_range(0..bytes.len()));
        }
        let path = folder.path().join("bad.parquet");
        std::fs::write(&path, &bytes).unwrap();
        let Ok(table) = Table::open(&path) else {
            refused += 1;
            continue;
        };
        let Ok(rows) = table.read(Arc::new(|_| true)) else {
            refused += 1;
            continue;
        };
        let rows: Vec<_> = rows.map(|row| row.unwrap()).collect();
        assert!(rows.iter().map(|(number, _)| *number).eq(0..table.rows));
        broken += usize::from(rows.iter().any(|(_, row)| row.is_err()));
    }
    println!("{refused} files refused, {broken} with bad rows");
    assert!(refused > 0 && broken > 0);
}

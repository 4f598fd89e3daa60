//! Tests of the program's output and messages.

use std::process::Output;

use serde_json::Value;

use crate::made_up::{MadeUp, NASTY};

fn data(html: &str, id: &str) -> Value {
    let opening = format!("<script type=\"application/json\" id=\"{id}\">");
    let start = html.find(&opening).unwrap() + opening.len();
    let end = html[start..].find("</script").unwrap();
    serde_json::from_str(&html[start..start + end]).unwrap()
}

fn said(output: &Output, code: i32, words: &[&str]) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(!text.contains("panicked"), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in: {text}");
    }
}

#[test]
fn a_page_has_every_record_with_its_picture() {
    let made = MadeUp::new(40, 40);
    let output = made.report(&["run", "--images", "pictures", "--out", "page.html"]);
    said(&output, 0, &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let html = std::fs::read_to_string(made.path("page.html")).unwrap();
    assert!(!made.path("run/report.html").exists());
    let index = data(&html, "index");
    assert_eq!(index["entries"].as_array().unwrap().len(), 40);
    for (place, record) in made.records.iter().enumerate() {
        let (entry, detail) = (
            &index["entries"][place],
            data(&html, &format!("detail{place}")),
        );
        assert_eq!(entry["id"], record.id);
        assert_eq!(entry["question"], record.question);
        assert_eq!(
            entry["correct"].as_bool(),
            record.judgement.as_ref().map(|j| j.correct)
        );
        assert_eq!(detail["seed"], record.seed.to_string());
        assert!(
            detail["picture"]
                .as_str()
                .unwrap()
                .starts_with("data:image/jpeg;base64,")
        );
        assert_eq!(detail["map"].is_object(), record.mask.is_some());
        assert_eq!(entry["cause"].is_string(), record.error.is_some());
        assert_eq!(
            detail["message"].as_str(),
            record.error.as_ref().map(|e| e.message.as_str())
        );
    }
    assert_eq!(index["entries"][1]["answer"], NASTY);
    assert!(!html.contains("<img src=x"));
}

#[test]
fn pictures_that_are_nowhere_are_counted() {
    let made = MadeUp::new(12, 12);
    said(
        &made.report(&["run"]),
        0,
        &[
            "12 of 12 samples are shown without their pictures",
            "--images",
        ],
    );
    std::fs::remove_file(made.path("pictures/3.jpg")).unwrap();
    // Another picture under the same name.
    std::fs::copy(made.path("pictures/5.jpg"), made.path("pictures/4.jpg")).unwrap();
    let output = made.report(&["run", "--images", "pictures"]);
    said(
        &output,
        0,
        &["2 of 12 samples are shown without their pictures", "3.jpg"],
    );
    let html = std::fs::read_to_string(made.path("run/report.html")).unwrap();
    for (place, missing) in [
        (2, None),
        (3, Some("3.jpg")),
        (4, Some("expected 300 x 400")),
    ] {
        let detail = data(&html, &format!("detail{place}"));
        assert_eq!(detail["picture"].is_null(), missing.is_some(), "{place}");
        assert!(
            detail["missing"]
                .as_str()
                .unwrap_or_default()
                .contains(missing.unwrap_or_default()),
            "{detail}"
        );
    }
}

#[test]
fn an_unfinished_run_says_how_much_there_is() {
    let made = MadeUp::new(5, 9);
    let output = made.report(&["run", "--images", "pictures"]);
    said(&output, 0, &["the run is not finished: 5 of 9 samples"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("5 samples"));
    let html = std::fs::read_to_string(made.path("run/report.html")).unwrap();
    assert!(html.contains("5 of 9 samples"));
    let none = MadeUp::new(0, 3);
    said(&none.report(&["run", "--quiet"]), 0, &[]);
    assert!(
        std::fs::read_to_string(none.path("run/report.html"))
            .unwrap()
            .contains("0 of 3 samples")
    );
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let made = MadeUp::new(4, 4);
    let masks = made.path("run/masks-00000.f32");
    let mut bytes = std::fs::read(&masks).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&masks, bytes).unwrap();
    std::fs::write(made.path("run/report.html"), "before").unwrap();
    let names = || {
        let files = std::fs::read_dir(made.path("run")).unwrap();
        let mut names: Vec<_> = files.map(|f| f.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    said(
        &made.report(&["run", "--images", "pictures"]),
        2,
        &["masks-00000.f32", "CRC-32"],
    );
    assert_eq!(
        std::fs::read_to_string(made.path("run/report.html")).unwrap(),
        "before"
    );
    assert_eq!(names(), before);
    said(
        &made.report(&["run", "--out", "no/such/folder/page.html"]),
        2,
        &["page.html: expected a file to write"],
    );
    said(&made.report(&["pictures"]), 2, &["run.json"]);
}

#[test]
fn pictures_inside_the_data_are_found_there() {
    let made = MadeUp::of_one([200, 60, 30], 64, 48);
    said(&made.report(&["run", "--data", "data.jsonl"]), 0, &[]);
    let html = std::fs::read_to_string(made.path("run/report.html")).unwrap();
    assert!(data(&html, "detail0")["picture"].is_string());
    std::fs::write(
        made.path("other.jsonl"),
        "{\"image\":\"a.png\",\"question\":\"?\"}\n",
    )
    .unwrap();
    said(
        &made.report(&["run", "--data", "other.jsonl"]),
        2,
        &["--data: expected the data of the run, data.jsonl"],
    );
}

//! Tokenizer files: precedence of flags, texts of tokens, and files that exceed limits.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{files, recorded, write};
use crate::checkpoint::{CheckpointError, ImageToken, PictureText, Rendered, Tokenizer};

fn model(name: &str, file: &str) -> PathBuf {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/models");
    models.join(name).join(file)
}

/// Creates a recorded model's tokenizer with fields of its files replaced.
fn edited(name: &str, edits: &Value) -> TempDir {
    let dir = TempDir::new().unwrap();
    for file in ["tokenizer.json", "tokenizer_config.json", "config.json"] {
        std::fs::copy(model(name, file), dir.path().join(file)).unwrap();
    }
    for (file, fields) in edits.as_object().unwrap() {
        let known = std::fs::read(dir.path().join(file)).unwrap_or(b"{}".to_vec());
        let mut json: Value = serde_json::from_slice(&known).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            json[name] = value.clone();
        }
        write(&dir, file, json.to_string());
    }
    dir
}

fn load(dir: &TempDir) -> Result<Tokenizer, CheckpointError> {
    Tokenizer::load(&files(dir), ImageToken::Id(3))
}

fn prompt(before: &str, question: &str) -> Rendered {
    Rendered {
        before: before.to_string(),
        question: question.to_string(),
        after: String::new(),
        source: "test".to_string(),
    }
}

#[test]
fn texts_have_the_ids_that_transformers_gives() {
    for case in recorded("tokens.json").as_array().unwrap() {
        let dir = edited(case["model"].as_str().unwrap(), &case["files"]);
        let tokenizer = load(&dir).unwrap();
        for text in case["texts"].as_array().unwrap() {
            let expected: Vec<u32> = serde_json::from_value(text["ids"].clone()).unwrap();
            let prompt = prompt(text["text"].as_str().unwrap(), "");
            let found = tokenizer
                .encode_prompt(&prompt, &[PictureText::rows(1)])
                .unwrap();
            assert_eq!(found, expected, "{} {:?}", case["name"], prompt.before);
        }
    }
}

/// With the model's dropout, the same text would have different ids each time.
#[test]
fn dropout_is_off() {
    let text = prompt("<image>", "What color is the circle above the square?");
    let ids = |edits: &Value| {
        load(&edited("tiny-llava", edits))
            .unwrap()
            .encode_prompt(&text, &[PictureText::rows(1)])
            .unwrap()
    };
    let mut parts: Value =
        serde_json::from_slice(&std::fs::read(model("tiny-llava", "tokenizer.json")).unwrap())
            .unwrap();
    parts["model"]["dropout"] = json!(0.9);
    let edits = json!({ "tokenizer.json": { "model": parts["model"] } });
    for _ in 0..5 {
        assert_eq!(ids(&edits), ids(&json!({})));
    }
}

#[test]
fn pieces_join_to_the_answer() {
    for name in ["tiny-llava", "tiny-llava-bytes", "tiny-llava-unigram"] {
        let tokenizer = load(&edited(name, &json!({}))).unwrap();
        for answer in [
            "It is red.",
            " two  spaces ",
            "na\u{ef}ve \u{7ea2}\u{8272} \u{1f642}\u{1f642}",
            "\n",
            "a",
        ] {
            let ids = tokenizer.encode_answer(answer).unwrap();
            let pieces = tokenizer.decode_pieces(&ids).unwrap();
            assert_eq!(pieces.len(), ids.len(), "{name}");
            assert_eq!(
                pieces.concat(),
                tokenizer.decode(&ids).unwrap(),
                "{name} {answer:?}"
            );
            if name != "tiny-llava-unigram" {
                // A word with any unknown character is unknown as a whole.
                let strips = name == "tiny-llava-bytes";
                let whole = pieces.concat();
                assert!(
                    whole == answer || (strips && whole.trim() == answer.trim()),
                    "{name} {whole:?}"
                );
                assert!(!whole.contains('\u{fffd}'), "{name} {whole:?}");
            }
        }
        // Arbitrary ids, including incomplete characters.
        let ids: Vec<u32> = (0..400).rev().collect();
        let pieces = tokenizer.decode_pieces(&ids).unwrap();
        assert_eq!(pieces.concat(), tokenizer.decode(&ids).unwrap(), "{name}");
    }
    let tokenizer = load(&edited("tiny-llava-bytes", &json!({}))).unwrap();
    let ids = tokenizer.encode_answer("is the").unwrap();
    let pieces = tokenizer.decode_pieces(&ids).unwrap();
    assert!(
        pieces.iter().any(|piece| piece.starts_with(' ')),
        "{pieces:?}"
    );
}

fn vocabulary(ids: &[(&str, u64)]) -> Value {
    let words: serde_json::Map<String, Value> = ids
        .iter()
        .map(|(word, id)| (word.to_string(), json!(id)))
        .collect();
    json!({ "type": "BPE", "vocab": words, "merges": [] })
}

/// Files that would end the process, or exhaust its memory or time, are errors of one line.
#[test]
fn hostile_tokenizers_are_errors() {
    let long = "a".repeat(1500);
    let tokens = |list: Value| json!({ "added_tokens": list });
    let token = |id: u64, content: &str| {
        json!({
            "id": id, "content": content, "lstrip": false, "rstrip": false,
            "single_word": false, "normalized": true, "special": false
        })
    };
    let replace = |pattern: Value, content: &str| {
        json!({
            "type": "Replace", "pattern": pattern, "content": content
        })
    };
    let sequence =
        |stages: Vec<Value>| json!({ "normalizer": { "type": "Sequence", "normalizers": stages } });
    let map =
        |map: &str| json!({ "normalizer": { "type": "Precompiled", "precompiled_charsmap": map } });
    let single = |pieces: Value| {
        json!({ "post_processor": {
            "type": "TemplateProcessing", "single": pieces, "pair": [], "special_tokens": {}
        } })
    };
    let split = |regex: &str| {
        json!({ "pre_tokenizer": {
            "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false
        } })
    };
    for (what, edits) in [
        (
            "an empty pattern",
            json!({ "normalizer": replace(json!({ "String": "" }), &long) }),
        ),
        (
            "an empty expression",
            json!({ "normalizer": replace(json!({ "Regex": "" }), "x") }),
        ),
        (
            "an empty pattern between others",
            sequence(vec![
                json!({ "type": "NFC" }),
                replace(json!({ "String": "" }), "x"),
            ]),
        ),
        (
            "growth",
            sequence(vec![
                replace(json!({ "String": "a" }), &long),
                replace(json!({ "String": "a" }), &long),
            ]),
        ),
        (
            "growth by what matches nothing",
            sequence(vec![replace(json!({ "Regex": "x*" }), "xx"); 40]),
        ),
        (
            "growth by prefixes",
            sequence(vec![json!({ "type": "Prepend", "prepend": long }); 3]),
        ),
        ("many stages", sequence(vec![json!({ "type": "NFC" }); 100])),
        (
            "growth of tokens",
            json!({ "decoder": { "type": "Sequence", "decoders": [
                replace(json!({ "String": "a" }), &long), replace(json!({ "String": "a" }), &long)
            ] } }),
        ),
        ("an empty map", map("")),
        ("a short map", map("AAAA")),
        ("a map of nothing", map("AAAAAA==")),
        ("a map that claims too much", map("/P///wAAAAA=")),
        ("a map that leads out of itself", map("BAAAAP////8A")),
        ("a map that is none", map("?")),
        (
            "pieces of no length",
            json!({ "pre_tokenizer": { "type": "FixedLength", "length": 0 } }),
        ),
        (
            "a second text",
            single(json!([{ "Sequence": { "id": "B", "type_id": 0 } }])),
        ),
        ("no text", single(json!([]))),
        (
            "a text twice",
            single(json!(vec![
                json!({ "Sequence": { "id": "A", "type_id": 0 } });
                1000
            ])),
        ),
        ("a text twice, in short", single(json!("$A $A"))),
        ("many repetitions", split("(?:(?=a)a){1000000000}")),
        (
            "repetitions of repetitions",
            split("(?:(?:(?=a)a){1000}){1000}"),
        ),
        (
            "a deep expression",
            split(&format!("{}a{}", "(".repeat(4000), ")".repeat(4000))),
        ),
        ("a long expression", split(&"a?".repeat(10_000))),
        (
            "no such stage",
            json!({ "normalizer": { "type": "Nothing" } }),
        ),
        (
            "a token without text",
            tokens(json!([token(0, "<pad>"), token(3, "")])),
        ),
        (
            "two tokens of one id",
            tokens(json!([
                token(0, "<pad>"),
                token(0, "<s>"),
                token(3, "<image>")
            ])),
        ),
        (
            "a token of another id",
            tokens(json!([token(3, "<image>"), token(7, "<s>")])),
        ),
        (
            "an id beyond 32 bits",
            tokens(json!([token(1 << 40, "<image>")])),
        ),
        (
            "a long token",
            tokens(json!([token(400, &"x".repeat(1 << 20))])),
        ),
        ("an empty vocabulary", json!({ "model": vocabulary(&[]) })),
        (
            "an empty list of words",
            json!({ "model": { "type": "Unigram", "vocab": [], "unk_id": null } }),
        ),
        ("no vocabulary", json!({ "model": { "type": "BPE" } })),
        (
            "two words of one id",
            json!({ "model": vocabulary(&[("a", 0), ("b", 0)]) }),
        ),
        (
            "a word beyond 32 bits",
            json!({ "model": vocabulary(&[("a", 1 << 32)]) }),
        ),
        (
            "a long word",
            json!({ "model": {
                "type": "Unigram", "vocab": [["x".repeat(1 << 20), -1.0]], "unk_id": null
            } }),
        ),
        (
            "an unknown word that is not there",
            json!({ "model": { "type": "Unigram", "vocab": [["a", -1.0]], "unk_id": 7 } }),
        ),
    ] {
        let dir = edited("tiny-llava", &json!({ "tokenizer.json": edits }));
        let started = std::time::Instant::now();
        let error = load(&dir).expect_err(what).to_string();
        assert!(!error.contains('\n'), "{what}: {error}");
        assert!(
            error.len() < 1000 && error.contains("token"),
            "{what}: {error}"
        );
        let seconds = started.elapsed().as_secs_f64();
        assert!(seconds < 20.0, "{what}: {seconds} s");
    }
    let empty = edited(
        "tiny-llava",
        &json!({ "tokenizer.json": { "model": vocabulary(&[]) } }),
    );
    let error = load(&empty).unwrap_err().to_string();
    assert!(error.contains("vocabulary is empty"), "{error}");
}

/// A fault that only a text can reveal is reported as an error, not a panic.
#[test]
fn texts_that_break_a_tokenizer_are_errors() {
    let decoder = json!({ "decoder": { "type": "Strip", "content": " ", "start": 0, "stop": 9 } });
    let tokenizer = load(&edited("tiny-llava", &json!({ "tokenizer.json": decoder }))).unwrap();
    let ids = tokenizer.encode_answer("a").unwrap();
    let error = tokenizer.decode_pieces(&ids);
    if let Err(error) = error {
        assert!(matches!(error, CheckpointError::Decode { .. }), "{error}");
    }
    let grows = json!({ "normalizer": {
        "type": "Replace", "pattern": { "String": "Z" }, "content": "z".repeat(2000)
    } });
    let tokenizer = load(&edited("tiny-llava", &json!({ "tokenizer.json": grows }))).unwrap();
    let error = tokenizer.encode_answer(&"Z".repeat(1 << 20)).unwrap_err();
    assert!(matches!(error, CheckpointError::Encode { .. }), "{error}");
    assert!(tokenizer.encode_answer("Z").is_ok());
    // Unbounded backtracking.
    let split = json!({ "pre_tokenizer": {
        "type": "Split", "pattern": { "Regex": "(?:(?=a)a+)+b" },
        "behavior": "Isolated", "invert": false
    } });
    let tokenizer = load(&edited("tiny-llava", &json!({ "tokenizer.json": split }))).unwrap();
    let started = std::time::Instant::now();
    let _ = tokenizer.encode_answer(&"a".repeat(100_000));
    assert!(started.elapsed().as_secs_f64() < 20.0);
}

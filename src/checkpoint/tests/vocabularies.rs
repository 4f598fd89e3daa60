//! Tokenizers without a tokenizer.json: the ids that transformers gives texts, and what is refused.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{files, recorded, write};
use crate::checkpoint::{CheckpointError, ImageToken, PictureText, Rendered, Tokenizer};

/// A byte's token that no text has, in the picture's place.
const MARK: &str = "\u{143}";

/// A folder of these files with the recorded vocabulary.
fn folder(recorded: &Value, files: &Value) -> TempDir {
    let dir = TempDir::new().unwrap();
    write(&dir, "vocab.json", recorded["vocabulary"].to_string());
    write(&dir, "merges.txt", recorded["merges"].as_str().unwrap());
    for (name, fields) in files.as_object().unwrap() {
        write(&dir, name, fields.to_string());
    }
    dir
}

fn load(dir: &TempDir) -> Result<Tokenizer, CheckpointError> {
    Tokenizer::load(&files(dir), ImageToken::Named(MARK))
}

fn ids(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let prompt = Rendered {
        before: format!("{MARK}{text}"),
        question: String::new(),
        after: String::new(),
        source: "test".to_string(),
    };
    let ids = tokenizer.encode_prompt(&prompt, &[PictureText::rows(1)]);
    ids.unwrap()[1..].to_vec()
}

#[test]
fn texts_have_the_ids_that_transformers_gives() {
    let recorded = recorded("vocabularies.json");
    let cases = recorded["cases"].as_array().unwrap();
    for case in cases {
        let tokenizer = load(&folder(&recorded, &case["files"])).unwrap();
        let mark = recorded["vocabulary"][MARK].as_u64().unwrap();
        assert_eq!(u64::from(tokenizer.image().id()), mark);
        for text in case["texts"].as_array().unwrap() {
            let expected: Vec<u32> = serde_json::from_value(text["ids"].clone()).unwrap();
            let written = text["text"].as_str().unwrap();
            let name = &case["name"];
            assert_eq!(ids(&tokenizer, written), expected, "{name} {written:?}");
            let decoded = tokenizer.decode(&expected).unwrap();
            assert_eq!(decoded, text["decoded"], "{name} {written:?}");
        }
    }
    assert!(cases.len() > 15);
}

/// Line ends and comments as in files of other systems and versions.
#[test]
fn lines_of_merges() {
    let recorded = recorded("vocabularies.json");
    let case = &recorded["cases"][0];
    let plain = load(&folder(&recorded, &case["files"])).unwrap();
    let dir = folder(&recorded, &case["files"]);
    let merges = recorded["merges"].as_str().unwrap().replace('\n', "\r\n");
    let other = format!(
        "{}#version: 9",
        merges.trim_start_matches("#version: 0.2\r\n")
    );
    write(&dir, "merges.txt", other);
    let tokenizer = load(&dir).unwrap();
    for text in case["texts"].as_array().unwrap() {
        let text = text["text"].as_str().unwrap();
        assert_eq!(ids(&tokenizer, text), ids(&plain, text), "{text:?}");
    }
}

#[test]
fn what_is_read_otherwise_is_refused() {
    let recorded = recorded("vocabularies.json");
    let case = &recorded["cases"][0]["files"];
    let refused = |file: &str, content: Option<&str>, expected: &[&str]| {
        let dir = folder(&recorded, case);
        match content {
            Some(content) => write(&dir, file, content),
            None => std::fs::remove_file(dir.path().join(file)).unwrap(),
        }
        let error = load(&dir).unwrap_err().to_string();
        for part in expected {
            assert!(error.contains(part), "{file} {content:?}: {error}");
        }
        assert_eq!(error.lines().count(), 1, "{error}");
    };
    for (field, value) in [
        ("add_bos_token", json!(true)),
        ("add_eos_token", json!(1)),
        ("split_special_tokens", json!(true)),
        ("vocab", json!({"a": 0})),
        ("merges", json!(["a b"])),
        ("init_inputs", json!(["vocab.json"])),
    ] {
        let mut config = case["tokenizer_config.json"].clone();
        config[field] = value;
        let name = "tokenizer_config.json";
        refused(name, Some(&config.to_string()), &[name, field]);
    }
    for class in ["LlamaTokenizer", "GemmaTokenizer", "TokenizersBackend"] {
        let mut config = case["tokenizer_config.json"].clone();
        config["tokenizer_class"] = json!(class);
        let expected = ["tokenizer.json", "Qwen2Tokenizer or GPT2Tokenizer"];
        refused(
            "tokenizer_config.json",
            Some(&config.to_string()),
            &expected,
        );
    }
    // Their class does not count, so that transformers reads no vocab.json.
    for model_type in ["llava", "smolvlm"] {
        let config = json!({ "model_type": model_type }).to_string();
        refused("config.json", Some(&config), &["tokenizer.json"]);
    }
    refused("vocab.json", None, &["tokenizer.json"]);
    refused("merges.txt", None, &["merges.txt"]);
    // Read in its place.
    refused("tokenizer.model", Some(""), &["tokenizer.model"]);
    refused("merges.txt", Some("a b\nc\n"), &["merges.txt", "line 2"]);
    refused("merges.txt", Some("a b c\n"), &["merges.txt", "line 1"]);
    refused("merges.txt", Some("a \u{4f60}\n"), &["\u{4f60}"]);
    refused("vocab.json", Some("[]"), &["vocabulary"]);
    refused("vocab.json", Some("{}"), &["empty"]);
    refused("vocab.json", Some(r#"{"a": 0, "b": 0}"#), &["id 0"]);
    refused("vocab.json", Some(r#"{"a": "0"}"#), &["invalid type"]);
    let mut without = recorded["cases"][3]["files"].clone();
    without["added_tokens.json"] = json!({"<new>": 500});
    let error = load(&folder(&recorded, &without)).unwrap_err().to_string();
    assert!(
        error.contains("added_tokens.json") && error.contains("500"),
        "{error}"
    );
    let unnamed = Tokenizer::load(
        &files(&folder(&recorded, case)),
        ImageToken::Named("<image>"),
    );
    let error = unnamed.unwrap_err().to_string();
    assert!(error.contains("<image>"), "{error}");
}

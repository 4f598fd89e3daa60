use super::{data, files, recorded, write};
use crate::checkpoint::{
    ChatTemplate, CheckpointError, Files, ImageToken, PictureText, Rendered, Template, Tokenizer,
    VICUNA,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;

const IMAGE: u32 = 3;
const STYLES: [&str; 4] = ["llava", "chatml", "plain", "jinja"];
const SPECIAL: [&str; 6] = ["<unk>", "<s>", "</s>", "<image>", "<|start|>", "<|end|>"];

/// Loads one of the recorded tokenizers with its template.
fn load(style: &str) -> (Tokenizer, ChatTemplate) {
    both(&Files::folder(data(style)).unwrap()).unwrap()
}

fn both(files: &Files) -> Result<(Tokenizer, ChatTemplate), CheckpointError> {
    let tokenizer = Tokenizer::load(files, ImageToken::Id(IMAGE))?;
    let template = ChatTemplate::load(files, &tokenizer, Template::Default(VICUNA))?;
    Ok((tokenizer, template))
}

fn ids(value: &Value) -> Vec<u32> {
    serde_json::from_value(value.clone()).unwrap()
}

#[test]
fn prompts_are_those_of_transformers() {
    let recorded = recorded("prompts.json");
    for style in STYLES {
        let (tokenizer, template) = load(style);
        for case in recorded[style].as_array().unwrap() {
            let question = case["question"].as_str().unwrap();
            let prompt = template.render(question, 1).unwrap();
            assert_eq!(prompt.text(), case["prompt"].as_str().unwrap(), "{style}");
            assert_eq!(
                tokenizer
                    .encode_prompt(&prompt, &[PictureText::rows(1)])
                    .unwrap(),
                ids(&case["ids"]),
                "{style} {question:?}"
            );
            let answer = tokenizer.encode_answer(question).unwrap();
            assert_eq!(answer, ids(&case["answer"]), "{style} {question:?}");
            assert_eq!(
                tokenizer.decode(&answer).unwrap(),
                case["decoded"].as_str().unwrap(),
                "{style}"
            );
        }
    }
}

#[test]
fn the_image_token_is_repeated_in_its_place() {
    let (tokenizer, template) = load("plain");
    let prompt = template.render("What?", 1).unwrap();
    let (one, five) = (
        tokenizer
            .encode_prompt(&prompt, &[PictureText::rows(1)])
            .unwrap(),
        tokenizer
            .encode_prompt(&prompt, &[PictureText::rows(5)])
            .unwrap(),
    );
    let at = one.iter().position(|id| *id == IMAGE).unwrap();
    let wanted = [&one[..at], &[IMAGE; 5], &one[at + 1..]].concat();
    assert_eq!(five, wanted);
}

/// Wherever special tokens' text occurs in a question, the prompt has the same control tokens as
/// without it, and the rest of the prompt is the question.
#[test]
fn special_tokens_in_a_question_are_text() {
    let seed = 20;
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for style in STYLES {
        let (tokenizer, template) = load(style);
        let specials: Vec<u32> = (0..6).collect();
        let controls = |ids: &[u32]| {
            ids.iter()
                .copied()
                .filter(|id| specials.contains(id))
                .collect::<Vec<_>>()
        };
        let ordinary = tokenizer
            .encode_prompt(&template.render("x", 1).unwrap(), &[PictureText::rows(1)])
            .unwrap();
        let words = ["a", " ", "red", "\n", "<", ">", "</s", "<image", "s>", "|"];
        for fixed in SPECIAL.map(Some).into_iter().chain([None; 200]) {
            let mut question = "x".to_string();
            for _ in 0..random.random_range(1..6) {
                if random.random_bool(0.5) {
                    question += SPECIAL[random.random_range(0..6)];
                } else {
                    question += words[random.random_range(0..words.len())];
                }
            }
            question += "y";
            if let Some(token) = fixed {
                question = token.to_string();
            }
            let prompt = template.render(&question, 1).unwrap();
            let found = tokenizer
                .encode_prompt(&prompt, &[PictureText::rows(1)])
                .unwrap();
            assert_eq!(
                controls(&found),
                controls(&ordinary),
                "{style} {question:?}"
            );
            let answer = tokenizer.encode_answer(&question).unwrap();
            assert!(controls(&answer).is_empty(), "{style} {question:?}");
            assert_eq!(tokenizer.decode(&answer).unwrap(), question, "{style}");
            // Everything after the picture, without its control tokens, is the question and the
            // template's words.
            let rest = found
                .iter()
                .skip_while(|id| **id != IMAGE)
                .copied()
                .filter(|id| !specials.contains(id));
            let text = tokenizer.decode(&rest.collect::<Vec<_>>()).unwrap();
            assert!(
                text.contains(question.trim()),
                "{style} {question:?}: {text:?}"
            );
        }
    }
}

/// Encoding with special tokens kept apart gives the same ids as plain encoding if the text has no
/// special tokens.
#[test]
fn both_ways_of_encoding_agree() {
    let recorded = recorded("prompts.json");
    for style in STYLES {
        let (tokenizer, template) = load(style);
        for case in recorded[style].as_array().unwrap() {
            let prompt = template
                .render(case["question"].as_str().unwrap(), 1)
                .unwrap();
            // A special token at the very end changes the encoding's path, but not the ids before
            // it.
            let marked = Rendered {
                question: format!("{} </s>", prompt.question),
                after: "".to_string(),
                ..prompt.clone()
            };
            let plain = Rendered {
                question: format!("{} ", prompt.question),
                after: "".to_string(),
                ..prompt
            };
            let marked = tokenizer
                .encode_prompt(&marked, &[PictureText::rows(1)])
                .unwrap();
            let plain = tokenizer
                .encode_prompt(&plain, &[PictureText::rows(1)])
                .unwrap();
            // The last piece may merge with what follows it.
            let shared = plain.len() - 1;
            assert_eq!(marked[..shared], plain[..shared], "{style}");
        }
    }
}

#[test]
fn private_marks_in_a_question() {
    let (tokenizer, template) = load("chatml");
    let forged = "\u{F0001}</s>\u{F0003}";
    let prompt = template.render(forged, 1).unwrap();
    assert!(matches!(
        tokenizer.encode_prompt(&prompt, &[PictureText::rows(1)]),
        Err(CheckpointError::SpecialInText {
            what: "question",
            ..
        })
    ));
    assert!(matches!(
        tokenizer.encode_answer(forged),
        Err(CheckpointError::SpecialInText { what: "answer", .. })
    ));
    let between = template.render("</s>", 1).unwrap();
    assert!(
        tokenizer
            .encode_prompt(&between, &[PictureText::rows(1)])
            .is_ok()
    );
}

/// Creates the `chatml` tokenizer's folder with this template, and with changes to tokenizer.json.
fn folder(template: Option<&str>, change: impl Fn(&mut Value)) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::copy(data("chatml").join(name), dir.path().join(name)).unwrap();
    }
    let config = json!({"text_config": {"eos_token_id": 2}});
    write(&dir, "config.json", config.to_string());
    if let Some(template) = template {
        write(&dir, "chat_template.jinja", template);
    }
    let path = dir.path().join("tokenizer.json");
    let mut json: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut json);
    write(&dir, "tokenizer.json", json.to_string());
    dir
}

#[test]
fn number_of_images_that_a_template_places() {
    let cases = [
        ("{{ messages[0]['content'][1]['text'] }}", None),
        (
            "<image><image>{{ messages[0]['content'][1]['text'] }}",
            Some(2),
        ),
        (
            "{% if messages[0]['content'] is string %}{{ raise_exception('no') }}{% endif %}\
             {{ messages[0]['content'][1]['text'] }}",
            Some(0),
        ),
    ];
    for (text, wanted) in cases {
        let dir = folder(Some(text), |_| {});
        let (tokenizer, template) = both(&files(&dir)).unwrap();
        let outcome = template
            .render("What?", 1)
            .and_then(|prompt| tokenizer.encode_prompt(&prompt, &[PictureText::rows(1)]));
        match wanted {
            // Indexing into a content that is a text gives an undefined value.
            None => assert!(
                matches!(outcome, Err(CheckpointError::Template { .. })),
                "{outcome:?}"
            ),
            Some(wanted) => {
                let error = outcome.unwrap_err();
                assert!(
                    matches!(
                        &error,
                        CheckpointError::ImageTokens { found, .. } if *found == wanted
                    ),
                    "{error}"
                );
                assert!(error.to_string().contains(if wanted == 0 {
                    "puts no image token"
                } else {
                    "puts 2 image tokens"
                }));
            }
        }
    }
}

#[test]
fn templates_that_fail() {
    let text = "<image>{{ messages[0]['content'][1]['text'] }}";
    let cases = [
        ("{% if %}".to_string(), "chat template"),
        (
            "{{ raise_exception('only for poets') }}".to_string(),
            "only for poets",
        ),
        ("<image>".to_string(), "does not write the question"),
        (
            format!("{text}{{{{ messages[0]['content'][1]['text'] }}}}"),
            "more than once",
        ),
        (
            format!("{{% if 'sad' in messages[0]['content'][1]['text'] %}}Oh. {{% endif %}}{text}"),
            "around this question",
        ),
    ];
    for (template, reason) in cases {
        let dir = folder(Some(&template), |_| {});
        let outcome = both(&files(&dir)).and_then(|(_, template)| template.render("a sad one", 1));
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, CheckpointError::Template { .. }) && error.to_string().contains(reason),
            "{error}"
        );
    }
    let dir = folder(None, |_| {});
    write(
        &dir,
        "tokenizer_config.json",
        json!({"chat_template": [{"name": "rag", "template": "x"}]}).to_string(),
    );
    let error = both(&files(&dir)).unwrap_err();
    assert!(
        matches!(error, CheckpointError::Template { .. })
            && error.to_string().contains("\"default\""),
        "{error}"
    );
}

#[test]
fn without_a_template_llava_1_5s() {
    let dir = folder(None, |_| {});
    let (_, template) = both(&files(&dir)).unwrap();
    let wanted = "A chat between a curious human and an artificial intelligence assistant. The \
                  assistant gives helpful, detailed, and polite answers to the human's questions. \
                  USER: <image>\nWhat? ASSISTANT:";
    assert_eq!(template.render("What?", 1).unwrap().text(), wanted);
    assert!(template.source().contains("built in"));
}

#[test]
fn a_template_may_trim_and_change_the_question() {
    let dir = folder(
        Some("<image>\n{{ messages[0]['content'][1]['text'].strip().upper() }}!"),
        |_| {},
    );
    let rendered = both(&files(&dir))
        .unwrap()
        .1
        .render("  what? \n", 1)
        .unwrap();
    assert_eq!(
        (
            rendered.before.as_str(),
            rendered.question.as_str(),
            rendered.after.as_str()
        ),
        ("<image>\n", "WHAT?", "!")
    );
}

#[test]
fn no_image_token() {
    let dir = folder(None, |_| {});
    let error = Tokenizer::load(&files(&dir), ImageToken::Id(9999)).unwrap_err();
    assert!(
        matches!(&error, CheckpointError::NoImageToken { id: 9999, text, .. } if text == "<image>"),
        "{error}"
    );
}

#[test]
fn an_image_token_that_is_not_special_is_text_in_a_question_too() {
    let dir = folder(None, |json| {
        for token in json["added_tokens"].as_array_mut().unwrap() {
            token["special"] = json!(token["content"] != "<image>" && token["special"] == true);
        }
    });
    let (tokenizer, template) = both(&files(&dir)).unwrap();
    let found = tokenizer
        .encode_prompt(
            &template.render("an <image> here", 1).unwrap(),
            &[PictureText::rows(1)],
        )
        .unwrap();
    assert_eq!(found.iter().filter(|id| **id == IMAGE).count(), 1);
}

/// A vocabulary of whole words may contain a special token's text as a word, which then cannot be
/// kept as text.
#[test]
fn special_tokens_that_cannot_be_text() {
    let dir = folder(None, |json| {
        json["pre_tokenizer"] = json!({"type": "WhitespaceSplit"});
        let vocab = json["model"]["vocab"].clone();
        json["model"] = json!({"type": "WordLevel", "vocab": vocab, "unk_token": "<unk>"});
    });
    let (tokenizer, template) = both(&files(&dir)).unwrap();
    let prompt = template.render("an <image> here", 1).unwrap();
    let error = tokenizer
        .encode_prompt(&prompt, &[PictureText::rows(1)])
        .unwrap_err();
    assert!(
        matches!(&error, CheckpointError::SpecialInText { token, .. } if token == "<image>"),
        "{error}"
    );
    assert!(matches!(
        tokenizer.encode_answer("</s>"),
        Err(CheckpointError::SpecialInText { .. })
    ));
}

#[test]
fn tokenizers_that_cannot_be_loaded() {
    let dir = folder(None, |json| json["model"]["type"] = json!("none"));
    assert!(matches!(
        both(&files(&dir)),
        Err(CheckpointError::Tokenizer { .. })
    ));
    std::fs::remove_file(dir.path().join("tokenizer.json")).unwrap();
    assert!(matches!(
        both(&files(&dir)),
        Err(CheckpointError::MissingFile { .. })
    ));
    write(&dir, "tokenizer.model", "x");
    let message = both(&files(&dir)).unwrap_err().to_string();
    assert!(
        message.contains("SentencePiece") && message.contains("save_pretrained"),
        "{message}"
    );
}

#[test]
fn tokens_that_only_tokenizer_config_has() {
    let entry = |content: &str| {
        json!({
            "content": content, "special": true, "lstrip": false, "rstrip": false,
            "single_word": false, "normalized": false
        })
    };
    let dir = folder(None, |_| {});
    let size = both(&files(&dir)).unwrap().0.vocab_size();
    let config = |id: usize| {
        json!({"added_tokens_decoder": {
            id.to_string(): entry("<extra>"), "3": entry("<image>")
        }})
    };
    write(&dir, "tokenizer_config.json", config(size).to_string());
    let (tokenizer, _) = both(&files(&dir)).unwrap();
    assert_eq!(tokenizer.token(size as u32).as_deref(), Some("<extra>"));
    assert!(
        tokenizer.encode_answer("<extra>").unwrap().len() > 1,
        "text in an answer"
    );
    write(&dir, "tokenizer_config.json", config(size + 5).to_string());
    assert!(matches!(
        both(&files(&dir)),
        Err(CheckpointError::Tokenizer { .. })
    ));
}

/// The tokens of generation_config.json alone, else of config.json, else of its `text_config`, else
/// the tokenizer's own.
#[test]
fn what_ends_an_answer() {
    let dir = folder(None, |_| {});
    let stops = || -> Vec<u32> {
        let (tokenizer, _) = both(&files(&dir)).unwrap();
        tokenizer.stop_ids().iter().copied().collect()
    };
    let generation = |json: Value| write(&dir, "generation_config.json", json.to_string());
    generation(json!({"eos_token_id": [7, 5]}));
    assert_eq!(stops(), [5, 7]);
    generation(json!({"eos_token_id": null}));
    assert!(stops().is_empty());
    generation(json!({"eos_token_id": "x"}));
    assert!(matches!(
        both(&files(&dir)),
        Err(CheckpointError::Config { .. })
    ));
    std::fs::remove_file(dir.path().join("generation_config.json")).unwrap();
    assert_eq!(stops(), [2], "of text_config");
    let config = json!({"eos_token_id": 5, "text_config": {"eos_token_id": 2}});
    write(&dir, "config.json", config.to_string());
    assert_eq!(stops(), [5]);
    std::fs::remove_file(dir.path().join("config.json")).unwrap();
    write(&dir, "tokenizer_config.json", "{}");
    let map = json!({"eos_token": {"content": "<|end|>"}});
    write(&dir, "special_tokens_map.json", map.to_string());
    assert_eq!(stops(), [5]);
}

#[test]
fn decoding_never_fails() {
    let (tokenizer, _) = load("chatml");
    assert_eq!(tokenizer.decode(&[]).unwrap(), "");
    assert_eq!(tokenizer.decode(&[u32::MAX]).unwrap(), "");
    assert_eq!(tokenizer.decode(&[2]).unwrap(), "</s>");
}

//! Limits on a tokenizer.json, checked before the `tokenizers` crate acts on it.
//!
//! The crate trusts its files: it allocates the memory that a character map claims to need, and
//! lets normalizers grow a text without limit. A failed allocation or exhausted memory ends the
//! process, so such files are refused here.

use std::collections::HashSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

/// Maximum number of normalizers, pre-tokenizers, decoders and post-processors together.
const STAGES: usize = 64;
/// Maximum bytes of a token: more than any word, less than the depth that a tree of characters can
/// have.
const TOKEN: usize = 2048;
/// Maximum bytes of a regular expression.
const PATTERN: usize = 10_000;
/// Maximum product of the repetition bounds in a regular expression.
const REPETITIONS: u64 = 1000;
/// Maximum bytes of a text while it is split.
const GROWN: f64 = (4 << 20) as f64;
/// Bytes of a text that every tokenizer must be able to process.
const PROMPT: f64 = 1024.0;

/// The parts of a tokenizer.json except its vocabulary's words.
#[derive(Deserialize)]
pub(super) struct Shape {
    #[serde(default)]
    pub normalizer: Value,
    #[serde(default)]
    pub pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    pub decoder: Value,
    #[serde(default)]
    pub added_tokens: Vec<Listed>,
    pub model: Model,
}

/// A token of the list `added_tokens`.
#[derive(Deserialize)]
pub(super) struct Listed {
    pub id: u32,
    pub content: String,
}

#[derive(Deserialize)]
pub(super) struct Model {
    #[serde(default)]
    vocab: Option<Vocabulary>,
    #[serde(default)]
    pub fuse_unk: Value,
    #[serde(default)]
    pub byte_fallback: Value,
}

/// The growth of a text: a factor, and a number of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growth {
    factor: f64,
    more: f64,
}

impl Growth {
    const NONE: Self = Self {
        factor: 1.0,
        more: 0.0,
    };

    fn by(factor: f64) -> Self {
        Self { factor, more: 0.0 }
    }

    fn then(self, next: Self) -> Self {
        Self {
            factor: self.factor * next.factor,
            more: self.more * next.factor + next.more,
        }
    }

    /// Returns an error if a text could grow too long.
    pub fn check(self, bytes: usize) -> Result<(), String> {
        if bytes as f64 * self.factor + self.more <= GROWN {
            return Ok(());
        }
        Err(format!(
            "{bytes} bytes of text could grow beyond {GROWN} bytes"
        ))
    }
}

/// How far texts and tokens can grow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Growths {
    pub encoding: Growth,
    pub decoding: Growth,
}

impl Shape {
    /// Reads the shape of a tokenizer.json and checks it.
    ///
    /// # Errors
    /// The fault, with the part's name.
    pub fn read(text: &str) -> Result<(Self, Growths), String> {
        let shape: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if shape
            .model
            .vocab
            .as_ref()
            .is_none_or(|vocabulary| vocabulary.tokens == 0)
        {
            return Err("model.vocab: the vocabulary is empty".to_string());
        }
        let mut seen = HashSet::new();
        for token in &shape.added_tokens {
            if token.content.is_empty() {
                return Err(format!("added_tokens: token {} has no text", token.id));
            }
            if token.content.len() > TOKEN {
                let length = token.content.len();
                return Err(format!(
                    "added_tokens: token {} has {length} bytes; expected at most {TOKEN}",
                    token.id
                ));
            }
            if !seen.insert(token.id) {
                return Err(format!("added_tokens: two tokens have id {}", token.id));
            }
        }
        let mut stages = 0;
        let mut part = |name: &str, value: &Value| {
            growth(value, &mut stages).map_err(|reason| format!("{name}: {reason}"))
        };
        let normalizer = part("normalizer", &shape.normalizer)?;
        let encoding = normalizer.then(part("pre_tokenizer", &shape.pre_tokenizer)?);
        let decoding = part("decoder", &shape.decoder)?;
        part("post_processor", &shape.post_processor)?;
        let short = |reason| format!("normalizer, pre_tokenizer or decoder: {reason}");
        encoding.check(PROMPT as usize).map_err(short)?;
        decoding.check(PROMPT as usize).map_err(short)?;
        let added: usize = shape
            .added_tokens
            .iter()
            .map(|token| token.content.len())
            .sum();
        // Each token is normalised by itself, so they do not form one text.
        let added =
            normalizer.factor * f64::max(added as f64, 1.0) + normalizer.more * seen.len() as f64;
        if added > 16.0 * GROWN {
            return Err("added_tokens: they grow too long when they are normalised".to_string());
        }
        Ok((shape, Growths { encoding, decoding }))
    }

    /// Checks whether the file splits text into bytes, as `tokenizers` writes it.
    pub fn is_byte_level(&self) -> bool {
        [&self.pre_tokenizer, &self.decoder]
            .iter()
            .any(|part| part.to_string().contains("\"ByteLevel\""))
    }
}

/// Returns how much a stage and its nested stages let a text grow. Stages are identified by their
/// fields, since old files have no types.
fn growth(stage: &Value, stages: &mut usize) -> Result<Growth, String> {
    let Value::Object(fields) = stage else {
        return Ok(Growth::NONE);
    };
    *stages += 1;
    if *stages > STAGES {
        return Err(format!("more than {STAGES} stages"));
    }
    let kind = fields
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut total = match kind {
        "NFC" => Growth::by(3.0),
        "NFD" => Growth::by(4.0),
        "NFKC" | "NFKD" => Growth::by(11.0),
        "BertNormalizer" | "Bert" | "Lowercase" => Growth::by(4.0),
        "ByteLevel" => Growth {
            factor: 2.0,
            more: 2.0,
        },
        "Metaspace" => Growth {
            factor: 4.0,
            more: 4.0,
        },
        "WordPiece" => Growth::by(2.0 + text_of(fields.get("prefix")).len() as f64),
        "FixedLength" if fields.get("length") == Some(&Value::from(0)) => {
            return Err("FixedLength: expected a length of at least 1".to_string());
        }
        _ => Growth::NONE,
    };
    if let Some(map) = fields.get("precompiled_charsmap") {
        total = total.then(Growth::by(charsmap(map)?));
    }
    if let Some(prepended) = fields.get("prepend") {
        // It is prepended to each piece of text between added tokens.
        total = total.then(Growth::by(1.0 + text_of(Some(prepended)).len() as f64));
    }
    if let Some(pattern) = fields.get("pattern") {
        let content = text_of(fields.get("content")).len() as f64;
        total = total.then(Growth::by(replaced(pattern, content)?));
    }
    for list in ["normalizers", "pretokenizers", "decoders", "processors"] {
        for inner in fields
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            total = total.then(growth(inner, stages)?);
        }
    }
    if let Some(single) = fields.get("single") {
        template(single)?;
    }
    Ok(total)
}

fn text_of(value: Option<&Value>) -> &str {
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Returns the factor by which a text can grow when a pattern is replaced with `content` bytes.
fn replaced(pattern: &Value, content: f64) -> Result<f64, String> {
    if let Some(text) = pattern.get("String").and_then(Value::as_str) {
        if text.is_empty() {
            return Err("expected a pattern that is not empty".to_string());
        }
        return Ok(f64::max(1.0, content / text.len() as f64));
    }
    let Some(regex) = pattern.get("Regex").and_then(Value::as_str) else {
        return Ok(1.0 + content);
    };
    if regex.len() > PATTERN {
        return Err(format!(
            "a pattern of {} bytes; expected at most {PATTERN}",
            regex.len()
        ));
    }
    if regex.is_empty() {
        return Err("expected a pattern that is not empty".to_string());
    }
    if repetitions(regex) > REPETITIONS {
        return Err(format!(
            "a pattern repeats a part more than {REPETITIONS} times"
        ));
    }
    // A pattern that can match the empty text matches between any two characters.
    let nothing = regex.contains(['*', '?', '|', '^', '$'])
        || regex.contains("{0")
        || regex.contains(r"\b")
        || regex.contains(r"\B");
    Ok(if nothing {
        1.0 + content
    } else {
        content.max(1.0)
    })
}

/// Returns the product of the repetition bounds in a regular expression.
fn repetitions(regex: &str) -> u64 {
    let bounds = regex.split('{').skip(1).filter_map(|rest| {
        let (inside, _) = rest.split_once('}')?;
        let numbers = inside.split(',').filter_map(|number| {
            let digits = number.trim();
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            is_number.then(|| digits.parse::<u64>().unwrap_or(u64::MAX))
        });
        numbers.max()
    });
    bounds.fold(1, |product, bound| product.saturating_mul(bound.max(1)))
}

/// Returns the length of the longest text in a character map, in bytes. Its layout: the length of a
/// tree, the tree, texts that end with 0.
fn charsmap(map: &Value) -> Result<f64, String> {
    let wrong = |reason: &str| format!("precompiled_charsmap: {reason}");
    let text = map.as_str().ok_or_else(|| wrong("expected a text"))?;
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| wrong(&error.to_string()))?;
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Err(wrong("expected a tree's length, found the end"));
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length < 4 || !length.is_multiple_of(4) || length > rest.len() {
        return Err(wrong(&format!(
            "a tree of {length} bytes in {}",
            rest.len()
        )));
    }
    // Steps out of the tree are caught where they are made.
    let texts = &rest[length..];
    let longest = texts
        .split(|byte| *byte == 0)
        .map(<[u8]>::len)
        .max()
        .unwrap_or(0);
    Ok(f64::max(1.0, longest as f64))
}

/// Checks a post-processor's template for one text: the text must occur once.
fn template(single: &Value) -> Result<(), String> {
    let pieces: Vec<Value> = match single {
        Value::String(text) => text.split_whitespace().map(Value::from).collect(),
        Value::Array(pieces) => pieces.clone(),
        _ => return Ok(()),
    };
    let is_sequence = |piece: &Value, wanted: &[&str]| match piece {
        Value::String(text) => text.strip_prefix('$').is_some_and(|rest| {
            let id = rest.split(':').next().unwrap_or_default();
            wanted.contains(&id)
                || (wanted.contains(&"A") && id.bytes().all(|b| b.is_ascii_digit()))
        }),
        other => other["Sequence"]["id"]
            .as_str()
            .is_some_and(|id| wanted.contains(&id)),
    };
    let text = pieces
        .iter()
        .filter(|piece| is_sequence(piece, &["A", "a", ""]))
        .count();
    let other = pieces.iter().any(|piece| is_sequence(piece, &["B", "b"]));
    if text != 1 || other {
        return Err("expected the sequence A once, and no other, in \"single\"".to_string());
    }
    Ok(())
}

/// The number of tokens in a vocabulary; their ids must differ.
struct Vocabulary {
    tokens: usize,
}

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Vocabulary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a vocabulary: tokens with their ids, or a list of tokens with their scores")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
        let mut ids = HashSet::new();
        while let Some((token, id)) = map.next_entry::<String, u32>()? {
            if token.len() > TOKEN {
                return Err(A::Error::custom(too_long(id, token.len())));
            }
            if !ids.insert(id) {
                return Err(A::Error::custom(format!(
                    "two tokens of the vocabulary have id {id}"
                )));
            }
        }
        Ok(Vocabulary { tokens: ids.len() })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vocabulary, A::Error> {
        let mut tokens = 0;
        while let Some((token, _)) = list.next_element::<(String, IgnoredAny)>()? {
            if token.len() > TOKEN {
                return Err(A::Error::custom(too_long(tokens as u32, token.len())));
            }
            tokens += 1;
        }
        Ok(Vocabulary { tokens })
    }
}

fn too_long(id: u32, length: usize) -> String {
    format!("token {id} of the vocabulary has {length} bytes; expected at most {TOKEN}")
}

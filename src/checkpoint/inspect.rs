//! What a checkpoint is and what it lacks, without running it.

use super::{
    ChatTemplate, CheckpointError, Files, LlavaConfig, Names, RopeScaling, Tensors, Tokenizer,
    expected_tensors, read_config, read_processor, untie,
};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// How many tensors of one list are written out for people; all are in the lists themselves.
const SHOWN: usize = 20;

/// A summary of a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The folder, or the embedded model's name.
    pub path: String,
    /// The model family, `llava`.
    pub family: String,
    /// Numbers in all tensors.
    pub parameters: usize,
    /// Their bytes.
    pub bytes: usize,
    /// How many numbers there are of each storage format.
    pub dtypes: BTreeMap<String, usize>,
    /// Vision encoder, projector, decoder.
    pub parts: Vec<Part>,
    /// Visual tokens that one picture becomes.
    pub image_tokens: usize,
    /// Where the chat template is from.
    pub chat_template: Option<String>,
    /// Tokens in the tokenizer's vocabulary.
    pub tokens: Option<usize>,
    /// The weight files.
    pub weight_files: Vec<String>,
    /// All files of the folder.
    pub files: Vec<String>,
    /// Tensors that the architecture needs and the files lack, with the shapes that the config asks for.
    pub missing: Vec<NamedShape>,
    /// Tensors whose shape contradicts the config.
    pub contradicting: Vec<Contradiction>,
    /// Tensors of the architecture that are never used, such as encoder layers after the one whose output is taken.
    pub unused: Vec<NamedShape>,
    /// Tensors that are no part of the architecture.
    pub unexpected: Vec<NamedShape>,
    /// What else stands in the way of using it.
    pub problems: Vec<String>,
}

/// One part of the model.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Which.
    pub name: String,
    /// Its sizes and choices, by name.
    pub sizes: Map<String, Value>,
    /// Numbers in its tensors.
    pub parameters: usize,
    /// Their bytes.
    pub bytes: usize,
}

/// A tensor's name and shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedShape {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A tensor whose shape is not what the config asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// Its name.
    pub name: String,
    /// The shape that the config asks for.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

/// Looks at the checkpoint in a folder.
///
/// # Errors
/// Only what keeps it from being described: no folder, a config or weight files that cannot be read, an unsupported
/// architecture. What is missing or wrong beyond that is listed in the result.
pub fn inspect(path: impl AsRef<Path>) -> Result<Inspection, CheckpointError> {
    inspect_files(&Files::folder(path)?)
}

/// As [`inspect`], wherever the files are.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_files(files: &Files) -> Result<Inspection, CheckpointError> {
    let mut config = read_config(files)?;
    let tensors = Tensors::open(files)?;
    let names = Names::find(&tensors)?;
    untie(&mut config, &tensors, &names);
    let expected = expected_tensors(&config, &names);
    let known: BTreeSet<String> = expected.iter().map(|(name, _)| name.clone()).collect();
    let possible = possible_tensors(&config, &names);
    let (unused, unexpected) = tensors
        .iter()
        .filter(|tensor| !known.contains(&tensor.name))
        .map(|tensor| NamedShape {
            name: tensor.name.clone(),
            shape: tensor.shape.clone(),
        })
        .partition(|tensor: &NamedShape| possible.contains(&tensor.name));

    let (mut missing, mut contradicting, mut problems) = (Vec::new(), Vec::new(), Vec::new());
    for (name, shape) in expected {
        match tensors.require(&name, &shape) {
            Ok(_) => {}
            Err(CheckpointError::MissingTensor { .. }) => missing.push(NamedShape { name, shape }),
            Err(CheckpointError::ShapeMismatch { found, .. }) => {
                contradicting.push(Contradiction {
                    name,
                    expected: shape,
                    found,
                });
            }
            Err(other) => problems.push(other.to_string()),
        }
    }
    let mut noted = |error: CheckpointError| problems.push(error.to_string());
    let tokenizer = Tokenizer::load(files, &config).map_err(&mut noted).ok();
    let template = tokenizer
        .as_ref()
        .and_then(|known| ChatTemplate::load(files, known).map_err(&mut noted).ok());
    read_processor(files).map_err(&mut noted).ok();

    let mut dtypes = BTreeMap::new();
    for tensor in tensors.iter() {
        *dtypes.entry(tensor.dtype.to_string()).or_insert(0) += tensor.elements();
    }
    Ok(Inspection {
        path: files.name(),
        family: "llava".to_string(),
        parameters: tensors.total_parameters(),
        bytes: tensors.total_bytes(),
        dtypes,
        parts: parts(&config, &tensors, &names),
        image_tokens: config.image_tokens(),
        chat_template: template.map(|template| template.source().to_string()),
        tokens: tokenizer.map(|tokenizer| tokenizer.vocab_size()),
        weight_files: tensors.files().to_vec(),
        files: files.list()?,
        missing,
        contradicting,
        unused,
        unexpected,
        problems,
    })
}

impl Inspection {
    /// Whether nothing that is needed is missing or wrong.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.contradicting.is_empty() && self.problems.is_empty()
    }
}

/// Names of all tensors that the whole architecture has, used or not.
fn possible_tensors(config: &LlavaConfig, names: &Names) -> BTreeSet<String> {
    let mut whole = config.clone();
    whole.feature_layer = -1;
    whole.text.tied_embeddings = false;
    let norm = ["weight", "bias"].map(|end| format!("{}post_layernorm.{end}", names.vision));
    expected_tensors(&whole, names)
        .into_iter()
        .map(|(name, _)| name)
        .chain(norm)
        .collect()
}

fn parts(config: &LlavaConfig, tensors: &Tensors, names: &Names) -> Vec<Part> {
    let (vision, text) = (&config.vision, &config.text);
    let rope = match text.rope_scaling {
        RopeScaling::None => "default".to_string(),
        RopeScaling::Linear { factor } => format!("linear x{factor}"),
        RopeScaling::Llama3 { factor, .. } => format!("llama3 x{factor}"),
    };
    let part = |name: &str, prefixes: &[&str], sizes: Value| {
        let own = || {
            tensors.iter().filter(|tensor| {
                prefixes
                    .iter()
                    .any(|prefix| tensor.name.starts_with(prefix))
            })
        };
        Part {
            name: name.to_string(),
            sizes: if let Value::Object(map) = sizes {
                map
            } else {
                Map::new()
            },
            parameters: own().map(|tensor| tensor.elements()).sum(),
            bytes: own().map(|tensor| tensor.bytes().len()).sum(),
        }
    };
    let encoder = json!({
        "kind": "CLIP ViT", "layers": vision.layers, "used": config.vision_layers_used(), "width": vision.hidden,
        "heads": vision.heads, "mlp": vision.intermediate, "pixels": vision.image_size, "patch": vision.patch_size,
        "activation": vision.activation.to_string(),
    });
    let projector = json!({
        "kind": "two-layer MLP", "from": vision.hidden, "to": text.hidden,
        "activation": config.projector_activation.to_string(),
    });
    let decoder = json!({
        "kind": "Llama", "layers": text.layers, "width": text.hidden, "heads": text.heads,
        "key-value heads": text.kv_heads, "head width": text.head_dim, "mlp": text.intermediate, "vocabulary": text.vocab,
        "context": text.max_positions, "rope": rope, "tied embeddings": text.tied_embeddings,
        "activation": text.activation.to_string(),
    });
    vec![
        part("vision encoder", &[&names.vision], encoder),
        part("projector", &[&names.projector], projector),
        part(
            "decoder",
            &[&names.decoder, names.head_or_default()],
            decoder,
        ),
    ]
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dtypes: Vec<&str> = self.dtypes.keys().map(String::as_str).collect();
        writeln!(f, "{}", self.path)?;
        let mut row = |label: &str, value: &str| writeln!(f, "  {label:<16} {value}");
        row("family", &self.family)?;
        let weights = self.weight_files.len();
        let plural = if weights == 1 { "" } else { "s" };
        let (count, size, dtypes) = (
            Count(self.parameters),
            Size(self.bytes),
            dtypes.join(" and "),
        );
        row(
            "weights",
            &format!("{count} parameters in {dtypes}, {size}, {weights} file{plural}"),
        )?;
        for part in &self.parts {
            row(
                &part.name,
                &format!(
                    "{} parameters, {}",
                    Count(part.parameters),
                    Size(part.bytes)
                ),
            )?;
            let sizes: Vec<String> = part
                .sizes
                .iter()
                .map(|(name, value)| {
                    format!(
                        "{name} {}",
                        value.as_str().map_or(value.to_string(), str::to_string)
                    )
                })
                .collect();
            for line in sizes.chunks(5) {
                row("", &line.join(", "))?;
            }
        }
        row("visual tokens", &self.image_tokens.to_string())?;
        row(
            "tokenizer",
            &self
                .tokens
                .map_or("none".to_string(), |tokens| format!("{tokens} tokens")),
        )?;
        row(
            "chat template",
            self.chat_template.as_deref().unwrap_or("none"),
        )?;
        row("unused", &format!("{} tensors", self.unused.len()))?;
        let mut list = |label: &str, lines: Vec<String>| {
            if lines.is_empty() {
                return row(label, "none");
            }
            row(label, &lines.len().to_string())?;
            lines
                .iter()
                .take(SHOWN)
                .try_for_each(|line| row("", line))?;
            match lines.len().saturating_sub(SHOWN) {
                0 => Ok(()),
                more => row("", &format!("and {more} more")),
            }
        };
        let shapes = |tensors: &[NamedShape]| {
            tensors
                .iter()
                .map(|t| format!("{} {:?}", t.name, t.shape))
                .collect()
        };
        list("unexpected", shapes(&self.unexpected))?;
        list("missing", shapes(&self.missing))?;
        let contradictions = self.contradicting.iter().map(|c| {
            format!(
                "{}: config asks for {:?}, found {:?}",
                c.name, c.expected, c.found
            )
        });
        list("contradicting", contradictions.collect())?;
        list("problems", self.problems.clone())
    }
}

/// A number of parameters as people say it.
struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1_000_000_000 => write!(f, "{:.2} billion", n as f64 / 1e9),
            n if n >= 1_000_000 => write!(f, "{:.2} million", n as f64 / 1e6),
            n => write!(f, "{n}"),
        }
    }
}

/// A number of bytes as people say it.
struct Size(usize);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n >= 1_000_000_000 => write!(f, "{:.2} GB", n as f64 / 1e9),
            n if n >= 1_000_000 => write!(f, "{:.2} MB", n as f64 / 1e6),
            n => write!(f, "{n} bytes"),
        }
    }
}

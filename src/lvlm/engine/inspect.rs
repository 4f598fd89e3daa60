//! A summary of a checkpoint and of what it lacks, without running it.

use super::fit::{OpenOptions, fit, listed};
use super::open::{self, tokenizer};
use crate::checkpoint::{
    ChatTemplate, CheckpointError, Config, Files, ImageToken, ProcessorFile, Tensor, Tensors,
};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::families::refused;
use crate::lvlm::families::registry::{Visitor, visit};
use crate::lvlm::family::traits::{Family, ImageProcessing, PartOf};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The number of tensors of one list that are displayed; all are in the lists themselves.
const SHOWN: usize = 20;

/// A summary of a checkpoint.
#[derive(Debug, Clone, Serialize)]
pub struct Inspection {
    /// The folder, or the embedded model's name.
    pub path: String,
    /// The model family, such as `llava`.
    pub family: String,
    /// Numbers in all tensors of its own files.
    pub parameters: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The number of parameters in each storage format.
    pub dtypes: BTreeMap<String, usize>,
    /// Vision encoder, projector, decoder.
    pub parts: Vec<ModelPart>,
    /// Visual tokens that one picture becomes: a number where it is the same for all, else those of
    /// a picture of 640 x 480.
    pub image_tokens: Option<usize>,
    /// The source of the chat template.
    pub chat_template: Option<String>,
    /// Tokens in the tokenizer's vocabulary.
    pub tokens: Option<usize>,
    /// The weight files.
    pub weight_files: Vec<String>,
    /// All files of the folder.
    pub files: Vec<String>,
    /// Tensors that the architecture needs and the files lack, with the shapes that the config
    /// says.
    pub missing: Vec<NamedShape>,
    /// Tensors whose shape contradicts the config.
    pub contradicting: Vec<Contradiction>,
    /// Tensors of the architecture that are never used, such as encoder layers after the selected
    /// one.
    pub unused: Vec<NamedShape>,
    /// Tensors that are no part of the architecture.
    pub unexpected: Vec<NamedShape>,
    /// Other problems that prevent its use.
    pub problems: Vec<String>,
}

/// One part of the model.
#[derive(Debug, Clone, Serialize)]
pub struct ModelPart {
    /// The name of the part.
    pub name: String,
    /// Its sizes and choices, by name.
    pub sizes: Map<String, Value>,
    /// Numbers in its tensors.
    pub parameters: usize,
    /// Their bytes.
    pub bytes: usize,
    /// The checkpoint that holds them, where that is not the model's own: then they are not among
    /// the model's parameters.
    pub checkpoint: Option<String>,
}

/// A tensor's name and shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedShape {
    /// Its name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A tensor whose shape is not the one that the config says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// Its name.
    pub name: String,
    /// The shape that the config says.
    pub expected: Vec<usize>,
    /// The shape in the file.
    pub found: Vec<usize>,
}

/// Inspects the checkpoint in a folder, or by its name in Hugging Face's cache.
///
/// # Errors
/// Only what prevents a description: no folder, a config or weight files that cannot be read, an
/// unsupported architecture. What is missing or wrong beyond that is listed in the result.
pub fn inspect(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Inspection> {
    inspect_files(&open::files(path.as_ref())?, options)
}

/// As [`inspect`], wherever the files are.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_files(files: &Files, options: &OpenOptions) -> Result<Inspection> {
    refused::adapter(files)?;
    let config = Config::read(files)?;
    refused::kinds(&config)?;
    visit(&config, Inspect(files, &options.encoders))?
}

struct Inspect<'a>(&'a Files, &'a [PathBuf]);

impl Visitor for Inspect<'_> {
    type Output = Result<Inspection>;

    fn visit<F: Family>(self, family: F) -> Self::Output {
        inspection(self.0, self.1, family)
    }
}

/// Width and height of the picture whose visual tokens are counted.
const PICTURE: (u32, u32) = (640, 480);

fn inspection<F: Family>(files: &Files, encoders: &[PathBuf], mut family: F) -> Result<Inspection> {
    let tensors = Tensors::open(files)?;
    refused::quantised(files, &tensors)?;
    let options = OpenOptions {
        encoders: encoders.to_vec(),
        compat: None,
    };
    fit(&mut family, files, &tensors, &options)?;
    let Held {
        missing,
        contradicting,
        unused,
        unexpected,
        mut problems,
    } = Held::of(&family, &tensors)?;
    let mut noted = |error: CheckpointError| problems.push(error.to_string());
    let tokenizer = tokenizer(files, &family).map_err(&mut noted).ok();
    let template = tokenizer.as_ref().and_then(|known| {
        ChatTemplate::load(files, known, family.template(known))
            .map_err(&mut noted)
            .ok()
    });
    let processor = ProcessorFile::read(files).map_err(&mut noted).ok();
    if let (ImageToken::Id(_), Some(processor), Some(tokenizer)) =
        (family.image_token(), &processor, &tokenizer)
    {
        let agrees = processor.check_image_token(
            files,
            tokenizer,
            F::image_token_name(),
            F::image_token_text(),
        );
        let limit = agrees.and_then(|()| processor.clone().with_text_limit(files));
        if let Err(error) = limit {
            noted(error);
        }
    }
    let image_tokens = processor.and_then(|processor| {
        let (width, height) = PICTURE;
        let processing = family.image_processing(&processor);
        let arranged = processing.and_then(|processing| processing.token_layout(width, height));
        let noted = |error: LvlmError| problems.push(error.to_string());
        arranged.map_err(noted).ok().map(|(_, tokens)| tokens)
    });

    let mut dtypes = BTreeMap::new();
    for tensor in tensors.iter() {
        *dtypes.entry(tensor.dtype.to_string()).or_insert(0) += tensor.elements();
    }
    Ok(Inspection {
        path: files.name(),
        family: F::NAME.to_string(),
        parameters: tensors.total_parameters(),
        bytes: tensors.total_bytes(),
        dtypes,
        parts: parts(&family, &tensors),
        image_tokens,
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

/// The tensors of a checkpoint compared with those that a family's layers need.
pub(in crate::lvlm) struct Held {
    pub missing: Vec<NamedShape>,
    pub contradicting: Vec<Contradiction>,
    pub unused: Vec<NamedShape>,
    pub unexpected: Vec<NamedShape>,
    pub problems: Vec<String>,
}

impl Held {
    /// Compares the tensors with a family that was fitted to them.
    ///
    /// # Errors
    /// Errors of listing the family's tensors.
    pub fn of<F: Family>(family: &F, tensors: &Tensors) -> Result<Held> {
        let expected = listed(family)?;
        let (decoder, names) = family.decoder();
        let known: BTreeSet<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
        let possible: BTreeSet<String> = listed(&family.whole())?
            .into_iter()
            .map(|(name, _)| name)
            .chain(family.never_used())
            .chain(decoder.never_used(names))
            .collect();
        let (unused, unexpected) = tensors
            .iter()
            .filter(|tensor| !known.contains(tensor.name.as_str()))
            .map(|tensor| NamedShape {
                name: tensor.name.clone(),
                shape: tensor.shape.clone(),
            })
            .partition(|tensor: &NamedShape| possible.contains(&tensor.name));
        let mut held = Held {
            missing: Vec::new(),
            contradicting: Vec::new(),
            unused,
            unexpected,
            problems: Vec::new(),
        };
        for (name, shape) in expected {
            match tensors.require(&name, &shape) {
                Ok(_) => {}
                Err(CheckpointError::MissingTensor { .. }) => {
                    held.missing.push(NamedShape { name, shape });
                }
                Err(CheckpointError::ShapeMismatch { found, .. }) => {
                    held.contradicting.push(Contradiction {
                        name,
                        expected: shape,
                        found,
                    });
                }
                Err(other) => held.problems.push(other.to_string()),
            }
        }
        Ok(held)
    }
}

/// Returns the family's parts, then its decoder.
fn parts<F: Family>(family: &F, tensors: &Tensors) -> Vec<ModelPart> {
    let (decoder, names) = family.decoder();
    let decoder = PartOf {
        name: "decoder",
        prefixes: vec![names.prefix.clone(), names.head.clone()],
        sizes: decoder.sizes(),
    };
    let all: Vec<PartOf> = family.parts().into_iter().chain([decoder]).collect();
    // A tensor is of the part whose prefix says the most about it.
    let of = |name: &str| {
        let longest = |part: &PartOf| {
            let fits = part.prefixes.iter().filter(|p| name.starts_with(*p));
            fits.map(String::len).max()
        };
        let lengths = all
            .iter()
            .enumerate()
            .filter_map(|(i, p)| Some((longest(p)?, i)));
        lengths.max().map(|(_, i)| i)
    };
    let outside = family.outside();
    let part = |(i, part): (usize, &PartOf)| {
        let outside = outside.iter().find(|outside| outside.part == part.name);
        let held: Vec<&Tensor> = match outside {
            Some(outside) => {
                let all = outside.tensors.iter();
                all.filter(|t| t.name.starts_with(outside.prefix)).collect()
            }
            None => tensors.iter().filter(|t| of(&t.name) == Some(i)).collect(),
        };
        ModelPart {
            name: part.name.to_string(),
            sizes: match &part.sizes {
                Value::Object(map) => map.clone(),
                _ => Map::new(),
            },
            parameters: held.iter().map(|tensor| tensor.elements()).sum(),
            bytes: held.iter().map(|tensor| tensor.bytes().len()).sum(),
            checkpoint: outside.map(|outside| outside.tensors.model().to_string()),
        }
    };
    all.iter().enumerate().map(part).collect()
}

impl Inspection {
    /// Returns whether nothing that is needed is missing or wrong.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.contradicting.is_empty() && self.problems.is_empty()
    }
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
            let (count, size) = (Count(part.parameters), Size(part.bytes));
            let place = part.checkpoint.as_ref();
            let place = place.map_or(String::new(), |place| format!(", in {place}"));
            row(&part.name, &format!("{count} parameters, {size}{place}"))?;
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
        row(
            "visual tokens",
            &self
                .image_tokens
                .map_or("unknown".to_string(), |tokens| tokens.to_string()),
        )?;
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

/// Displays a number of parameters.
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

/// Displays a number of bytes.
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

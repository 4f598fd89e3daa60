//! Settings of rotary position embedding in config.json.

mod kinds;

use serde_json::Value;

use super::CheckpointError;
use super::fields::Fields;
use kinds::{Type, long, plain, yarn};

/// The section of transformers 4.
const OLD: &str = "rope_scaling";
/// The section of transformers 5.
const NEW: &str = "rope_parameters";

/// Scaling of rotary frequencies for contexts longer than those trained on.
#[derive(Debug, Clone, PartialEq)]
pub enum RopeScaling {
    /// No scaling.
    None,
    /// Every frequency divided by `factor`.
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1's scaling: low frequencies divided by `factor`, high ones kept, a smooth
    /// transition between.
    Llama3 {
        /// The divisor of low frequencies.
        factor: f64,
        /// Frequencies are low if their wavelength is above
        /// `original_max_position_embeddings / low_freq_factor`.
        low_freq_factor: f64,
        /// Frequencies are high if their wavelength is below
        /// `original_max_position_embeddings / high_freq_factor`.
        high_freq_factor: f64,
        /// The context length trained on, in tokens.
        original_max_position_embeddings: usize,
    },
    /// YaRN (Peng et al., arXiv 2309.00071): low frequencies divided by `factor`, high ones kept, a
    /// linear transition between, by the number of the pair.
    Yarn {
        /// The divisor of low frequencies.
        factor: f64,
        /// Frequencies are high that turn more often than this within the context trained on,
        beta_fast: f64,
        /// and low that turn less often than this.
        beta_slow: f64,
        /// Whether the ends of the transition are rounded to whole pairs.
        truncate: bool,
        /// The context length trained on, in tokens.
        original_max_position_embeddings: usize,
        /// A factor of rotated queries and of rotated keys.
        attention_factor: f64,
    },
    /// `longrope` (Ding et al., arXiv 2402.13753), of sequences within the context trained on: each
    /// frequency has a divisor of its own.
    Long {
        /// The divisors.
        short_factor: Vec<f64>,
        /// The context length trained on, in tokens. Longer sequences have other divisors.
        original_max_position_embeddings: usize,
        /// A factor of rotated queries and of rotated keys.
        attention_factor: f64,
    },
}

impl RopeScaling {
    /// Returns the factor of rotated queries and of rotated keys.
    pub fn attention_factor(&self) -> f64 {
        match self {
            RopeScaling::Yarn {
                attention_factor, ..
            }
            | RopeScaling::Long {
                attention_factor, ..
            } => *attention_factor,
            _ => 1.0,
        }
    }
}

/// What a decoder's class makes of its rotary parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeClass {
    /// The base where none is given.
    pub theta: f64,
    /// Whether it knows the type `mrope`, which is the default one with positions along several
    /// axes.
    pub mrope: bool,
    /// Of a class that knows no types but `default` and `longrope`, and turns the first
    /// `partial_rotary_factor` of a head (Phi-3): the context trained on where none is given.
    pub partial: Option<usize>,
}

/// Rotary parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// Base of the frequencies.
    pub theta: f64,
    /// Their scaling.
    pub scaling: RopeScaling,
    /// The first columns of a head that are turned, an even number.
    pub columns: usize,
}

/// How `mrope_section` shares out the pairs of a head among time, rows and columns. The values are
/// its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RopeAxes {
    /// That many pairs in turn to each axis (Qwen2-VL).
    Sections(&'static [usize]),
    /// Pairs to time, row and column in turn, until rows and columns have their numbers; the others
    /// to time (Qwen3-VL).
    Interleaved(&'static [usize]),
}

/// Returns the section of rotary parameters. A `rope_scaling` (transformers 4) that is not empty
/// comes before `rope_parameters` (5).
fn section<'a>(fields: &Fields<'a>) -> Result<Fields<'a>, CheckpointError> {
    let old = fields.section(OLD)?;
    match old.is_given() && !old.is_empty() {
        true => Ok(old),
        false => fields.section(NEW),
    }
}

/// Returns the axis of each of a head's `pairs`: 0 is time, 1 rows, 2 columns.
///
/// # Errors
/// [`CheckpointError::Config`] for numbers in `mrope_section` that do not share out the pairs.
pub fn rope_axes(
    fields: &Fields,
    pairs: usize,
    shared: RopeAxes,
) -> Result<Vec<usize>, CheckpointError> {
    let name = "mrope_section";
    let rope = section(fields)?;
    let given = rope.sizes(name, pairs)?;
    let counts = match shared {
        RopeAxes::Sections(default) => given.as_deref().unwrap_or(default),
        RopeAxes::Interleaved(default) => {
            let counts = given.as_deref().unwrap_or(default);
            let &[_, rows, columns] = counts else {
                let found = rope.value(name).map_or("left out".into(), Value::to_string);
                return Err(rope.error(name, found, "three numbers"));
            };
            let own = |pair: usize| match pair % 3 {
                1 if pair < 3 * rows => 1,
                2 if pair < 3 * columns => 2,
                _ => 0,
            };
            return Ok((0..pairs).map(own).collect());
        }
    };
    if counts
        .iter()
        .fold(0, |sum: usize, n| sum.saturating_add(*n))
        != pairs
    {
        let found = rope.value(name).map_or("left out".into(), Value::to_string);
        let expected = format!("numbers whose sum is {pairs}, half of a head");
        return Err(rope.error(name, found, expected));
    }
    let axes = counts.iter().enumerate();
    Ok(axes.flat_map(|(n, &count)| vec![n % 3; count]).collect())
}

/// Reads the rotary parameters of heads of `head_dim` columns. The base is a field of the section
/// of either version of transformers, or beside it.
///
/// # Errors
/// [`CheckpointError::Config`] for invalid or unsupported values.
pub fn rope(
    fields: &Fields,
    (max_positions, head_dim): (usize, usize),
    class: RopeClass,
) -> Result<RopeParameters, CheckpointError> {
    let rope = section(fields)?;
    if let Some(name) = rope.sections().next() {
        let expected = "no such field: one table of parameters for all layers";
        return Err(rope.error(name, "a table", expected));
    }
    let theta = base(fields, &rope, "rope_theta", class)?;
    let columns = columns(fields, &rope, head_dim, class)?;
    let kind = Type::of(&rope)?;
    let scaling = match (kind.name, class.partial) {
        ("default", _) => RopeScaling::None,
        // Names that the class has had for it.
        ("longrope", _) | ("su" | "yarn", Some(_)) => {
            long(fields, &rope, kind, (max_positions, columns), class)?
        }
        (_, Some(_)) => return Err(kind.unsupported(&rope, "\"default\" or \"longrope\"")),
        ("yarn", None) if theta == 1.0 => {
            return Err(rope.error("rope_theta", theta, "another base for yarn"));
        }
        ("yarn", None) => yarn(fields, &rope, kind, max_positions)?,
        _ => {
            let more = ", \"yarn\", \"longrope\"";
            plain(fields, &rope, kind, (max_positions, more), class)?
        }
    };
    Ok(RopeParameters {
        theta,
        scaling,
        columns,
    })
}

/// Reads the rotary base and its scaling for the layers of one type, as Gemma 3's config has them:
/// in a section of that name in `rope_parameters`. Beside it, `base_name` is the name of the base
/// in older configs, whose `rope_scaling` is the full layers'.
///
/// # Errors
/// As [`rope`]; parameters that are those of no type; `yarn` and `longrope`.
pub fn layer_rope(
    fields: &Fields,
    layer_type: &'static str,
    base_name: &str,
    (max_positions, head_dim): (usize, usize),
    class: RopeClass,
) -> Result<RopeParameters, CheckpointError> {
    const FULL: &str = "full_attention";
    let (new, old) = (fields.section(NEW)?, fields.section(OLD)?);
    let types = [FULL, "sliding_attention"];
    if let Some(name) = new.names().find(|name| !types.contains(name)) {
        let expected = format!("tables {} and {} alone", types[0], types[1]);
        return Err(fields.error(NEW, format!("a table with {name}"), expected));
    }
    let both = new.is_given() && !new.is_empty();
    if both && !old.is_empty() {
        let expected = format!("no such field beside {NEW}");
        return Err(fields.error(OLD, "a table", expected));
    }
    let own = match both || layer_type != FULL {
        true => new.section(layer_type)?,
        false => old,
    };
    if !both && own.has("type") && !own.has("rope_type") {
        // transformers has set the type before it reads the older name of the field.
        let expected = "rope_type, the name that transformers reads here";
        return Err(own.error("type", "given", expected));
    }
    if let Some(name) = own.sections().next() {
        return Err(own.error(name, "a table", "no such field"));
    }
    Ok(RopeParameters {
        theta: base(fields, &own, base_name, class)?,
        scaling: plain(fields, &own, Type::of(&own)?, (max_positions, ""), class)?,
        columns: columns(fields, &own, head_dim, class)?,
    })
}

/// Reads the base; `beside` is its name beside the section.
fn base(
    fields: &Fields,
    rope: &Fields,
    beside: &str,
    class: RopeClass,
) -> Result<f64, CheckpointError> {
    let beside = fields.positive(beside)?;
    let theta = rope.positive("rope_theta")?.or(beside);
    Ok(theta.unwrap_or(class.theta))
}

/// Reads how many columns of a head are turned.
fn columns(
    fields: &Fields,
    rope: &Fields,
    head_dim: usize,
    class: RopeClass,
) -> Result<usize, CheckpointError> {
    let name = "partial_rotary_factor";
    let mut columns = None;
    for section in [rope, fields] {
        let Some(part) = section.positive(name)? else {
            continue;
        };
        if class.partial.is_none() && part != 1.0 {
            return Err(section.error(name, part, "1: every pair of a head is turned"));
        }
        let of_head = (head_dim as f64 * part) as usize;
        if part > 1.0 || of_head == 0 || !of_head.is_multiple_of(2) {
            let expected = format!("an even part of a head's {head_dim} columns");
            return Err(section.error(name, part, expected));
        }
        columns = columns.or(Some(of_head));
    }
    Ok(columns.unwrap_or(head_dim))
}

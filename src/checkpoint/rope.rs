//! Settings of rotary position embedding in config.json.

use serde_json::Value;

use super::CheckpointError;
use super::fields::{Fields, POSITION_LIMIT};

/// The section of transformers 4.
const OLD: &str = "rope_scaling";
/// The section of transformers 5.
const NEW: &str = "rope_parameters";

/// Scaling of rotary frequencies for contexts longer than those trained on.
#[derive(Debug, Clone, Copy, PartialEq)]
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
}

/// What a decoder's class makes of its rotary parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RopeClass {
    /// The base where none is given.
    pub theta: f64,
    /// Whether it knows the type `mrope`, which is the default one with positions along several
    /// axes.
    pub mrope: bool,
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

/// Reads the rotary base and its scaling. The base is a field of the section of either version of
/// transformers, or beside it.
///
/// # Errors
/// [`CheckpointError::Config`] for invalid or unsupported values.
pub fn rope(
    fields: &Fields,
    max_positions: usize,
    class: RopeClass,
) -> Result<(f64, RopeScaling), CheckpointError> {
    let rope = section(fields)?;
    if let Some(name) = rope.sections().next() {
        let expected = "no such field: one table of parameters for all layers";
        return Err(rope.error(name, "a table", expected));
    }
    parameters(fields, &rope, "rope_theta", max_positions, class)
}

/// Reads the rotary base and its scaling for the layers of one type, as Gemma 3's config has them:
/// in a section of that name in `rope_parameters`. Beside it, `base` is the name of the base in
/// older configs, whose `rope_scaling` is the full layers'.
///
/// # Errors
/// As [`rope`]; parameters that are those of no type.
pub fn layer_rope(
    fields: &Fields,
    layer_type: &'static str,
    base: &str,
    max_positions: usize,
    class: RopeClass,
) -> Result<(f64, RopeScaling), CheckpointError> {
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
    parameters(fields, &own, base, max_positions, class)
}

/// Reads the base and the scaling of a section; `base` is the base's name beside it.
fn parameters(
    fields: &Fields,
    rope: &Fields,
    base: &str,
    max_positions: usize,
    class: RopeClass,
) -> Result<(f64, RopeScaling), CheckpointError> {
    let beside = fields.positive(base)?;
    let theta = rope.positive("rope_theta")?.or(beside);
    let theta = theta.unwrap_or(class.theta);
    for section in [fields, rope] {
        if section
            .positive("partial_rotary_factor")?
            .is_some_and(|part| part != 1.0)
        {
            let found = section
                .value("partial_rotary_factor")
                .map(ToString::to_string)
                .unwrap_or_default();
            return Err(section.error(
                "partial_rotary_factor",
                found,
                "1: every pair of a head is turned",
            ));
        }
    }
    let (field, kind) = match rope.text("rope_type")? {
        Some(kind) => ("rope_type", kind),
        None => ("type", rope.text("type")?.unwrap_or("default")),
    };
    let number = |name: &str| {
        let needed = format!("a number above 0, which {field} {kind:?} needs");
        rope.positive(name)?
            .ok_or_else(|| rope.error(name, "left out", needed))
    };
    let scaling = match kind {
        "default" => RopeScaling::None,
        "mrope" if class.mrope => RopeScaling::None,
        // The base grows with sequences longer than the context, which no session has.
        "dynamic" => {
            number("factor")?;
            RopeScaling::None
        }
        "linear" => RopeScaling::Linear {
            factor: number("factor")?,
        },
        "llama3" => {
            let (low_freq_factor, high_freq_factor) =
                (number("low_freq_factor")?, number("high_freq_factor")?);
            if high_freq_factor <= low_freq_factor {
                let expected = format!("a number above low_freq_factor, {low_freq_factor}");
                return Err(rope.error("high_freq_factor", high_freq_factor, expected));
            }
            let name = "original_max_position_embeddings";
            let original = match fields.optional_size(name, POSITION_LIMIT)? {
                Some(beside) => beside,
                None => rope.size(name, max_positions, POSITION_LIMIT)?,
            };
            RopeScaling::Llama3 {
                factor: number("factor")?,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            }
        }
        other => {
            let mrope = if class.mrope { "\"mrope\", " } else { "" };
            return Err(rope.error(
                field,
                format!("{other:?}"),
                format!("{mrope}\"default\", \"dynamic\", \"linear\" or \"llama3\""),
            ));
        }
    };
    Ok((theta, scaling))
}

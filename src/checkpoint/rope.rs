//! Settings of rotary position embedding in config.json.

use super::CheckpointError;
use super::fields::{Fields, POSITION_LIMIT};

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

/// Reads the rotary base and its scaling. A `rope_scaling` (transformers 4) that is not empty comes
/// before `rope_parameters` (5); the base is a field of either or beside them.
///
/// # Errors
/// [`CheckpointError::Config`] for invalid or unsupported values.
pub fn rope(fields: &Fields, max_positions: usize) -> Result<(f64, RopeScaling), CheckpointError> {
    let beside = fields.positive("rope_theta")?;
    let old = fields.section("rope_scaling")?;
    let name = if old.is_given() && !old.is_empty() {
        "rope_scaling"
    } else {
        "rope_parameters"
    };
    let rope = fields.section(name)?;
    if let Some(name) = rope.sections().next() {
        let expected = "no such field: one table of parameters for all layers";
        return Err(rope.error(name, "a table", expected));
    }
    let theta = rope.positive("rope_theta")?.or(beside).unwrap_or(10000.0);
    for section in [fields, &rope] {
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
            return Err(rope.error(
                field,
                format!("{other:?}"),
                "\"default\", \"dynamic\", \"linear\" or \"llama3\"",
            ));
        }
    };
    Ok((theta, scaling))
}

//! The types of scaling of rotary frequencies, each with parameters of its own.

use serde_json::Value;

use super::{RopeClass, RopeScaling};
use crate::checkpoint::CheckpointError;
use crate::checkpoint::fields::{Fields, POSITION_LIMIT};

const ORIGINAL: &str = "original_max_position_embeddings";

/// The type of a section's parameters, and the field that names it.
#[derive(Clone, Copy)]
pub(super) struct Type<'a> {
    field: &'static str,
    pub name: &'a str,
}

impl<'a> Type<'a> {
    pub fn of(rope: &Fields<'a>) -> Result<Type<'a>, CheckpointError> {
        let (field, name) = match rope.text("rope_type")? {
            Some(name) => ("rope_type", name),
            None => ("type", rope.text("type")?.unwrap_or("default")),
        };
        Ok(Type { field, name })
    }

    pub fn unsupported(self, rope: &Fields, expected: impl ToString) -> CheckpointError {
        rope.error(self.field, format!("{:?}", self.name), expected)
    }

    /// Reads a number that the type needs.
    pub fn number(self, rope: &Fields, name: &str) -> Result<f64, CheckpointError> {
        let Type { field, name: kind } = self;
        let needed = format!("a number above 0, which {field} {kind:?} needs");
        rope.positive(name)?
            .ok_or_else(|| rope.error(name, "left out", needed))
    }
}

/// Reads the context trained on: beside the section, in it, or else `default`.
fn original(fields: &Fields, rope: &Fields, default: usize) -> Result<usize, CheckpointError> {
    match fields.optional_size(ORIGINAL, POSITION_LIMIT)? {
        Some(beside) => Ok(beside),
        None => rope.size(ORIGINAL, default, POSITION_LIMIT),
    }
}

/// Reads the types that scale by numbers alone; `more` are the names of others for messages.
pub(super) fn plain(
    fields: &Fields,
    rope: &Fields,
    kind: Type,
    (max_positions, more): (usize, &str),
    class: RopeClass,
) -> Result<RopeScaling, CheckpointError> {
    let number = |name: &str| kind.number(rope, name);
    Ok(match kind.name {
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
            RopeScaling::Llama3 {
                factor: number("factor")?,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original(fields, rope, max_positions)?,
            }
        }
        _ => {
            let mrope = if class.mrope { "\"mrope\", " } else { "" };
            let names = "\"default\", \"dynamic\", \"linear\"";
            return Err(kind.unsupported(rope, format!("{mrope}{names}{more} or \"llama3\"")));
        }
    })
}

/// Reads a number that may be left out; so it is if it is 0.
fn optional(rope: &Fields, name: &str) -> Result<Option<f64>, CheckpointError> {
    match rope.value(name).and_then(Value::as_f64) {
        Some(0.0) => Ok(None),
        _ => rope.positive(name),
    }
}

/// Reads YaRN's parameters, as `_compute_yarn_parameters` of transformers does.
pub(super) fn yarn(
    fields: &Fields,
    rope: &Fields,
    kind: Type,
    max_positions: usize,
) -> Result<RopeScaling, CheckpointError> {
    let original = original(fields, rope, max_positions)?;
    let factor = match rope.is_null("factor") {
        true => max_positions as f64 / original as f64,
        false => kind.number(rope, "factor")?,
    };
    let scale = |mscale: f64| match factor <= 1.0 {
        true => 1.0,
        false => 0.1 * mscale * factor.ln() + 1.0,
    };
    let mscales = optional(rope, "mscale")?.zip(optional(rope, "mscale_all_dim")?);
    let attention_factor = match (rope.positive("attention_factor")?, mscales) {
        (Some(given), _) => given,
        (None, Some((mscale, all))) => scale(mscale) / scale(all),
        (None, None) => scale(1.0),
    };
    Ok(RopeScaling::Yarn {
        factor,
        beta_fast: optional(rope, "beta_fast")?.unwrap_or(32.0),
        beta_slow: optional(rope, "beta_slow")?.unwrap_or(1.0),
        // A null is no default here, and counts as false.
        truncate: !rope.is_null("truncate") && rope.flag("truncate", true)?,
        original_max_position_embeddings: original,
        attention_factor,
    })
}

/// Reads `longrope`'s parameters, as `_compute_longrope_parameters` of transformers does, for heads
/// of which `columns` are turned.
pub(super) fn long(
    fields: &Fields,
    rope: &Fields,
    kind: Type,
    (max_positions, columns): (usize, usize),
    class: RopeClass,
) -> Result<RopeScaling, CheckpointError> {
    let original = match class.partial {
        // The class's own field counts, whatever the section says.
        Some(default) => fields.size(ORIGINAL, default, POSITION_LIMIT)?,
        None => original(fields, rope, max_positions)?,
    };
    let factors = |name: &'static str| {
        let expected = || {
            let Type { field, name } = kind;
            let pairs = columns / 2;
            format!("{pairs} numbers above 0, which {field} {name:?} needs")
        };
        let found = || rope.value(name).map_or("left out".into(), Value::to_string);
        let list = rope.value(name).and_then(Value::as_array);
        let list: Option<Vec<f64>> = list.and_then(|l| l.iter().map(Value::as_f64).collect());
        list.filter(|list| list.len() == columns / 2)
            .filter(|list| list.iter().all(|f| f.is_finite() && *f > 0.0))
            .ok_or_else(|| rope.error(name, found(), expected()))
    };
    let short_factor = factors("short_factor")?;
    factors("long_factor")?;
    let ratio = max_positions as f64 / original as f64;
    let factor = rope.positive("factor")?.unwrap_or(ratio);
    let attention_factor = match rope.positive("attention_factor")? {
        Some(given) => given,
        None if factor <= 1.0 => 1.0,
        None if original == 1 => {
            return Err(rope.error(ORIGINAL, original, "a number above 1"));
        }
        None => (1.0 + factor.ln() / (original as f64).ln()).sqrt(),
    };
    Ok(RopeScaling::Long {
        short_factor,
        original_max_position_embeddings: original,
        attention_factor,
    })
}

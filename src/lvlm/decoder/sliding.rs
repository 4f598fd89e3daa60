//! Layers of two types: full ones, and ones with a sliding window and rotary frequencies of their
//! own.

use super::config::{LAYER_TYPES, layer_types};
use super::kind::SlidingDefaults;
use crate::checkpoint::{
    CheckpointError, Fields, LAYER_LIMIT, POSITION_LIMIT, RopeClass, RopeParameters, SIZE_LIMIT,
    layer_rope,
};

const WINDOW: &str = "sliding_window";
const PATTERN: &str = "sliding_window_pattern";

/// The layers with a sliding window, and their rotary frequencies.
#[derive(Debug, Clone, PartialEq)]
pub struct Sliding {
    /// Whether each layer is one of them.
    pub layers: Vec<bool>,
    /// Their rotary parameters.
    pub rope: RopeParameters,
    window: usize,
}

impl Sliding {
    /// Returns the window, if any layer has it.
    pub fn window(&self) -> Option<usize> {
        self.layers.contains(&true).then_some(self.window)
    }
}

/// Reads which layers are sliding, and the rotary parameters of both types, for such a context and
/// heads of so many columns: the full layers' are the second result.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn read(
    fields: &Fields,
    defaults: SlidingDefaults,
    layers: usize,
    (sizes, class): ((usize, usize), RopeClass),
) -> Result<(Sliding, RopeParameters), CheckpointError> {
    let types = layer_types(fields, layers)?;
    let sliding = match types {
        Some(types) => types,
        None if fields.is_null(PATTERN) => {
            return Err(fields.error(PATTERN, "null", format!("a number, or {LAYER_TYPES}")));
        }
        None => {
            let pattern = fields.size(PATTERN, defaults.pattern, LAYER_LIMIT)?;
            let types = 1..=layers;
            types.map(|layer| !layer.is_multiple_of(pattern)).collect()
        }
    };
    if sliding.contains(&true) && fields.is_null(WINDOW) {
        let expected = "a number of rows, since there are sliding layers";
        return Err(fields.error(WINDOW, "null", expected));
    }
    let full = layer_rope(fields, "full_attention", "rope_theta", sizes, class)?;
    let own = RopeClass {
        theta: defaults.rope_theta,
        ..class
    };
    let (section, base) = ("sliding_attention", "rope_local_base_freq");
    let sliding = Sliding {
        layers: sliding,
        rope: layer_rope(fields, section, base, sizes, own)?,
        window: fields.size(WINDOW, defaults.window, POSITION_LIMIT)?,
    };
    Ok((sliding, full))
}

/// Reads the number that scores are divided by the square root of.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn query_scalar(
    fields: &Fields,
    defaults: SlidingDefaults,
) -> Result<usize, CheckpointError> {
    fields.size("query_pre_attn_scalar", defaults.query_scalar, SIZE_LIMIT)
}

//! A decoder's sizes and choices, from its fields in config.json.

use serde_json::{Value, json};

use super::kind::{Biases, Kind, Window};
use super::multipliers::Multipliers;
use super::sliding::{self, Sliding};
use crate::checkpoint::{
    Activation, CheckpointError, Fields, LAYER_LIMIT, POSITION_LIMIT, RopeAxes, RopeClass,
    RopeParameters, RopeScaling, SIZE_LIMIT, Tensors, activation, rope, rope_axes,
};

/// A decoder of text.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// The kind of decoder.
    pub kind: Kind,
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, which divide `heads`.
    pub kv_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Added to the mean square in every norm.
    pub rms_norm_eps: f64,
    /// The rotary parameters.
    pub rope: RopeParameters,
    /// The axis of the positions that turn each pair of a head; empty if there is one.
    pub rope_axes: Vec<usize>,
    /// Longest context, in tokens, for which the rotary frequencies are those of `rope`.
    pub max_positions: usize,
    /// Rows that a row of some layer sees at most, itself among them, where that is less than all.
    /// Longer sequences are refused.
    pub window: Option<usize>,
    /// The layers with that window, where they have rotary frequencies of their own.
    pub sliding: Option<Sliding>,
    /// A factor of the scores, beside one over the square root of `head_dim`.
    pub query_scale: f64,
    /// A factor of all rows that enter, beside that of the decoder's kind.
    pub row_scale: f64,
    /// Rows of the embedding and of the vocabulary projection.
    pub vocab: usize,
    /// Whether the vocabulary projection is the embedding.
    pub tied_embeddings: bool,
    /// Whether the linear layers to queries, keys and values have biases.
    pub qkv_bias: bool,
    /// Whether attention's output layer has a bias.
    pub output_bias: bool,
    /// Whether the MLP's three linear layers have biases.
    pub mlp_bias: bool,
    /// The activation of the MLP's gate.
    pub activation: Activation,
}

impl DecoderConfig {
    /// Reads the fields of a decoder of this kind. `tied` is another section's word on tied
    /// embeddings, where it has one.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] naming the field, its value and what it may be.
    pub(in crate::lvlm) fn read(
        fields: &Fields,
        kind: Kind,
        tied: Option<bool>,
    ) -> Result<Self, CheckpointError> {
        let given = &kind.defaults;
        let hidden = fields.size("hidden_size", given.hidden, SIZE_LIMIT)?;
        let heads = fields.size("num_attention_heads", given.heads, SIZE_LIMIT)?;
        let head_dim = head_dim(fields, hidden, heads, given.head_dim)?;
        let kv_heads = fields.size(
            "num_key_value_heads",
            given.kv_heads.unwrap_or(heads),
            SIZE_LIMIT,
        )?;
        fields.divides(
            ("num_attention_heads", heads),
            ("num_key_value_heads", kv_heads),
        )?;
        let context = fields.size(
            "max_position_embeddings",
            given.max_positions,
            POSITION_LIMIT,
        )?;
        let class = RopeClass {
            theta: given.rope_theta,
            mrope: matches!(kind.rope_axes, Some(RopeAxes::Sections(_))),
            partial: kind.partial_rope,
        };
        let layers = fields.size("num_hidden_layers", given.layers, LAYER_LIMIT)?;
        let (sliding, query_scale, rope) = match kind.window {
            Window::Layers(defaults) => {
                let rope = ((context, head_dim), class);
                let (sliding, full) = sliding::read(fields, defaults, layers, rope)?;
                let scalar = sliding::query_scalar(fields, defaults)?;
                let scale = (head_dim as f64 / scalar as f64).sqrt();
                (Some(sliding), scale, full)
            }
            _ => (None, 1.0, rope(fields, (context, head_dim), class)?),
        };
        let max_positions = match &rope.scaling {
            RopeScaling::Long {
                original_max_position_embeddings,
                ..
            } => context.min(*original_max_position_embeddings),
            _ => context,
        };
        let multipliers = match kind.multipliers {
            true => Multipliers::read(fields)?,
            false => Multipliers::NONE,
        };
        let rope_axes = match kind.rope_axes {
            Some(shared) => rope_axes(fields, head_dim / 2, shared)?,
            None => Vec::new(),
        };
        let own = match fields.value("tie_word_embeddings") {
            None => None,
            Some(_) => Some(fields.flag("tie_word_embeddings", false)?),
        };
        let tied_embeddings = match (own, tied) {
            (None, None) => given.tied,
            (own, tied) => own == Some(true) || tied == Some(true),
        };
        let (qkv_bias, output_bias, mlp_bias) = match kind.biases {
            Biases::Configured => {
                let attention = fields.flag("attention_bias", false)?;
                (attention, attention, fields.flag("mlp_bias", false)?)
            }
            Biases::Attention => {
                let attention = fields.flag("attention_bias", false)?;
                (attention, attention, false)
            }
            Biases::QueryKeyValue => (true, false, false),
            Biases::Without => (false, false, false),
        };
        let window = match &sliding {
            Some(sliding) => sliding.window(),
            None => window(fields, kind.window, layers)?,
        };
        Ok(Self {
            kind,
            hidden,
            intermediate: fields.size("intermediate_size", given.intermediate, SIZE_LIMIT)?,
            layers,
            heads,
            kv_heads,
            head_dim,
            rms_norm_eps: multipliers.eps(fields.positive("rms_norm_eps")?.unwrap_or(given.eps)),
            rope,
            rope_axes,
            max_positions,
            window,
            sliding,
            query_scale: query_scale * multipliers.query(head_dim),
            row_scale: multipliers.rows(),
            vocab: fields.size("vocab_size", given.vocab, SIZE_LIMIT)?,
            tied_embeddings,
            qkv_bias,
            output_bias,
            mlp_bias,
            activation: gate(fields, &kind)?,
        })
    }

    /// A config that ties the vocabulary projection to the embedding is overruled by a file that
    /// holds a different projection, as in transformers 5.
    pub(in crate::lvlm) fn untie(&mut self, tensors: &Tensors, names: &DecoderNames) {
        let embedding = tensors.get(&names.embedding());
        let head = tensors.get(&names.head);
        if let (Some(embedding), Some(head)) = (embedding, head)
            && embedding.bytes() != head.bytes()
        {
            self.tied_embeddings = false;
        }
    }

    /// Tensors that no layer here uses: each layer's table of rotary frequencies, which
    /// transformers stored before 4.31.
    pub(in crate::lvlm) fn never_used(&self, names: &DecoderNames) -> Vec<String> {
        let table = |layer| {
            format!(
                "{}layers.{layer}.self_attn.rotary_emb.inv_freq",
                names.prefix
            )
        };
        (0..self.layers).map(table).collect()
    }

    /// Describes it: sizes and choices by name.
    pub(in crate::lvlm) fn sizes(&self) -> Value {
        let rope = |rope: &RopeParameters| match &rope.scaling {
            RopeScaling::None => "default".to_string(),
            RopeScaling::Linear { factor } => format!("linear x{factor}"),
            RopeScaling::Llama3 { factor, .. } => format!("llama3 x{factor}"),
            RopeScaling::Yarn { factor, .. } => format!("yarn x{factor}"),
            RopeScaling::Long { .. } => "longrope".to_string(),
        };
        let mut sizes = json!({
            "kind": self.kind.name, "layers": self.layers, "width": self.hidden,
            "heads": self.heads,
            "key-value heads": self.kv_heads, "head width": self.head_dim, "mlp": self.intermediate,
            "vocabulary": self.vocab, "context": self.max_positions, "rope": rope(&self.rope),
            "tied embeddings": self.tied_embeddings, "activation": self.activation.to_string(),
        });
        if self.rope.columns != self.head_dim {
            sizes["turned columns of a head"] = json!(self.rope.columns);
        }
        if let Some(window) = self.window {
            sizes["sliding window"] = json!(window);
        }
        if let Some(sliding) = &self.sliding {
            sizes["sliding layers"] = json!(sliding.layers.iter().filter(|&&own| own).count());
            sizes["rope of sliding layers"] = json!(rope(&sliding.rope));
        }
        sizes
    }
}

fn head_dim(
    fields: &Fields,
    hidden: usize,
    heads: usize,
    default: Option<usize>,
) -> Result<usize, CheckpointError> {
    let head_dim = match fields.optional_size("head_dim", SIZE_LIMIT)?.or(default) {
        Some(given) => given,
        None => {
            fields.divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
            hidden / heads
        }
    };
    if !head_dim.is_multiple_of(2) {
        return Err(fields.error(
            "head_dim",
            head_dim,
            "an even number: rotary embedding turns pairs",
        ));
    }
    if heads.saturating_mul(head_dim) > SIZE_LIMIT {
        let expected = format!("num_attention_heads * head_dim of at most {SIZE_LIMIT}");
        return Err(fields.error("head_dim", head_dim, expected));
    }
    Ok(head_dim)
}

/// The sliding window of the layers whose attention is cut to one, as the config classes of
/// transformers 5 and their models have it.
fn window(
    fields: &Fields,
    window: Window,
    layers: usize,
) -> Result<Option<usize>, CheckpointError> {
    let name = "sliding_window";
    match window {
        // Read with the rotary parameters of its layers.
        Window::Layers(_) => Ok(None),
        // A null says that there is none.
        Window::Given(_) if fields.is_null(name) => Ok(None),
        Window::Given(default) => Ok(fields.optional_size(name, POSITION_LIMIT)?.or(default)),
        Window::Used(default) => {
            let used = fields.flag("use_sliding_window", false)? && !fields.is_null(name);
            let window = used.then(|| fields.size(name, 4096, POSITION_LIMIT));
            let window = window.transpose()?;
            let cut = match layer_types(fields, layers)? {
                Some(cut) => cut.contains(&true),
                None => {
                    let whole = match fields.value("max_window_layers").and_then(Value::as_u64) {
                        Some(0) => 0,
                        _ => fields.size("max_window_layers", default, LAYER_LIMIT)?,
                    };
                    window.is_some() && whole < layers
                }
            };
            if cut && window.is_none() {
                let expected =
                    "\"full_attention\" in every layer, since there is no sliding_window";
                let found = fields.value(LAYER_TYPES).unwrap_or(&Value::Null);
                return Err(fields.error(LAYER_TYPES, found, expected));
            }
            Ok(window.filter(|_| cut))
        }
    }
}

pub(super) const LAYER_TYPES: &str = "layer_types";

/// Returns which of the layers have a sliding window, where their types are given.
pub(super) fn layer_types(
    fields: &Fields,
    layers: usize,
) -> Result<Option<Vec<bool>>, CheckpointError> {
    const SLIDING: &str = "sliding_attention";
    let Some(value) = fields.value(LAYER_TYPES) else {
        return Ok(None);
    };
    let list: Option<Vec<&str>> = value
        .as_array()
        .and_then(|list| list.iter().map(Value::as_str).collect());
    let known = list
        .filter(|list| list.len() == layers)
        .filter(|list| list.iter().all(|t| ["full_attention", SLIDING].contains(t)));
    match known {
        Some(list) => Ok(Some(list.iter().map(|&t| t == SLIDING).collect())),
        None => {
            let expected = format!(
                "a list of {layers} (num_hidden_layers), each \"full_attention\" or \"{SLIDING}\""
            );
            Err(fields.error(LAYER_TYPES, value, expected))
        }
    }
}

/// The gate's activation. Gemma has a second field for it, since `gelu` in the first means the
/// approximation.
fn gate(fields: &Fields, kind: &Kind) -> Result<Activation, CheckpointError> {
    let (default, field) = (kind.defaults.activation, kind.activation_field);
    if default != Activation::GeluTanh || field != "hidden_act" {
        return activation(fields, field, default);
    }
    if fields.text("hidden_activation")?.is_some() {
        return activation(fields, "hidden_activation", default);
    }
    Ok(match activation(fields, "hidden_act", default)? {
        Activation::Gelu => Activation::GeluTanh,
        other => other,
    })
}

/// The names of a decoder's tensors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lvlm) struct DecoderNames {
    /// The prefix of all but the vocabulary projection, such as `language_model.model.`
    pub prefix: String,
    /// The vocabulary projection's full name.
    pub head: String,
}

impl DecoderNames {
    /// Returns those of a decoder that is not a part of another model, as in the original layouts.
    pub fn bare() -> DecoderNames {
        DecoderNames {
            prefix: "model.".into(),
            head: "lm_head.weight".into(),
        }
    }

    /// Returns the name of the embedding.
    pub fn embedding(&self) -> String {
        format!("{}embed_tokens.weight", self.prefix)
    }
}

//! config.json of a `llava` checkpoint: the sizes and choices of its parts.
//!
//! Spellings and defaults are those of `transformers` 4 and 5: the classes `LlavaConfig`, `CLIPVisionConfig` and
//! `LlamaConfig`, whose saved files leave out what equals a default.

use super::CheckpointError;
use super::activation::{Activation, activation};
use super::fields::Fields;
use super::files::parse_json;
use super::rope::{RopeScaling, rope};

/// Largest width, head count, vocabulary and the like; several times those of any model in use.
const SIZE_LIMIT: usize = 1 << 24;
/// Most layers in one part.
const LAYER_LIMIT: usize = 4096;
/// Longest edge of the picture that the encoder sees, in pixels.
const EDGE_LIMIT: usize = 1 << 14;
/// Longest context, in tokens.
pub(super) const POSITION_LIMIT: usize = 1 << 31;

/// A LLaVA: CLIP vision transformer, two-layer projector, Llama decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlavaConfig {
    /// The picture's encoder.
    pub vision: ClipConfig,
    /// The decoder of text.
    pub text: LlamaConfig,
    /// Id of the token whose place in the prompt the picture takes.
    pub image_token_id: u32,
    /// Between the projector's two linear layers.
    pub projector_activation: Activation,
    /// Whether the projector's linear layers have biases.
    pub projector_bias: bool,
    /// Which of the encoder's `layers + 1` hidden states is used; 0 is before the first layer, negative counts from the
    /// end. In range, see [`LlavaConfig::vision_layers_used`].
    pub feature_layer: i64,
    /// Which of the encoder's positions become visual tokens.
    pub select: Select,
    /// Visual tokens per picture, where the file says so.
    pub image_seq_length: Option<usize>,
    /// Whether pictures are padded to a square with the mean colour first (the original LLaVA's `image_aspect_ratio: pad`).
    pub pad_to_square: bool,
}

/// Which of the encoder's positions become visual tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The patches, without the class token.
    Default,
    /// All of them.
    Full,
}

/// A CLIP vision transformer.
#[derive(Debug, Clone, PartialEq)]
pub struct ClipConfig {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Layers that the checkpoint describes; fewer may be used.
    pub layers: usize,
    /// Attention heads, which divide `hidden`.
    pub heads: usize,
    /// Edge of the square input, in pixels.
    pub image_size: usize,
    /// Edge of a patch in pixels, which divides `image_size`.
    pub patch_size: usize,
    /// Inside the MLP.
    pub activation: Activation,
    /// Added to the variance in every layer norm.
    pub layer_norm_eps: f64,
    /// Colour channels, always 3.
    pub channels: usize,
}

/// A Llama decoder.
#[derive(Debug, Clone, PartialEq)]
pub struct LlamaConfig {
    /// Width of the hidden states.
    pub hidden: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Decoder layers.
    pub layers: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads, which divide `heads`.
    pub kv_heads: usize,
    /// Width of one head, even.
    pub head_dim: usize,
    /// Added to the mean square in every RMS norm.
    pub rms_norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// How the rotary frequencies are stretched.
    pub rope_scaling: RopeScaling,
    /// Longest context, in tokens.
    pub max_positions: usize,
    /// Rows of the embedding and of the vocabulary projection.
    pub vocab: usize,
    /// Whether the vocabulary projection is the embedding.
    pub tied_embeddings: bool,
    /// Whether the attention's four linear layers have biases.
    pub attention_bias: bool,
    /// Whether the MLP's three linear layers have biases.
    pub mlp_bias: bool,
    /// Of the MLP's gate.
    pub activation: Activation,
}

impl LlavaConfig {
    /// Reads config.json's `text`; `file` is what messages call it.
    ///
    /// # Errors
    /// [`CheckpointError::Json`], [`UnsupportedArchitecture`](CheckpointError::UnsupportedArchitecture), or
    /// [`Config`](CheckpointError::Config) naming the field, its value and what it may be.
    pub fn from_json(text: &str, file: &str) -> Result<Self, CheckpointError> {
        let value = parse_json(text, file)?;
        let top = Fields::top(&value, file)?;
        require_type(
            &top,
            "model_type",
            None,
            "llava",
            "llava (LlavaForConditionalGeneration)",
        )?;
        let (vision, decoder) = (top.section("vision_config")?, top.section("text_config")?);
        if let (Some(tower), false) = (top.value("mm_vision_tower"), vision.is_given()) {
            return Err(CheckpointError::UnsupportedArchitecture {
                file: file.to_string(),
                field: "mm_vision_tower".to_string(),
                found: tower.to_string(),
                supported: "checkpoints converted to transformers' LlavaForConditionalGeneration, which hold the vision \
                            tower themselves",
            });
        }
        require_type(&decoder, "model_type", Some("llama"), "llama", "llama")?;
        require_type(
            &vision,
            "model_type",
            Some("clip_vision_model"),
            "clip_vision_model",
            "clip_vision_model",
        )?;

        let config = Self {
            vision: ClipConfig::read(&vision)?,
            text: LlamaConfig::read(&decoder, top.flag("tie_word_embeddings", false)?)?,
            image_token_id: image_token(&top)?,
            projector_activation: activation(&top, "projector_hidden_act", Activation::Gelu)?,
            projector_bias: top.flag("multimodal_projector_bias", true)?,
            feature_layer: feature_layer(&top)?,
            select: match top.text("vision_feature_select_strategy")? {
                None | Some("default") => Select::Default,
                Some("full") => Select::Full,
                Some(other) => {
                    let found = format!("{other:?}");
                    return Err(top.error(
                        "vision_feature_select_strategy",
                        found,
                        "\"default\" or \"full\"",
                    ));
                }
            },
            image_seq_length: top.optional_size("image_seq_length", SIZE_LIMIT)?,
            pad_to_square: match top.text("image_aspect_ratio")? {
                None | Some("square") => false,
                Some("pad") => true,
                Some(other) => {
                    return Err(top.error(
                        "image_aspect_ratio",
                        format!("{other:?}"),
                        "\"square\" or \"pad\"",
                    ));
                }
            },
        };
        let states = config.vision.layers as i64 + 1;
        if !(-states..states).contains(&config.feature_layer) {
            let layers = config.vision.layers;
            let expected = format!(
                "an index from {} to {layers}: the encoder has {layers} layers",
                -states
            );
            return Err(top.error("vision_feature_layer", config.feature_layer, expected));
        }
        Ok(config)
    }

    /// How many of the encoder's layers run to make the features: 0 to `vision.layers`.
    pub fn vision_layers_used(&self) -> usize {
        let states = self.vision.layers as i64 + 1;
        let index = if self.feature_layer < 0 {
            self.feature_layer + states
        } else {
            self.feature_layer
        };
        index.clamp(0, states - 1) as usize
    }

    /// Visual tokens that one picture of the encoder's own size becomes.
    pub fn image_tokens(&self) -> usize {
        self.vision.patches() + usize::from(self.select == Select::Full)
    }
}

impl ClipConfig {
    /// Patches of one picture.
    pub fn patches(&self) -> usize {
        (self.image_size / self.patch_size).pow(2)
    }

    fn read(fields: &Fields) -> Result<Self, CheckpointError> {
        // Without a vision_config, LlavaConfig's own default is ViT-L/14 at 336 pixels; a vision_config that leaves a field
        // out means CLIPVisionConfig's default, ViT-B/32.
        let default = |given, absent| if fields.is_given() { given } else { absent };
        let config = Self {
            hidden: fields.size("hidden_size", default(768, 1024), SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", default(3072, 4096), SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", default(12, 24), LAYER_LIMIT)?,
            heads: fields.size("num_attention_heads", default(12, 16), SIZE_LIMIT)?,
            image_size: edge(fields, "image_size", default(224, 336))?,
            patch_size: edge(fields, "patch_size", default(32, 14))?,
            activation: activation(fields, "hidden_act", Activation::QuickGelu)?,
            layer_norm_eps: fields.positive("layer_norm_eps")?.unwrap_or(1e-5),
            channels: fields.size("num_channels", 3, SIZE_LIMIT)?,
        };
        divides(
            fields,
            ("hidden_size", config.hidden),
            ("num_attention_heads", config.heads),
        )?;
        divides(
            fields,
            ("image_size", config.image_size),
            ("patch_size", config.patch_size),
        )?;
        if config.channels != 3 {
            return Err(fields.error("num_channels", config.channels, "3: pictures are RGB"));
        }
        Ok(config)
    }
}

impl LlamaConfig {
    /// `tied` is the top level's word on tied embeddings; the section's own counts too.
    fn read(fields: &Fields, tied: bool) -> Result<Self, CheckpointError> {
        let hidden = fields.size("hidden_size", 4096, SIZE_LIMIT)?;
        let heads = fields.size("num_attention_heads", 32, SIZE_LIMIT)?;
        let head_dim = match fields.optional_size("head_dim", SIZE_LIMIT)? {
            Some(given) => given,
            None => {
                divides(
                    fields,
                    ("hidden_size", hidden),
                    ("num_attention_heads", heads),
                )?;
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
        let kv_heads = fields.size("num_key_value_heads", heads, SIZE_LIMIT)?;
        divides(
            fields,
            ("num_attention_heads", heads),
            ("num_key_value_heads", kv_heads),
        )?;
        let max_positions = fields.size("max_position_embeddings", 2048, POSITION_LIMIT)?;
        let (rope_theta, rope_scaling) = rope(fields, max_positions)?;
        Ok(Self {
            hidden,
            intermediate: fields.size("intermediate_size", 11008, SIZE_LIMIT)?,
            layers: fields.size("num_hidden_layers", 32, LAYER_LIMIT)?,
            heads,
            kv_heads,
            head_dim,
            rms_norm_eps: fields.positive("rms_norm_eps")?.unwrap_or(1e-6),
            rope_theta,
            rope_scaling,
            max_positions,
            vocab: fields.size("vocab_size", 32000, SIZE_LIMIT)?,
            tied_embeddings: fields.flag("tie_word_embeddings", false)? || tied,
            attention_bias: fields.flag("attention_bias", false)?,
            mlp_bias: fields.flag("mlp_bias", false)?,
            activation: activation(fields, "hidden_act", Activation::Silu)?,
        })
    }
}

fn image_token(top: &Fields) -> Result<u32, CheckpointError> {
    let mut ids = Vec::new();
    for name in ["image_token_index", "image_token_id"] {
        let Some(value) = top.value(name) else {
            continue;
        };
        match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => ids.push((name, id)),
            None => return Err(top.error(name, value, "a token's id")),
        }
    }
    match ids[..] {
        [(first, a), (second, b)] if a != b => {
            Err(top.error(second, b, format!("the same as {first}, {a}")))
        }
        [(_, id), ..] => Ok(id),
        [] => Ok(32000),
    }
}

fn feature_layer(top: &Fields) -> Result<i64, CheckpointError> {
    match top.value("vision_feature_layer") {
        None => Ok(-2),
        Some(value) => value.as_i64().ok_or_else(|| {
            top.error(
                "vision_feature_layer",
                value,
                "a single index: lists of layers are not supported",
            )
        }),
    }
}

/// A length in pixels, also written as a list of two equal ones.
fn edge(fields: &Fields, name: &str, default: usize) -> Result<usize, CheckpointError> {
    let Some(value) = fields.value(name) else {
        return Ok(default);
    };
    let number = match value.as_array().map(Vec::as_slice) {
        Some([height, width]) if height == width => height.as_u64(),
        _ => value.as_u64(),
    };
    match number.and_then(|number| usize::try_from(number).ok()) {
        Some(number) if (1..=EDGE_LIMIT).contains(&number) => Ok(number),
        _ => Err(fields.error(
            name,
            value,
            format!("a whole number from 1 to {EDGE_LIMIT}, or two equal ones"),
        )),
    }
}

fn divides(
    fields: &Fields,
    whole: (&str, usize),
    part: (&str, usize),
) -> Result<(), CheckpointError> {
    if whole.1.is_multiple_of(part.1) {
        return Ok(());
    }
    let expected = format!("a divisor of {}, {}", fields.path(whole.0), whole.1);
    Err(fields.error(part.0, part.1, expected))
}

fn require_type(
    fields: &Fields,
    name: &str,
    default: Option<&str>,
    wanted: &str,
    supported: &'static str,
) -> Result<(), CheckpointError> {
    let found = fields.text(name)?.or(default).unwrap_or("left out");
    if found == wanted {
        return Ok(());
    }
    Err(CheckpointError::UnsupportedArchitecture {
        file: fields.file.to_string(),
        field: fields.path(name),
        found: found.to_string(),
        supported,
    })
}

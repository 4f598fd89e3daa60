//! The differences between the decoders in use, each after the class of `transformers` of that
//! name.

use crate::checkpoint::{Activation, RopeAxes};

/// A kind of decoder, by its `model_type`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kind {
    /// The `model_type` in config.json.
    pub model_type: &'static str,
    /// The name for display.
    pub name: &'static str,
    /// The defaults of its config class.
    pub defaults: Defaults,
    /// Which linear layers have biases.
    pub biases: Biases,
    /// Whether queries, keys and values are one tensor, gate and up another.
    pub fused: bool,
    /// Whether each head's queries and keys are normalised before they are rotated.
    pub head_norms: bool,
    /// Whether norms multiply by 1 + their weight.
    pub norm_offset: bool,
    /// Whether attention and the perceptron have norms after them too.
    pub norms_after: bool,
    /// The rows that are multiplied by the square root of the width when they enter.
    pub scaled_rows: ScaledRows,
    /// Whether the picture's rows see each other in both directions.
    pub mutual_picture: bool,
    /// The field that names the activation of the perceptron's gate.
    pub activation_field: &'static str,
    /// Whether attention is cut to `sliding_window` rows.
    pub window: Window,
    /// Where pairs of a head are turned by positions in time, rows and columns (multimodal rotary
    /// position embedding), how they are shared out.
    pub rope_axes: Option<RopeAxes>,
    /// Where the first columns of a head alone may be turned, and types of scaling are `longrope`
    /// alone, the default of `original_max_position_embeddings`.
    pub partial_rope: Option<usize>,
    /// Whether rows, scores and what layers add have factors.
    pub multipliers: bool,
}

/// The values of fields that are left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Defaults {
    /// `hidden_size`.
    pub hidden: usize,
    /// `intermediate_size`.
    pub intermediate: usize,
    /// `num_hidden_layers`.
    pub layers: usize,
    /// `num_attention_heads`.
    pub heads: usize,
    /// `num_key_value_heads`; as many as heads when `None`.
    pub kv_heads: Option<usize>,
    /// `head_dim`; the width divided by the heads when `None`.
    pub head_dim: Option<usize>,
    /// `vocab_size`.
    pub vocab: usize,
    /// `max_position_embeddings`.
    pub max_positions: usize,
    /// `rms_norm_eps`.
    pub eps: f64,
    /// `hidden_act`.
    pub activation: Activation,
    /// `tie_word_embeddings`.
    pub tied: bool,
    /// `rope_theta`.
    pub rope_theta: f64,
}

/// Which linear layers have biases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Biases {
    /// As `attention_bias` and `mlp_bias` say.
    Configured,
    /// Those of attention as `attention_bias` says.
    Attention,
    /// Those to queries, keys and values.
    QueryKeyValue,
    /// None.
    Without,
}

/// The rows that are multiplied by the square root of the width when they enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScaledRows {
    /// None.
    Without,
    /// All, the picture's too.
    All,
    /// Those of text, by a factor that is rounded as the embedding is stored.
    Text,
}

/// Whether attention is cut to `sliding_window` rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Window {
    /// Where the config gives a number. The value is the default of the config class.
    Given(Option<usize>),
    /// Where `use_sliding_window` is true, in the layers from `max_window_layers` on or those that
    /// `layer_types` names. The value is the default of `max_window_layers`.
    Used(usize),
    /// In the layers that `layer_types` names, which have rotary frequencies of their own.
    Layers(SlidingDefaults),
}

/// What is left out of a config with sliding and full layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SlidingDefaults {
    /// `sliding_window`.
    pub window: usize,
    /// `sliding_window_pattern`: every layer of such a number is a full one.
    pub pattern: usize,
    /// `rope_theta` of the sliding layers.
    pub rope_theta: f64,
    /// `query_pre_attn_scalar`.
    pub query_scalar: usize,
}

const LLAMA: Kind = Kind {
    model_type: "llama",
    name: "Llama",
    defaults: Defaults {
        hidden: 4096,
        intermediate: 11008,
        layers: 32,
        heads: 32,
        kv_heads: None,
        head_dim: None,
        vocab: 32000,
        max_positions: 2048,
        eps: 1e-6,
        activation: Activation::Silu,
        tied: false,
        rope_theta: 10000.0,
    },
    biases: Biases::Configured,
    fused: false,
    head_norms: false,
    norm_offset: false,
    norms_after: false,
    scaled_rows: ScaledRows::Without,
    mutual_picture: false,
    activation_field: "hidden_act",
    window: Window::Given(None),
    rope_axes: None,
    partial_rope: None,
    multipliers: false,
};

const MISTRAL: Kind = Kind {
    model_type: "mistral",
    name: "Mistral",
    defaults: Defaults {
        intermediate: 14336,
        kv_heads: Some(8),
        max_positions: 4096 * 32,
        ..LLAMA.defaults
    },
    biases: Biases::Without,
    window: Window::Given(Some(4096)),
    ..LLAMA
};

const QWEN2: Kind = Kind {
    model_type: "qwen2",
    name: "Qwen2",
    defaults: Defaults {
        intermediate: 22016,
        kv_heads: Some(32),
        vocab: 151_936,
        max_positions: 32768,
        ..LLAMA.defaults
    },
    biases: Biases::QueryKeyValue,
    window: Window::Used(28),
    ..LLAMA
};

/// The decoder of Qwen2-VL and Qwen2.5-VL.
const QWEN2_VL: Kind = Kind {
    model_type: "qwen2_vl",
    defaults: Defaults {
        hidden: 8192,
        intermediate: 29568,
        layers: 80,
        heads: 64,
        kv_heads: Some(8),
        vocab: 152_064,
        eps: 1e-5,
        rope_theta: 1_000_000.0,
        ..QWEN2.defaults
    },
    window: Window::Used(80),
    rope_axes: Some(RopeAxes::Sections(&[16, 24, 24])),
    ..QWEN2
};

const QWEN3: Kind = Kind {
    model_type: "qwen3",
    name: "Qwen3",
    defaults: Defaults {
        head_dim: Some(128),
        ..QWEN2.defaults
    },
    biases: Biases::Attention,
    head_norms: true,
    ..QWEN2
};

/// The decoder of Qwen3-VL.
const QWEN3_VL: Kind = Kind {
    model_type: "qwen3_vl",
    defaults: Defaults {
        max_positions: 128_000,
        rope_theta: 500_000.0,
        ..QWEN3.defaults
    },
    window: Window::Given(None),
    rope_axes: Some(RopeAxes::Interleaved(&[24, 20, 20])),
    ..QWEN3
};

const PHI3: Kind = Kind {
    model_type: "phi3",
    name: "Phi-3",
    defaults: Defaults {
        hidden: 3072,
        intermediate: 8192,
        vocab: 32064,
        max_positions: 4096,
        eps: 1e-5,
        ..LLAMA.defaults
    },
    biases: Biases::Without,
    fused: true,
    window: Window::Given(None),
    partial_rope: Some(4096),
    ..LLAMA
};

const GRANITE: Kind = Kind {
    model_type: "granite",
    name: "Granite",
    multipliers: true,
    ..LLAMA
};

/// Gemma's config.json says `gelu` or nothing and means the approximation by the hyperbolic
/// tangent, as the original code does.
const GEMMA: Kind = Kind {
    model_type: "gemma",
    name: "Gemma",
    defaults: Defaults {
        hidden: 3072,
        intermediate: 24576,
        layers: 28,
        heads: 16,
        kv_heads: Some(16),
        head_dim: Some(256),
        vocab: 256_000,
        max_positions: 8192,
        eps: 1e-6,
        activation: Activation::GeluTanh,
        tied: true,
        rope_theta: 10000.0,
    },
    norm_offset: true,
    scaled_rows: ScaledRows::Text,
    ..LLAMA
};

/// The decoder of Mini-Gemini on Gemma, whose program scales the picture's rows too.
const MGM_GEMMA: Kind = Kind {
    model_type: "mgm_gemma",
    scaled_rows: ScaledRows::All,
    ..GEMMA
};

const GEMMA3: Kind = Kind {
    model_type: "gemma3_text",
    name: "Gemma 3",
    defaults: Defaults {
        hidden: 2304,
        intermediate: 9216,
        layers: 26,
        heads: 8,
        kv_heads: Some(4),
        vocab: 262_208,
        max_positions: 131_072,
        rope_theta: 1_000_000.0,
        ..GEMMA.defaults
    },
    biases: Biases::Attention,
    head_norms: true,
    norms_after: true,
    mutual_picture: true,
    activation_field: "hidden_activation",
    window: Window::Layers(SlidingDefaults {
        window: 4096,
        pattern: 6,
        rope_theta: 10_000.0,
        query_scalar: 256,
    }),
    ..GEMMA
};

const KINDS: [Kind; 11] = [
    LLAMA, MISTRAL, QWEN2, QWEN2_VL, QWEN3, QWEN3_VL, PHI3, GRANITE, GEMMA, MGM_GEMMA, GEMMA3,
];

impl Kind {
    /// Returns the kind of that `model_type`.
    ///
    /// # Panics
    /// When it is none of the table: families name them in their own code.
    pub fn of(model_type: &str) -> Kind {
        let found = KINDS.iter().find(|kind| kind.model_type == model_type);
        *found.unwrap_or_else(|| panic!("no decoder is called {model_type}"))
    }
}

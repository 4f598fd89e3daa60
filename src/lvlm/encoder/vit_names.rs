//! The names of a vision transformer's tensors in each layout, and which of them there are.

/// The tensors of one.
#[derive(Debug, PartialEq)]
pub(in crate::lvlm) struct VitNames {
    /// The patch projection.
    pub patches: &'static str,
    /// Whether that has a bias.
    pub patch_bias: bool,
    /// The class token, where one stands before the patches.
    pub class: Option<&'static str>,
    /// Its shape.
    pub class_shape: Stored,
    /// The positions, the class token's first.
    pub positions: &'static str,
    /// Their shape.
    pub positions_shape: Stored,
    /// The norm before the first layer, where there is one.
    pub norm_before: Option<&'static str>,
    /// A layer, up to its number. The names below follow the number.
    pub layers: &'static str,
    /// Before attention and before the perceptron.
    pub norms: [&'static str; 2],
    /// To queries, keys and values.
    pub projections: Projections,
    /// Of queries and of keys, where a config has them.
    pub query_key_norms: [&'static str; 2],
    /// After attention.
    pub output: &'static str,
    /// The perceptron.
    pub perceptron: Perceptron,
    /// Factors on what attention and the perceptron add, where there are some.
    pub scales: Option<[&'static str; 2]>,
    /// The norm after the last layer, where the selected features pass one.
    pub norm_after: Option<&'static str>,
}

/// The dimensions of a table of rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) enum Stored {
    /// `[width]`, of one row.
    Vector,
    /// `[rows, width]`.
    Table,
    /// `[1, rows, width]`.
    Batch,
}

impl Stored {
    /// The shape of that many rows.
    pub fn of(self, rows: usize, width: usize) -> Vec<usize> {
        match self {
            Stored::Vector => vec![width],
            Stored::Table => vec![rows, width],
            Stored::Batch => vec![1, rows, width],
        }
    }
}

/// To queries, keys and values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) enum Projections {
    /// One layer each.
    Apart([&'static str; 3]),
    /// One below the other in one layer.
    Stacked(&'static str),
}

/// The perceptron's layers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) enum Perceptron {
    /// Up and down.
    Plain([&'static str; 2]),
    /// Gate and up, one below the other in one layer, and down.
    Gated([&'static str; 2]),
}

/// CLIP's in `transformers`. The misspelling is the checkpoints' own.
pub(in crate::lvlm) static CLIP: VitNames = VitNames {
    patches: "embeddings.patch_embedding",
    patch_bias: false,
    class: Some("embeddings.class_embedding"),
    class_shape: Stored::Vector,
    positions: "embeddings.position_embedding.weight",
    positions_shape: Stored::Table,
    norm_before: Some("pre_layrnorm"),
    layers: "encoder.layers.",
    norms: ["layer_norm1", "layer_norm2"],
    projections: Projections::Apart(["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
    query_key_norms: ["self_attn.q_norm", "self_attn.k_norm"],
    output: "self_attn.out_proj",
    perceptron: Perceptron::Plain(["mlp.fc1", "mlp.fc2"]),
    scales: None,
    norm_after: None,
};

/// SigLIP's in `transformers`.
pub(in crate::lvlm) static SIGLIP: VitNames = VitNames {
    patch_bias: true,
    class: None,
    norm_before: None,
    ..CLIP
};

/// SigLIP's in Idefics3, of which the last norm's output is selected.
pub(in crate::lvlm) static IDEFICS3: VitNames = VitNames {
    norm_after: Some("post_layernorm"),
    ..SIGLIP
};

/// SigLIP's in timm, of which the last norm's output is selected.
pub(in crate::lvlm) static TIMM_SIGLIP: VitNames = VitNames {
    patches: "patch_embed.proj",
    positions: "pos_embed",
    positions_shape: Stored::Batch,
    layers: "blocks.",
    norms: ["norm1", "norm2"],
    projections: Projections::Stacked("attn.qkv"),
    output: "attn.proj",
    norm_after: Some("norm"),
    ..SIGLIP
};

/// DINOv2's in `transformers`, with a gated perceptron as the giant model has it.
pub(in crate::lvlm) static DINOV2_GATED: VitNames = VitNames {
    patches: "embeddings.patch_embeddings.projection",
    patch_bias: true,
    class: Some("embeddings.cls_token"),
    class_shape: Stored::Batch,
    positions: "embeddings.position_embeddings",
    positions_shape: Stored::Batch,
    norm_before: None,
    layers: "encoder.layer.",
    norms: ["norm1", "norm2"],
    projections: Projections::Apart([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    query_key_norms: ["attention.attention.q_norm", "attention.attention.k_norm"],
    output: "attention.output.dense",
    perceptron: Perceptron::Gated(["mlp.weights_in", "mlp.weights_out"]),
    scales: Some(["layer_scale1.lambda1", "layer_scale2.lambda1"]),
    norm_after: Some("layernorm"),
};

/// InternViT's in `transformers`.
pub(in crate::lvlm) static INTERN_VIT: VitNames = VitNames {
    patches: "embeddings.patch_embeddings.projection",
    patch_bias: true,
    class: Some("embeddings.cls_token"),
    class_shape: Stored::Batch,
    positions: "embeddings.position_embeddings",
    positions_shape: Stored::Batch,
    norm_before: None,
    layers: "encoder.layer.",
    norms: ["layernorm_before", "layernorm_after"],
    projections: Projections::Apart(["attention.q_proj", "attention.k_proj", "attention.v_proj"]),
    query_key_norms: ["attention.q_norm", "attention.k_norm"],
    output: "attention.projection_layer",
    perceptron: Perceptron::Plain(["mlp.fc1", "mlp.fc2"]),
    scales: Some(["lambda_1", "lambda_2"]),
    norm_after: None,
};

/// The same with the norm after the last layer.
pub(in crate::lvlm) static INTERN_VIT_NORMED: VitNames = VitNames {
    norm_after: Some("layernorm"),
    ..INTERN_VIT
};

/// InternViT's in InternVL's original layout.
pub(in crate::lvlm) static INTERN_VIT_ORIGINAL: VitNames = VitNames {
    patches: "embeddings.patch_embedding",
    class: Some("embeddings.class_embedding"),
    positions: "embeddings.position_embedding",
    layers: "encoder.layers.",
    norms: ["norm1", "norm2"],
    projections: Projections::Stacked("attn.qkv"),
    query_key_norms: ["attn.q_norm", "attn.k_norm"],
    output: "attn.proj",
    scales: Some(["ls1", "ls2"]),
    ..INTERN_VIT
};

/// DINOv2's with the perceptron of the other models.
pub(in crate::lvlm) static DINOV2: VitNames = VitNames {
    perceptron: Perceptron::Plain(["mlp.fc1", "mlp.fc2"]),
    ..DINOV2_GATED
};

//! What a LLaVA's tensors are called, under each of the spellings that checkpoints use, and what shapes they have.

use super::{CheckpointError, LlavaConfig, Tensors};

/// Each part's prefixes; one that begins another comes after it.
const VISION: [&str; 4] = [
    "model.vision_tower.vision_model.",
    "model.vision_tower.",
    "vision_tower.vision_model.",
    "vision_tower.",
];
const PROJECTOR: [&str; 2] = ["model.multi_modal_projector.", "multi_modal_projector."];
const DECODER: [&str; 2] = ["language_model.model.", "model.language_model."];
const HEAD: [&str; 2] = ["language_model.lm_head.weight", "lm_head.weight"];

/// The spelling that one checkpoint uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// What the encoder's tensors begin with, such as `vision_tower.vision_model.`
    pub vision: String,
    /// What the projector's tensors begin with, such as `multi_modal_projector.`
    pub projector: String,
    /// What the decoder's tensors begin with, such as `language_model.model.`
    pub decoder: String,
    /// The vocabulary projection's full name; `None` when the file holds none, as with tied embeddings.
    pub head: Option<String>,
}

impl Names {
    /// Finds the spelling of each part. A part of which there is no tensor at all gets transformers 4's, so that what is
    /// missing has a name.
    ///
    /// # Errors
    /// [`CheckpointError::AmbiguousNames`] when a part is stored under two spellings.
    pub fn find(tensors: &Tensors) -> Result<Self, CheckpointError> {
        let part = |part, prefixes: &'static [&'static str]| {
            let mut found: Vec<&str> = tensors
                .names()
                .filter_map(|name| {
                    prefixes
                        .iter()
                        .find(|prefix| name.starts_with(**prefix))
                        .copied()
                })
                .collect();
            found.sort_unstable();
            found.dedup();
            match found[..] {
                [] => Ok(None),
                [prefix] => Ok(Some(prefix.to_string())),
                [first, second, ..] => Err(CheckpointError::AmbiguousNames {
                    model: tensors.model().to_string(),
                    part,
                    first: first.to_string(),
                    second: second.to_string(),
                }),
            }
        };
        let or =
            |found: Option<String>, default: &str| found.unwrap_or_else(|| default.to_string());
        Ok(Self {
            vision: or(
                part("vision encoder", &VISION)?,
                "vision_tower.vision_model.",
            ),
            projector: or(part("projector", &PROJECTOR)?, "multi_modal_projector."),
            decoder: or(part("decoder", &DECODER)?, "language_model.model."),
            head: part("vocabulary projection", &HEAD)?,
        })
    }

    /// The vocabulary projection's name: as found, or as it would be beside this decoder.
    pub fn head_or_default(&self) -> &str {
        let default = if self.decoder.starts_with("language_model.") {
            HEAD[0]
        } else {
            HEAD[1]
        };
        self.head.as_deref().unwrap_or(default)
    }
}

/// Every tensor that a LLaVA of this config needs, with its shape: the encoder's layers only as far as they are used, and
/// not its last layer norm, which no feature passes.
pub fn expected_tensors(config: &LlavaConfig, names: &Names) -> Vec<(String, Vec<usize>)> {
    let mut list = List(Vec::new());
    list.vision(config, &names.vision);
    let (vision, text) = (&config.vision, &config.text);
    let projector = &names.projector;
    list.linear(
        &format!("{projector}linear_1"),
        text.hidden,
        vision.hidden,
        config.projector_bias,
    );
    list.linear(
        &format!("{projector}linear_2"),
        text.hidden,
        text.hidden,
        config.projector_bias,
    );
    list.decoder(config, &names.decoder);
    if !text.tied_embeddings {
        list.0.push((
            names.head_or_default().to_string(),
            vec![text.vocab, text.hidden],
        ));
    }
    list.0
}

struct List(Vec<(String, Vec<usize>)>);

impl List {
    fn linear(&mut self, name: &str, out: usize, inner: usize, bias: bool) {
        self.0.push((format!("{name}.weight"), vec![out, inner]));
        if bias {
            self.0.push((format!("{name}.bias"), vec![out]));
        }
    }

    fn layer_norm(&mut self, name: &str, width: usize) {
        self.0.push((format!("{name}.weight"), vec![width]));
        self.0.push((format!("{name}.bias"), vec![width]));
    }

    fn vision(&mut self, config: &LlavaConfig, prefix: &str) {
        let clip = &config.vision;
        let (hidden, patch) = (clip.hidden, clip.patch_size);
        self.0
            .push((format!("{prefix}embeddings.class_embedding"), vec![hidden]));
        let shape = vec![hidden, clip.channels, patch, patch];
        self.0
            .push((format!("{prefix}embeddings.patch_embedding.weight"), shape));
        self.0.push((
            format!("{prefix}embeddings.position_embedding.weight"),
            vec![clip.patches() + 1, hidden],
        ));
        // The misspelling is the checkpoints' own.
        self.layer_norm(&format!("{prefix}pre_layrnorm"), hidden);
        for layer in 0..config.vision_layers_used() {
            let layer = format!("{prefix}encoder.layers.{layer}");
            self.layer_norm(&format!("{layer}.layer_norm1"), hidden);
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                self.linear(&format!("{layer}.self_attn.{part}"), hidden, hidden, true);
            }
            self.layer_norm(&format!("{layer}.layer_norm2"), hidden);
            self.linear(&format!("{layer}.mlp.fc1"), clip.intermediate, hidden, true);
            self.linear(&format!("{layer}.mlp.fc2"), hidden, clip.intermediate, true);
        }
    }

    fn decoder(&mut self, config: &LlavaConfig, prefix: &str) {
        let llama = &config.text;
        let (hidden, inner) = (llama.hidden, llama.intermediate);
        let (queries, keys) = (
            llama.heads * llama.head_dim,
            llama.kv_heads * llama.head_dim,
        );
        self.0.push((
            format!("{prefix}embed_tokens.weight"),
            vec![llama.vocab, hidden],
        ));
        for layer in 0..llama.layers {
            let layer = format!("{prefix}layers.{layer}");
            self.0
                .push((format!("{layer}.input_layernorm.weight"), vec![hidden]));
            for (part, width) in [("q_proj", queries), ("k_proj", keys), ("v_proj", keys)] {
                self.linear(
                    &format!("{layer}.self_attn.{part}"),
                    width,
                    hidden,
                    llama.attention_bias,
                );
            }
            self.linear(
                &format!("{layer}.self_attn.o_proj"),
                hidden,
                queries,
                llama.attention_bias,
            );
            self.0.push((
                format!("{layer}.post_attention_layernorm.weight"),
                vec![hidden],
            ));
            self.linear(
                &format!("{layer}.mlp.gate_proj"),
                inner,
                hidden,
                llama.mlp_bias,
            );
            self.linear(
                &format!("{layer}.mlp.up_proj"),
                inner,
                hidden,
                llama.mlp_bias,
            );
            self.linear(
                &format!("{layer}.mlp.down_proj"),
                hidden,
                inner,
                llama.mlp_bias,
            );
        }
        self.0.push((format!("{prefix}norm.weight"), vec![hidden]));
    }
}

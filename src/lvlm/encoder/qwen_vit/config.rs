//! The sizes and choices of the vision transformer, from its fields in config.json.

use serde_json::{Value, json};

use super::PatchLayout;
use crate::checkpoint::{Activation, Fields, LAYER_LIMIT, SIZE_LIMIT, activation};
use crate::lvlm::error::ReadResult;

/// The encoder, after `transformers`' `Qwen2VLVisionConfig`, `Qwen2_5_VLVisionConfig` and
/// `Qwen3VLVisionConfig`.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct QwenVitConfig {
    pub hidden: usize,
    /// Width inside the perceptron.
    pub intermediate: usize,
    pub layers: usize,
    pub heads: usize,
    pub patch_size: usize,
    /// Equal frames that a picture is repeated to.
    pub frames: usize,
    /// Patches of a row of the decoder each way.
    pub merge: usize,
    pub activation: Activation,
    /// Base of the rotary frequencies.
    pub(super) theta: f64,
    pub(super) version: Version,
    /// The decoder's width, to which rows are projected, and its field.
    pub out: (&'static str, usize),
}

/// The model that it is of.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Version {
    /// Layer norms and plain perceptrons.
    Qwen2,
    /// Root-mean-square norms, gated perceptrons and windows.
    Qwen2_5(WindowLayers),
    /// As the first, with a bias of the patch embedding, learned positions and layers whose
    /// features become rows of the decoder.
    Qwen3(DeepLayers),
}

/// What Qwen3-VL adds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DeepLayers {
    /// Rows of the table of learned positions, which begins with a square.
    pub positions: usize,
    /// The layers whose features become rows of the decoder, in the order of their mergers.
    pub layers: Vec<usize>,
}

/// The layers that attend inside windows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WindowLayers {
    /// Rows of the decoder of a window each way.
    pub side: usize,
    /// The layers without windows.
    pub whole: Vec<usize>,
}

impl QwenVitConfig {
    /// Reads the fields of Qwen2-VL's vision config.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn qwen2(fields: &Fields) -> ReadResult<Self> {
        let hidden = fields.size("embed_dim", 1280, SIZE_LIMIT)?;
        let ratio = fields.size("mlp_ratio", 4, SIZE_LIMIT)?;
        if hidden.saturating_mul(ratio) > SIZE_LIMIT {
            let expected = format!("embed_dim * mlp_ratio of at most {SIZE_LIMIT}");
            return Err(fields.error("mlp_ratio", ratio, expected));
        }
        let config = Self {
            hidden,
            intermediate: hidden * ratio,
            activation: activation(fields, "hidden_act", Activation::QuickGelu)?,
            out: ("hidden_size", fields.size("hidden_size", 3584, SIZE_LIMIT)?),
            ..Self::shared(fields)?
        };
        config.check(fields, "embed_dim").map(|()| config)
    }

    /// Reads the fields of Qwen2.5-VL's vision config.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn qwen2_5(fields: &Fields) -> ReadResult<Self> {
        let out = "out_hidden_size";
        let shared = Self::shared(fields)?;
        let name = "window_size";
        let pixels = fields.size(name, 112, SIZE_LIMIT)?;
        let side = pixels / shared.merge / shared.patch_size;
        if side == 0 {
            let expected = format!(
                "at least {} pixels, those of a row of the decoder",
                shared.merge * shared.patch_size
            );
            return Err(fields.error(name, pixels, expected));
        }
        let config = Self {
            hidden: fields.size("hidden_size", 3584, SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", 3420, SIZE_LIMIT)?,
            activation: activation(fields, "hidden_act", Activation::Silu)?,
            version: Version::Qwen2_5(WindowLayers {
                side,
                whole: layers(fields, "fullatt_block_indexes", &[7, 15, 23, 31])?,
            }),
            out: (out, fields.size(out, 3584, SIZE_LIMIT)?),
            ..shared
        };
        config.check(fields, "hidden_size").map(|()| config)
    }

    /// Reads the fields of Qwen3-VL's vision config.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn qwen3(fields: &Fields) -> ReadResult<Self> {
        let (out, deep) = ("out_hidden_size", "deepstack_visual_indexes");
        let depth = fields.size("depth", 27, LAYER_LIMIT)?;
        let tapped = layers(fields, deep, &[8, 16, 24])?;
        let several = (1..tapped.len()).any(|n| tapped[..n].contains(&tapped[n]));
        if several || tapped.iter().any(|&layer| layer >= depth) {
            let expected = format!("different numbers of layers, each below depth, {depth}");
            return Err(fields.error(deep, format!("{tapped:?}"), expected));
        }
        let config = Self {
            hidden: fields.size("hidden_size", 1152, SIZE_LIMIT)?,
            intermediate: fields.size("intermediate_size", 4304, SIZE_LIMIT)?,
            layers: depth,
            patch_size: fields.edge("patch_size", 16)?,
            activation: activation(fields, "hidden_act", Activation::GeluTanh)?,
            version: Version::Qwen3(DeepLayers {
                positions: fields.size("num_position_embeddings", 2304, SIZE_LIMIT)?,
                layers: tapped,
            }),
            out: (out, fields.size(out, 3584, SIZE_LIMIT)?),
            ..Self::shared(fields)?
        };
        config.check(fields, "hidden_size")?;
        // Other names of the config class for the same sizes, and one that its rotary positions
        // read.
        for (other, name, size) in [
            ("num_hidden_layers", "depth", depth),
            ("num_attention_heads", "num_heads", config.heads),
            ("head_dim", "hidden_size / num_heads", config.head_dim()),
        ] {
            let found = fields.size(other, size, SIZE_LIMIT)?;
            if found != size {
                return Err(fields.error(other, found, format!("{name}, {size}")));
            }
        }
        Ok(config)
    }

    /// Reads the fields that all have.
    fn shared(fields: &Fields) -> ReadResult<Self> {
        for name in ["in_channels", "in_chans"] {
            let found = fields.size(name, 3, SIZE_LIMIT)?;
            if found != 3 {
                return Err(fields.error(name, found, "3"));
            }
        }
        let rope = fields.section("rope_parameters")?;
        let name = "rope_type";
        if let Some(kind) = rope.text(name)?
            && kind != "axial"
        {
            return Err(rope.error(name, format!("{kind:?}"), "\"axial\""));
        }
        let beside = fields.positive("rope_theta")?;
        Ok(Self {
            hidden: 0,
            intermediate: 0,
            layers: fields.size("depth", 32, LAYER_LIMIT)?,
            heads: fields.size("num_heads", 16, SIZE_LIMIT)?,
            patch_size: fields.edge("patch_size", 14)?,
            frames: fields.edge("temporal_patch_size", 2)?,
            merge: fields.edge("spatial_merge_size", 2)?,
            activation: Activation::Gelu,
            theta: rope.positive("rope_theta")?.or(beside).unwrap_or(10000.0),
            version: Version::Qwen2,
            out: ("", 0),
        })
    }

    /// Checks that heads divide the width, and that a head has pairs for rows and for columns.
    fn check(&self, fields: &Fields, width: &'static str) -> ReadResult<()> {
        fields.divides((width, self.hidden), ("num_heads", self.heads))?;
        if !self.head_dim().is_multiple_of(4) {
            let expected = "heads of a multiple of 4: pairs are turned by rows and by columns";
            return Err(fields.error("num_heads", self.heads, expected));
        }
        Ok(())
    }

    /// The windows of Qwen2.5-VL.
    pub(super) fn windows(&self) -> Option<&WindowLayers> {
        match &self.version {
            Version::Qwen2_5(windows) => Some(windows),
            Version::Qwen2 | Version::Qwen3(_) => None,
        }
    }

    /// What Qwen3-VL adds.
    pub(super) fn deepstack(&self) -> Option<&DeepLayers> {
        match &self.version {
            Version::Qwen3(deep) => Some(deep),
            Version::Qwen2 | Version::Qwen2_5(_) => None,
        }
    }

    /// Columns of a head.
    pub fn head_dim(&self) -> usize {
        self.hidden / self.heads
    }

    /// Columns of the merger's input: those of the patches of a row of the decoder.
    pub fn merged(&self) -> usize {
        self.hidden * self.merge.pow(2)
    }

    /// Describes it: sizes and choices by name.
    pub fn sizes(&self) -> Value {
        let kind = match self.version {
            Version::Qwen2 => "Qwen2-VL ViT",
            Version::Qwen2_5(_) => "Qwen2.5-VL ViT",
            Version::Qwen3(_) => "Qwen3-VL ViT",
        };
        let mut sizes = json!({
            "kind": kind,
            "layers": self.layers, "width": self.hidden, "heads": self.heads,
            "mlp": self.intermediate, "patch": self.patch_size,
            "activation": self.activation.to_string(),
        });
        if let Some(deep) = self.deepstack() {
            sizes["positions"] = json!(deep.positions);
            sizes["deepstack layers"] = json!(deep.layers);
        }
        if let Some(windows) = self.windows() {
            sizes["window"] = json!(windows.side * self.merge * self.patch_size);
            sizes["layers without windows"] = json!(windows.whole);
        }
        sizes
    }

    /// Returns the layout of a picture of so many rows and columns of patches, which are multiples
    /// of `merge`.
    pub fn layout(&self, rows: usize, columns: usize) -> PatchLayout {
        let side = self.windows().map(|windows| windows.side);
        let positions = self.deepstack().map(|deep| deep.positions);
        PatchLayout::new((rows, columns), self.merge, side, positions)
    }
}

/// Reads a list of numbers of layers.
fn layers(fields: &Fields, name: &str, default: &[usize]) -> ReadResult<Vec<usize>> {
    let Some(value) = fields.value(name) else {
        return Ok(default.to_vec());
    };
    let index = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let list = value
        .as_array()
        .map(|list| list.iter().map(index).collect());
    let list: Option<Vec<usize>> = list.flatten();
    list.ok_or_else(|| fields.error(name, value, "a list of numbers of layers"))
}

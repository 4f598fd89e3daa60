//! The sizes and choices of the vision transformer, from its fields in config.json.

use serde_json::{Value, json};

use super::PatchLayout;
use crate::checkpoint::{Activation, Fields, LAYER_LIMIT, SIZE_LIMIT, activation};
use crate::lvlm::error::ReadResult;

/// The encoder, after `transformers`' `Qwen2VLVisionConfig` and `Qwen2_5_VLVisionConfig`.
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
    /// Qwen2.5-VL's windows and root-mean-square norms; Qwen2-VL has neither.
    pub(super) windows: Option<WindowLayers>,
    /// The decoder's width, to which rows are projected, and its field.
    pub out: (&'static str, usize),
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
            windows: None,
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
            windows: Some(WindowLayers {
                side,
                whole: whole_layers(fields)?,
            }),
            out: (out, fields.size(out, 3584, SIZE_LIMIT)?),
            ..shared
        };
        config.check(fields, "hidden_size").map(|()| config)
    }

    /// Reads the fields that both have.
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
            windows: None,
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
        let mut sizes = json!({
            "kind": if self.windows.is_some() { "Qwen2.5-VL ViT" } else { "Qwen2-VL ViT" },
            "layers": self.layers, "width": self.hidden, "heads": self.heads,
            "mlp": self.intermediate, "patch": self.patch_size,
            "activation": self.activation.to_string(),
        });
        if let Some(windows) = &self.windows {
            sizes["window"] = json!(windows.side * self.merge * self.patch_size);
            sizes["layers without windows"] = json!(windows.whole);
        }
        sizes
    }

    /// Returns the layout of a picture of so many rows and columns of patches, which are multiples
    /// of `merge`.
    pub fn layout(&self, rows: usize, columns: usize) -> PatchLayout {
        let side = self.windows.as_ref().map(|windows| windows.side);
        PatchLayout::new(rows, columns, self.merge, side)
    }
}

/// Reads `fullatt_block_indexes`.
fn whole_layers(fields: &Fields) -> ReadResult<Vec<usize>> {
    let name = "fullatt_block_indexes";
    let Some(value) = fields.value(name) else {
        return Ok(vec![7, 15, 23, 31]);
    };
    let index = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
    let list = value
        .as_array()
        .map(|list| list.iter().map(index).collect());
    let list: Option<Vec<usize>> = list.flatten();
    list.ok_or_else(|| fields.error(name, value, "a list of numbers of layers"))
}

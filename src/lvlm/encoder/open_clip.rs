//! Checkpoints in OpenCLIP's layout, whose encoders have timm's names.

use serde_json::{Value, json};

use super::vit::{VitOptions, VitSizes};
use super::vit_names;
use crate::checkpoint::{
    Activation, CheckpointError, Config, Fields, Files, ProcessorFile, Tensors,
};

/// The config's name.
const CONFIG: &str = "open_clip_config.json";
/// Names of the weight file, the likeliest first.
pub(in crate::lvlm) const OPEN_CLIP_FILES: [&str; 2] =
    ["open_clip_model.safetensors", "model.safetensors"];
/// Beginnings of the encoder's tensors.
pub(in crate::lvlm) const OPEN_CLIP_TRUNK: &str = "visual.trunk.";

/// The encoder's part of open_clip_config.json.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct OpenClipConfig {
    config: Config,
    /// Edge of the pictures that it was trained on, in pixels.
    pub image_size: usize,
    /// timm's name of the encoder.
    pub model: String,
    /// The normalisation of pixels.
    pub processor: ProcessorFile,
}

impl OpenClipConfig {
    /// Reads it.
    ///
    /// # Errors
    /// [`CheckpointError::MissingFile`], [`CheckpointError::Json`], [`CheckpointError::Config`].
    pub fn read(files: &Files) -> Result<Self, CheckpointError> {
        let text = files.required_text(CONFIG, "it says what the encoder is")?;
        let config = Config::from_json(&text, &files.path(CONFIG))?;
        let top = config.top();
        let vision = top.section("model_cfg")?.section("vision_cfg")?;
        let preprocess = top.section("preprocess_cfg")?;
        let colours = |name: &str| colour(&preprocess, name);
        let json = json!({
            "image_processor_type": "CLIPImageProcessor",
            "image_mean": colours("mean")?, "image_std": colours("std")?,
        });
        let processor = ProcessorFile::of(files.path(CONFIG), Some(json.to_string()));
        Ok(Self {
            image_size: vision.edge("image_size", 224)?,
            model: vision.text("timm_model_name")?.unwrap_or_default().into(),
            processor,
            config,
        })
    }

    /// Returns the description, the sizes and the layers of the SigLIP that the tensors are.
    ///
    /// # Errors
    /// [`CheckpointError::Config`] where they are none.
    pub fn siglip(&self, tensors: &Tensors) -> Result<(Value, VitSizes, usize), CheckpointError> {
        let shape = |name: &str| {
            let tensor = tensors.get(&format!("{OPEN_CLIP_TRUNK}{name}"))?;
            Some(&*tensor.shape)
        };
        let first = |layer: usize| shape(&format!("blocks.{layer}.mlp.fc1.weight"));
        let layers = (0..).take_while(|&layer| first(layer).is_some()).count();
        let (patches, inside) = (shape("patch_embed.proj.weight"), first(0));
        let (Some(&[hidden, _, patch, _]), Some(&[intermediate, _])) = (patches, inside) else {
            let top = self.config.top();
            let vision = top.section("model_cfg")?.section("vision_cfg")?;
            let found = format!("{:?}, without its tensors", self.model);
            return Err(vision.error("timm_model_name", found, "a SigLIP of timm's"));
        };
        // Heads are 64 wide in all of them but the shape-optimised one, which has sixteen.
        let heads = match self.model.contains("so400m") {
            true => 16,
            false => (hidden / 64).max(1),
        };
        let across = self.image_size / patch.max(1);
        if !hidden.is_multiple_of(heads) || across == 0 {
            let found = format!("{:?}, {hidden} wide, patches of {patch}", self.model);
            let expected = format!(
                "a width that {heads} heads divide, patches of at most {} pixels",
                self.image_size
            );
            let top = self.config.top();
            return Err(top.error("model_cfg.vision_cfg.timm_model_name", found, expected));
        }
        let sizes = json!({
            "kind": "SigLIP ViT", "layers": layers, "used": layers, "width": hidden, "heads": heads,
            "mlp": intermediate,
            "pixels": self.image_size, "patch": patch, "activation": Activation::Gelu.to_string(),
        });
        let vit = VitSizes {
            hidden,
            intermediate,
            heads,
            across,
            positions: across,
            patch,
            eps: 1e-6,
            activation: Activation::Gelu,
            options: VitOptions::USUAL,
            names: &vit_names::TIMM_SIGLIP,
        };
        Ok((sizes, vit, layers))
    }
}

/// Three numbers, one for each channel.
fn colour(fields: &Fields, name: &str) -> Result<Vec<f64>, CheckpointError> {
    let expected = "a list of 3 numbers";
    let Some(value) = fields.value(name) else {
        return Err(fields.error(name, "left out", expected));
    };
    let list = value.as_array().into_iter().flatten();
    let numbers: Option<Vec<f64>> = list.map(Value::as_f64).collect();
    match numbers.filter(|numbers| numbers.len() == 3) {
        Some(numbers) => Ok(numbers),
        None => Err(fields.error(name, value, expected)),
    }
}

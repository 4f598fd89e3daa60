//! The encoder that `mm_vision_tower` names in the original layouts: in a checkpoint of its own, or
//! with its tensors in the model's.

use serde_json::json;

use super::towers::{Tower, TowerName};
use super::traits::{Outside, PartOf};
use crate::checkpoint::{Activation, CheckpointError, Config, ProcessorFile, Tensors};
use crate::device::Device;
use crate::lvlm::encoder::{
    ClipConfig, FeatureSelect, Select, SiglipConfig, Vit, VitConfig, hidden_state_layers,
};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::loader::Loader;

/// The config's field that names it.
pub(in crate::lvlm) const FIELD: &str = "mm_vision_tower";
/// The config's field of the selected hidden state.
pub(in crate::lvlm) const LAYER_FIELD: &str = "mm_vision_select_layer";
/// Beginning of its tensors' names where the model's own checkpoint holds them,
const INSIDE: &str = "model.vision_tower.vision_tower.vision_model.";
/// and in a checkpoint of its own.
const OWN: &str = "vision_model.";

/// The defaults of SigLIP in the original programs, those of `google/siglip-so400m-patch14-384`.
const SO400M: SiglipConfig = SiglipConfig {
    hidden: 1152,
    intermediate: 4304,
    layers: 27,
    heads: 16,
    image_size: 384,
    patch_size: 14,
    activation: Activation::GeluTanh,
    layer_norm_eps: 1e-6,
};

/// Its name among a model's parts.
const PART: &str = "vision encoder";

/// The encoder, found.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct VitTower {
    pub config: VitConfig,
    pub feature_select: FeatureSelect,
    /// Its image processor.
    pub processor: ProcessorFile,
    /// Its tensors, where the model's own checkpoint does not hold them.
    own: Option<Tensors>,
}

/// Returns whether there is a tensor whose name begins with `prefix`.
pub(in crate::lvlm) fn holds(tensors: &Tensors, prefix: &str) -> bool {
    tensors.names().any(|name| name.starts_with(prefix))
}

impl VitTower {
    /// Returns the name of the encoder that `mm_vision_tower` names, for the search.
    pub fn name(encoder: &str, tensors: &Tensors) -> TowerName {
        TowerName {
            field: FIELD.into(),
            names: vec![encoder.to_string()],
            // Its config and its processor's are there; without them, its tensors must say what it
            // is.
            optional: of_tensors(tensors).is_some(),
            weights: &[],
            config_only: holds(tensors, INSIDE),
        }
    }

    /// Returns the error of a family that has none, since it was not fitted to a checkpoint.
    pub fn missing(config: &Config, encoder: &str) -> CheckpointError {
        CheckpointError::MissingEncoder {
            file: config.file().to_string(),
            field: FIELD.into(),
            encoder: encoder.to_string(),
            looked: Vec::new(),
        }
    }

    /// Reads the encoder called `encoder` from its own checkpoint or from the tensors of a model of
    /// that config; `index` is the selected hidden state. Returns `None` where neither says what it
    /// is.
    ///
    /// # Errors
    /// Errors of the encoder's config, and of the index.
    pub fn find(
        config: &Config,
        encoder: &str,
        index: i64,
        tensors: &Tensors,
        tower: Option<Tower>,
    ) -> ReadResult<Option<VitTower>> {
        let found = match &tower {
            Some(tower) => Some(VitConfig::of_own_checkpoint(&Config::read(&tower.files)?)?),
            None => of_tensors(tensors),
        };
        let Some(vit) = found else {
            return Ok(None);
        };
        let feature_select = match &vit {
            VitConfig::Clip(_) | VitConfig::Intern(_) => {
                let layers = hidden_state_layers(&config.top(), LAYER_FIELD, index, vit.layers())?;
                FeatureSelect::last(layers, Select::Default)
            }
            // The original programs drop its last layer and take what is then the last, whatever
            // the config says.
            VitConfig::Siglip(siglip) => FeatureSelect::last(siglip.layers - 1, Select::Full),
        };
        let processor = match (&vit, &tower) {
            (VitConfig::Clip(_), Some(tower)) => ProcessorFile::read(&tower.files)?,
            _ => class_defaults(encoder, &vit),
        };
        Ok(Some(VitTower {
            config: vit,
            feature_select,
            processor,
            own: match holds(tensors, INSIDE) {
                true => None,
                false => tower.map(|tower| tower.tensors),
            },
        }))
    }

    /// Loads its selected layers.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load<D: Device>(&self, loader: &Loader<D>) -> Result<Vit<D>> {
        let prefix = match &self.own {
            None => INSIDE,
            Some(_) => OWN,
        };
        let own = loader.beside(self.own.as_ref());
        Vit::load(&own, &self.config.vit(), prefix, &self.feature_select)
    }

    /// Returns its tensors, where they are in a checkpoint of its own.
    pub fn outside(&self) -> Option<Outside<'_>> {
        Some(Outside {
            part: PART,
            tensors: self.own.as_ref()?,
            prefix: OWN,
        })
    }

    /// Describes it.
    pub fn part(&self) -> PartOf {
        PartOf {
            name: PART,
            prefixes: vec![INSIDE.into()],
            sizes: self.config.sizes(self.feature_select.layers),
        }
    }

    /// Returns it with every layer.
    pub fn whole(mut self) -> Self {
        self.feature_select.layers = self.config.layers();
        self
    }

    /// Names the tensors in the model's checkpoint that no layer uses.
    pub fn never_used(&self) -> Vec<String> {
        self.config.never_used(INSIDE)
    }
}

/// Infers the config of an encoder inside from its tensors and from the defaults of its class:
/// CLIP, or the one SigLIP whose sizes are the original defaults.
fn of_tensors(tensors: &Tensors) -> Option<VitConfig> {
    let siglip = SO400M;
    let positions = tensors.get(&format!("{INSIDE}embeddings.position_embedding.weight"))?;
    if positions.shape == [siglip.across().pow(2), siglip.hidden] {
        return Some(VitConfig::Siglip(siglip));
    }
    ClipConfig::of_tensors(tensors, INSIDE).map(VitConfig::Clip)
}

/// Returns the image processor with the defaults of its class for the encoder's size: for CLIP
/// where its own checkpoint is missing, for SigLIP always, since the original programs do not read
/// its file.
fn class_defaults(encoder: &str, vit: &VitConfig) -> ProcessorFile {
    let pixels = vit.image_size();
    let square = json!({ "height": pixels, "width": pixels });
    let json = match vit {
        VitConfig::Clip(_) | VitConfig::Intern(_) => json!({
            "image_processor_type": "CLIPImageProcessor",
            "size": { "shortest_edge": pixels },
            "crop_size": square,
        }),
        VitConfig::Siglip(_) => json!({
            "image_processor_type": "SiglipImageProcessor",
            "size": square,
        }),
    };
    let file = format!("{encoder} (as its class has it)");
    ProcessorFile::of(file, Some(json.to_string()))
}

//! The encoder that `mm_vision_tower` names in the layouts of models' authors: in a checkpoint of its own, or with its tensors in
//! the model's.

use super::Result;
use super::encoder::{ClipConfig, Select, Taken, Vit, VitConfig, state_layers};
use super::family::{PartOf, ReadResult};
use super::load::Loader;
use super::towers::{Tower, TowerName};
use crate::checkpoint::{CheckpointError, Config, Fields, ProcessorFile, Tensors};
use crate::device::Device;

/// The config's field that names it.
pub(super) const FIELD: &str = "mm_vision_tower";
/// The config's field of the hidden state that is taken.
pub(super) const LAYER_FIELD: &str = "mm_vision_select_layer";
/// Beginning of its tensors' names where the model's own checkpoint holds them,
const INSIDE: &str = "model.vision_tower.vision_tower.vision_model.";
/// and in a checkpoint of its own.
const OWN: &str = "vision_model.";

/// The encoder, found.
#[derive(Debug, Clone)]
pub(super) struct VitTower {
    pub config: VitConfig,
    pub taken: Taken,
    /// How pictures are prepared for it.
    pub processor: ProcessorFile,
    /// Its tensors, where the model's own checkpoint does not hold them.
    own: Option<Tensors>,
}

/// Whether there is a tensor whose name begins so.
pub(super) fn holds(tensors: &Tensors, prefix: &str) -> bool {
    tensors.names().any(|name| name.starts_with(prefix))
}

/// The name in a field that must name an encoder.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn encoder_name(top: &Fields, field: &str) -> ReadResult<String> {
    match top.text(field)? {
        Some(name) => Ok(name.to_string()),
        None => Err(top.error(field, "left out", "the name of a vision encoder")),
    }
}

/// Fails unless a text field is `wanted`; `default` is what it means to leave it out.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn only(top: &Fields, field: &str, wanted: &str, default: &str) -> ReadResult<()> {
    let found = top.text(field)?;
    match found.unwrap_or(default) == wanted {
        true => Ok(()),
        false => {
            let found = found.map_or("left out".to_string(), |found| format!("{found:?}"));
            Err(top.error(field, found, format!("{wanted:?}")))
        }
    }
}

impl VitTower {
    /// What `mm_vision_tower` names, to be looked for.
    pub fn name(encoder: &str, tensors: &Tensors) -> TowerName {
        TowerName {
            field: FIELD.into(),
            names: vec![encoder.to_string()],
            // Its config and its processor's are there; without them, its tensors must say what it is.
            optional: ClipConfig::of_tensors(tensors, INSIDE).is_some(),
            weights: &[],
        }
    }

    /// The error of a family that has none, for it was not fitted to a checkpoint.
    pub fn missing(config: &Config, encoder: &str) -> CheckpointError {
        CheckpointError::MissingEncoder {
            file: config.file().to_string(),
            field: FIELD.into(),
            encoder: encoder.to_string(),
            looked: Vec::new(),
        }
    }

    /// Of what was found of the encoder called `encoder`, in a model of that config with those tensors; `index` is the hidden
    /// state that is taken. `None` where neither says what it is.
    ///
    /// # Errors
    /// What is wrong with the encoder's config, or with the index.
    pub fn find(
        config: &Config,
        (encoder, index): (&str, i64),
        tensors: &Tensors,
        tower: Option<Tower>,
    ) -> ReadResult<Option<VitTower>> {
        let (clip, processor) = match &tower {
            Some(tower) => (
                ClipConfig::of_own_checkpoint(&Config::read(&tower.files)?)?,
                ProcessorFile::read(&tower.files)?,
            ),
            None => match ClipConfig::of_tensors(tensors, INSIDE) {
                Some(clip) => {
                    let processor = class_defaults(encoder, clip.image_size);
                    (clip, processor)
                }
                None => return Ok(None),
            },
        };
        let layers = state_layers(&config.top(), LAYER_FIELD, index, clip.layers)?;
        Ok(Some(VitTower {
            config: VitConfig::Clip(clip),
            taken: Taken {
                layers,
                select: Select::Default,
            },
            processor,
            own: match holds(tensors, INSIDE) {
                true => None,
                false => tower.map(|tower| tower.tensors),
            },
        }))
    }

    /// Loads what is taken of it.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load<D: Device>(&self, loader: &Loader<D>) -> Result<Vit<D>> {
        let prefix = match &self.own {
            None => INSIDE,
            Some(_) => OWN,
        };
        let own = loader.beside(self.own.as_ref());
        Vit::load(&own, &self.config.vit(), prefix, self.taken)
    }

    /// For people.
    pub fn part(&self) -> PartOf {
        PartOf {
            name: "vision encoder",
            prefixes: vec![INSIDE.into()],
            sizes: self.config.sizes(self.taken.layers),
        }
    }

    /// The same with every layer.
    pub fn whole(mut self) -> Self {
        self.taken.layers = self.config.layers();
        self
    }

    /// Tensors in the model's checkpoint that no layer uses.
    pub fn never_used(&self) -> Vec<String> {
        self.config.never_used(INSIDE)
    }
}

/// How pictures are prepared for CLIP where its own checkpoint is nowhere: as its class does by itself, for its size.
fn class_defaults(encoder: &str, pixels: usize) -> ProcessorFile {
    let json = serde_json::json!({
        "image_processor_type": "CLIPImageProcessor",
        "size": { "shortest_edge": pixels },
        "crop_size": { "height": pixels, "width": pixels },
    });
    ProcessorFile {
        file: format!("{encoder} (as its class has it)"),
        json: Some(json.to_string()),
    }
}

//! What the families of Qwen-VL have in common: a picture of any shape in whole patches, a vision
//! transformer with two-dimensional rotary positions, and a decoder whose rotary positions have
//! three axes: time, rows and columns.

mod deepstack;
mod names;
mod processing;
mod vision;

use serde_json::json;

pub(in crate::lvlm) use self::names::QwenNames;
pub(in crate::lvlm) use self::processing::WholePatches;
pub(in crate::lvlm) use self::vision::QwenVision;
use super::fields::{image_token_id, processor_class};
use super::traits::PartOf;
use crate::checkpoint::{Activation, Fields, ImageToken, ProcessorFile, Tensors};
use crate::device::{Device, Part};
use crate::lvlm::decoder::DecoderConfig;
use crate::lvlm::encoder::{Merger, QwenVit, QwenVitConfig};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::loader::Loader;

/// The image token's text.
pub(in crate::lvlm) const IMAGE_TOKEN: &str = "<|image_pad|>";

/// The config of a model.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct QwenVl {
    encoder: QwenVitConfig,
    pub text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    pub names: QwenNames,
}

impl QwenVl {
    /// Creates it from the top level of a config, its vision section and what the sections say.
    ///
    /// # Errors
    /// An encoder whose rows are not as wide as the decoder's; fields of the wrong type.
    pub fn new(
        top: &Fields,
        vision: &Fields,
        (encoder, text): (QwenVitConfig, DecoderConfig),
        names: QwenNames,
    ) -> ReadResult<Self> {
        let (field, out) = encoder.out;
        if out != text.hidden {
            let expected = format!("the decoder's hidden_size, {}", text.hidden);
            return Err(vision.error(field, out, expected));
        }
        Ok(Self {
            encoder,
            text,
            image_token_id: image_token_id(top, 151_655)?,
            processor_class: processor_class(top, "Qwen2VLImageProcessor")?,
            names,
        })
    }

    /// Takes from the tensors what the config does not say.
    ///
    /// # Errors
    /// Ambiguous names.
    pub fn fit(&mut self, tensors: &Tensors) -> ReadResult<()> {
        self.names.find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    /// Returns the token that marks the picture's place in a prompt.
    pub fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    /// Makes the image processing of a processor's file.
    ///
    /// # Errors
    /// A processor that is not supported or does not fit the encoder.
    pub fn image_processing(&self, file: &ProcessorFile) -> Result<WholePatches> {
        WholePatches::read(file, &self.processor_class, &self.encoder)
    }

    /// Loads the encoder and the mergers.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn load<D: Device>(&self, loader: &Loader<D>) -> Result<QwenVision<D>> {
        let prefix = &self.names.vision;
        let encoder = QwenVit::load(loader, &self.encoder, prefix)?;
        loader.device.part(Part::Projector);
        Ok(QwenVision {
            encoder,
            merger: Merger::load(loader, &self.encoder, &format!("{prefix}merger."))?,
            layers: self.text.layers,
        })
    }

    /// Describes the parts without the decoder.
    pub fn parts(&self) -> Vec<PartOf> {
        let (merge, vision) = (self.encoder.merge, &self.names.vision);
        let mergers = ["merger.", "deepstack_merger_list."];
        vec![
            PartOf {
                name: "vision encoder",
                prefixes: vec![vision.clone()],
                sizes: self.encoder.sizes(),
            },
            PartOf {
                name: "projector",
                prefixes: mergers.map(|name| format!("{vision}{name}")).into(),
                sizes: json!({
                    "kind": "two-layer MLP", "patches": format!("{merge} x {merge}"),
                    "from": self.encoder.merged(), "to": self.text.hidden,
                    "activation": Activation::Gelu.to_string(),
                }),
            },
        ]
    }

    /// Returns it with every layer that a checkpoint may hold.
    #[must_use]
    pub fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole
    }
}

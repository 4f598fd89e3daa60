//! What the families of Qwen-VL have in common: a picture of any shape in whole patches, a vision
//! transformer with two-dimensional rotary positions, and a decoder whose rotary positions have
//! three axes: time, rows and columns.

mod deepstack;
mod names;
mod processing;
mod vision;

use std::fmt::Debug;
use std::marker::PhantomData;

use serde_json::json;

pub(in crate::lvlm) use self::names::QwenNames;
use self::processing::WholePatches;
use self::vision::QwenVision;
use super::fields::{image_token_id, processor_class};
use super::towers::Tower;
use super::traits::{Family, PartOf};
use crate::checkpoint::{
    Activation, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors,
    Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::encoder::{Merger, QwenVit, QwenVitConfig};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::loader::Loader;

/// What tells the families apart.
pub(in crate::lvlm) trait QwenVersion:
    Clone + Debug + Send + Sync + 'static
{
    /// The family's name.
    const NAME: &'static str;
    /// The template of the published models, for one picture.
    const TEMPLATE: DefaultTemplate;

    /// Returns whether a config.json is of this family.
    ///
    /// # Errors
    /// As [`Family::claims`].
    fn claims(top: &Fields) -> ReadResult<bool>;
    /// Reads the config.
    ///
    /// # Errors
    /// As [`Family::read`].
    fn read(config: &Config) -> ReadResult<QwenVl<Self>>;
}

/// The config of a model.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct QwenVl<V> {
    encoder: QwenVitConfig,
    text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    names: QwenNames,
    version: PhantomData<V>,
}

impl<V> QwenVl<V> {
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
            version: PhantomData,
        })
    }
}

impl<V: QwenVersion> Family for QwenVl<V> {
    const NAME: &'static str = V::NAME;
    type ImageProcessing = WholePatches;
    type Vision<D: Device> = QwenVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        V::claims(top)
    }

    fn read(config: &Config) -> ReadResult<Self> {
        V::read(config)
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names.find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn image_token_text() -> &'static str {
        "<|image_pad|>"
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(V::TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<WholePatches> {
        WholePatches::read(file, &self.processor_class, &self.encoder)
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<WholePatches>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<QwenVision<D>> {
        let prefix = &self.names.vision;
        let encoder = QwenVit::load(loader, &self.encoder, prefix)?;
        loader.device.part(Part::Projector);
        Ok(QwenVision {
            encoder,
            merger: Merger::load(loader, &self.encoder, &format!("{prefix}merger."))?,
            layers: self.text.layers,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
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

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        Vec::new()
    }
}

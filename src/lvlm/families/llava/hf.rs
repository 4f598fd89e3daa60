//! LLaVA-1.5 in Hugging Face's layout (`LlavaForConditionalGeneration`): one encoder at one
//! resolution, a two-layer projector, a decoder.

use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer, VICUNA,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::encoder::{Select, Vit};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_patches;
use crate::lvlm::family::fields::{image_token, processor_class};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::mixture::{Mixture, MixtureClass};
use crate::lvlm::family::one_view::{LlavaVision, OneView};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::Processor;

const CLASS: MixtureClass = MixtureClass {
    encoder: "clip_vision_model",
    decoder: "llama",
    feature_layer: -2,
    select: Select::Default,
    tiles: false,
    ties_as_decoder: true,
};

/// The config.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct Llava {
    pub parts: Mixture,
    /// Id of the token whose place in the prompt the picture takes.
    pub image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    pub names: HfNames,
}

impl Family for Llava {
    const NAME: &'static str = "llava";
    type ImageProcessing = OneView;
    type Vision<D: Device> = LlavaVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("llava"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        Ok(Self {
            parts: Mixture::read(&top, CLASS)?,
            image_token_id: image_token(&top, 32000)?,
            processor_class: processor_class(&top, "LlavaImageProcessor")?,
            names: HfNames::default(),
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = self.parts.names(tensors)?;
        self.parts.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn follow(&mut self, _: Compat) -> Result<()> {
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.parts.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(VICUNA)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<OneView> {
        let processor = Processor::of_class(file.text()?, &file.file, &self.processor_class)?;
        let parts = &self.parts;
        let (pixels, vit) = (parts.encoder.image_size(), parts.encoder.vit());
        let positions = (parts.feature_select.select, parts.beyond_patches());
        agree_on_patches(file, pixels, vit.patch, positions)?;
        let features = &parts.feature_select;
        Ok(OneView::new(processor, pixels, &vit, features))
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<OneView>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        let (parts, names) = (&self.parts, &self.names);
        let vit = parts.encoder.vit();
        let encoder = Vit::load(loader, &vit, &names.vision, &parts.feature_select)?;
        let [first, second] = &names.projector_layers();
        let (from, to) = (parts.columns(), parts.text.hidden);
        let connector = parts.projector.load(loader, [first, second], from, to)?;
        Ok(LlavaVision { encoder, connector })
    }

    fn parts(&self) -> Vec<PartOf> {
        let [encoder, projector] = self.parts.sizes();
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let parts = self.parts.clone().whole();
        Self {
            parts,
            ..self.clone()
        }
    }

    fn never_used(&self) -> Vec<String> {
        self.parts.encoder.never_used(&self.names.vision)
    }
}

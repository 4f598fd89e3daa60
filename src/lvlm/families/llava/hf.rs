//! LLaVA-1.5 in Hugging Face's layout (`LlavaForConditionalGeneration`): one CLIP encoder at one
//! resolution, a two-layer projector, a Llama decoder.

use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer, VICUNA,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{ClipConfig, FeatureSelect, Select, Vit};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_patches;
use crate::lvlm::family::fields::{feature_layers, image_token, processor_class, select};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::one_view::{LlavaVision, OneView};
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::Processor;

/// The config.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct Llava {
    pub vision: ClipConfig,
    pub text: DecoderConfig,
    /// Id of the token whose place in the prompt the picture takes.
    pub image_token_id: u32,
    pub projector: Projector,
    /// The selected features of the encoder.
    pub feature_select: FeatureSelect,
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
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        text.require_type("model_type", Some("llama"), &["llama"], "llama")?;
        let clip = "clip_vision_model";
        vision.require_type("model_type", Some(clip), &[clip], clip)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let vision = ClipConfig::read(&vision)?;
        Ok(Self {
            text: DecoderConfig::read(&text, Kind::of("llama"), Some(tied))?,
            image_token_id: image_token(&top, 32000)?,
            projector: Projector::read(&top)?,
            feature_select: FeatureSelect {
                layers: feature_layers(&top, -2, vision.layers)?,
                select: select(&top, Select::Default)?,
            },
            processor_class: processor_class(&top, "LlavaImageProcessor")?,
            names: HfNames::default(),
            vision,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn follow(&mut self, _: Compat) -> Result<()> {
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(VICUNA)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<OneView> {
        let processor = Processor::of_class(file.text()?, &file.file, &self.processor_class)?;
        let (pixels, vit) = (self.vision.image_size, self.vision.vit());
        agree_on_patches(file, pixels, vit.patch, self.feature_select.select)?;
        Ok(OneView::new(processor, pixels, &vit, self.feature_select))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        let [first, second] = &self.names.projector_layers();
        let (from, to) = (self.vision.hidden, self.text.hidden);
        Ok(LlavaVision {
            encoder: Vit::load(
                loader,
                &self.vision.vit(),
                &self.names.vision,
                self.feature_select,
            )?,
            projector: self.projector.load(loader, [first, second], from, to)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let encoder = self.vision.sizes(self.feature_select.layers);
        let projector = self.projector.sizes(self.vision.hidden, self.text.hidden);
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.feature_select.layers = whole.vision.layers;
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        ClipConfig::never_used(&self.names.vision)
    }
}

//! LLaVA-1.5 in Hugging Face's layout (`LlavaForConditionalGeneration`): one CLIP encoder at one resolution, a two-layer
//! projector, a Llama decoder.

use std::sync::Arc;

use super::decoder::{DecoderConfig, DecoderNames, Kind};
use super::encoder::{
    ClipConfig, Select, Taken, Vit, VitKept, VitSizes, state_index, state_layers,
};
use super::family::{Eye, Family, PartOf, ReadResult, Seen, Sight, Vision, only};
use super::load::Loader;
use super::names::HfNames;
use super::processor::{agree_on_patches, processor_class};
use super::projector::Projector;
use super::towers::Tower;
use super::{LvlmError, Result};
use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer, VICUNA,
};
use crate::device::{Device, Part};
use crate::nn::{Keep, Mlp, MlpSaved, Nothing, require_finite};
use crate::picture::{Picture, Processor};

/// The config.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Llava {
    pub vision: ClipConfig,
    pub text: DecoderConfig,
    /// Id of the token whose place in the prompt the picture takes.
    pub image_token_id: u32,
    pub projector: Projector,
    /// What is used of the encoder.
    pub taken: Taken,
    /// The image processor's class where its own file names none.
    processor_class: String,
    pub names: HfNames,
}

impl Family for Llava {
    const NAME: &'static str = "llava";
    type Sight = OneView;
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
            taken: Taken {
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

    fn sight(&self, file: &ProcessorFile) -> Result<OneView> {
        let processor = Processor::of_class(file.text()?, &file.file, &self.processor_class)?;
        let (pixels, vit) = (self.vision.image_size, self.vision.vit());
        agree_on_patches(file, (pixels, vit.patch), self.taken.select)?;
        Ok(OneView::new(processor, pixels, &vit, self.taken))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        let [first, second] = &self.names.projector_layers();
        let widths = (self.vision.hidden, self.text.hidden);
        Ok(LlavaVision {
            encoder: Vit::load(loader, &self.vision.vit(), &self.names.vision, self.taken)?,
            projector: self.projector.load(loader, [first, second], widths)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let encoder = self.vision.sizes(self.taken.layers);
        let projector = self.projector.sizes(self.vision.hidden, self.text.hidden);
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.taken.layers = whole.vision.layers;
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        ClipConfig::never_used(&self.names.vision)
    }
}

/// The id of the token whose place the picture takes, under either of its names.
pub(super) fn image_token(top: &Fields, default: u32) -> ReadResult<u32> {
    let mut ids = Vec::new();
    for name in ["image_token_index", "image_token_id"] {
        let Some(value) = top.value(name) else {
            continue;
        };
        match value.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => ids.push((name, id)),
            None => return Err(top.error(name, value, "a token's id")),
        }
    }
    match ids[..] {
        [(first, a), (second, b)] if a != b => {
            Err(top.error(second, b, format!("the same as {first}, {a}")))
        }
        [(_, id), ..] => Ok(id),
        [] => Ok(default),
    }
}

/// How many of an encoder's `layers` run to make the hidden state that `vision_feature_layer` names.
pub(super) fn feature_layers(top: &Fields, default: i64, layers: usize) -> ReadResult<usize> {
    let name = "vision_feature_layer";
    state_layers(top, name, state_index(top, name, default)?, layers)
}

/// `vision_feature_select_strategy`.
pub(super) fn select(top: &Fields, default: Select) -> ReadResult<Select> {
    let name = "vision_feature_select_strategy";
    match top.text(name)? {
        None => Ok(default),
        Some("default") => Ok(Select::Default),
        Some("full") => Ok(Select::Full),
        Some(other) => Err(top.error(name, format!("{other:?}"), "\"default\" or \"full\"")),
    }
}

impl OneView {
    /// For an encoder that takes `pixels` each way and gives the positions that are `taken`.
    pub fn new(processor: Processor, pixels: usize, vit: &VitSizes, taken: Taken) -> OneView {
        let class_token = vit.names.class.is_some() && taken.select == Select::Full;
        OneView {
            processor,
            side: pixels,
            patch: vit.patch,
            tokens: vit.across.pow(2) + usize::from(class_token),
        }
    }
}

/// One square view for one encoder.
pub(super) struct OneView {
    processor: Processor,
    /// Pixels that the encoder takes each way.
    side: usize,
    patch: usize,
    tokens: usize,
}

impl Sight for OneView {
    type Arrangement = ();

    fn eyes(&self, width: u32, height: u32) -> Result<Vec<Eye>> {
        let view = self.processor.view(width, height)?;
        if view.width != self.side || view.height != self.side {
            let (width, height) = (view.width, view.height);
            let expected = self.side;
            return Err(LvlmError::PictureSize {
                expected,
                width,
                height,
            });
        }
        Ok(vec![Eye {
            patch: self.patch,
            views: vec![view],
        }])
    }

    fn process(&self, picture: &Picture) -> Result<Vec<Vec<Vec<f32>>>> {
        Ok(vec![vec![self.processor.process(picture)?]])
    }

    fn arrange(&self, _: u32, _: u32) -> Result<((), usize)> {
        Ok(((), self.tokens))
    }
}

/// The encoder and the projector.
pub(super) struct LlavaVision<D: Device> {
    pub encoder: Vit<D>,
    pub projector: Mlp<D>,
}

impl<D: Device> Vision<D> for LlavaVision<D> {
    type Arrangement = ();
    type Kept = (VitKept<D>, MlpSaved<D>);
    type Context = Nothing;

    fn forward(
        &self,
        device: &D,
        _: &Arc<()>,
        patches: Vec<D::Matrix>,
        keep: Keep,
        check: bool,
    ) -> Result<Seen<D, Self>> {
        let (features, encoder) = self.encoder.forward(device, only(patches)?, keep, check)?;
        device.part(Part::Projector);
        let (rows, projector) = self.projector.forward(device, &features, None)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(Seen {
            rows,
            context: Nothing,
            kept: (encoder, projector),
        })
    }

    fn vjp(
        &self,
        device: &D,
        (): &(),
        (encoder, projector): Self::Kept,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_features = self.projector.vjp(device, projector, &d_rows)?;
        device.part(Part::Vision);
        Ok(vec![self.encoder.vjp(device, encoder, d_features)?])
    }
}

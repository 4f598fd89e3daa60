//! LLaVA-NeXT and LLaVA-OneVision in Hugging Face's layout: one encoder on the picture and its
//! tiles, a two-layer projector, rows without padding, a newline after each, and a decoder. The
//! differences between the two are a [`Variant`].

use std::marker::PhantomData;

use crate::checkpoint::{
    Compat, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors,
    Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{FeatureSelect, Select, Vit, VitConfig};
use crate::lvlm::error::{LvlmError, ReadResult, Result};
use crate::lvlm::family::fields::{feature_layers, image_token, processor_class, select};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::packing::Unpadding;
use crate::lvlm::family::pinpoints::pinpoints;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::tiled::{TiledProcessing, TiledVision};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::AnyResolution;

/// The differences between LLaVA-NeXT and LLaVA-OneVision.
pub(in crate::lvlm) trait Variant: Clone + Send + Sync + 'static {
    /// The `model_type`, and the family's name in records.
    const NAME: &'static str;
    /// The image processor's class where its own file names none.
    const PROCESSOR: &'static str;
    /// For checkpoints that have no template of their own.
    const TEMPLATE: DefaultTemplate;
    /// The decoders' `model_type`s, first the one that is meant where it is left out.
    const DECODERS: [&'static str; 3];
    /// The decoders' `model_type`s for messages.
    const DECODERS_TEXT: &'static str;
    /// The image token's id where it is left out.
    const IMAGE_TOKEN: u32;
    /// The default of `vision_feature_layer`.
    const FEATURE_LAYER: i64;
    /// The supported way to select positions, and the message for the other.
    const SELECT: (Select, &'static str);
    /// Whether LVLM_Interpretation has it.
    const IN_LVLM_INTERPRETATION: bool;

    /// Reads the encoder's section.
    ///
    /// # Errors
    /// [`CheckpointError`](crate::checkpoint::CheckpointError) of the config.
    fn encoder(fields: &Fields) -> ReadResult<VitConfig>;
    /// Returns the config class's default of `image_grid_pinpoints`, rows and columns.
    fn pinpoints() -> Vec<(u32, u32)>;
    /// From how many views' tokens on rows are made fewer, if ever.
    ///
    /// # Errors
    /// [`CheckpointError`](crate::checkpoint::CheckpointError) of the config.
    fn most_views(top: &Fields) -> ReadResult<Option<usize>>;
    /// Fails where the processor's own fields contradict the config.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    fn agrees(
        file: &ProcessorFile,
        encoder: &VitConfig,
        most_views: Option<usize>,
    ) -> ReadResult<()>;
}

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct HfTiled<V> {
    encoder: VitConfig,
    text: DecoderConfig,
    image_token_id: u32,
    projector: Projector,
    feature_select: FeatureSelect,
    /// Rows and columns that a picture may be fitted into.
    pinpoints: Vec<(u32, u32)>,
    most_views: Option<usize>,
    /// Whether tiles are left out.
    without_tiles: bool,
    processor_class: String,
    names: HfNames,
    variant: PhantomData<V>,
}

impl<V: Variant> Family for HfTiled<V> {
    const NAME: &'static str = V::NAME;
    type ImageProcessing = TiledProcessing;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some(V::NAME))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let text = top.section("text_config")?;
        let (kinds, names) = (V::DECODERS, V::DECODERS_TEXT);
        let kind = text.require_type("model_type", Some(kinds[0]), &kinds, names)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let encoder = V::encoder(&top.section("vision_config")?)?;
        let (wanted, expected) = V::SELECT;
        let found = select(&top, wanted)?;
        if found != wanted {
            let found = match found {
                Select::Default => "\"default\"",
                Select::Full => "\"full\"",
            };
            return Err(top.error("vision_feature_select_strategy", found, expected));
        }
        Ok(Self {
            text: DecoderConfig::read(&text, Kind::of(kind), Some(tied))?,
            image_token_id: image_token(&top, V::IMAGE_TOKEN)?,
            projector: Projector::read(&top)?,
            feature_select: FeatureSelect {
                layers: feature_layers(&top, V::FEATURE_LAYER, encoder.layers())?,
                select: wanted,
            },
            pinpoints: pinpoints(&top)?.unwrap_or_else(V::pinpoints),
            processor_class: processor_class(&top, V::PROCESSOR)?,
            most_views: V::most_views(&top)?,
            without_tiles: false,
            names: HfNames::default(),
            variant: PhantomData,
            encoder,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find(tensors)?;
        self.text.untie(tensors, &self.names.decoder);
        Ok(())
    }

    fn follow(&mut self, program: Compat) -> Result<()> {
        let found = V::NAME.to_string();
        self.without_tiles = V::IN_LVLM_INTERPRETATION;
        match self.without_tiles {
            true => Ok(()),
            false => Err(LvlmError::Compat { program, found }),
        }
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names.decoder)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(V::TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<TiledProcessing> {
        let (text, class) = (file.text()?, self.processor_class.as_str());
        let processor = AnyResolution::from_json(text, &file.file, class, &self.pinpoints)?;
        V::agrees(file, &self.encoder, self.most_views)?;
        let (pixels, patch) = (self.encoder.image_size(), self.encoder.patch_size());
        let processing = TiledProcessing::new(
            processor,
            pixels,
            patch,
            self.most_views,
            Unpadding::Rounded,
        )?;
        Ok(processing.without_tiles(self.without_tiles))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let (encoder, names) = (self.encoder.vit(), &self.names);
        let (from, to) = (encoder.hidden, self.text.hidden);
        let [first, second] = &names.projector_layers();
        Ok(TiledVision {
            encoder: Vit::load(loader, &encoder, &names.vision, self.feature_select)?,
            projector: self.projector.load(loader, [first, second], from, to)?,
            newline: loader.matrix(&names.newline, &[to], 1, to)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let encoder = self.encoder.sizes(self.feature_select.layers);
        let projector = self
            .projector
            .sizes(self.encoder.hidden(), self.text.hidden);
        let [encoder, mut projector] = self.names.parts(encoder, projector);
        projector.prefixes.push(self.names.newline.clone());
        vec![encoder, projector]
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.feature_select.layers = whole.encoder.layers();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        self.encoder.never_used(&self.names.vision)
    }
}

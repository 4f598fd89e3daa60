//! LLaVA-NeXT and LLaVA-OneVision in Hugging Face's layout: one encoder on the picture and its
//! tiles, a two-layer projector, rows without padding, a newline after each, and a decoder. The
//! differences between the two are a [`Variant`].

use std::marker::PhantomData;

use crate::checkpoint::{
    Compat, Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors,
    Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::encoder::Vit;
use crate::lvlm::error::{LvlmError, ReadResult, Result};
use crate::lvlm::family::fields::{image_token, processor_class};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::mixture::{Mixture, MixtureClass};
use crate::lvlm::family::packing::Unpadding;
use crate::lvlm::family::pinpoints::pinpoints;
use crate::lvlm::family::tiled::{Packer, TiledProcessing, TiledVision};
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
    /// Its choices of parts.
    const CLASS: MixtureClass;
    /// The image token's id where it is left out.
    const IMAGE_TOKEN: u32;
    /// Whether LVLM_Interpretation has it.
    const IN_LVLM_INTERPRETATION: bool;
    /// Whether each of several pictures is one view in a square, and not cut into tiles.
    const SEVERAL_IN_SQUARES: bool;

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
    fn agrees(file: &ProcessorFile, parts: &Mixture, most_views: Option<usize>) -> ReadResult<()>;
}

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct HfTiled<V> {
    parts: Mixture,
    image_token_id: u32,
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
        Ok(Self {
            parts: Mixture::read(&top, V::CLASS)?,
            image_token_id: image_token(&top, V::IMAGE_TOKEN)?,
            pinpoints: pinpoints(&top)?.unwrap_or_else(V::pinpoints),
            processor_class: processor_class(&top, V::PROCESSOR)?,
            most_views: V::most_views(&top)?,
            without_tiles: false,
            names: HfNames::default(),
            variant: PhantomData,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = self.parts.names(tensors)?;
        self.parts.text.untie(tensors, &self.names.decoder);
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
        (&self.parts.text, &self.names.decoder)
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
        V::agrees(file, &self.parts, self.most_views)?;
        let encoder = &self.parts.encoder;
        let (pixels, patch) = (encoder.image_size(), encoder.patch_size());
        let processing = TiledProcessing::new(
            processor,
            pixels,
            patch,
            self.most_views,
            Unpadding::Rounded,
        )?;
        Ok(processing.without_tiles(self.without_tiles))
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<TiledProcessing>> {
        let processing = self.image_processing(file)?;
        Ok(Some(match V::SEVERAL_IN_SQUARES {
            true => processing.in_a_square(),
            false => processing,
        }))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let (parts, names) = (&self.parts, &self.names);
        let (vit, features) = (parts.encoder.vit(), &parts.feature_select);
        let (from, to) = (parts.columns(), parts.text.hidden);
        let [first, second] = &names.projector_layers();
        Ok(TiledVision {
            encoder: Vit::load(loader, &vit, &names.vision, features)?,
            connector: Packer {
                projector: parts.projector.load(loader, [first, second], from, to)?,
                newline: loader.matrix(&names.newline, &[to], 1, to)?,
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let [encoder, projector] = self.parts.sizes();
        let [encoder, mut projector] = self.names.parts(encoder, projector);
        projector.prefixes.push(self.names.newline.clone());
        vec![encoder, projector]
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

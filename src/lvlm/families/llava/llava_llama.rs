//! LLaVA-1.5 in the original layout: CLIP on one view of the picture, padded to a square or not.

use super::original::{IMAGE, Original, original_decoder};
use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::conversations;
use crate::lvlm::family::one_view::{LlavaVision, OneView};
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Family, Outside, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::Processor;

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct LlavaLlama {
    original: Original,
    pad_to_square: bool,
}

impl Family for LlavaLlama {
    const NAME: &'static str = "llava_llama";
    type ImageProcessing = OneView;
    type Vision<D: Device> = LlavaVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(original_decoder(top)? == Some("llama"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let original = Original::read(config)?;
        let pad_to_square = match top.text("image_aspect_ratio")? {
            None | Some("square") => false,
            Some("pad") => true,
            Some(other) => {
                let expected = "\"square\", \"pad\", \"anyres\" or anyres_max_N";
                return Err(top.error("image_aspect_ratio", format!("{other:?}"), expected));
            }
        };
        Ok(Self {
            original,
            pad_to_square,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        self.original.towers(tensors)
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.original.fit(tensors, towers)
    }

    fn follow(&mut self, _: Compat) -> Result<()> {
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.original.text, &self.original.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text(IMAGE)
    }

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        self.original.template(tokenizer)
    }

    fn stops(&self) -> &'static [&'static str] {
        &conversations::STOPS
    }

    fn image_processing(&self, _: &ProcessorFile) -> Result<OneView> {
        let tower = self.original.tower()?;
        let file = &tower.processor;
        let processor = Processor::from_json(file.text()?, &file.file)?;
        let processor = processor.with_pad_to_square(self.pad_to_square);
        let (pixels, vit) = (tower.config.image_size(), tower.config.vit());
        Ok(OneView::new(processor, pixels, &vit, &tower.feature_select))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<LlavaVision<D>> {
        Ok(LlavaVision {
            encoder: self.original.tower()?.load(loader)?,
            connector: self.original.projector(loader)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        self.original.parts(&[])
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.original.outside()
    }

    fn whole(&self) -> Self {
        Self {
            original: self.original.whole(),
            ..self.clone()
        }
    }

    fn never_used(&self) -> Vec<String> {
        self.original.never_used()
    }
}

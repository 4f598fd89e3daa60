//! LLaVA-NeXT (LLaVA-1.6) and LLaVA-OneVision in the original layout: CLIP or SigLIP on the picture
//! and its tiles, rows without padding, a newline after each, and a Llama, Mistral or Qwen2
//! decoder.

use super::original::{IMAGE, Original, original_decoder};
use crate::checkpoint::{
    Compat, Config, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames};
use crate::lvlm::encoder::VitConfig;
use crate::lvlm::error::{LvlmError, ReadResult, Result};
use crate::lvlm::family::conversations;
use crate::lvlm::family::fields::{anyres_max, require_text};
use crate::lvlm::family::packing::Unpadding;
use crate::lvlm::family::pinpoints::OriginalPinpoints;
use crate::lvlm::family::tiled::{Packer, TiledProcessing, TiledVision};
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Family, Outside, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::AnyResolution;

const NEWLINE: &str = "model.image_newline";
const ASPECT: &str = "image_aspect_ratio";

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct LlavaAnyres {
    original: Original,
    pinpoints: OriginalPinpoints,
    /// From how many views' tokens on rows are made fewer, if ever.
    most_views: Option<usize>,
    /// Whether tiles are left out.
    without_tiles: bool,
}

impl Family for LlavaAnyres {
    const NAME: &'static str = "llava_anyres";
    type ImageProcessing = TiledProcessing;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(match original_decoder(top)? {
            None => false,
            // With one view, and the same names: LLaVA-1.5.
            Some("llama") => top.text(ASPECT)?.is_some_and(|a| a.starts_with("anyres")),
            Some(_) => true,
        })
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let original = Original::read(config)?;
        require_text(&top, "mm_patch_merge_type", "spatial_unpad", "flat")?;
        let aspect = top.text(ASPECT)?.unwrap_or("square");
        let most_views = anyres_max(aspect);
        if aspect != "anyres" && most_views.is_none() {
            let expected = "\"anyres\" or anyres_max_N, such as \"anyres_max_9\"";
            return Err(top.error(ASPECT, format!("{aspect:?}"), expected));
        }
        Ok(Self {
            original,
            pinpoints: OriginalPinpoints::read(&top)?,
            most_views,
            without_tiles: false,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        self.original.towers(tensors)
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.original.fit(tensors, towers)
    }

    fn follow(&mut self, program: Compat) -> Result<()> {
        // Of the models of this layout LLaVA-OneVision alone has SigLIP.
        let found = match self.original.tower()?.config {
            VitConfig::Siglip(_) => {
                self.without_tiles = true;
                return Ok(());
            }
            VitConfig::Clip(_) | VitConfig::Intern(_) => {
                "LLaVA-NeXT in the original layout".to_string()
            }
        };
        Err(LvlmError::Compat { program, found })
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

    fn image_processing(&self, _: &ProcessorFile) -> Result<TiledProcessing> {
        let tower = self.original.tower()?;
        let (pixels, patch) = (tower.config.image_size(), tower.config.patch_size());
        let (file, pinpoints) = (&tower.processor, self.pinpoints.of_tiles(pixels));
        let processor = AnyResolution::around_one_view(file.text()?, &file.file, &pinpoints)?;
        let processing =
            TiledProcessing::new(processor, pixels, patch, self.most_views, Unpadding::Cut)?;
        Ok(processing.without_tiles(self.without_tiles))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let hidden = self.original.text.hidden;
        Ok(TiledVision {
            encoder: self.original.tower()?.load(loader)?,
            connector: Packer {
                projector: self.original.projector(loader)?,
                newline: loader.matrix(NEWLINE, &[hidden], 1, hidden)?,
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        self.original.parts(&[NEWLINE])
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

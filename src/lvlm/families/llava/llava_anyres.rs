//! LLaVA-NeXT (LLaVA-1.6) and LLaVA-OneVision in their authors' own layout: CLIP or SigLIP on the picture and its tiles, rows
//! without padding, a newline after each, and a Llama, Mistral or Qwen2 decoder.

use super::original::{Authors, IMAGE, authors_decoder};
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
use crate::lvlm::family::pinpoints::AuthorsPinpoints;
use crate::lvlm::family::tiled::{TiledSight, TiledVision};
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Family, Outside, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::AnyResolution;

const NEWLINE: &str = "model.image_newline";
const ASPECT: &str = "image_aspect_ratio";

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct LlavaAnyres {
    authors: Authors,
    pinpoints: AuthorsPinpoints,
    /// From how many views' tokens on rows are made fewer, if ever.
    most_views: Option<usize>,
    /// Whether tiles are left out.
    without_tiles: bool,
}

impl Family for LlavaAnyres {
    const NAME: &'static str = "llava_anyres";
    type Sight = TiledSight;
    type Vision<D: Device> = TiledVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(match authors_decoder(top)? {
            None => false,
            // With one view, and the same names: LLaVA-1.5.
            Some("llama") => top.text(ASPECT)?.is_some_and(|a| a.starts_with("anyres")),
            Some(_) => true,
        })
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let authors = Authors::read(config)?;
        require_text(&top, "mm_patch_merge_type", "spatial_unpad", "flat")?;
        let aspect = top.text(ASPECT)?.unwrap_or("square");
        let most_views = anyres_max(aspect);
        if aspect != "anyres" && most_views.is_none() {
            let expected = "\"anyres\" or anyres_max_N, such as \"anyres_max_9\"";
            return Err(top.error(ASPECT, format!("{aspect:?}"), expected));
        }
        Ok(Self {
            authors,
            pinpoints: AuthorsPinpoints::read(&top)?,
            most_views,
            without_tiles: false,
        })
    }

    fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        self.authors.towers(tensors)
    }

    fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.authors.fit(tensors, towers)
    }

    fn follow(&mut self, program: Compat) -> Result<()> {
        // Of the models of this layout LLaVA-OneVision alone has SigLIP.
        let found = match self.authors.tower()?.config {
            VitConfig::Siglip(_) => {
                self.without_tiles = true;
                return Ok(());
            }
            VitConfig::Clip(_) => "LLaVA-NeXT in its authors' layout".to_string(),
        };
        Err(LvlmError::Compat { program, found })
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.authors.text, &self.authors.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Text(IMAGE)
    }

    fn template(&self, tokenizer: &Tokenizer) -> Template {
        self.authors.template(tokenizer)
    }

    fn stops(&self) -> &'static [&'static str] {
        &conversations::STOPS
    }

    fn sight(&self, _: &ProcessorFile) -> Result<TiledSight> {
        let tower = self.authors.tower()?;
        let (pixels, patch) = (tower.config.image_size(), tower.config.patch_size());
        let (file, pinpoints) = (&tower.processor, self.pinpoints.of_tiles(pixels));
        let processor = AnyResolution::around_one_view(file.text()?, &file.file, &pinpoints)?;
        let unpadding = Unpadding::Cut;
        let sight = TiledSight::new(processor, (pixels, patch), (self.most_views, unpadding))?;
        Ok(sight.without_tiles(self.without_tiles))
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<TiledVision<D>> {
        let hidden = self.authors.text.hidden;
        Ok(TiledVision {
            encoder: self.authors.tower()?.load(loader)?,
            projector: self.authors.projector(loader)?,
            newline: loader.matrix(NEWLINE, &[hidden], 1, hidden)?,
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        self.authors.parts(&[NEWLINE])
    }

    fn outside(&self) -> Vec<Outside<'_>> {
        self.authors.outside()
    }

    fn whole(&self) -> Self {
        Self {
            authors: self.authors.whole(),
            ..self.clone()
        }
    }

    fn never_used(&self) -> Vec<String> {
        self.authors.never_used()
    }
}

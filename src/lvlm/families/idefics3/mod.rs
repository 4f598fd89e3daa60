//! Idefics3, SmolVLM and SmolVLM2 in Hugging Face's layout (`Idefics3ForConditionalGeneration`,
//! `SmolVLMForConditionalGeneration`): SigLIP on stretched tiles and on the whole picture,
//! neighbouring patches side by side, one linear layer, and a Llama decoder. The prompt names each
//! tile by its row and column.
//!
//! The encoder's positions follow from a patch's place among those that are not padding. A single
//! picture has no padding, so each patch of the grid has its own position.

use serde_json::json;

use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, SIZE_LIMIT, Template, Tensors,
    Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{FeatureSelect, Select, SiglipConfig, SiglipDefaults, Vit};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_rows;
use crate::lvlm::family::fields::{image_token_id, processor_class};
use crate::lvlm::family::mapped::{Mapped, MappedVision, RowLayers, RowProjector};
use crate::lvlm::family::shuffled::{Frame, PixelShuffle, ShuffledProcessing};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::{StretchedTiles, Stretching};

/// The defaults of `Idefics3VisionConfig` and `SmolVLMVisionConfig`.
const VISION: SiglipDefaults = SiglipDefaults {
    hidden: 1152,
    intermediate: 3072,
    layers: 12,
    heads: 16,
    image_size: 224,
    patch_size: 32,
};
/// The template of the published SmolVLM models.
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "SmolVLM",
    text: "<|im_start|>User:{% for part in messages[0]['content'] %}\
           {% if part['type'] == 'image' %}{{ image_token }}{% else %}{{ part['text'] }}\
           {% endif %}{% endfor %}<end_of_utterance>{{ '\n' }}Assistant:",
};
const ENCODER: &str = "model.vision_model.";
const CONNECTOR: &str = "model.connector.";
const DECODERS: [&str; 3] = ["llama", "mistral", "qwen2"];

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Idefics3 {
    encoder: SiglipConfig,
    shuffle: PixelShuffle,
    text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    /// Whether the model's type is `smolvlm`.
    smolvlm: bool,
    names: DecoderNames,
}

impl Family for Idefics3 {
    const NAME: &'static str = "idefics3";
    type ImageProcessing = ShuffledProcessing;
    type Vision<D: Device> = MappedVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(matches!(
            top.text("model_type")?,
            Some("idefics3" | "smolvlm")
        ))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, text) = (top.section("vision_config")?, top.section("text_config")?);
        let expected = "llama, mistral, qwen2";
        let kind = text.require_type("model_type", Some("llama"), &DECODERS, expected)?;
        let tied = top.flag("tie_word_embeddings", false)?;
        let encoder = SiglipConfig::with_defaults(&vision, VISION)?;
        let shuffle = PixelShuffle {
            across: encoder.across(),
            factor: top.size("scale_factor", 2, SIZE_LIMIT)?,
        };
        if !shuffle.across.is_multiple_of(shuffle.factor) {
            let expected = format!(
                "a divisor of the {} patches of a tile's side",
                shuffle.across
            );
            return Err(top.error("scale_factor", shuffle.factor, expected));
        }
        if rounding_moves(shuffle.across) {
            let (pixels, patch) = (encoder.image_size, encoder.patch_size);
            let expected = format!(
                "another size: for {} patches each way (of patch_size {patch}), positions depend \
                 on rounding in transformers",
                shuffle.across
            );
            return Err(vision.error("image_size", pixels, expected));
        }
        let mut text_config = DecoderConfig::read(&text, Kind::of(kind), Some(tied))?;
        text_config.tied_embeddings = tied;
        if !text.is_given() {
            text_config.rms_norm_eps = 1e-5;
        }
        Ok(Self {
            text: text_config,
            image_token_id: image_token_id(&top, 128_257)?,
            processor_class: processor_class(&top, "Idefics3ImageProcessor")?,
            smolvlm: top.text("model_type")? == Some("smolvlm"),
            names: DecoderNames {
                prefix: "model.text_model.".into(),
                head: "lm_head.weight".into(),
            },
            encoder,
            shuffle,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        Ok(())
    }

    fn decoder(&self) -> (&DecoderConfig, &DecoderNames) {
        (&self.text, &self.names)
    }

    fn image_token(&self) -> ImageToken {
        ImageToken::Id(self.image_token_id)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<ShuffledProcessing> {
        let class = self.processor_class.as_str();
        let (text, name) = (file.text()?, &file.file);
        let tiles = StretchedTiles::from_json(text, name, class, Stretching::Idefics3)?;
        agree_on_rows(file, "image_seq_len", 169, self.shuffle.rows())?;
        let (pixels, patch) = (self.encoder.image_size, self.encoder.patch_size);
        // SmolVLM-256M's model is of type idefics3, and so may be its processor.
        let processor = file.processor.as_ref().map(Config::top);
        let class = processor
            .map(|top| top.text("processor_class"))
            .transpose()?;
        let frame = match class.flatten() {
            Some("Idefics3Processor") => Frame::Idefics3,
            Some("SmolVLMProcessor") => Frame::SmolVlm,
            _ if self.smolvlm => Frame::SmolVlm,
            _ => Frame::Idefics3,
        };
        ShuffledProcessing::new(tiles, pixels, patch, self.shuffle, frame)
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<ShuffledProcessing>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MappedVision<D>> {
        let sizes = self.encoder.normed_vit();
        let all = FeatureSelect::last(self.encoder.layers, Select::Full);
        let encoder = Vit::load(loader, &sizes, ENCODER, &all)?;
        loader.device.part(Part::Projector);
        let side_by_side = self.shuffle.side_by_side();
        let name = format!("{CONNECTOR}modality_projection.proj");
        let (from, to) = (self.encoder.hidden * side_by_side, self.text.hidden);
        Ok(MappedVision {
            encoder,
            connector: Mapped {
                side_by_side,
                projector: RowProjector {
                    norm: None,
                    layers: RowLayers::One(loader.linear(&name, to, from, false)?),
                },
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let factor = self.shuffle.factor;
        vec![
            PartOf {
                name: "vision encoder",
                prefixes: vec![ENCODER.into()],
                sizes: self.encoder.sizes(self.encoder.layers),
            },
            PartOf {
                name: "projector",
                prefixes: vec![CONNECTOR.into()],
                sizes: json!({
                    "kind": "linear", "patches": format!("{factor} x {factor}"),
                    "from": self.encoder.hidden * factor.pow(2), "to": self.text.hidden,
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

/// Returns whether rounding gives a patch of a whole grid, `across` patches each way, the position
/// of another. `Idefics3VisionEmbeddings` divides in f32 and looks the result up among bounds of
/// `torch.arange` that are f32 too; where they should be equal, their last bits decide. These depend
/// on how many bounds the processor computes at once: the first of them is rounded before the
/// others are added.
fn rounding_moves(across: usize) -> bool {
    let step = 1.0 / across as f64;
    let at = |i: usize| i as f32 * (1.0 / across as f32);
    let bound = |i: usize, lanes: usize| {
        let (first, lane) = ((i - 1) / lanes * lanes, (i - 1) % lanes);
        let first = (step + first as f64 * step) as f32;
        (f64::from(first) + lane as f64 * step) as f32
    };
    [1, 8, 16].into_iter().any(|lanes| {
        let bound = |i| bound(i, lanes);
        (1..across).any(|i| at(i) < bound(i) || (i + 1 < across && at(i) >= bound(i + 1)))
    })
}

#[cfg(test)]
mod tests {
    use super::rounding_moves;

    /// The numbers of patches for which transformers 5.24 on a CPU gives a patch another's position,
    /// and those of the published models.
    #[test]
    fn grids_whose_positions_depend_on_rounding_are_known() {
        for across in [19, 25, 29, 31, 38, 40, 41, 50, 54, 59, 68, 72] {
            assert!(rounding_moves(across), "{across}");
        }
        for across in [1, 2, 26, 27, 32] {
            assert!(!rounding_moves(across), "{across}");
        }
    }
}

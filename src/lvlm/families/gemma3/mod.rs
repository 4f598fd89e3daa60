//! Gemma 3 (`Gemma3ForConditionalGeneration`): a SigLIP encoder at one resolution, the means of
//! square groups of patches, a norm and one layer, and a decoder that reads the picture's rows in
//! both directions.

mod processing;

use serde_json::json;

use self::processing::{Pool, PooledView};
use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, SIZE_LIMIT, Template, Tensors,
    Tokenizer,
};
use crate::device::{Device, Part};
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::{FeatureSelect, Select, SiglipConfig, SiglipDefaults, Vit};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::agreement::agree_on_rows;
use crate::lvlm::family::fields::{image_token, processor_class};
use crate::lvlm::family::hf_names::HfNames;
use crate::lvlm::family::mapped::{Mapped, MappedVision, RowLayers, RowProjector};
use crate::lvlm::family::one_view::OneView;
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::nn::Linear;
use crate::picture::Processor;

/// The template of the published models, for one question.
const TEMPLATE: DefaultTemplate = DefaultTemplate {
    name: "Gemma 3",
    text: "{{ bos_token }}<start_of_turn>user{{ '\n' }}{% for part in messages[0]['content'] %}\
           {% if part['type'] == 'image' %}{{ boi_token }}{% else %}{{ part['text'] | trim }}\
           {% endif %}{% endfor %}<end_of_turn>{{ '\n' }}<start_of_turn>model{{ '\n' }}",
};
/// The type of the decoder's section.
const DECODER: &str = "gemma3_text";
/// The tokenizer's name of the token before the picture's rows, which templates write for it.
const BEGIN: &str = "boi_token";

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Gemma3 {
    encoder: SiglipConfig,
    pool: Pool,
    text: DecoderConfig,
    image_token_id: u32,
    /// The image processor's class where its own file names none.
    processor_class: String,
    names: HfNames,
}

impl Gemma3 {
    fn features(&self) -> FeatureSelect {
        FeatureSelect::last(self.encoder.layers, Select::Default)
    }
}

impl Family for Gemma3 {
    const NAME: &'static str = "gemma3";
    type ImageProcessing = PooledView;
    type Vision<D: Device> = MappedVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("gemma3"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let (vision, fields) = (top.section("vision_config")?, top.section("text_config")?);
        let siglip = "siglip_vision_model";
        vision.require_type("model_type", Some(siglip), &[siglip], siglip)?;
        fields.require_type("model_type", Some(DECODER), &[DECODER], DECODER)?;
        refuse(&fields)?;
        let encoder = SiglipConfig::read(&vision, SiglipDefaults::BASE)?;
        let mut text = DecoderConfig::read(&fields, Kind::of(DECODER), None)?;
        fields.divides(
            ("hidden_size", text.hidden),
            ("num_attention_heads", text.heads),
        )?;
        text.tied_embeddings = top.flag("tie_word_embeddings", true)?;
        Ok(Self {
            pool: pool(&top, encoder.across())?,
            text,
            image_token_id: image_token(&top, 262_144)?,
            processor_class: processor_class(&top, "Gemma3ImageProcessor")?,
            names: HfNames::default(),
            encoder,
        })
    }

    fn fit(&mut self, tensors: &Tensors, _: Vec<Option<Tower>>) -> ReadResult<()> {
        self.names = HfNames::find(tensors)?;
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
        "<image_soft_token>"
    }

    fn picture_mark_name() -> Option<&'static str> {
        Some(BEGIN)
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Default(TEMPLATE)
    }

    fn image_processing(&self, file: &ProcessorFile) -> Result<PooledView> {
        if let Some(top) = file.processor.as_ref().map(Config::top) {
            let (name, given) = ("do_pan_and_scan", top.section("images_kwargs")?);
            if given.flag(name, false)? {
                let expected = "false: pan and scan is not supported";
                return Err(given.error(name, true, expected).into());
            }
        }
        let processor = Processor::of_class(file.text()?, &file.file, &self.processor_class)?;
        agree_on_rows(file, "image_seq_length", 256, self.pool.rows())?;
        let (pixels, vit) = (self.encoder.image_size, self.encoder.normed_vit());
        let view = OneView::new(processor, pixels, &vit, &self.features());
        Ok(PooledView {
            view,
            patch: self.encoder.patch_size,
            pool: self.pool,
        })
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<PooledView>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MappedVision<D>> {
        let (sizes, prefix) = (self.encoder.normed_vit(), &self.names.vision);
        let encoder = Vit::load(loader, &sizes, prefix, &self.features())?;
        loader.device.part(Part::Projector);
        let (from, to) = (self.encoder.hidden, self.text.hidden);
        let name = |part: &str| format!("{}{part}", self.names.projector);
        let (norm, eps) = (name("mm_soft_emb_norm"), self.encoder.layer_norm_eps);
        let weight = name("mm_input_projection_weight");
        // Stored with a row for each input.
        let transposed = |values: Vec<f32>| {
            let columns = (0..to).flat_map(|column| values[column..].iter().step_by(to));
            columns.copied().collect()
        };
        let norm = loader.rms_norm(&norm, from, eps, 1.0)?;
        let projection = Linear {
            weight: loader.made_weight(&weight, &[from, to], [to, from], transposed)?,
            bias: None,
        };
        Ok(MappedVision {
            encoder,
            connector: Mapped {
                side_by_side: 1,
                projector: RowProjector {
                    norm: Some(norm),
                    layers: RowLayers::One(projection),
                },
            },
        })
    }

    fn parts(&self) -> Vec<PartOf> {
        let side = self.pool.side;
        let projector = json!({
            "kind": "mean, norm and one layer", "patches": format!("{side} x {side}"),
            "from": self.encoder.hidden, "to": self.text.hidden,
        });
        let encoder = self.encoder.sizes(self.encoder.layers);
        self.names.parts(encoder, projector).into()
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        let mut names = SiglipConfig::never_used(&self.names.vision);
        names.retain(|name| !name.contains("post_layernorm"));
        names
    }
}

/// Refuses what a decoder of this type may have and no published model has.
fn refuse(fields: &Fields) -> ReadResult<()> {
    for name in ["attn_logit_softcapping", "final_logit_softcapping"] {
        if let Some(value) = fields.value(name) {
            return Err(fields.error(name, value, "null: no scores or logits are capped"));
        }
    }
    let name = "use_bidirectional_attention";
    match fields.flag(name, false)? {
        true => Err(fields.error(name, true, "false: text is read in one direction")),
        false => Ok(()),
    }
}

/// Reads `mm_tokens_per_image`: the rows of a picture, a square of groups of patches.
fn pool(top: &Fields, across: usize) -> ReadResult<Pool> {
    let name = "mm_tokens_per_image";
    let rows = top.size(name, 256, SIZE_LIMIT)?;
    let side = across / rows.isqrt();
    if side == 0 {
        let expected = format!("at most the {across} x {across} patches of a picture");
        return Err(top.error(name, rows, expected));
    }
    Ok(Pool { across, side })
}

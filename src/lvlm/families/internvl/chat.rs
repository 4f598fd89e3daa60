//! InternVL3 and InternVL3.5 in the original layout (`InternVLChatModel`): the decoder's config
//! under `llm_config`, fields that say how pictures are cut, and the conversation that `template`
//! names. The checkpoint's own image processor and chat template are not read, as in the original
//! program.

use serde_json::{Value, json};

use super::{InternNames, InternVision};
use crate::checkpoint::{
    Config, DefaultTemplate, Fields, ImageToken, ProcessorFile, Template, Tensors, Tokenizer,
};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::InternVitConfig;
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::fields::require_text;
use crate::lvlm::family::mapped::MappedVision;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::shuffled::{Frame, ShuffledProcessing};
use crate::lvlm::family::towers::Tower;
use crate::lvlm::family::traits::{Family, PartOf};
use crate::lvlm::loader::Loader;
use crate::picture::{MOST_TILES, StretchedTiles, Stretching};

/// Prefix of the encoder's tensors,
const ENCODER: &str = "vision_model.";
/// and of the projector's.
const PROJECTOR: &str = "mlp1.";
/// ImageNet's mean and standard deviation, which the original program has for every model.
const MEAN: [f64; 3] = [0.485, 0.456, 0.406];
const STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Classes of decoders, and their `model_type`s.
const DECODERS: [(&str, &str); 2] = [("Qwen2ForCausalLM", "qwen2"), ("Qwen3ForCausalLM", "qwen3")];
const SUPPORTED: &str = "Qwen2ForCausalLM, Qwen3ForCausalLM";

/// A conversation of the original program (`conversation.py`): its name, the system's text, and
/// what ends a turn.
macro_rules! conversation {
    ($name:literal, $system:literal, $end:literal) => {
        Conversation {
            system: $system,
            template: DefaultTemplate {
                name: $name,
                text: concat!(
                    "<|im_start|>system\n",
                    $system,
                    $end,
                    "<|im_start|>user\n",
                    // Several pictures are numbered, as the published model cards ask for them.
                    "{% for part in messages[0]['content'] %}{% if part['type'] == 'image' %}\
                     {% if messages[0]['content'] | length > 2 %}Image-{{ loop.index }}: \
                     {% endif %}{{ image_token + '\n' }}{% else %}{{ part['text'] }}{% endif %}\
                     {% endfor %}",
                    $end,
                    "<|im_start|>assistant{{ '\n' }}"
                ),
            },
        }
    };
}

struct Conversation {
    system: &'static str,
    template: DefaultTemplate,
}

/// Those of decoders with Qwen's vocabulary; InternVL3 and InternVL3.5 have the first.
static CONVERSATIONS: [Conversation; 3] = [
    conversation!(
        "internvl2_5",
        "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的\
         多模态大语言模型。",
        "<|im_end|>\n"
    ),
    conversation!(
        "Hermes-2",
        "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, \
         是一个有用无害的人工智能助手。",
        "<|im_end|>"
    ),
    conversation!(
        "internlm2-chat",
        "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, \
         是一个有用无害的人工智能助手。",
        "<|im_end|>"
    ),
];

/// The config.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct InternVlChat {
    vision: InternVision,
    /// The fewest and the most tiles of a picture.
    tiles: [usize; 2],
    text: DecoderConfig,
    names: DecoderNames,
    template: DefaultTemplate,
    /// The config's file.
    file: String,
}

impl Family for InternVlChat {
    const NAME: &'static str = "internvl_chat";
    type ImageProcessing = ShuffledProcessing;
    type Vision<D: Device> = MappedVision<D>;

    fn claims(top: &Fields) -> ReadResult<bool> {
        Ok(top.text("model_type")? == Some("internvl_chat"))
    }

    fn read(config: &Config) -> ReadResult<Self> {
        let top = config.top();
        let text = top.section("llm_config")?;
        let kind = decoder(&text)?;
        for name in ["use_backbone_lora", "use_llm_lora"] {
            let none = [json!(0), json!(false)];
            if let Some(rank) = top.value(name).filter(|rank| !none.contains(rank)) {
                let expected = "0: merge the adapter's weights into the model's";
                return Err(top.error(name, rank, expected));
            }
        }
        require_text(&top, "ps_version", "v2", "v1")?;
        let template = conversation(&top)?;
        let encoder = InternVitConfig::read_original(&top.section("vision_config")?)?;
        same_size(&top, encoder.image_size)?;
        Ok(Self {
            tiles: tiles(&top)?,
            vision: InternVision::new(&top, "select_layer", encoder, Projector::MLP2X_GELU)?,
            text: DecoderConfig::read(&text, Kind::of(kind), None)?,
            names: DecoderNames {
                prefix: "language_model.model.".into(),
                head: "language_model.lm_head.weight".into(),
            },
            template,
            file: config.file().to_string(),
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
        ImageToken::Named("<IMG_CONTEXT>")
    }

    fn template(&self, _: &Tokenizer) -> Template {
        Template::Fixed(self.template)
    }

    fn stops(&self) -> &'static [&'static str] {
        &["<|im_end|>"]
    }

    fn image_processing(&self, _: &ProcessorFile) -> Result<ShuffledProcessing> {
        let InternVision {
            encoder, shuffle, ..
        } = &self.vision;
        let (pixels, patch) = (encoder.image_size, encoder.patch_size);
        let [least, most] = self.tiles;
        // The same as the processor of Hugging Face's layout makes.
        let class = "GotOcr2ImageProcessor";
        let fields = json!({
            "size": { "height": pixels, "width": pixels }, "min_patches": least,
            "max_patches": most, "image_mean": MEAN, "image_std": STD,
        });
        let (text, stretching) = (fields.to_string(), Stretching::GotOcr2);
        let tiles = StretchedTiles::from_json(&text, &self.file, class, stretching)?;
        ShuffledProcessing::new(tiles, pixels, patch, *shuffle, Frame::InternVlChat)
    }

    fn several_pictures(&self, file: &ProcessorFile) -> Result<Option<ShuffledProcessing>> {
        self.image_processing(file).map(Some)
    }

    fn load<D: Device>(&self, loader: &Loader<D>) -> Result<MappedVision<D>> {
        let name = |layer| format!("{PROJECTOR}{layer}");
        let [norm, first, second] = [0, 1, 3].map(name);
        let names = InternNames {
            vision: ENCODER,
            norm: &norm,
            layers: [&first, &second],
        };
        self.vision.load(loader, &names, self.text.hidden)
    }

    fn parts(&self) -> Vec<PartOf> {
        let [encoder, projector] = self.vision.sizes(self.text.hidden);
        let part = |name, prefix: &str, sizes| PartOf {
            name,
            prefixes: vec![prefix.to_string()],
            sizes,
        };
        vec![
            part("vision encoder", ENCODER, encoder),
            part("projector", PROJECTOR, projector),
        ]
    }

    fn whole(&self) -> Self {
        let mut whole = self.clone();
        whole.vision.all_layers();
        whole.text.tied_embeddings = false;
        whole
    }

    fn never_used(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Returns the `model_type` of the decoder, which is told by its class.
fn decoder(text: &Fields) -> ReadResult<&'static str> {
    let name = "architectures";
    let class = text.value(name).and_then(|list| list.get(0));
    let class = class.and_then(Value::as_str).unwrap_or("left out");
    match DECODERS.iter().find(|(known, _)| *known == class) {
        Some(&(_, kind)) => {
            text.require_type("model_type", Some(kind), &[kind], kind)?;
            Ok(kind)
        }
        None => Err(text.unsupported(name, class, SUPPORTED)),
    }
}

/// Reads the name of the conversation. `system_message` replaces the conversation's own text in the
/// program that trains, and is not read by the one that is published with the weights.
fn conversation(top: &Fields) -> ReadResult<DefaultTemplate> {
    let found = top.text("template")?;
    let known = |known: &&Conversation| Some(known.template.name) == found;
    let Some(conversation) = CONVERSATIONS.iter().find(known) else {
        let found = found.map_or("left out".to_string(), |found| format!("{found:?}"));
        let names = CONVERSATIONS.each_ref().map(|known| known.template.name);
        return Err(top.error("template", found, names.join(", ")));
    };
    let name = "system_message";
    match top.text(name)? {
        Some(text) if text != conversation.system => {
            let expected = "null: the conversation's own text";
            Err(top.error(name, format!("{text:?}"), expected))
        }
        _ => Ok(conversation.template),
    }
}

/// Fails unless tiles have the encoder's size, for which it has positions.
fn same_size(top: &Fields, pixels: usize) -> ReadResult<()> {
    let name = "force_image_size";
    match top.value(name) {
        Some(size) if *size != json!(0) && *size != json!(pixels) => {
            let expected = format!("vision_config.image_size, {pixels}");
            Err(top.error(name, size, expected))
        }
        _ => Ok(()),
    }
}

/// Reads the fewest and the most tiles of a picture; one where it is not cut.
fn tiles(top: &Fields) -> ReadResult<[usize; 2]> {
    if top.flag("pad2square", false)? {
        return Err(top.error("pad2square", "true", "false"));
    }
    if !top.flag("dynamic_image_size", false)? {
        return Ok([1, 1]);
    }
    let most = top.size("max_dynamic_patch", 6, MOST_TILES as usize)?;
    let least = top.size("min_dynamic_patch", 1, most)?;
    if most > 1 && !top.flag("use_thumbnail", false)? {
        let expected = "true where pictures are cut: the whole picture is seen too";
        return Err(top.error("use_thumbnail", "false or left out", expected));
    }
    Ok([least, most])
}

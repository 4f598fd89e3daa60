//! The shared parts of the LLaVAs in the original layout (`LlavaLlamaForCausalLM`,
//! `LlavaMistralForCausalLM`, `LlavaQwenForCausalLM`): the decoder's config with `mm_*` fields
//! beside it, the encoder that `mm_vision_tower` names, and the projector under
//! `model.mm_projector`.

use serde_json::{Value, json};

use crate::checkpoint::{Config, Fields, RopeScaling, Template, Tensors, Tokenizer};
use crate::device::Device;
use crate::lvlm::decoder::{DecoderConfig, DecoderNames, Kind};
use crate::lvlm::encoder::hidden_state_index;
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::conversations::conversation;
use crate::lvlm::family::fields::{encoder_name, require_text};
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::traits::{Outside, PartOf};
use crate::lvlm::family::vit_tower::{FIELD, LAYER_FIELD, VitTower};
use crate::lvlm::loader::Loader;
use crate::nn::Mlp;

/// The image token's text in a prompt.
pub(in crate::lvlm) const IMAGE: &str = "<image>";

/// The config, as far as all of them have it.
#[derive(Debug, Clone)]
pub(in crate::lvlm) struct Original {
    config: Config,
    pub text: DecoderConfig,
    pub names: DecoderNames,
    /// The value of `mm_vision_tower`.
    encoder: String,
    /// Index of the encoder's selected hidden state.
    select_layer: i64,
    /// The encoder, once it is found.
    found: Option<VitTower>,
}

/// Returns the decoder's `model_type` in a config of the original layout; `None` for any other
/// config.
///
/// # Errors
/// A field of the wrong type.
pub(in crate::lvlm) fn original_decoder(top: &Fields) -> ReadResult<Option<&'static str>> {
    // Many files say "llava" whatever the decoder is; Hugging Face's own llava has a section for
    // its encoder.
    let tower = top.value(FIELD).is_some();
    let whole = top.value("vision_config").is_some();
    let class = top.value("architectures").and_then(|list| list.get(0));
    Ok(match top.text("model_type")? {
        Some("llava_llama") => Some("llama"),
        Some("llava_mistral") => Some("mistral"),
        Some("llava_qwen") => Some("qwen2"),
        Some("llava") if tower && !whole => Some(match class.and_then(Value::as_str) {
            Some("LlavaQwenForCausalLM") => "qwen2",
            Some("LlavaMistralForCausalLM") => "mistral",
            _ => "llama",
        }),
        _ => None,
    })
}

impl Original {
    /// Reads config.json.
    ///
    /// # Errors
    /// [`CheckpointError::Config`](crate::checkpoint::CheckpointError::Config).
    pub fn read(config: &Config) -> ReadResult<Original> {
        let top = config.top();
        let kind = original_decoder(&top)?.unwrap_or("llama");
        let encoder = encoder_name(&top, FIELD)?;
        require_text(&top, "mm_projector_type", "mlp2x_gelu", "linear")?;
        require_text(&top, "mm_vision_select_feature", "patch", "patch")?;
        // Tokens of their own around or for a picture.
        for name in ["mm_use_im_start_end", "mm_use_im_patch_token"] {
            if top.flag(name, false)? {
                return Err(top.error(name, "true", "false"));
            }
        }
        let mut text = DecoderConfig::read(&top, Kind::of(kind), None)?;
        // The original classes on Mistral and Qwen2 set it so, whatever the config says.
        if kind != "llama" {
            text.rope.scaling = RopeScaling::None;
        }
        Ok(Original {
            config: config.clone(),
            text,
            names: DecoderNames::bare(),
            encoder,
            select_layer: hidden_state_index(&top, LAYER_FIELD, -2)?,
            found: None,
        })
    }

    /// Returns the encoder.
    ///
    /// # Errors
    /// [`CheckpointError::MissingEncoder`](crate::checkpoint::CheckpointError::MissingEncoder)
    /// before there is one.
    pub fn tower(&self) -> Result<&VitTower> {
        let missing = || VitTower::missing(&self.config, &self.encoder);
        Ok(self.found.as_ref().ok_or_else(missing)?)
    }

    /// Returns the name of the encoder, for the search.
    pub fn towers(&self, tensors: &Tensors) -> Vec<TowerName> {
        vec![VitTower::name(&self.encoder, tensors)]
    }

    /// Takes the encoder that was found.
    ///
    /// # Errors
    /// Errors of the encoder's config, and fields that contradict it.
    pub fn fit(&mut self, tensors: &Tensors, towers: Vec<Option<Tower>>) -> ReadResult<()> {
        self.text.untie(tensors, &self.names);
        if let Some(tower) = towers.into_iter().next() {
            let (encoder, index) = (&self.encoder, self.select_layer);
            self.found = VitTower::find(&self.config, encoder, index, tensors, tower)?;
        }
        Ok(())
    }

    /// Returns the conversation of the original program, which does not read the checkpoint's own
    /// template.
    pub fn template(&self, tokenizer: &Tokenizer) -> Template {
        Template::Fixed(conversation(&self.text.kind, tokenizer))
    }

    /// Loads the projector.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape.
    pub fn projector<D: Device>(&self, loader: &Loader<D>) -> Result<Mlp<D>> {
        let (from, to) = (self.tower()?.config.hidden(), self.text.hidden);
        let names = ["model.mm_projector.0", "model.mm_projector.2"];
        Projector::MLP2X_GELU.load(loader, names, from, to)
    }

    /// Describes the parts; the projector's names begin with its own prefix or with one of `more`.
    pub fn parts(&self, more: &[&str]) -> Vec<PartOf> {
        let mut parts: Vec<PartOf> = self.found.iter().map(VitTower::part).collect();
        let prefixes = ["model.mm_projector."].iter().chain(more);
        parts.push(PartOf {
            name: "projector",
            prefixes: prefixes.map(|prefix| (*prefix).to_string()).collect(),
            sizes: json!({ "kind": "two-layer MLP", "to": self.text.hidden, "activation": "gelu" }),
        });
        parts
    }

    /// Returns the encoder, where its tensors are in a checkpoint of its own.
    pub fn outside(&self) -> Vec<Outside<'_>> {
        let tower = self.found.as_ref();
        tower.and_then(VitTower::outside).into_iter().collect()
    }

    /// Names the tensors in the model's checkpoint that no layer uses.
    pub fn never_used(&self) -> Vec<String> {
        let tower = self.found.as_ref();
        tower.map(VitTower::never_used).unwrap_or_default()
    }

    /// Returns it with every layer that a checkpoint may hold.
    pub fn whole(&self) -> Original {
        let mut whole = self.clone();
        whole.text.tied_embeddings = false;
        whole.found = whole.found.map(VitTower::whole);
        whole
    }
}

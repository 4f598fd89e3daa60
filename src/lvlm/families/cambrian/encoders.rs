//! The encoders that Cambrian-1's config names: where each is published, and what its own
//! checkpoint says of it.

use serde_json::Value;

use crate::checkpoint::{CheckpointError, Config, Fields, ProcessorFile, SIZE_LIMIT, Tensors};
use crate::lvlm::encoder::{
    ConvnextSizes, Dinov2Config, FeatureSelect, OPEN_CLIP_FILES, OPEN_CLIP_TRUNK, OpenClipConfig,
    STEM, Select, VitConfig, VitSizes, hidden_state_layers,
};
use crate::lvlm::family::towers::{Tower, TowerName};
use crate::lvlm::family::vit_tower::LAYER_FIELD;

/// The config's field.
pub(super) const FIELD: &str = "mm_vision_tower_aux_list";
/// The colour of the square around pictures where it is not the encoder's own mean.
const CLIP_MEAN: [f64; 3] = [0.481_454_66, 0.457_827_5, 0.408_210_73];

/// The kind of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EncoderKind {
    Siglip,
    Clip,
    Convnext,
    Dinov2,
}

/// The kinds by a part of the encoder's name; the first that fits.
const KINDS: [(&str, EncoderKind); 4] = [
    ("openai/clip", EncoderKind::Clip),
    ("siglip", EncoderKind::Siglip),
    ("clip-convnext", EncoderKind::Convnext),
    ("dinov2", EncoderKind::Dinov2),
];

/// An encoder that the config names.
#[derive(Debug, Clone)]
pub(super) struct Named {
    name: String,
    kind: EncoderKind,
    /// Pixels each way that the name says.
    pixels: Option<usize>,
}

/// The layers of an encoder.
#[derive(Debug, Clone)]
pub(super) enum EncoderLayers {
    Vit {
        vit: VitSizes,
        feature_select: FeatureSelect,
    },
    Convnext(ConvnextSizes),
}

/// An encoder with its own checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub tensors: Tensors,
    /// Beginnings of its tensors' names.
    pub prefix: &'static str,
    pub layers: EncoderLayers,
    /// Pixels of its view each way.
    pub pixels: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    pub processor: ProcessorFile,
    /// The colour of the square around the picture, where it is not its own mean.
    pub padding: Option<[f64; 3]>,
    /// For people.
    pub sizes: Value,
}

/// Reads the encoders that the config names.
///
/// # Errors
/// [`CheckpointError::Config`] for a name that is not known.
pub(super) fn named(top: &Fields) -> Result<Vec<Named>, CheckpointError> {
    let expected = "a list of one to four encoders' names";
    let Some(value) = top.value(FIELD) else {
        return Err(top.error(FIELD, "left out", expected));
    };
    let list = value
        .as_array()
        .filter(|list| (1..=4).contains(&list.len()));
    let Some(list) = list else {
        return Err(top.error(FIELD, value, expected));
    };
    let one = |value: &Value| {
        let name = value.as_str().unwrap_or_default();
        let lower = name.to_lowercase();
        let known = KINDS.iter().find(|(part, _)| lower.contains(part));
        match known {
            Some((_, EncoderKind::Convnext)) if !lower.contains("multi-stage") => {
                Err(top.error(FIELD, value, "a ConvNeXt all of whose stages are taken"))
            }
            Some(&(_, kind)) => Ok(Named {
                pixels: pixels(&lower),
                name: name.to_string(),
                kind,
            }),
            None => Err(top.error(FIELD, value, "a SigLIP, CLIP, DINOv2 or CLIP ConvNeXt")),
        }
    };
    list.iter().map(one).collect()
}

/// N of a name `...-resN-...`.
fn pixels(name: &str) -> Option<usize> {
    let mut numbers = name.split('-').filter_map(|part| {
        let number = part.strip_prefix("res")?.parse().ok()?;
        (1..=SIZE_LIMIT).contains(&number).then_some(number)
    });
    numbers.next()
}

impl Named {
    /// Returns its names for the search: the config's, the repository that it is published in, and
    /// a folder of its kind's name.
    pub fn tower(&self) -> TowerName {
        let own = self.name.split("-res").next().unwrap_or_default();
        let (published, kind) = match self.kind {
            EncoderKind::Siglip if self.name.contains("384") => {
                ("timm/ViT-SO400M-14-SigLIP-384", "siglip")
            }
            EncoderKind::Siglip => ("timm/ViT-SO400M-14-SigLIP", "siglip"),
            EncoderKind::Clip => (own, "clip"),
            EncoderKind::Dinov2 => (own, "dinov2"),
            EncoderKind::Convnext if self.name.contains("XXL") => (
                "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
                "convnext",
            ),
            EncoderKind::Convnext => (
                "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup",
                "convnext",
            ),
        };
        let mut names: Vec<String> = Vec::new();
        for name in [published, &self.name, kind] {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_string());
            }
        }
        TowerName {
            field: FIELD.into(),
            names,
            optional: false,
            config_only: false,
            weights: match self.kind {
                EncoderKind::Siglip | EncoderKind::Convnext => &OPEN_CLIP_FILES,
                EncoderKind::Clip | EncoderKind::Dinov2 => &[],
            },
        }
    }

    /// Reads its checkpoint; `hidden_state` is the selected hidden state of a CLIP, from the
    /// model's config `top`.
    ///
    /// # Errors
    /// Errors of the encoder's config, and of the model's fields about it.
    pub fn found(
        &self,
        tower: Tower,
        top: &Fields,
        hidden_state: i64,
    ) -> Result<Found, CheckpointError> {
        match self.kind {
            EncoderKind::Siglip => Self::siglip(tower),
            EncoderKind::Clip => Self::clip(tower, top, hidden_state),
            EncoderKind::Dinov2 => self.dinov2(tower),
            EncoderKind::Convnext => self.convnext(tower, top),
        }
    }

    fn siglip(tower: Tower) -> Result<Found, CheckpointError> {
        let config = OpenClipConfig::read(&tower.files)?;
        let (sizes, vit, layers) = config.siglip(&tower.tensors)?;
        Ok(Found {
            tensors: tower.tensors,
            prefix: OPEN_CLIP_TRUNK,
            layers: EncoderLayers::Vit {
                vit,
                feature_select: FeatureSelect::last(layers, Select::Full),
            },
            pixels: config.image_size,
            patch: vit.patch,
            processor: config.processor,
            padding: Some(CLIP_MEAN),
            sizes,
        })
    }

    fn clip(tower: Tower, top: &Fields, hidden_state: i64) -> Result<Found, CheckpointError> {
        let config = VitConfig::of_own_checkpoint(&Config::read(&tower.files)?)?;
        let layers = hidden_state_layers(top, LAYER_FIELD, hidden_state, config.layers())?;
        Ok(Found {
            prefix: "vision_model.",
            layers: EncoderLayers::Vit {
                vit: config.vit(),
                feature_select: FeatureSelect::last(layers, Select::Default),
            },
            pixels: config.image_size(),
            patch: config.patch_size(),
            processor: ProcessorFile::read(&tower.files)?,
            padding: None,
            sizes: config.sizes(layers),
            tensors: tower.tensors,
        })
    }

    fn dinov2(&self, tower: Tower) -> Result<Found, CheckpointError> {
        let config = Dinov2Config::of_own_checkpoint(&Config::read(&tower.files)?)?;
        let pixels = self.pixels.unwrap_or(config.image_size);
        Ok(Found {
            tensors: tower.tensors,
            prefix: "",
            layers: EncoderLayers::Vit {
                vit: config.vit(pixels),
                feature_select: FeatureSelect::last(config.layers, Select::Default),
            },
            pixels,
            patch: config.patch_size,
            processor: ProcessorFile::read(&tower.files)?,
            padding: None,
            sizes: config.sizes(pixels),
        })
    }

    fn convnext(&self, tower: Tower, top: &Fields) -> Result<Found, CheckpointError> {
        let config = OpenClipConfig::read(&tower.files)?;
        // The largest of timm's adds more to the variance than the others.
        let eps = if config.model.contains("xxlarge") {
            1e-5
        } else {
            1e-6
        };
        let sizes = ConvnextSizes::of(&tower.tensors, OPEN_CLIP_TRUNK, eps);
        let pixels = self.pixels.unwrap_or(1024);
        if sizes.widths.is_empty() || !pixels.is_multiple_of(sizes.step()) {
            let found = format!("{:?} with {} stages", self.name, sizes.widths.len());
            let expected = format!(
                "a ConvNeXt, of pixels that are a multiple of {}",
                sizes.step()
            );
            return Err(top.error(FIELD, found, expected));
        }
        Ok(Found {
            tensors: tower.tensors,
            prefix: OPEN_CLIP_TRUNK,
            sizes: sizes.described(pixels),
            layers: EncoderLayers::Convnext(sizes),
            pixels,
            patch: STEM,
            processor: config.processor,
            padding: Some(CLIP_MEAN),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Named>, CheckpointError> {
        named(&Config::from_json(json, "config.json")?.top())
    }

    #[test]
    fn published_names_are_known() {
        let json = r#"{"mm_vision_tower_aux_list": ["siglip/CLIP-ViT-SO400M-14-384", "openai/clip-vit-large-patch14-336",
            "facebook/dinov2-giant-res378", "clip-convnext-XXL-multi-stage"]}"#;
        let all = read(json).unwrap();
        let kinds: Vec<EncoderKind> = all.iter().map(|named| named.kind).collect();
        assert_eq!(
            kinds,
            [
                EncoderKind::Siglip,
                EncoderKind::Clip,
                EncoderKind::Dinov2,
                EncoderKind::Convnext
            ]
        );
        let first = |named: &Named| named.tower().names[0].clone();
        assert_eq!(first(&all[0]), "timm/ViT-SO400M-14-SigLIP-384");
        assert_eq!(
            (first(&all[2]).as_str(), all[2].pixels),
            ("facebook/dinov2-giant", Some(378))
        );
        assert_eq!(
            first(&all[3]),
            "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup"
        );
        assert_eq!(all[3].pixels, None);
    }

    #[test]
    fn other_names_are_refused() {
        for (list, says) in [
            (r#"["eva/CLIP-02"]"#, "SigLIP, CLIP, DINOv2"),
            (r#"["clip-convnext-L-res512"]"#, "stages"),
            (r#"[]"#, "a list"),
            (r#"[7]"#, "7"),
        ] {
            let error = read(&format!(r#"{{"mm_vision_tower_aux_list": {list}}}"#)).unwrap_err();
            let text = error.to_string();
            assert!(text.contains(says) && text.contains(FIELD), "{text}");
        }
    }
}

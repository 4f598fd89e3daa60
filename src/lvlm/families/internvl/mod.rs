//! InternVL3 and InternVL3.5: InternViT on the tiles of the grid whose shape is closest to the
//! picture's and on the whole picture, neighbouring patches side by side, a norm and two layers,
//! and a Qwen2 or Qwen3 decoder. The two layouts have these layers under other names.

pub(in crate::lvlm) mod chat;
pub(in crate::lvlm) mod hf;

use serde_json::{Value, json};

use crate::checkpoint::Fields;
use crate::device::{Device, Part};
use crate::lvlm::encoder::{
    FeatureSelect, InternVitConfig, Select, Vit, hidden_state_index, hidden_state_layers,
};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::family::mapped::{Mapped, MappedVision, RowLayers, RowProjector};
use crate::lvlm::family::projector::Projector;
use crate::lvlm::family::shuffled::PixelShuffle;
use crate::lvlm::loader::Loader;

/// Added to the variance in the projector's norm: PyTorch's default.
const PROJECTOR_EPS: f64 = 1e-5;

/// The encoder and the projector.
#[derive(Debug, Clone)]
struct InternVision {
    encoder: InternVitConfig,
    /// Layers of the encoder that run.
    layers: usize,
    /// Whether the encoder's own output is selected, with its last norm where it has one.
    output: bool,
    shuffle: PixelShuffle,
    projector: Projector,
}

/// The names of their tensors.
struct InternNames<'a> {
    /// Prefix of the encoder's.
    vision: &'a str,
    /// The projector's norm.
    norm: &'a str,
    /// The projector's layers.
    layers: [&'a str; 2],
}

impl InternVision {
    /// Reads the index of the selected hidden state from the field `layer`, and
    /// `downsample_ratio`.
    fn new(
        top: &Fields,
        layer: &str,
        encoder: InternVitConfig,
        projector: Projector,
    ) -> ReadResult<InternVision> {
        let index = hidden_state_index(top, layer, -1)?;
        Ok(InternVision {
            layers: hidden_state_layers(top, layer, index, encoder.layers)?,
            output: index == -1,
            shuffle: shuffle(top, encoder.across())?,
            projector,
            encoder,
        })
    }

    /// Loads the layers, to the decoder's width `to`.
    fn load<D: Device>(
        &self,
        loader: &Loader<D>,
        names: &InternNames,
        to: usize,
    ) -> Result<MappedVision<D>> {
        let selected = FeatureSelect::last(self.layers, Select::Default);
        let sizes = self.encoder.vit(self.output);
        let encoder = Vit::load(loader, &sizes, names.vision, &selected)?;
        loader.device.part(Part::Projector);
        let side_by_side = self.shuffle.side_by_side();
        let from = self.encoder.hidden * side_by_side;
        let norm = loader.layer_norm(names.norm, from, PROJECTOR_EPS)?;
        let layers = self.projector.load(loader, names.layers, from, to)?;
        Ok(MappedVision {
            encoder,
            connector: Mapped {
                side_by_side,
                projector: RowProjector {
                    norm: Some(norm),
                    layers: RowLayers::Perceptron(layers),
                },
            },
        })
    }

    /// Describes the encoder and the projector.
    fn sizes(&self, to: usize) -> [Value; 2] {
        let factor = self.shuffle.factor;
        let from = self.encoder.hidden * factor.pow(2);
        let mut projector = self.projector.sizes(from, to);
        projector["patches"] = json!(format!("{factor} x {factor}"));
        [self.encoder.sizes(self.layers), projector]
    }

    /// Makes every layer of the encoder run.
    fn all_layers(&mut self) {
        (self.layers, self.output) = (self.encoder.layers, true);
    }
}

/// Reads `downsample_ratio`: one over the patches of a row each way.
fn shuffle(top: &Fields, across: usize) -> ReadResult<PixelShuffle> {
    let name = "downsample_ratio";
    let ratio = top.positive(name)?.unwrap_or(0.5);
    let factor = (1.0 / ratio) as usize;
    let whole = factor > 0 && 1.0 / factor as f64 == ratio;
    if !whole || !across.is_multiple_of(factor) {
        let expected = format!("1 / n, where n divides the {across} patches of a tile's side");
        return Err(top.error(name, ratio, expected));
    }
    Ok(PixelShuffle { across, factor })
}

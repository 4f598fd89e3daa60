//! Mini-Gemini's layers before the decoder: CLIP on one or several views, ConvNeXt on a large one, mining between them, a projector.

use std::sync::Arc;

use super::mining::{Blocks, Mining, MiningSaved};
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Convnext, ConvnextKept, Vit, VitKept};
use crate::lvlm::family::{Seen, Vision};
use crate::lvlm::{LvlmError, Result};
use crate::nn::{Keep, Mlp, MlpSaved, Nothing, require_finite};

/// The layers.
pub(in crate::lvlm) struct MiniGeminiVision<D: Device> {
    pub(super) clip: Vit<D>,
    pub(super) convnext: Convnext<D>,
    pub(super) mining: Mining<D>,
    pub(super) projector: Mlp<D>,
}

/// What the forward pass kept.
pub(in crate::lvlm) struct MiniGeminiKept<D: Device> {
    clip: VitKept<D>,
    convnext: ConvnextKept<D>,
    /// CLIP's features, and each of ConvNeXt's stages.
    features: (D::Matrix, Vec<D::Matrix>),
    mining: MiningSaved<D>,
    projector: MlpSaved<D>,
}

impl<D: Device> Vision<D> for MiniGeminiVision<D> {
    type Arrangement = Blocks;
    type Kept = MiniGeminiKept<D>;
    type Context = Nothing;

    fn forward(
        &self,
        device: &D,
        blocks: &Arc<Blocks>,
        patches: Vec<D::Matrix>,
        keep: Keep,
        check: bool,
    ) -> Result<Seen<D, Self>> {
        let found = patches.len();
        let [small, large] = <[D::Matrix; 2]>::try_from(patches)
            .map_err(|_| LvlmError::Eyes { expected: 2, found })?;
        let (seen, clip) = self.clip.forward(device, small, keep, check)?;
        let (stages, convnext) = self.convnext.forward(device, large, keep, check)?;
        device.part(Part::Projector);
        let (mined, mining) = self.mining.forward(device, &seen, &stages, blocks)?;
        if check {
            require_finite(device, &mined, || "patch information mining".into())?;
        }
        let (rows, projector) = self.projector.forward(device, &mined, None)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(Seen {
            rows,
            context: Nothing,
            kept: MiniGeminiKept {
                clip,
                convnext,
                features: (seen, stages),
                mining,
                projector,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        blocks: &Blocks,
        kept: Self::Kept,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        let MiniGeminiKept {
            clip,
            convnext,
            features: (seen, stages),
            mining,
            projector,
        } = kept;
        device.part(Part::Projector);
        let d_mined = self.projector.vjp(device, projector, &d_rows)?;
        drop(d_rows);
        let (d_seen, d_stages) = self.mining.vjp(device, mining, &seen, &d_mined, blocks)?;
        drop((seen, d_mined));
        device.part(Part::Vision);
        let d_large = self.convnext.vjp(device, convnext, &stages, d_stages)?;
        drop(stages);
        let d_small = self.clip.vjp(device, clip, d_seen)?;
        Ok(vec![d_small, d_large])
    }
}

//! Mini-Gemini's layers before the decoder: CLIP on one or several views, ConvNeXt on a large one, mining between them, a projector.

use std::sync::Arc;

use super::blocks::Blocks;
use super::mining::{Mining, MiningSaved};
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Convnext, ConvnextKept, Vit, VitKept};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::traits::{Seen, Vision, single};
use crate::nn::{Keep, Mlp, MlpSaved, Nothing, require_finite};

/// The layers.
pub(in crate::lvlm) struct MiniGeminiVision<D: Device> {
    pub(super) clip: Vit<D>,
    /// Where CLIP is not alone.
    pub(super) large: Option<Large<D>>,
    pub(super) projector: Mlp<D>,
}

/// The branch of high resolution.
pub(in crate::lvlm) struct Large<D: Device> {
    pub(super) convnext: Convnext<D>,
    pub(super) mining: Mining<D>,
}

/// What the forward pass kept.
pub(in crate::lvlm) struct MiniGeminiKept<D: Device> {
    clip: VitKept<D>,
    large: Option<LargeKept<D>>,
    projector: MlpSaved<D>,
}

/// What that of the branch kept.
struct LargeKept<D: Device> {
    convnext: ConvnextKept<D>,
    /// CLIP's features, and each of ConvNeXt's stages.
    features: (D::Matrix, Vec<D::Matrix>),
    mining: MiningSaved<D>,
}

impl<D: Device> Large<D> {
    /// CLIP's features and what their patches find in ConvNeXt's view.
    fn forward(
        &self,
        device: &D,
        seen: D::Matrix,
        (patches, blocks): (D::Matrix, &Blocks),
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, LargeKept<D>)> {
        let (stages, convnext) = self.convnext.forward(device, patches, keep, check)?;
        device.part(Part::Projector);
        let (mined, mining) = self.mining.forward(device, &seen, &stages, blocks)?;
        if check {
            require_finite(device, &mined, || "patch information mining".into())?;
        }
        let kept = LargeKept {
            convnext,
            features: (seen, stages),
            mining,
        };
        Ok((mined, kept))
    }

    /// Gradients of CLIP's features and of ConvNeXt's patches.
    fn vjp(
        &self,
        device: &D,
        kept: LargeKept<D>,
        d_mined: &D::Matrix,
        blocks: &Blocks,
    ) -> Result<(D::Matrix, D::Matrix)> {
        let (seen, stages) = kept.features;
        let (d_seen, d_stages) = self
            .mining
            .vjp(device, kept.mining, &seen, d_mined, blocks)?;
        drop(seen);
        device.part(Part::Vision);
        let d_large = self
            .convnext
            .vjp(device, kept.convnext, &stages, d_stages)?;
        Ok((d_seen, d_large))
    }
}

impl<D: Device> Vision<D> for MiniGeminiVision<D> {
    type Arrangement = Option<Blocks>;
    type Kept = MiniGeminiKept<D>;
    type Context = Nothing;

    fn forward(
        &self,
        device: &D,
        blocks: &Arc<Option<Blocks>>,
        patches: Vec<D::Matrix>,
        keep: Keep,
        check: bool,
    ) -> Result<Seen<D, Self>> {
        let (small, large) = match (&self.large, &**blocks) {
            (Some(branch), Some(blocks)) => {
                let [small, patches] = both(patches)?;
                (small, Some((branch, (patches, blocks))))
            }
            _ => (single(patches)?, None),
        };
        let (seen, clip) = self.clip.forward(device, small, keep, check)?;
        let (features, large) = match large {
            Some((branch, large)) => {
                let (mined, kept) = branch.forward(device, seen, large, keep, check)?;
                (mined, Some(kept))
            }
            None => (seen, None),
        };
        device.part(Part::Projector);
        let (rows, projector) = self.projector.forward(device, &features, None)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(Seen {
            rows,
            context: Nothing,
            kept: MiniGeminiKept {
                clip,
                large,
                projector,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        blocks: &Option<Blocks>,
        kept: Self::Kept,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_features = self.projector.vjp(device, kept.projector, &d_rows)?;
        drop(d_rows);
        let large = self.large.as_ref().zip(blocks.as_ref()).zip(kept.large);
        let (d_seen, d_large) = match large {
            Some(((branch, blocks), kept)) => {
                let (d_seen, d_large) = branch.vjp(device, kept, &d_features, blocks)?;
                drop(d_features);
                (d_seen, Some(d_large))
            }
            None => (d_features, None),
        };
        device.part(Part::Vision);
        let d_small = self.clip.vjp(device, kept.clip, d_seen)?;
        Ok([d_small].into_iter().chain(d_large).collect())
    }
}

/// CLIP's patches and ConvNeXt's.
fn both<T>(patches: Vec<T>) -> Result<[T; 2]> {
    let found = patches.len();
    <[T; 2]>::try_from(patches).map_err(|_| LvlmError::Eyes { expected: 2, found })
}

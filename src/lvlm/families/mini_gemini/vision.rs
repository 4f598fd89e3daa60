//! Mini-Gemini's layers before the decoder: CLIP on one or several views, ConvNeXt on a large one,
//! mining between them, a projector.

use std::sync::Arc;

use super::blocks::Blocks;
use super::mining::{Mining, MiningSaved};
use crate::device::{Device, Part};
use crate::lvlm::encoder::{Convnext, ConvnextSaved, Vit, VitSaved};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::traits::{Vision, VisionOutput, single};
use crate::nn::{Checkpointing, Mlp, MlpSaved, NoHook, require_finite};

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

/// Activations that the forward pass saved.
pub(in crate::lvlm) struct MiniGeminiSaved<D: Device> {
    clip: VitSaved<D>,
    large: Option<LargeSaved<D>>,
    projector: MlpSaved<D>,
}

/// Activations that the branch saved.
struct LargeSaved<D: Device> {
    convnext: ConvnextSaved<D>,
    /// CLIP's features, and each of ConvNeXt's stages.
    features: (D::Matrix, Vec<D::Matrix>),
    mining: MiningSaved<D>,
}

impl<D: Device> Large<D> {
    /// Returns CLIP's features with those that their patches find in ConvNeXt's view.
    fn forward(
        &self,
        device: &D,
        clip_features: D::Matrix,
        patches: D::Matrix,
        blocks: &Blocks,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(D::Matrix, LargeSaved<D>)> {
        let (stages, convnext) = self
            .convnext
            .forward(device, patches, checkpointing, check)?;
        device.part(Part::Projector);
        let (mined, mining) = self
            .mining
            .forward(device, &clip_features, &stages, blocks)?;
        if check {
            require_finite(device, &mined, || "patch information mining".into())?;
        }
        let saved = LargeSaved {
            convnext,
            features: (clip_features, stages),
            mining,
        };
        Ok((mined, saved))
    }

    /// Returns the gradients of CLIP's features and of ConvNeXt's patches.
    fn vjp(
        &self,
        device: &D,
        saved: LargeSaved<D>,
        d_mined: &D::Matrix,
        blocks: &Blocks,
    ) -> Result<(D::Matrix, D::Matrix)> {
        let (clip_features, stages) = saved.features;
        let (d_clip_features, d_stages) =
            self.mining
                .vjp(device, saved.mining, &clip_features, d_mined, blocks)?;
        drop(clip_features);
        device.part(Part::Vision);
        let d_large = self
            .convnext
            .vjp(device, saved.convnext, &stages, d_stages)?;
        Ok((d_clip_features, d_large))
    }
}

impl<D: Device> Vision<D> for MiniGeminiVision<D> {
    type TokenLayout = Option<Blocks>;
    type Saved = MiniGeminiSaved<D>;
    type Context = NoHook;

    fn encoder(&self) -> Option<&Vit<D>> {
        Some(&self.clip)
    }

    fn encoder_saved(saved: &mut Self::Saved) -> Option<&mut VitSaved<D>> {
        Some(&mut saved.clip)
    }

    fn forward(
        &self,
        device: &D,
        blocks: &Arc<Option<Blocks>>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (small, large) = match (&self.large, &**blocks) {
            (Some(branch), Some(blocks)) => {
                let [small, patches] = both(patches)?;
                (small, Some((branch, patches, blocks)))
            }
            _ => (single(patches)?, None),
        };
        let (clip_features, clip) = self.clip.forward(device, small, checkpointing, check)?;
        let (features, large) = match large {
            Some((branch, patches, blocks)) => {
                let (mined, saved) =
                    branch.forward(device, clip_features, patches, blocks, checkpointing, check)?;
                (mined, Some(saved))
            }
            None => (clip_features, None),
        };
        device.part(Part::Projector);
        let (rows, projector) = self.projector.forward(device, &features, None)?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: NoHook,
            saved: MiniGeminiSaved {
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
        saved: Self::Saved,
        d_rows: D::Matrix,
        (): (),
    ) -> Result<Vec<D::Matrix>> {
        device.part(Part::Projector);
        let d_features = self.projector.vjp(device, saved.projector, &d_rows)?;
        drop(d_rows);
        let large = self.large.as_ref().zip(blocks.as_ref()).zip(saved.large);
        let (d_clip_features, d_large) = match large {
            Some(((branch, blocks), saved)) => {
                let (d_clip_features, d_large) = branch.vjp(device, saved, &d_features, blocks)?;
                drop(d_features);
                (d_clip_features, Some(d_large))
            }
            None => (d_features, None),
        };
        device.part(Part::Vision);
        let d_small = self.clip.vjp(device, saved.clip, d_clip_features)?;
        Ok([d_small].into_iter().chain(d_large).collect())
    }
}

/// Returns CLIP's patches and ConvNeXt's.
fn both<T>(patches: Vec<T>) -> Result<[T; 2]> {
    let found = patches.len();
    <[T; 2]>::try_from(patches).map_err(|_| LvlmError::Encoders { expected: 2, found })
}

//! An evaluator without numbers, on a device that only counts: operations and bytes of its passes.

use std::sync::Arc;

use super::evaluator::{AnswerLayout, Evaluator};
use super::layers::Layers;
use crate::blend::{Blend, Direction, Masks, View, ViewPair};
use crate::device::dry::{Dry, Measured};
use crate::device::{Blending, LogProb};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{EncoderViews, Family, ImageProcessing};
use crate::lvlm::plan::ActivationSizes;
use crate::nn::Checkpointing;

/// Makes an evaluator without numbers: `before` tokens of text before the picture, `after` after it.
pub(super) fn dry_evaluator<F: Family>(
    dry: &Dry,
    layers: Arc<Layers<F, Dry>>,
    (encoders, mask_size): (&[EncoderViews], usize),
    (token_layout, images): (
        Arc<<F::ImageProcessing as ImageProcessing>::TokenLayout>,
        usize,
    ),
    (before, after): (usize, usize),
) -> Result<Evaluator<F, Dry>> {
    let pictures = |encoder: &EncoderViews| {
        // The sizes count; there are no pixels.
        let pixels = |view: &View| 3 * view.height * view.width;
        let blank = vec![0.0; encoder.views.first().map_or(0, pixels)];
        let pair = |view| ViewPair {
            view,
            picture: &blank,
            baseline: &blank,
        };
        let views: Vec<ViewPair> = encoder.views.iter().copied().map(pair).collect();
        Ok(dry.pictures(&views, encoder.patch, mask_size)?)
    };
    Ok(Evaluator {
        pictures: encoders.iter().map(pictures).collect::<Result<_>>()?,
        prefix: layers.decoder.prefix(dry, &vec![0; before])?,
        after: vec![0; after],
        layers,
        token_layout,
        images,
    })
}

/// Measures the sizes for scores of the answer's tokens `tokens`, on a device whose operations want `scratch` bytes.
pub(super) fn sizes<F: Family>(
    dry: &Dry,
    evaluator: &Evaluator<F, Dry>,
    tokens: &[usize],
    mask_size: usize,
    scratch: usize,
) -> Result<ActivationSizes> {
    let layout = dry_layout(dry, evaluator, tokens)?;
    let mut sizes = ActivationSizes {
        fixed: 0,
        everything: 0,
        inputs: 0,
        nothing: 0,
        rows: 0,
    };
    for checkpointing in [
        Checkpointing::Nothing,
        Checkpointing::Inputs,
        Checkpointing::Everything,
    ] {
        let measure = |blends| measured(dry, evaluator, &layout, blends, mask_size, checkpointing);
        let (one, two) = (measure(1)?, measure(2)?);
        let each = two.peak - one.peak;
        sizes.fixed = sizes.fixed.max(one.peak.saturating_sub(each) + scratch);
        sizes.rows = sizes.rows.max(one.rows);
        match checkpointing {
            Checkpointing::Nothing => sizes.nothing = each,
            Checkpointing::Inputs => sizes.inputs = each,
            Checkpointing::Everything => sizes.everything = each,
        }
    }
    Ok(sizes)
}

/// Lays out the rows that predict answer tokens; which tokens they are makes no difference here.
pub(super) fn dry_layout<F: Family>(
    dry: &Dry,
    evaluator: &Evaluator<F, Dry>,
    tokens: &[usize],
) -> Result<AnswerLayout<Dry>> {
    let last = tokens.iter().copied().max().unwrap_or(0);
    evaluator.layout(dry, &vec![0; last + 1], tokens)
}

/// Measures one batch: two masks, scores of the layout's tokens, and unless nothing is saved the gradient of the masks.
pub(super) fn measured<F: Family>(
    dry: &Dry,
    evaluator: &Evaluator<F, Dry>,
    layout: &AnswerLayout<Dry>,
    blends: usize,
    mask_size: usize,
    checkpointing: Checkpointing,
) -> Result<Measured> {
    let cells = vec![0.0; mask_size * mask_size];
    let masks = Masks {
        size: mask_size,
        values: &[cells.clone(), cells],
    };
    let blend = Blend::whole(0, Direction::Keep);
    let batch = evaluator.stage(dry, masks, &vec![blend; blends])?;
    let mut gradients = evaluator.gradients(dry, masks.values.len())?;
    let weights = dry.weigh(&vec![0.0; blends * layout.targets()])?;
    let (result, measured) = dry.meter().during(|| {
        if checkpointing == Checkpointing::Nothing {
            evaluator.forward(dry, layout, &batch, blends, checkpointing)?;
            return Ok(());
        }
        let staged = (&batch[..], &weights);
        let (_, d_patches) =
            evaluator.forward_and_vjp(dry, layout, staged, blends, checkpointing)?;
        evaluator.blend_vjp(dry, &batch, &d_patches, &mut gradients)
    });
    result.map(|()| measured)
}

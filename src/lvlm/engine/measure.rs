//! An evaluator without numbers, on a device that only counts: operations and bytes of its passes.

use std::sync::Arc;

use super::evaluator::{AnswerLayout, Evaluator, PictureViews};
use super::layers::Layers;
use crate::device::dry::{Dry, Measured};
use crate::device::{Blend, Device, Direction, Masks, ViewPair};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{EncoderViews, Family};
use crate::lvlm::plan::ActivationSizes;
use crate::nn::Checkpointing;

/// Makes an evaluator without numbers: `before` tokens of text before the picture, `after` after it.
pub(super) fn dry_evaluator<F: Family>(
    dry: &Dry,
    layers: Arc<Layers<F, Dry>>,
    views: &PictureViews<F>,
    mask_size: usize,
    before: usize,
    after: usize,
) -> Result<Evaluator<F, Dry>> {
    let pictures = |encoder: &EncoderViews| {
        let pair = |view| ViewPair {
            view,
            picture: &[],
            baseline: &[],
        };
        let views: Vec<ViewPair> = encoder.views.iter().copied().map(pair).collect();
        Ok(dry.pictures(&views, encoder.patch, mask_size)?)
    };
    Ok(Evaluator {
        pictures: views.encoders.iter().map(pictures).collect::<Result<_>>()?,
        prefix: layers.decoder.prefix(dry, &vec![0; before])?,
        after: vec![0; after],
        layers,
        token_layout: Arc::clone(&views.token_layout),
        images: views.images,
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
    let masks = Masks {
        size: mask_size,
        values: &[Vec::new(), Vec::new()],
    };
    let blend = Blend::whole(0, Direction::Keep);
    let batch = evaluator.stage(dry, masks, &vec![blend; blends])?;
    let mut gradients = evaluator.gradients(dry, masks.values.len())?;
    let (result, measured) = dry.meter().during(|| {
        if checkpointing == Checkpointing::Nothing {
            evaluator.forward(dry, layout, &batch, blends, checkpointing)?;
            return Ok(());
        }
        let (_, d_patches) =
            evaluator.forward_and_vjp(dry, layout, &batch, &(), blends, checkpointing)?;
        evaluator.blend_vjp(dry, &batch, &d_patches, &mut gradients)
    });
    result.map(|()| measured)
}

//! A sitting without numbers, on a device that only counts: what it costs, and the bytes that it needs.

use std::sync::Arc;

use super::layers::Layers;
use super::sitting::{Layout, Sitting};
use crate::device::dry::{Dry, Measured};
use crate::device::{Blend, Blending, Direction, LogProb, Masks, ViewPair};
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Eye, Family, Sight};
use crate::lvlm::plan::Sizes;
use crate::nn::Keep;

/// A sitting without numbers: `before` tokens of text before the picture, `behind` behind it.
pub(super) fn dry_sitting<F: Family>(
    dry: &Dry,
    layers: Arc<Layers<F, Dry>>,
    (eyes, mask_size): (&[Eye], usize),
    (arrangement, images): (Arc<<F::Sight as Sight>::Arrangement>, usize),
    (before, behind): (usize, usize),
) -> Result<Sitting<F, Dry>> {
    let pictures = |eye: &Eye| {
        let pair = |view| ViewPair {
            view,
            picture: &[],
            baseline: &[],
        };
        let views: Vec<ViewPair> = eye.views.iter().copied().map(pair).collect();
        Ok(dry.pictures(&views, eye.patch, mask_size)?)
    };
    Ok(Sitting {
        eyes: eyes.iter().map(pictures).collect::<Result<_>>()?,
        prefix: layers.decoder.prefix(dry, &vec![0; before])?,
        after: vec![0; behind],
        layers,
        arrangement,
        images,
    })
}

/// The sizes for scores of the answer's tokens `tokens`, on a device whose operations want `scratch` bytes.
pub(super) fn sizes<F: Family>(
    dry: &Dry,
    sitting: &Sitting<F, Dry>,
    tokens: &[usize],
    mask_size: usize,
    scratch: usize,
) -> Result<Sizes> {
    let layout = dry_layout(dry, sitting, tokens)?;
    let mut sizes = Sizes {
        fixed: 0,
        everything: 0,
        inputs: 0,
        nothing: 0,
        rows: 0,
    };
    for keep in [Keep::Nothing, Keep::Inputs, Keep::Everything] {
        let measure = |blends| measured(dry, sitting, &layout, blends, mask_size, keep);
        let (one, two) = (measure(1)?, measure(2)?);
        let each = two.peak - one.peak;
        sizes.fixed = sizes.fixed.max(one.peak.saturating_sub(each) + scratch);
        sizes.rows = sizes.rows.max(one.rows);
        match keep {
            Keep::Nothing => sizes.nothing = each,
            Keep::Inputs => sizes.inputs = each,
            Keep::Everything => sizes.everything = each,
        }
    }
    Ok(sizes)
}

/// The rows that predict answer tokens; which tokens they are makes no difference here.
pub(super) fn dry_layout<F: Family>(
    dry: &Dry,
    sitting: &Sitting<F, Dry>,
    tokens: &[usize],
) -> Result<Layout<Dry>> {
    let last = tokens.iter().copied().max().unwrap_or(0);
    sitting.layout(dry, &vec![0; last + 1], tokens)
}

/// What one batch takes: two masks, scores of the layout's tokens, and unless nothing is kept the gradient of the masks.
pub(super) fn measured<F: Family>(
    dry: &Dry,
    sitting: &Sitting<F, Dry>,
    layout: &Layout<Dry>,
    blends: usize,
    mask_size: usize,
    keep: Keep,
) -> Result<Measured> {
    let cells = vec![0.0; mask_size * mask_size];
    let masks = Masks {
        size: mask_size,
        values: &[cells.clone(), cells],
    };
    let blend = Blend::whole(0, Direction::Keep);
    let batch = sitting.stage(dry, masks, &vec![blend; blends])?;
    let mut gradients = sitting.gradients(dry, masks.values.len())?;
    let weights = dry.weigh(&vec![0.0; blends * layout.targets()])?;
    let (result, measured) = dry.meter().during(|| {
        if keep == Keep::Nothing {
            sitting.forward(dry, layout, &batch, blends, keep)?;
            return Ok(());
        }
        let staged = (&batch[..], &weights);
        let (_, d_patches) = sitting.forward_and_vjp(dry, layout, staged, blends, keep)?;
        sitting.blend_vjp(dry, &batch, &d_patches, &mut gradients)
    });
    result.map(|()| measured)
}

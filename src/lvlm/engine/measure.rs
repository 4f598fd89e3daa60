//! An evaluator without numbers, on a device that only counts: operations and bytes of its passes.

use std::sync::Arc;

use super::evaluator::{AnswerLayout, EncoderPicture, Evaluator, Rest};
use crate::blend::{Blend, Masks, Path, Score, View, ViewPair};
use crate::device::meta::{Measured, Meta};
use crate::device::{Blending, LogProb};
use crate::lvlm::decoder::Decoder;
use crate::lvlm::error::Result;
use crate::lvlm::family::picture_layers::PictureLayers;
use crate::lvlm::family::traits::EncoderViews;
use crate::lvlm::plan::ActivationSizes;
use crate::nn::{Checkpointing, Positions};

/// The views that a family takes of pictures, and the rows that they become.
pub(super) struct PictureViews {
    /// Of every encoder of every picture, with the number of the picture among those that masks
    /// cover.
    pub encoders: Vec<(EncoderViews, Option<usize>)>,
    /// Rows of the decoder that the tokens are.
    pub images: usize,
    /// The rotary positions of the decoder's rows where these are not their numbers.
    pub positions: Option<Positions>,
}

/// A family's layers without numbers, for pictures of one size.
pub(super) struct MetaLayers {
    /// The family's name.
    pub family: &'static str,
    pub vision: Box<dyn PictureLayers<Meta>>,
    pub decoder: Arc<Decoder<Meta>>,
}

/// Makes an evaluator without numbers: `before` tokens of text before the first picture, `after`
/// after the first of its rows.
pub(super) fn meta_evaluator(
    meta: &Meta,
    layers: MetaLayers,
    views: &PictureViews,
    mask_size: usize,
    before: usize,
    after: usize,
) -> Result<Evaluator<Meta>> {
    let pictures = |(encoder, masked): &(EncoderViews, Option<usize>)| {
        // The sizes count; there are no pixels.
        let pixels = |view: &View| 3 * view.height * view.width;
        let blank = vec![0.0; encoder.views.first().map_or(0, pixels)];
        let pair = |view| ViewPair {
            view,
            picture: &blank,
            baseline: &blank,
        };
        let views: Vec<ViewPair> = encoder.views.iter().copied().map(pair).collect();
        Ok(EncoderPicture {
            pixels: meta.pictures(&views, encoder.patch, mask_size)?,
            masked: *masked,
        })
    };
    let MetaLayers {
        family,
        vision,
        decoder,
    } = layers;
    Ok(Evaluator {
        family,
        pictures: views.encoders.iter().map(pictures).collect::<Result<_>>()?,
        prefix: Arc::new(decoder.prefix(meta, &vec![0; before])?),
        rest: Rest::without_numbers(views.images, after),
        vision,
        decoder,
        positions: views.positions.clone(),
    })
}

/// Measures the sizes for scores of the answer's tokens `tokens`, on a device whose operations want
/// `scratch` bytes.
pub(super) fn sizes(
    meta: &Meta,
    evaluator: &Evaluator<Meta>,
    tokens: &[usize],
    mask_size: usize,
    scratch: usize,
) -> Result<ActivationSizes> {
    let layout = meta_layout(meta, evaluator, tokens)?;
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
        let measure = |blends| measured(meta, evaluator, &layout, blends, mask_size, checkpointing);
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
pub(super) fn meta_layout(
    meta: &Meta,
    evaluator: &Evaluator<Meta>,
    tokens: &[usize],
) -> Result<AnswerLayout<Meta>> {
    let last = tokens.iter().copied().max().unwrap_or(0);
    evaluator.layout(meta, &vec![0; last + 1], tokens)
}

/// Measures one batch: two masks, scores of the layout's tokens, and unless nothing is saved the
/// gradient of the masks.
pub(super) fn measured(
    meta: &Meta,
    evaluator: &Evaluator<Meta>,
    layout: &AnswerLayout<Meta>,
    blends: usize,
    mask_size: usize,
    checkpointing: Checkpointing,
) -> Result<Measured> {
    let cells = vec![0.0; evaluator.masked() * mask_size * mask_size];
    let masks = Masks {
        size: mask_size,
        values: &[cells.clone(), cells],
    };
    let blend = Blend::whole(0, Path::Deletion);
    let batch = evaluator.stage(meta, masks, &vec![blend; blends])?;
    let mut gradients = evaluator.gradients(meta, masks.values.len())?;
    let weights = meta.weigh(&vec![0.0; blends * layout.targets()], Score::default())?;
    let (result, measured) = meta.meter().during(|| {
        if checkpointing == Checkpointing::Nothing {
            evaluator.forward(meta, layout, &batch, blends, checkpointing)?;
            return Ok(());
        }
        let (_, d_patches) =
            evaluator.forward_and_vjp(meta, layout, &batch, &weights, blends, checkpointing)?;
        evaluator.blend_vjp(meta, &batch, &d_patches, &mut gradients)
    });
    result.map(|()| measured)
}

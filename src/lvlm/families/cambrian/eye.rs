//! One of Cambrian-1's encoders, from patches to the grid of features that the aggregators read.

use super::aggregator::EPS;
use super::encoders::{EncoderLayers, Found};
use crate::device::{Device, Part, RowMap};
use crate::lvlm::bilinear::{crossed, taps};
use crate::lvlm::encoder::{Convnext, ConvnextKept, Vit, VitKept};
use crate::lvlm::error::Result;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::loader::Loader;
use crate::nn::{Keep, Mlp, MlpSaved, Norm, require_finite};

/// An encoder.
enum Encoder<D: Device> {
    Vit(Vit<D>),
    Convnext(Convnext<D>),
}

/// What an encoder kept.
enum EncoderKept<D: Device> {
    Vit(VitKept<D>),
    /// With the stages' features.
    Convnext(ConvnextKept<D>, Vec<D::Matrix>),
}

/// The encoder, the change of its grids' size, and its projector.
pub(super) struct EyeLayers<D: Device> {
    encoder: Encoder<D>,
    /// By stage: from its grid to the aggregators', where the sizes differ.
    resize: Vec<Option<RowMap>>,
    /// Columns of each stage.
    widths: Vec<usize>,
    projector: Mlp<D>,
    norm: Norm<D>,
}

/// What the forward pass kept.
pub(super) struct EyeKept<D: Device> {
    encoder: EncoderKept<D>,
    projector: MlpSaved<D>,
    /// The norm's input and statistics.
    norm: (D::Matrix, D::Statistics),
}

/// From a grid of `from x from` to one of `to x to`, bilinearly.
fn resize(from: usize, to: usize) -> Option<RowMap> {
    if from == to {
        return None;
    }
    let taps = taps(from, to);
    let cell = |rows: &[(usize, f64)], columns: &[(usize, f64)]| {
        crossed(rows, columns)
            .map(|(i, j, weight)| (i * from + j, weight))
            .collect()
    };
    let cells = taps
        .iter()
        .flat_map(|y| taps.iter().map(move |x| cell(y, x)));
    Some(RowMap::new(from * from, cells.collect()))
}

impl<D: Device> EyeLayers<D> {
    /// Loads encoder `number`, whose features become `width` wide and `side x side`.
    pub fn load(
        loader: &Loader<D>,
        found: &Found,
        number: usize,
        (side, width): (usize, usize),
    ) -> Result<EyeLayers<D>> {
        let own = loader.beside(Some(&found.tensors));
        let (encoder, grids) = match &found.layers {
            EncoderLayers::Vit { vit, taken } => {
                let encoder = Vit::load(&own, vit, found.prefix, *taken)?;
                (Encoder::Vit(encoder), vec![(vit.across, vit.hidden)])
            }
            EncoderLayers::Convnext(sizes) => {
                let encoder = Convnext::load(&own, sizes, found.prefix, found.pixels)?;
                let grids = sizes.widths.iter().enumerate();
                let grids = grids.map(|(i, &width)| (sizes.across(found.pixels, i), width));
                (Encoder::Convnext(encoder), grids.collect())
            }
        };
        let name = |part: usize| format!("model.mm_projector_aux_{number}.{part}");
        let inside = grids.iter().map(|grid| grid.1).sum();
        let layers = EyeLayers {
            encoder,
            resize: grids.iter().map(|grid| resize(grid.0, side)).collect(),
            widths: grids.iter().map(|grid| grid.1).collect(),
            projector: Projector::MLP2X_GELU.load(loader, [&name(0), &name(2)], (inside, width))?,
            norm: loader.layer_norm(&name(3), width, EPS)?,
        };
        loader.device.part(Part::Vision);
        Ok(layers)
    }

    /// Patches to the grid `[batch * side * side, width]`.
    pub fn forward(
        &self,
        device: &D,
        patches: D::Matrix,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, EyeKept<D>)> {
        device.part(Part::Vision);
        let (x, encoder) = match &self.encoder {
            Encoder::Vit(vit) => {
                let (x, kept) = vit.forward(device, patches, keep, check)?;
                let x = match &self.resize[0] {
                    Some(map) => device.mix_rows(&x, map, None)?,
                    None => x,
                };
                (x, EncoderKept::Vit(kept))
            }
            Encoder::Convnext(convnext) => {
                let (stages, kept) = convnext.forward(device, patches, keep, check)?;
                (
                    self.join(device, &stages)?,
                    EncoderKept::Convnext(kept, stages),
                )
            }
        };
        device.part(Part::Projector);
        let (projected, projector) = self.projector.forward(device, &x, None)?;
        drop(x);
        let (y, statistics) = self.norm.forward(device, &projected)?;
        if check {
            require_finite(device, &y, || "encoder's projector".into())?;
        }
        let kept = EyeKept {
            encoder,
            projector,
            norm: (projected, statistics),
        };
        Ok((y, kept))
    }

    /// All stages in the aggregators' grid, side by side.
    fn join(&self, device: &D, stages: &[D::Matrix]) -> Result<D::Matrix> {
        let resized = stages.iter().zip(&self.resize).map(|(stage, map)| {
            let map = map.as_ref();
            Ok(map
                .map(|map| device.mix_rows(stage, map, None))
                .transpose()?)
        });
        let resized: Vec<Option<D::Matrix>> = resized.collect::<Result<_>>()?;
        let parts = stages.iter().zip(&resized);
        let parts: Vec<&D::Matrix> = parts.map(|(s, r)| r.as_ref().unwrap_or(s)).collect();
        Ok(device.join_columns(&parts)?)
    }

    /// Gradient of the patches.
    pub fn vjp(&self, device: &D, kept: EyeKept<D>, dy: &D::Matrix) -> Result<D::Matrix> {
        device.part(Part::Projector);
        let (projected, statistics) = kept.norm;
        let d_projected = self.norm.vjp(device, &projected, &statistics, dy, None)?;
        drop(projected);
        let dx = self.projector.vjp(device, kept.projector, &d_projected)?;
        drop(d_projected);
        device.part(Part::Vision);
        match (&self.encoder, kept.encoder) {
            (Encoder::Vit(vit), EncoderKept::Vit(kept)) => {
                let dx = match &self.resize[0] {
                    Some(map) => device.mix_rows_vjp(&dx, map, None)?,
                    None => dx,
                };
                vit.vjp(device, kept, dx)
            }
            (Encoder::Convnext(convnext), EncoderKept::Convnext(kept, stages)) => {
                let mut from = 0;
                let parts = self.widths.iter().zip(&self.resize).map(|(&width, map)| {
                    let part = device.take_columns(&dx, from, width)?;
                    from += width;
                    Ok(match map {
                        Some(map) => device.mix_rows_vjp(&part, map, None)?,
                        None => part,
                    })
                });
                let d_stages = parts.collect::<Result<_>>()?;
                convnext.vjp(device, kept, &stages, d_stages)
            }
            _ => unreachable!("an encoder's vjp takes what its own forward pass kept"),
        }
    }
}

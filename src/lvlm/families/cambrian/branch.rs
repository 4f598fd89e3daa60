//! One of Cambrian-1's encoders, from patches to the grid of features that the aggregators read.

use super::aggregator::EPS;
use super::encoders::{EncoderLayers, Found};
use crate::device::{Device, Part, RowMap};
use crate::lvlm::bilinear::{crossed, taps};
use crate::lvlm::encoder::{Convnext, ConvnextSaved, Vit, VitSaved};
use crate::lvlm::error::Result;
use crate::lvlm::family::projector::Projector;
use crate::lvlm::loader::Loader;
use crate::nn::{Checkpointing, Mlp, MlpSaved, Norm, require_finite};

/// An encoder.
enum Encoder<D: Device> {
    Vit(Vit<D>),
    Convnext(Convnext<D>),
}

/// Activations that an encoder saved.
enum EncoderSaved<D: Device> {
    Vit(VitSaved<D>),
    /// With the stages' features.
    Convnext(ConvnextSaved<D>, Vec<D::Matrix>),
}

/// The encoder, the change of its grids' size, and its projector.
pub(super) struct EncoderBranch<D: Device> {
    encoder: Encoder<D>,
    /// By stage: from its grid to the aggregators', where the sizes differ.
    resize: Vec<Option<RowMap>>,
    /// Columns of each stage.
    widths: Vec<usize>,
    projector: Mlp<D>,
    norm: Norm<D>,
}

/// Activations that the forward pass saved.
pub(super) struct BranchSaved<D: Device> {
    encoder: EncoderSaved<D>,
    projector: MlpSaved<D>,
    /// The norm's input and statistics.
    norm: (D::Matrix, D::Statistics),
}

/// Returns the map from a grid of `from x from` to one of `to x to`, bilinear.
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

impl<D: Device> EncoderBranch<D> {
    /// Loads encoder `number`, whose features become `width` wide and `side x side`.
    pub fn load(
        loader: &Loader<D>,
        found: &Found,
        number: usize,
        side: usize,
        width: usize,
    ) -> Result<EncoderBranch<D>> {
        let own = loader.beside(Some(&found.tensors));
        let (encoder, grids) = match &found.layers {
            EncoderLayers::Vit {
                vit,
                feature_select,
            } => {
                let encoder = Vit::load(&own, vit, found.prefix, feature_select)?;
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
        let layers = EncoderBranch {
            encoder,
            resize: grids.iter().map(|grid| resize(grid.0, side)).collect(),
            widths: grids.iter().map(|grid| grid.1).collect(),
            projector: Projector::MLP2X_GELU.load(loader, [&name(0), &name(2)], inside, width)?,
            norm: loader.layer_norm(&name(3), width, EPS)?,
        };
        loader.device.part(Part::Vision);
        Ok(layers)
    }

    /// Maps patches to the grid `[batch * side * side, width]`.
    pub fn forward(
        &self,
        device: &D,
        patches: D::Matrix,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(D::Matrix, BranchSaved<D>)> {
        device.part(Part::Vision);
        let (x, encoder) = match &self.encoder {
            Encoder::Vit(vit) => {
                let (x, saved) = vit.forward(device, patches, checkpointing, check)?;
                let x = match &self.resize[0] {
                    Some(map) => device.mix_rows(&x, map, None)?,
                    None => x,
                };
                (x, EncoderSaved::Vit(saved))
            }
            Encoder::Convnext(convnext) => {
                let (stages, saved) = convnext.forward(device, patches, checkpointing, check)?;
                (
                    self.join(device, &stages)?,
                    EncoderSaved::Convnext(saved, stages),
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
        let saved = BranchSaved {
            encoder,
            projector,
            norm: (projected, statistics),
        };
        Ok((y, saved))
    }

    /// Resizes all stages to the aggregators' grid and joins them side by side.
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

    /// Returns the gradient of the patches.
    pub fn vjp(&self, device: &D, saved: BranchSaved<D>, dy: &D::Matrix) -> Result<D::Matrix> {
        device.part(Part::Projector);
        let (projected, statistics) = saved.norm;
        let d_projected = self.norm.vjp(device, &projected, &statistics, dy, None)?;
        drop(projected);
        let dx = self.projector.vjp(device, saved.projector, &d_projected)?;
        drop(d_projected);
        device.part(Part::Vision);
        match (&self.encoder, saved.encoder) {
            (Encoder::Vit(vit), EncoderSaved::Vit(saved)) => {
                let dx = match &self.resize[0] {
                    Some(map) => device.mix_rows_vjp(&dx, map, None)?,
                    None => dx,
                };
                vit.vjp(device, saved, dx)
            }
            (Encoder::Convnext(convnext), EncoderSaved::Convnext(saved, stages)) => {
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
                convnext.vjp(device, saved, &stages, d_stages)
            }
            _ => unreachable!("an encoder's vjp takes what its own forward pass kept"),
        }
    }
}

//! Cambrian-1's layers before the decoder: the encoders, and queries that aggregate their features.

use std::sync::Arc;

use super::aggregator::{Aggregator, AggregatorSaved, FeatureGradients, Features};
use super::branch::{BranchSaved, EncoderBranch};
use super::layout::CambrianLayout;
use super::sampler::{Steps, VisionSampler};
use crate::device::{Device, Part, RowMap};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::traits::{Vision, VisionOutput};
use crate::nn::{Checkpointing, Mlp, MlpSaved, require_finite};

/// The layers.
pub(in crate::lvlm) struct CambrianVision<D: Device> {
    pub(super) branches: Vec<EncoderBranch<D>>,
    /// From the first encoder's grid to its mean.
    pub(super) mean: RowMap,
    /// The initial value of every query, `[1, h]`.
    pub(super) query: D::Matrix,
    pub(super) connector: Vec<Aggregator<D>>,
    pub(super) projector: Mlp<D>,
    /// `[1, hidden]`.
    pub(super) newline: D::Matrix,
    /// The aggregators between the decoder's layers.
    pub(super) inside: Arc<Vec<Aggregator<D>>>,
    pub(super) steps: Steps,
}

/// Activations that the forward pass saved.
pub(in crate::lvlm) struct CambrianSaved<D: Device> {
    branches: Vec<BranchSaved<D>>,
    features: Arc<Features<D>>,
    /// By layer, its input or all that it saved.
    connector: Vec<LayerCheckpoint<D>>,
    projector: MlpSaved<D>,
}

enum LayerCheckpoint<D: Device> {
    Input(D::Matrix),
    Saved(AggregatorSaved<D>),
}

impl<D: Device> Vision<D> for CambrianVision<D> {
    type TokenLayout = CambrianLayout;
    type Saved = CambrianSaved<D>;
    type Context = VisionSampler<D>;

    fn forward(
        &self,
        device: &D,
        layout: &Arc<CambrianLayout>,
        patches: Vec<D::Matrix>,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<VisionOutput<D, Self>> {
        let (expected, found) = (self.branches.len(), patches.len());
        if expected != found {
            return Err(LvlmError::Encoders { expected, found });
        }
        let (mut branches, mut windows, mut context) = (Vec::new(), Vec::new(), None);
        for ((branch, patches), map) in self.branches.iter().zip(patches).zip(&layout.windows) {
            let (grid, saved) = branch.forward(device, patches, checkpointing, check)?;
            if context.is_none() {
                context = Some(device.mix_rows(&grid, &self.mean, None)?);
            }
            windows.push(device.mix_rows(&grid, map, None)?);
            branches.push(saved);
        }
        let Some(context) = context else {
            return Err(LvlmError::Encoders { expected: 1, found });
        };
        let features = Arc::new(Features {
            windows,
            context,
            layout: Arc::clone(layout),
        });
        let queries = device.mix_rows(&self.query, &layout.spread, None)?;
        let mut x = device.mix_rows(&features.context, &layout.blank, Some(&queries))?;
        let mut connector = Vec::with_capacity(self.connector.len());
        for (i, layer) in self.connector.iter().enumerate() {
            let (y, saved) = layer.forward(device, &x, &features, Some(&x))?;
            if check {
                require_finite(device, &y, || format!("connector layer {i}"))?;
            }
            match checkpointing {
                Checkpointing::Nothing => {}
                Checkpointing::Inputs => connector.push(LayerCheckpoint::Input(x)),
                Checkpointing::Everything => connector.push(LayerCheckpoint::Saved(saved)),
            }
            x = y;
        }
        let (tokens, projector) = self.projector.forward(device, &x, None)?;
        drop(x);
        let newlines = device.mix_rows(&self.newline, &layout.newlines, None)?;
        let rows = device.mix_rows(&tokens, &layout.lines, Some(&newlines))?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(VisionOutput {
            rows,
            context: VisionSampler {
                aggregators: Arc::clone(&self.inside),
                steps: self.steps,
                features: Arc::clone(&features),
            },
            saved: CambrianSaved {
                branches,
                features,
                connector,
                projector,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        layout: &CambrianLayout,
        saved: Self::Saved,
        d_rows: D::Matrix,
        mut gradients: FeatureGradients<D>,
    ) -> Result<Vec<D::Matrix>> {
        let CambrianSaved {
            branches,
            features,
            connector,
            projector,
        } = saved;
        device.part(Part::Projector);
        let d_tokens = device.mix_rows_vjp(&d_rows, &layout.lines, None)?;
        drop(d_rows);
        let mut dx = self.projector.vjp(device, projector, &d_tokens)?;
        drop(d_tokens);
        for (layer, saved) in self.connector.iter().zip(connector).rev() {
            let saved = match saved {
                LayerCheckpoint::Saved(saved) => saved,
                LayerCheckpoint::Input(x) => layer.forward(device, &x, &features, Some(&x))?.1,
            };
            dx = layer.vjp(device, saved, &features, &dx, Some(&dx), &mut gradients)?;
        }
        // The initial value of the queries is a constant.
        drop((dx, features));
        let FeatureGradients { windows, context } = gradients;
        let mut d_grids = Vec::with_capacity(windows.len());
        for (i, (d_windows, map)) in windows.iter().zip(&layout.windows).enumerate() {
            let d_grid = device.mix_rows_vjp(d_windows, map, None)?;
            d_grids.push(match &context {
                Some(context) if i == 0 => {
                    device.mix_rows_vjp(context, &self.mean, Some(&d_grid))?
                }
                _ => d_grid,
            });
        }
        drop((windows, context));
        let all = self.branches.iter().zip(branches).zip(d_grids);
        all.map(|((branch, saved), d_grid)| branch.vjp(device, saved, &d_grid))
            .collect()
    }
}

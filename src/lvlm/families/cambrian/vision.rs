//! Cambrian-1's layers before the decoder: the encoders, and queries that aggregate their features.

use std::sync::Arc;

use super::aggregator::{Aggregator, AggregatorSaved, FeatureGradients, Features};
use super::arrangement::Arrangement;
use super::eye::{EyeKept, EyeLayers};
use super::look::{Look, Steps};
use crate::device::{Device, Part, RowMap};
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::traits::{Seen, Vision};
use crate::nn::{Keep, Mlp, MlpSaved, require_finite};

/// The layers.
pub(in crate::lvlm) struct CambrianVision<D: Device> {
    pub(super) eyes: Vec<EyeLayers<D>>,
    /// From the first encoder's grid to its mean.
    pub(super) mean: RowMap,
    /// What every query is before it has looked, `[1, h]`.
    pub(super) query: D::Matrix,
    pub(super) connector: Vec<Aggregator<D>>,
    pub(super) projector: Mlp<D>,
    /// `[1, hidden]`.
    pub(super) newline: D::Matrix,
    /// Those between the decoder's layers.
    pub(super) inside: Arc<Vec<Aggregator<D>>>,
    pub(super) steps: Steps,
}

/// What the forward pass kept.
pub(in crate::lvlm) struct CambrianKept<D: Device> {
    eyes: Vec<EyeKept<D>>,
    features: Arc<Features<D>>,
    /// By layer its input or, where that is kept, what it saved.
    connector: Vec<LayerKept<D>>,
    projector: MlpSaved<D>,
}

enum LayerKept<D: Device> {
    Input(D::Matrix),
    Saved(AggregatorSaved<D>),
}

impl<D: Device> Vision<D> for CambrianVision<D> {
    type Arrangement = Arrangement;
    type Kept = CambrianKept<D>;
    type Context = Look<D>;

    fn forward(
        &self,
        device: &D,
        arrangement: &Arc<Arrangement>,
        patches: Vec<D::Matrix>,
        keep: Keep,
        check: bool,
    ) -> Result<Seen<D, Self>> {
        let (expected, found) = (self.eyes.len(), patches.len());
        if expected != found {
            return Err(LvlmError::Eyes { expected, found });
        }
        let (mut eyes, mut windows, mut context) = (Vec::new(), Vec::new(), None);
        for ((eye, patches), map) in self.eyes.iter().zip(patches).zip(&arrangement.windows) {
            let (grid, kept) = eye.forward(device, patches, keep, check)?;
            if context.is_none() {
                context = Some(device.mix_rows(&grid, &self.mean, None)?);
            }
            windows.push(device.mix_rows(&grid, map, None)?);
            eyes.push(kept);
        }
        let Some(context) = context else {
            return Err(LvlmError::Eyes { expected: 1, found });
        };
        let features = Arc::new(Features {
            windows,
            context,
            arrangement: Arc::clone(arrangement),
        });
        let queries = device.mix_rows(&self.query, &arrangement.spread, None)?;
        let mut x = device.mix_rows(&features.context, &arrangement.blank, Some(&queries))?;
        let mut connector = Vec::with_capacity(self.connector.len());
        for (i, layer) in self.connector.iter().enumerate() {
            let (y, saved) = layer.forward(device, &x, &features, Some(&x))?;
            if check {
                require_finite(device, &y, || format!("connector layer {i}"))?;
            }
            match keep {
                Keep::Nothing => {}
                Keep::Inputs => connector.push(LayerKept::Input(x)),
                Keep::Everything => connector.push(LayerKept::Saved(saved)),
            }
            x = y;
        }
        let (tokens, projector) = self.projector.forward(device, &x, None)?;
        drop(x);
        let newlines = device.mix_rows(&self.newline, &arrangement.newlines, None)?;
        let rows = device.mix_rows(&tokens, &arrangement.lines, Some(&newlines))?;
        if check {
            require_finite(device, &rows, || "projector".into())?;
        }
        Ok(Seen {
            rows,
            context: Look {
                aggregators: Arc::clone(&self.inside),
                steps: self.steps,
                features: Arc::clone(&features),
            },
            kept: CambrianKept {
                eyes,
                features,
                connector,
                projector,
            },
        })
    }

    fn vjp(
        &self,
        device: &D,
        arrangement: &Arrangement,
        kept: Self::Kept,
        d_rows: D::Matrix,
        mut gradients: FeatureGradients<D>,
    ) -> Result<Vec<D::Matrix>> {
        let CambrianKept {
            eyes,
            features,
            connector,
            projector,
        } = kept;
        device.part(Part::Projector);
        let d_tokens = device.mix_rows_vjp(&d_rows, &arrangement.lines, None)?;
        drop(d_rows);
        let mut dx = self.projector.vjp(device, projector, &d_tokens)?;
        drop(d_tokens);
        for (layer, kept) in self.connector.iter().zip(connector).rev() {
            let saved = match kept {
                LayerKept::Saved(saved) => saved,
                LayerKept::Input(x) => layer.forward(device, &x, &features, Some(&x))?.1,
            };
            dx = layer.vjp(device, saved, &features, &dx, Some(&dx), &mut gradients)?;
        }
        // What every query was before is a constant.
        drop((dx, features));
        let FeatureGradients { windows, context } = gradients;
        let mut d_grids = Vec::with_capacity(windows.len());
        for (i, (d_windows, map)) in windows.iter().zip(&arrangement.windows).enumerate() {
            let d_grid = device.mix_rows_vjp(d_windows, map, None)?;
            d_grids.push(match &context {
                Some(context) if i == 0 => {
                    device.mix_rows_vjp(context, &self.mean, Some(&d_grid))?
                }
                _ => d_grid,
            });
        }
        drop((windows, context));
        let all = self.eyes.iter().zip(eyes).zip(d_grids);
        all.map(|((eye, kept), d_grid)| eye.vjp(device, kept, &d_grid))
            .collect()
    }
}

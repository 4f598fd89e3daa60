//! ConvNeXt, the trunk of OpenCLIP's encoders (Liu et al., "A ConvNet for the 2020s", arXiv
//! 2201.03545), by the names of timm.

#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::checkpoint::{Activation, Tensors};
use crate::device::{DepthwiseShape, Device, RowMap};
use crate::lvlm::error::Result;
use crate::lvlm::loader::Loader;
use crate::nn::{Checkpointing, Linear, Mlp, MlpSaved, Norm, require_finite};

/// Side of a patch of the stem, in pixels.
pub(in crate::lvlm) const STEM: usize = 4;
/// Side of the depthwise kernels.
const KERNEL: usize = 7;

/// Sizes of one, as its tensors have them.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lvlm) struct ConvnextSizes {
    /// Blocks of each stage.
    pub depths: Vec<usize>,
    /// Channels of each stage.
    pub widths: Vec<usize>,
    /// Added to the variance in every norm.
    pub eps: f64,
}

impl ConvnextSizes {
    /// Reads the sizes of the tensors that begin with `prefix`; empty where there are none.
    pub fn of(tensors: &Tensors, prefix: &str, eps: f64) -> ConvnextSizes {
        let (mut depths, mut widths) = (Vec::new(), Vec::new());
        let width = |stage: usize, block: usize| {
            let name = format!("{prefix}stages.{stage}.blocks.{block}.conv_dw.weight");
            tensors.get(&name)?.shape.first().copied()
        };
        for stage in 0.. {
            let Some(first) = width(stage, 0) else { break };
            widths.push(first);
            depths.push(
                (0..)
                    .take_while(|&block| width(stage, block).is_some())
                    .count(),
            );
        }
        ConvnextSizes {
            depths,
            widths,
            eps,
        }
    }

    /// Returns the pixels that a view's side must be a multiple of: one position of the last stage.
    pub fn step(&self) -> usize {
        STEM << self.widths.len().saturating_sub(1)
    }

    /// Returns the positions of a stage each way, for views of `pixels`.
    pub fn across(&self, pixels: usize, stage: usize) -> usize {
        (pixels / STEM) >> stage
    }

    /// Describes it: sizes by name.
    pub fn described(&self, pixels: usize) -> Value {
        json!({
            "kind": "ConvNeXt", "depths": format!("{:?}", self.depths),
            "widths": format!("{:?}", self.widths),
            "pixels": pixels, "patch": STEM,
        })
    }
}

/// The trunk: patches in, every stage's features out.
pub(in crate::lvlm) struct Convnext<D: Device> {
    stem: Linear<D>,
    stem_norm: Norm<D>,
    stages: Vec<Stage<D>>,
}

struct Stage<D: Device> {
    /// Before every stage but the first.
    down: Option<Down<D>>,
    blocks: Vec<ConvBlock<D>>,
    /// Positions each way.
    side: usize,
}

/// A norm and a convolution of 2 x 2 positions, of stride 2.
struct Down<D: Device> {
    norm: Norm<D>,
    /// Puts the four positions of each square one after the other.
    squares: RowMap,
    linear: Linear<D>,
    /// Channels before.
    inside: usize,
}

/// `x + gamma * mlp(norm(depthwise(x)))`; gamma is part of the perceptron's second layer.
struct ConvBlock<D: Device> {
    kernel: D::Matrix,
    bias: D::Matrix,
    norm: Norm<D>,
    mlp: Mlp<D>,
}

struct BlockSaved<D: Device> {
    convolved: D::Matrix,
    statistics: D::Statistics,
    mlp: MlpSaved<D>,
}

/// Activations that the forward pass saved beside the stages' features.
pub(in crate::lvlm) struct ConvnextSaved<D: Device> {
    /// The stem norm's input and statistics.
    stem: (D::Matrix, D::Statistics),
    stages: Vec<StageSaved<D>>,
}

struct StageSaved<D: Device> {
    /// Of the norm before, whose input is the stage before.
    statistics: Option<D::Statistics>,
    blocks: Vec<(D::Matrix, Option<BlockSaved<D>>)>,
}

impl<D: Device> Convnext<D> {
    /// Loads the trunk whose tensors begin with `prefix`, for views of `pixels` each way, a
    /// multiple of [`ConvnextSizes::step`].
    pub fn load(
        loader: &Loader<D>,
        sizes: &ConvnextSizes,
        prefix: &str,
        pixels: usize,
    ) -> Result<Self> {
        let name = |part: &str| format!("{prefix}{part}");
        let first = sizes.widths.first().copied().unwrap_or(0);
        let weight = loader.weight(&name("stem.0.weight"), &[first, 3, STEM, STEM])?;
        let bias = Some(loader.matrix(&name("stem.0.bias"), &[first], 1, first)?);
        let all = sizes.depths.iter().sum::<usize>();
        let stages = sizes.widths.iter().zip(&sizes.depths).enumerate();
        let stages = stages.map(|(i, (&width, &depth))| {
            let side = sizes.across(pixels, i);
            let name = name(&format!("stages.{i}"));
            let before = i.checked_sub(1).map(|i| sizes.widths[i]);
            let down = before.map(|b| Down::load(loader, &name, b, width, side, sizes.eps));
            let earlier = sizes.depths[..i].iter().sum::<usize>();
            let blocks = (0..depth).map(|j| {
                let name = format!("{name}.blocks.{j}");
                let randomize = loader.randomize.encoder_layer(earlier + j, all);
                ConvBlock::load(&loader.layer(randomize), &name, width, sizes.eps)
            });
            Ok(Stage {
                down: down.transpose()?,
                blocks: blocks.collect::<Result<_>>()?,
                side,
            })
        });
        Ok(Convnext {
            stem: Linear { weight, bias },
            stem_norm: loader.layer_norm(&name("stem.1"), first, sizes.eps)?,
            stages: stages.collect::<Result<_>>()?,
        })
    }

    /// Patches `[batch * (pixels / 4)^2, 48]` to each stage's features, `[batch * side^2, width]`.
    pub fn forward(
        &self,
        device: &D,
        patches: D::Matrix,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(Vec<D::Matrix>, ConvnextSaved<D>)> {
        let embedded = self.stem.forward(device, &patches)?;
        drop(patches);
        let (first, statistics) = self.stem_norm.forward(device, &embedded)?;
        let (mut features, mut saved) = (Vec::new(), Vec::new());
        let mut first = Some(first);
        for (i, stage) in self.stages.iter().enumerate() {
            let (mut x, statistics) = match (&stage.down, features.last(), first.take()) {
                (Some(down), Some(before), _) => down.forward(device, before)?,
                (_, _, Some(x)) => (x, None),
                _ => unreachable!("every stage but the first comes after another"),
            };
            let mut blocks = Vec::with_capacity(stage.blocks.len());
            for (j, block) in stage.blocks.iter().enumerate() {
                let (y, saved) = block.forward(device, &x, stage.side)?;
                if check {
                    let layer = || format!("ConvNeXt stage {i} layer {j}");
                    require_finite(device, &y, layer)?;
                }
                match checkpointing {
                    Checkpointing::Nothing => {}
                    Checkpointing::Inputs => blocks.push((x, None)),
                    Checkpointing::Everything => blocks.push((x, Some(saved))),
                }
                x = y;
            }
            features.push(x);
            saved.push(StageSaved { statistics, blocks });
        }
        let stem = (embedded, statistics);
        Ok((
            features,
            ConvnextSaved {
                stem,
                stages: saved,
            },
        ))
    }

    /// Gradient of the patches, from those of each stage's features.
    pub fn vjp(
        &self,
        device: &D,
        saved: ConvnextSaved<D>,
        features: &[D::Matrix],
        d_features: Vec<D::Matrix>,
    ) -> Result<D::Matrix> {
        let mut after: Option<D::Matrix> = None;
        let all = self.stages.iter().zip(saved.stages).zip(d_features);
        for (i, ((stage, saved), d_own)) in all.enumerate().rev() {
            let mut dx = match &after {
                Some(after) => device.add(&d_own, after)?,
                None => d_own,
            };
            for (block, (x, saved)) in stage.blocks.iter().zip(saved.blocks).rev() {
                let saved = match saved {
                    Some(saved) => saved,
                    None => block.forward(device, &x, stage.side)?.1,
                };
                dx = block.vjp(device, saved, dx, stage.side)?;
            }
            after = Some(match (&stage.down, &saved.statistics) {
                (Some(down), Some(statistics)) => {
                    down.vjp(device, &features[i - 1], statistics, dx)?
                }
                _ => dx,
            });
        }
        let (embedded, statistics) = saved.stem;
        let Some(dx) = after else {
            unreachable!("a trunk has stages");
        };
        let dx = self
            .stem_norm
            .vjp(device, &embedded, &statistics, &dx, None)?;
        Ok(self.stem.vjp(device, &dx, None)?)
    }
}

impl<D: Device> Down<D> {
    fn load(
        loader: &Loader<D>,
        name: &str,
        before: usize,
        width: usize,
        side: usize,
        eps: f64,
    ) -> Result<Self> {
        let weight = format!("{name}.downsample.1.weight");
        let shape = [width, before, 2, 2];
        // From channel, row, column to row, column, channel.
        let linear = loader.made_weight(&weight, &shape, [width, 4 * before], |values| {
            let at = |o: usize, place: usize, c: usize| values[(o * before + c) * 4 + place];
            let rows = (0..width).flat_map(|o| (0..4).map(move |place| (o, place)));
            rows.flat_map(|(o, place)| (0..before).map(move |c| at(o, place, c)))
                .collect()
        })?;
        let bias = format!("{name}.downsample.1.bias");
        let row = 2 * side;
        let square = |i: usize, j: usize| {
            [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(y, x)| Some((2 * i + y) * row + 2 * j + x))
        };
        let squares = (0..side).flat_map(|i| (0..side).flat_map(move |j| square(i, j)));
        Ok(Down {
            norm: loader.layer_norm(&format!("{name}.downsample.0"), before, eps)?,
            squares: RowMap::select(row * row, squares),
            linear: Linear {
                weight: linear,
                bias: Some(loader.matrix(&bias, &[width], 1, width)?),
            },
            inside: before,
        })
    }

    fn forward(&self, device: &D, x: &D::Matrix) -> Result<(D::Matrix, Option<D::Statistics>)> {
        let (h, statistics) = self.norm.forward(device, x)?;
        let squares = device.mix_rows(&h, &self.squares, None)?;
        let squares = device.reshape(squares, 4 * self.inside)?;
        Ok((self.linear.forward(device, &squares)?, Some(statistics)))
    }

    fn vjp(
        &self,
        device: &D,
        x: &D::Matrix,
        statistics: &D::Statistics,
        dy: D::Matrix,
    ) -> Result<D::Matrix> {
        let d_squares = self.linear.vjp(device, &dy, None)?;
        drop(dy);
        let d_squares = device.reshape(d_squares, self.inside)?;
        let dh = device.mix_rows_vjp(&d_squares, &self.squares, None)?;
        Ok(self.norm.vjp(device, x, statistics, &dh, None)?)
    }
}

impl<D: Device> ConvBlock<D> {
    fn load(loader: &Loader<D>, name: &str, width: usize, eps: f64) -> Result<Self> {
        let taps = KERNEL * KERNEL;
        let file = loader.values(
            &format!("{name}.conv_dw.weight"),
            &[width, 1, KERNEL, KERNEL],
        )?;
        let kernel: Vec<f32> = (0..taps)
            .flat_map(|tap| (0..width).map(move |c| c * taps + tap))
            .map(|at| file[at])
            .collect();
        let (inside, gamma) = (4 * width, format!("{name}.gamma"));
        Ok(ConvBlock {
            kernel: loader.upload(taps, width, &kernel)?,
            bias: loader.matrix(&format!("{name}.conv_dw.bias"), &[width], 1, width)?,
            norm: loader.layer_norm(&format!("{name}.norm"), width, eps)?,
            mlp: Mlp::Plain {
                first: loader.linear(&format!("{name}.mlp.fc1"), inside, width, true)?,
                second: loader.scaled_linear(&format!("{name}.mlp.fc2"), &gamma, width, inside)?,
                activation: Activation::Gelu,
            },
        })
    }

    fn forward(
        &self,
        device: &D,
        x: &D::Matrix,
        side: usize,
    ) -> Result<(D::Matrix, BlockSaved<D>)> {
        let convolved = device.depthwise(x, &self.kernel, &self.bias, shape(side))?;
        let (h, statistics) = self.norm.forward(device, &convolved)?;
        let (y, mlp) = self.mlp.forward(device, &h, Some(x))?;
        let saved = BlockSaved {
            convolved,
            statistics,
            mlp,
        };
        Ok((y, saved))
    }

    fn vjp(
        &self,
        device: &D,
        saved: BlockSaved<D>,
        dy: D::Matrix,
        side: usize,
    ) -> Result<D::Matrix> {
        let dh = self.mlp.vjp(device, saved.mlp, &dy)?;
        let (x, statistics) = (&saved.convolved, &saved.statistics);
        let d_convolved = self.norm.vjp(device, x, statistics, &dh, None)?;
        drop(dh);
        Ok(device.depthwise_vjp(&d_convolved, &self.kernel, shape(side), Some(&dy))?)
    }
}

fn shape(side: usize) -> DepthwiseShape {
    DepthwiseShape {
        height: side,
        width: side,
        size: KERNEL,
    }
}

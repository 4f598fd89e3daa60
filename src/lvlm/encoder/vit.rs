//! The vision transformer of CLIP, SigLIP and DINOv2: patches and positions, blocks, and the
//! selected tokens.

use std::cell::RefCell;
use std::rc::Rc;

use super::kept::Kept;
use super::positions;
use super::vit_names::{Perceptron, Projections, VitNames};
use crate::checkpoint::{Activation, Fields, SIZE_LIMIT};
use crate::device::{Device, Matrix, RowMap};
use crate::lvlm::error::{ReadResult, Result};
use crate::lvlm::loader::Loader;
use crate::nn::{
    Attention, Block, Checkpointing, Linear, Mlp, NoWatch, Norm, QueryKeyNorms, Sequence,
    SiteWatch, Stack, StackSaved, require_finite,
};

/// Checks the sizes in a vision config whose patches need not tile the input: the heads divide the
/// width, a patch of `patch_size` fits in `image_size` pixels, and pictures have three channels.
///
/// # Errors
/// [`CheckpointError::Config`].
pub(super) fn check_sizes(
    fields: &Fields,
    (hidden, heads): (usize, usize),
    (image_size, patch_size): (usize, usize),
) -> ReadResult<()> {
    fields.divides(("hidden_size", hidden), ("num_attention_heads", heads))?;
    if patch_size > image_size {
        let expected = format!("at most image_size, {image_size}");
        return Err(fields.error("patch_size", patch_size, expected));
    }
    let channels = fields.size("num_channels", 3, SIZE_LIMIT)?;
    if channels != 3 {
        return Err(fields.error("num_channels", channels, "3: pictures are RGB"));
    }
    Ok(())
}

/// Sizes and choices of one, as its config says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) struct VitSizes {
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    /// Patches of one view each way.
    pub across: usize,
    /// Patches each way that the checkpoint has positions of; they are resized where a view has
    /// others.
    pub positions: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Added to the variance in every layer norm.
    pub eps: f64,
    pub activation: Activation,
    /// The choices that few encoders have.
    pub options: VitOptions,
    /// The names of its tensors, and which of them there are.
    pub names: &'static VitNames,
}

/// Choices that a config makes and not a layout.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) struct VitOptions {
    /// Whether the projections to queries, keys and values have biases.
    pub projection_bias: bool,
    /// Whether the norms of a layer are root-mean-square norms.
    pub rms_norms: bool,
    /// What is added to the mean square in norms of queries and keys, all heads together, where
    /// there are such norms.
    pub query_key_norms: Option<f64>,
}

impl VitOptions {
    /// Those of CLIP, SigLIP and DINOv2.
    pub const USUAL: VitOptions = VitOptions {
        projection_bias: true,
        rms_norms: false,
        query_key_norms: None,
    };
}

/// The features that are selected of an encoder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::lvlm) struct FeatureSelect {
    /// Layers that run.
    pub layers: usize,
    /// The hidden states that lie side by side, of those after as many layers: the last one alone
    /// if empty.
    pub states: Vec<usize>,
    /// Positions.
    pub select: Select,
}

impl FeatureSelect {
    /// Selects the output of the last of so many layers.
    pub fn last(layers: usize, select: Select) -> FeatureSelect {
        FeatureSelect {
            layers,
            states: Vec::new(),
            select,
        }
    }

    /// Selects these hidden states, at least one.
    pub fn states(states: Vec<usize>, select: Select) -> FeatureSelect {
        let layers = states.iter().copied().max().unwrap_or(0);
        FeatureSelect {
            layers,
            states: if states.len() == 1 {
                Vec::new()
            } else {
                states
            },
            select,
        }
    }

    /// Returns the columns of the features of an encoder of that width.
    pub fn columns(&self, hidden: usize) -> usize {
        hidden * self.states.len().max(1)
    }
}

/// The positions of an encoder that become visual tokens: `vision_feature_select_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// The patches, without the class token.
    Default,
    /// All of them.
    Full,
}

/// The encoder: patches in, features out.
pub(in crate::lvlm) struct Vit<D: Device> {
    patch_embedding: Linear<D>,
    /// Puts the patches after the class token.
    place: RowMap,
    /// Class token and positions, `[tokens, hidden]`.
    constant: D::Matrix,
    norm: Option<Norm<D>>,
    stack: Stack<D>,
    /// The hidden states that are joined, where it is not the last one alone.
    states: Vec<usize>,
    /// Features wanted of all tokens.
    select: RowMap,
    /// After the last layer.
    norm_after: Option<Norm<D>>,
}

/// Activations that [`Vit::forward`] saved.
pub(in crate::lvlm) struct VitSaved<D: Device> {
    /// The first norm's input and statistics.
    before: Option<(D::Matrix, D::Statistics)>,
    stack: StackSaved<D, Kept<D>>,
    /// The last norm's.
    after: Option<(D::Matrix, D::Statistics)>,
    /// Reads one site of the layers during the vjp.
    pub watch: Option<Rc<RefCell<SiteWatch>>>,
}

impl<D: Device> Vit<D> {
    /// Loads the selected layers of the encoder whose tensors begin with `prefix`.
    pub fn load(
        loader: &Loader<D>,
        sizes: &VitSizes,
        prefix: &str,
        feature_select: &FeatureSelect,
    ) -> Result<Self> {
        let (hidden, names, patches) = (sizes.hidden, sizes.names, sizes.across.pow(2));
        let first = usize::from(names.class.is_some());
        let tokens = patches + first;
        let name = |part: &str| format!("{prefix}{part}");
        let shape = [hidden, 3, sizes.patch, sizes.patch];
        let weight = loader.weight(&name(&format!("{}.weight", names.patches)), &shape)?;
        let bias = name(&format!("{}.bias", names.patches));
        let bias = names
            .patch_bias
            .then(|| loader.matrix(&bias, &[hidden], 1, hidden))
            .transpose()?;
        let norm = |norm: Option<&str>| {
            norm.map(|norm| loader.layer_norm(&name(norm), hidden, sizes.eps))
                .transpose()
        };
        let skipped = match feature_select.select {
            Select::Default => first,
            Select::Full => 0,
        };
        let blocks = (0..feature_select.layers)
            .map(|i| {
                let randomize = loader.randomize.encoder_layer(i, feature_select.layers);
                let name = name(&format!("{}{i}.", names.layers));
                block(&loader.layer(randomize), sizes, &name)
            })
            .collect::<Result<_>>()?;
        Ok(Vit {
            patch_embedding: Linear { weight, bias },
            place: RowMap::select(patches, (0..tokens).map(|t| t.checked_sub(first))),
            constant: loader.upload(tokens, hidden, &constant(loader, sizes, prefix)?)?,
            norm: norm(names.norm_before)?,
            stack: Stack {
                name: "vision encoder",
                blocks,
            },
            states: feature_select.states.clone(),
            select: RowMap::select(tokens, (skipped..tokens).map(Some)),
            norm_after: norm(names.norm_after)?,
        })
    }

    /// Returns the number of layers that run.
    pub fn layers(&self) -> usize {
        self.stack.blocks.len()
    }

    /// Tokens inside the encoder per view.
    fn tokens(&self) -> usize {
        self.place.outputs()
    }

    fn sequence(&self, batch: usize) -> Sequence<'_, D> {
        Sequence {
            batch,
            length: self.tokens(),
            causal: false,
            mutual: &[],
            prefix: None,
            queries: None,
            positions: None,
            windows: None,
        }
    }

    /// Patches `[views * patches, 3 * p * p]` to features `[views * features, hidden]`.
    pub fn forward(
        &self,
        device: &D,
        patches: D::Matrix,
        checkpointing: Checkpointing,
        check: bool,
    ) -> Result<(D::Matrix, VitSaved<D>)> {
        let batch = patches.rows() / self.place.inputs();
        let embedded = self.patch_embedding.forward(device, &patches)?;
        drop(patches);
        let embedded = device.mix_rows(&embedded, &self.place, Some(&self.constant))?;
        if check {
            require_finite(device, &embedded, || "vision encoder embeddings".into())?;
        }
        let (x, before) = match &self.norm {
            None => (embedded, None),
            Some(norm) => {
                let (x, statistics) = norm.forward(device, &embedded)?;
                (x, Some((embedded, statistics)))
            }
        };
        let sequence = |_| self.sequence(batch);
        let kept = Kept::forward(&self.states);
        if self.layers() > 0 {
            kept.keep(device, 0, &x)?;
        }
        let (x, stack) = self
            .stack
            .forward(device, x, sequence, &kept, checkpointing, check)?;
        let x = match self.states.is_empty() {
            true => x,
            false => {
                kept.keep(device, self.layers(), &x)?;
                drop(x);
                kept.join(device)?
            }
        };
        // All of them, in their order: as they are.
        let features = match self.select.outputs() == self.tokens() {
            true => x,
            false => device.mix_rows(&x, &self.select, None)?,
        };
        let (features, after) = match &self.norm_after {
            None => (features, None),
            Some(norm) => {
                let (y, statistics) = norm.forward(device, &features)?;
                (y, Some((features, statistics)))
            }
        };
        let saved = VitSaved {
            before,
            stack,
            after,
            watch: None,
        };
        Ok((features, saved))
    }

    /// Gradient of the patches.
    pub fn vjp(&self, device: &D, saved: VitSaved<D>, dy: D::Matrix) -> Result<D::Matrix> {
        let batch = dy.rows() / self.select.outputs();
        let dy = match (&self.norm_after, saved.after) {
            (Some(norm), Some((x, statistics))) => norm.vjp(device, &x, &statistics, &dy, None)?,
            _ => dy,
        };
        let dx = match self.select.outputs() == self.tokens() {
            true => dy,
            false => device.mix_rows_vjp(&dy, &self.select, None)?,
        };
        let sequence = |_| self.sequence(batch);
        let (kept, dx) = match self.states.is_empty() {
            true => (Kept::forward(&[]), dx),
            false => Kept::back(device, &self.states, dx, self.layers())?,
        };
        let hook = (&kept, &mut ());
        let (stack, layers) = (saved.stack, &self.stack);
        let mut dx = match &saved.watch {
            Some(watch) => {
                layers.watched_vjp(device, stack, dx, sequence, hook, &mut *watch.borrow_mut())?
            }
            None => layers.watched_vjp(device, stack, dx, sequence, hook, &mut NoWatch)?,
        };
        if self.layers() > 0 {
            dx = kept.with_gradient(device, 0, dx)?;
        }
        if let (Some(norm), Some((embedded, statistics))) = (&self.norm, saved.before) {
            dx = norm.vjp(device, &embedded, &statistics, &dx, None)?;
        }
        let dx = device.mix_rows_vjp(&dx, &self.place, None)?;
        Ok(self.patch_embedding.vjp(device, &dx, None)?)
    }
}

/// Returns the constant that is added to the patches: the class token, and every token's position,
/// `[tokens, hidden]`.
fn constant<D: Device>(loader: &Loader<D>, sizes: &VitSizes, prefix: &str) -> Result<Vec<f32>> {
    let (hidden, names) = (sizes.hidden, sizes.names);
    let first = usize::from(names.class.is_some());
    let stored = first + sizes.positions.pow(2);
    let shape = names.positions_shape.of(stored, hidden);
    let table = loader.values(&format!("{prefix}{}", names.positions), &shape)?;
    let (class_position, grid) = table.split_at(first * hidden);
    let mut constant = class_position.to_vec();
    if let Some(class) = names.class {
        let shape = names.class_shape.of(1, hidden);
        let class = loader.values(&format!("{prefix}{class}"), &shape)?;
        constant.iter_mut().zip(class).for_each(|(c, v)| *c += v);
    }
    constant.extend(positions::resized(
        grid,
        hidden,
        sizes.positions,
        sizes.across,
    ));
    Ok(constant)
}

/// One layer, whose tensors' names begin with `prefix`.
fn block<D: Device>(loader: &Loader<D>, sizes: &VitSizes, prefix: &str) -> Result<Block<D>> {
    let (hidden, inside, names) = (sizes.hidden, sizes.intermediate, sizes.names);
    let name = |part: &str| format!("{prefix}{part}");
    let bias = sizes.options.projection_bias;
    let square = |part: &str| loader.linear(&name(part), hidden, hidden, bias);
    let norm = |part: &str| match sizes.options.rms_norms {
        true => loader.rms_norm(&name(part), hidden, sizes.eps, 0.0),
        false => loader.layer_norm(&name(part), hidden, sizes.eps),
    };
    // A factor on what a layer adds is part of its last matrix.
    let last = |part: &str, inside: usize, scale: Option<&str>| match scale {
        Some(scale) => loader.scaled_linear(&name(part), &name(scale), hidden, inside),
        None => loader.linear(&name(part), hidden, inside, true),
    };
    let [query, key, value] = match names.projections {
        Projections::Apart([q, k, v]) => [square(q)?, square(k)?, square(v)?],
        Projections::Stacked(all) => loader.linears(&name(all), &[hidden; 3], hidden, bias)?,
    };
    let [scale_attention, scale_mlp] = match names.scales {
        Some(scales) => scales.map(Some),
        None => [None, None],
    };
    let mlp = match names.perceptron {
        Perceptron::Plain([first, second]) => Mlp::Plain {
            first: loader.linear(&name(first), inside, hidden, true)?,
            second: last(second, inside, scale_mlp)?,
            activation: sizes.activation,
        },
        Perceptron::Gated([stacked, down]) => {
            let [gate, up] = loader.linears(&name(stacked), &[inside; 2], hidden, true)?;
            Mlp::Gated {
                gate,
                up,
                down: last(down, inside, scale_mlp)?,
                activation: sizes.activation,
            }
        }
    };
    let [attention_norm, mlp_norm] = names.norms;
    let [query_norm, key_norm] = names.query_key_norms;
    let norms = match sizes.options.query_key_norms {
        Some(eps) => Some(QueryKeyNorms {
            query: loader.rms_norm(&name(query_norm), hidden, eps, 0.0)?,
            key: loader.rms_norm(&name(key_norm), hidden, eps, 0.0)?,
            columns: hidden,
        }),
        None => None,
    };
    Ok(Block {
        attention_norm: norm(attention_norm)?,
        attention: Attention {
            query,
            key,
            value,
            output: last(names.output, hidden, scale_attention)?,
            heads: sizes.heads,
            kv_heads: sizes.heads,
            head_dim: hidden / sizes.heads,
            norms,
            query_gain: None,
            rope: None,
        },
        mlp_norm: norm(mlp_norm)?,
        mlp,
        norms_after: None,
    })
}

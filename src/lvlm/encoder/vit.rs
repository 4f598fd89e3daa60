//! The vision transformer that CLIP and SigLIP are: patches and positions, blocks, and the tokens that are taken.

use crate::checkpoint::Activation;
use crate::device::{Device, Matrix, RowMap};
use crate::lvlm::Result;
use crate::lvlm::load::Loader;
use crate::nn::{
    Attention, Block, Keep, Kept, Linear, Mlp, Norm, Nothing, Sequence, Stack, require_finite,
};

/// Sizes and choices of one, as its config says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lvlm) struct VitSizes {
    pub hidden: usize,
    pub intermediate: usize,
    pub heads: usize,
    /// Patches of one view.
    pub patches: usize,
    /// Side of a patch in pixels.
    pub patch: usize,
    /// Added to the variance in every layer norm.
    pub eps: f64,
    pub activation: Activation,
    /// Whether a class token stands before the patches.
    pub class_token: bool,
    /// Whether the patch projection has a bias.
    pub patch_bias: bool,
    /// The norm before the first block, where there is one: its name.
    pub norm_before: Option<&'static str>,
}

/// What is taken of an encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lvlm) struct Taken {
    /// Layers that run.
    pub layers: usize,
    /// Positions.
    pub select: Select,
}

/// Which of an encoder's positions become visual tokens.
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
    /// Puts the patches behind the class token.
    place: RowMap,
    /// Class token and positions, `[tokens, hidden]`.
    constant: D::Matrix,
    norm: Option<Norm<D>>,
    stack: Stack<D>,
    /// Features wanted of all tokens.
    select: RowMap,
}

/// What the forward pass kept.
pub(in crate::lvlm) struct VitKept<D: Device> {
    /// The first norm's input and statistics.
    before: Option<(D::Matrix, D::Matrix)>,
    stack: Kept<D, Nothing>,
}

impl<D: Device> Vit<D> {
    /// Loads what is taken of the encoder whose tensors begin with `prefix`, by the names that `transformers` gives to CLIP's and
    /// SigLIP's.
    pub fn load(loader: &Loader<D>, sizes: &VitSizes, prefix: &str, taken: Taken) -> Result<Self> {
        let (hidden, patches) = (sizes.hidden, sizes.patches);
        let first = usize::from(sizes.class_token);
        let tokens = patches + first;
        let name = |part: &str| format!("{prefix}{part}");
        let shape = [hidden, 3, sizes.patch, sizes.patch];
        let weight = loader.weight(&name("embeddings.patch_embedding.weight"), &shape)?;
        let bias = name("embeddings.patch_embedding.bias");
        let bias = sizes
            .patch_bias
            .then(|| loader.matrix(&bias, &[hidden], 1, hidden))
            .transpose()?;
        let positions = name("embeddings.position_embedding.weight");
        let mut constant = loader.values(&positions, &[tokens, hidden])?;
        if sizes.class_token {
            let class = loader.values(&name("embeddings.class_embedding"), &[hidden])?;
            constant.iter_mut().zip(class).for_each(|(c, v)| *c += v);
        }
        let blocks = (0..taken.layers)
            .map(|i| block(loader, sizes, &name(&format!("encoder.layers.{i}"))))
            .collect::<Result<_>>()?;
        let skipped = match taken.select {
            Select::Default => 1,
            Select::Full => 0,
        };
        let norm = sizes
            .norm_before
            .map(|norm| loader.layer_norm(&name(norm), hidden, sizes.eps))
            .transpose()?;
        Ok(Vit {
            patch_embedding: Linear { weight, bias },
            place: RowMap::select(patches, (0..tokens).map(|t| t.checked_sub(first))),
            constant: loader.upload(tokens, hidden, &constant)?,
            norm,
            stack: Stack {
                name: "vision encoder",
                blocks,
            },
            select: RowMap::select(tokens, (skipped..tokens).map(Some)),
        })
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
            prefix: None,
            queries: None,
        }
    }

    /// Patches `[views * patches, 3 * p * p]` to features `[views * features, hidden]`.
    pub fn forward(
        &self,
        device: &D,
        patches: D::Matrix,
        keep: Keep,
        check: bool,
    ) -> Result<(D::Matrix, VitKept<D>)> {
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
        let (x, stack) = self
            .stack
            .forward(device, x, sequence, &Nothing, keep, check)?;
        // All of them, in their order: as they are.
        let features = match self.select.outputs() == self.tokens() {
            true => x,
            false => device.mix_rows(&x, &self.select, None)?,
        };
        Ok((features, VitKept { before, stack }))
    }

    /// Gradient of the patches.
    pub fn vjp(&self, device: &D, kept: VitKept<D>, dy: D::Matrix) -> Result<D::Matrix> {
        let batch = dy.rows() / self.select.outputs();
        let dx = match self.select.outputs() == self.tokens() {
            true => dy,
            false => device.mix_rows_vjp(&dy, &self.select, None)?,
        };
        let sequence = |_| self.sequence(batch);
        let mut dx = self
            .stack
            .vjp(device, kept.stack, dx, sequence, &Nothing, &mut ())?;
        if let (Some(norm), Some((embedded, statistics))) = (&self.norm, kept.before) {
            dx = norm.vjp(device, &embedded, &statistics, &dx, None)?;
        }
        let dx = device.mix_rows_vjp(&dx, &self.place, None)?;
        Ok(self.patch_embedding.vjp(device, &dx, None)?)
    }
}

/// One layer, whose tensors' names begin with `name`.
fn block<D: Device>(loader: &Loader<D>, sizes: &VitSizes, name: &str) -> Result<Block<D>> {
    let (hidden, inside) = (sizes.hidden, sizes.intermediate);
    let square = |part: &str| loader.linear(&format!("{name}.{part}"), hidden, hidden, true);
    let norm = |part: &str| loader.layer_norm(&format!("{name}.{part}"), hidden, sizes.eps);
    Ok(Block {
        attention_norm: norm("layer_norm1")?,
        attention: Attention {
            query: square("self_attn.q_proj")?,
            key: square("self_attn.k_proj")?,
            value: square("self_attn.v_proj")?,
            output: square("self_attn.out_proj")?,
            heads: sizes.heads,
            kv_heads: sizes.heads,
            head_dim: hidden / sizes.heads,
            rope: None,
        },
        mlp_norm: norm("layer_norm2")?,
        mlp: Mlp::Plain {
            first: loader.linear(&format!("{name}.mlp.fc1"), inside, hidden, true)?,
            second: loader.linear(&format!("{name}.mlp.fc2"), hidden, inside, true)?,
            activation: sizes.activation,
        },
    })
}

//! How a path's batch is cut to fit a memory budget, decided once from sizes.

use super::{LvlmError, Result};
use crate::checkpoint::LlavaConfig;
use crate::nn::{BlockSize, Keep};

/// Bytes of activations, as sizes give them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Whatever the batch: the pictures, the prefix, what operations need for themselves per thread.
    pub fixed: usize,
    /// Per blend, when every activation is kept.
    pub everything: usize,
    /// Per blend, when only each block's input is kept.
    pub inputs: usize,
    /// Per blend, when nothing is kept.
    pub nothing: usize,
    /// Rows of the largest matrix, per blend.
    pub rows: usize,
}

impl Sizes {
    /// The sizes for a prompt of `before` text tokens before the picture and `behind` after it, and the answer's tokens
    /// `tokens`, on a device whose elements have `element` bytes and whose operations want `scratch` bytes.
    pub fn of(
        config: &LlavaConfig,
        (before, behind): (usize, usize),
        tokens: &[usize],
        element: usize,
        scratch: usize,
    ) -> Sizes {
        let (vision, text) = (vision_block(config), text_block(config));
        let (hidden, images) = (text.columns, config.image_tokens());
        let inside = config.vision.patches() + 1;
        let length = images + behind + tokens.iter().copied().max().unwrap_or(0);
        let pixels = config.vision.channels * config.vision.image_size.pow(2);
        let encoder = Stack {
            block: vision,
            layers: config.vision_layers_used(),
            rows: inside,
        };
        let decoder = Stack {
            block: text,
            layers: config.text.layers,
            rows: length,
        };
        let ends = 2 * pixels
            + 3 * inside * vision.columns
            + 3 * images * hidden
            + 3 * length * hidden
            + tokens.len() * (4 * hidden + 2 * config.text.vocab);
        // The packed operand of a product is as large as the widest matrix.
        let packed = encoder.widest().max(decoder.widest()).max(pixels);
        let each =
            |kept: fn(&Stack) -> usize| element * (kept(&encoder) + kept(&decoder) + ends + packed);
        let prefix = prefix_bytes(config, before, element);
        Sizes {
            fixed: element * (2 * pixels + length * hidden) + prefix + scratch,
            everything: each(Stack::everything),
            inputs: each(Stack::inputs),
            nothing: each(Stack::nothing),
            rows: inside.max(length),
        }
    }
}

/// Bytes of the keys and values of `before` tokens.
pub(super) fn prefix_bytes(config: &LlavaConfig, before: usize, element: usize) -> usize {
    let text = &config.text;
    element * 2 * text.layers * before * text.kv_heads * text.head_dim
}

/// The sizes of the vision encoder's blocks.
pub(super) fn vision_block(config: &LlavaConfig) -> BlockSize {
    let clip = &config.vision;
    BlockSize {
        columns: clip.hidden,
        heads: clip.heads,
        kv_heads: clip.heads,
        head_dim: clip.hidden / clip.heads,
        intermediate: clip.intermediate,
        gated: false,
    }
}

/// The sizes of the decoder's blocks.
pub(super) fn text_block(config: &LlavaConfig) -> BlockSize {
    let llama = &config.text;
    BlockSize {
        columns: llama.hidden,
        heads: llama.heads,
        kv_heads: llama.kv_heads,
        head_dim: llama.head_dim,
        intermediate: llama.intermediate,
        gated: true,
    }
}

/// Blocks one after the other, and the rows of a blend that go through them. All results are elements per blend.
struct Stack {
    block: BlockSize,
    layers: usize,
    rows: usize,
}

impl Stack {
    fn saved(&self) -> usize {
        self.rows * self.block.saved_elements()
    }

    fn working(&self) -> usize {
        self.rows * self.block.working_elements()
    }

    fn everything(&self) -> usize {
        self.layers * self.saved() + self.working()
    }

    fn inputs(&self) -> usize {
        self.layers * self.rows * self.block.columns + self.saved() + self.working()
    }

    fn nothing(&self) -> usize {
        self.saved() + self.working()
    }

    fn widest(&self) -> usize {
        self.rows * self.block.widest()
    }
}

/// How many blends are computed together, and what is kept of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Blends per batch, the last batch may have fewer.
    pub batch: usize,
    /// What the forward pass keeps.
    pub keep: Keep,
    /// Bytes of activations that the plan needs.
    pub bytes: usize,
}

impl Plan {
    /// The plan for `blends` blends with a gradient or without.
    ///
    /// Activations are kept when one blend's fit, else made anew block by block. Batches are as even as can be, and no
    /// larger than `useful_rows` asks.
    pub(super) fn decide(
        sizes: &Sizes,
        blends: usize,
        gradient: bool,
        useful_rows: usize,
        budget: usize,
    ) -> Result<Plan> {
        let choices: &[(Keep, usize)] = if gradient {
            &[
                (Keep::Everything, sizes.everything),
                (Keep::Inputs, sizes.inputs),
            ]
        } else {
            &[(Keep::Nothing, sizes.nothing)]
        };
        let useful = useful_rows.div_ceil(sizes.rows.max(1)).max(1);
        for &(keep, each) in choices {
            let fits = budget.saturating_sub(sizes.fixed) / each.max(1);
            if fits > 0 {
                let most = fits.min(useful).min(blends.max(1));
                let batch = blends.max(1).div_ceil(blends.max(1).div_ceil(most));
                return Ok(Plan {
                    batch,
                    keep,
                    bytes: sizes.fixed + batch * each,
                });
            }
        }
        let least = choices.iter().map(|c| c.1).min().unwrap_or(0);
        Err(LvlmError::Memory {
            needed: sizes.fixed + least,
            budget,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Sizes = Sizes {
        fixed: 100,
        everything: 50,
        inputs: 20,
        nothing: 10,
        rows: 8,
    };

    fn plan(blends: usize, budget: usize) -> Result<Plan> {
        Plan::decide(&SIZES, blends, true, 1000, budget)
    }

    #[test]
    fn everything_is_kept_while_one_blend_fits() {
        assert_eq!(
            plan(20, 100_000).unwrap(),
            Plan {
                batch: 20,
                keep: Keep::Everything,
                bytes: 1100
            }
        );
        assert_eq!(
            plan(20, 150).unwrap(),
            Plan {
                batch: 1,
                keep: Keep::Everything,
                bytes: 150
            }
        );
        assert_eq!(
            plan(20, 149).unwrap(),
            Plan {
                batch: 2,
                keep: Keep::Inputs,
                bytes: 140
            }
        );
    }

    #[test]
    fn batches_are_even() {
        // Six fit, but 20 = 4 * 5.
        assert_eq!(plan(20, 100 + 6 * 50).unwrap().batch, 5);
        // No more rows than are useful: 16 / 8 = 2.
        assert_eq!(
            Plan::decide(&SIZES, 20, true, 16, 100_000).unwrap().batch,
            2
        );
    }

    #[test]
    fn too_little_says_how_much_is_needed() {
        match plan(20, 119) {
            Err(LvlmError::Memory {
                needed: 120,
                budget: 119,
            }) => {}
            other => panic!("{other:?}"),
        }
        assert_eq!(plan(20, 120).unwrap().batch, 1);
    }
}

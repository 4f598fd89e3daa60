//! Cuts the batch of a path to fit a memory budget.

use super::error::{LvlmError, Result};
use crate::nn::Checkpointing;

/// Bytes of activations, measured by running the model on the device that only counts.
#[derive(Clone, Copy, Debug)]
pub struct ActivationSizes {
    /// Independent of the batch: the pictures, the prefix, what operations need for themselves per
    /// thread.
    pub fixed: usize,
    /// Per blend, when every activation is saved.
    pub everything: usize,
    /// Per blend, when only each block's input is saved.
    pub inputs: usize,
    /// Per blend, when nothing is saved.
    pub nothing: usize,
    /// Rows of the tallest matrix, per blend.
    pub rows: usize,
}

/// Fails unless an answer of `answer` tokens has all of `tokens`.
///
/// # Errors
/// [`LvlmError::Token`].
pub(in crate::lvlm) fn of_answer(tokens: &[usize], answer: usize) -> Result<()> {
    match tokens.iter().copied().find(|&token| token >= answer) {
        Some(found) => Err(LvlmError::Token { answer, found }),
        None => Ok(()),
    }
}

/// Fails unless there are `expected` weights, one for each `of`.
///
/// # Errors
/// [`LvlmError::Weights`].
pub(in crate::lvlm) fn one_each(weights: &[f64], of: &'static str, expected: usize) -> Result<()> {
    match weights.len() == expected {
        true => Ok(()),
        false => Err(LvlmError::Weights {
            of,
            expected,
            found: weights.len(),
        }),
    }
}

/// The number of blends that are computed together, and the activations that are saved of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchPlan {
    /// Blends per batch, the last batch may have fewer.
    pub batch: usize,
    /// The activations that the forward pass saves.
    pub checkpointing: Checkpointing,
    /// Bytes of activations that the plan needs.
    pub bytes: usize,
}

impl BatchPlan {
    /// Plans the batches of `blends` blends, with a gradient or without.
    ///
    /// Activations are saved when those of one blend fit, else computed again block by block.
    /// Batches are as even as possible, and no larger than `useful_rows` rows need.
    pub(in crate::lvlm) fn decide(
        sizes: &ActivationSizes,
        blends: usize,
        gradient: bool,
        useful_rows: usize,
        budget: usize,
    ) -> Result<BatchPlan> {
        let choices: &[(Checkpointing, usize)] = if gradient {
            &[
                (Checkpointing::Everything, sizes.everything),
                (Checkpointing::Inputs, sizes.inputs),
            ]
        } else {
            &[(Checkpointing::Nothing, sizes.nothing)]
        };
        let useful = useful_rows.div_ceil(sizes.rows.max(1)).max(1);
        for &(checkpointing, each) in choices {
            let fits = budget.saturating_sub(sizes.fixed) / each.max(1);
            if fits > 0 {
                let most = fits.min(useful).min(blends.max(1));
                let batch = blends.max(1).div_ceil(blends.max(1).div_ceil(most));
                return Ok(BatchPlan {
                    batch,
                    checkpointing,
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

    const SIZES: ActivationSizes = ActivationSizes {
        fixed: 100,
        everything: 50,
        inputs: 20,
        nothing: 10,
        rows: 8,
    };

    fn plan(blends: usize, budget: usize) -> Result<BatchPlan> {
        BatchPlan::decide(&SIZES, blends, true, 1000, budget)
    }

    #[test]
    fn everything_is_saved_while_one_blend_fits() {
        assert_eq!(
            plan(20, 100_000).unwrap(),
            BatchPlan {
                batch: 20,
                checkpointing: Checkpointing::Everything,
                bytes: 1100
            }
        );
        assert_eq!(
            plan(20, 150).unwrap(),
            BatchPlan {
                batch: 1,
                checkpointing: Checkpointing::Everything,
                bytes: 150
            }
        );
        assert_eq!(
            plan(20, 149).unwrap(),
            BatchPlan {
                batch: 2,
                checkpointing: Checkpointing::Inputs,
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
            BatchPlan::decide(&SIZES, 20, true, 16, 100_000)
                .unwrap()
                .batch,
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

//! A session with a model of any family.

use std::cell::RefCell;
use std::collections::HashMap;

use super::evaluator::{Evaluator, Greedy, MaskedPicture, within};
use super::measure;
use super::scorer::AnswerScorer;
use crate::blend::{Blend, Extent, Masks, Path, TokenPlaces};
use crate::checkpoint::Tokenizer;
use crate::device::Device;
use crate::device::meta::Meta;
use crate::lvlm::error::{LvlmError, Result};
use crate::lvlm::family::traits::EncoderViews;
use crate::lvlm::plan::{ActivationSizes, BatchPlan};
use crate::lvlm::session::{Callback, Scorer, Session, SessionOptions};

/// A session.
pub(super) struct ModelSession<'a, D: Device> {
    pub device: &'a D,
    pub tokenizer: &'a Tokenizer,
    /// Id of the image token.
    pub image_token: u32,
    /// The views of the encoders of every picture, picture by picture.
    pub encoders: Vec<EncoderViews>,
    /// The pictures that masks cover.
    pub masked: Vec<MaskedPicture>,
    /// The places of the visual tokens in these pictures.
    pub places: TokenPlaces,
    /// As [`Session::mask_extent`].
    pub extent: Option<Extent>,
    pub evaluator: Evaluator<D>,
    /// The same evaluator without numbers, for sizes.
    pub meta: (Meta, Evaluator<Meta>),
    pub options: SessionOptions,
    /// Sizes measured so far, by the tokens that are scored.
    pub sizes: RefCell<HashMap<Vec<usize>, ActivationSizes>>,
}

impl<D: Device> ModelSession<'_, D> {
    fn sizes(&self, tokens: &[usize]) -> Result<ActivationSizes> {
        if let Some(&known) = self.sizes.borrow().get(tokens) {
            return Ok(known);
        }
        let (meta, evaluator) = &self.meta;
        let scratch = self.device.scratch_bytes(0, 0);
        let sizes = measure::sizes(meta, evaluator, tokens, self.options.mask_size, scratch)?;
        self.sizes.borrow_mut().insert(tokens.to_vec(), sizes);
        Ok(sizes)
    }

    /// Fails where one evaluation does not fit into the budget, before there is an answer.
    pub(super) fn expect_room(&self) -> Result<()> {
        self.cut(1, &[0], true).map(drop)
    }

    /// Plans how evaluations of `tokens` of an answer are cut.
    pub(super) fn cut(&self, blends: usize, tokens: &[usize], gradient: bool) -> Result<BatchPlan> {
        let sizes = self.sizes(tokens)?;
        let useful = self.device.useful_rows();
        BatchPlan::decide(&sizes, blends, gradient, useful, self.options.memory_budget)
    }

    /// Stages the pictures themselves.
    pub(super) fn whole(&self, path: Path) -> Result<Vec<D::Batch>> {
        let size = self.options.mask_size;
        let masks = Masks {
            size,
            values: &[vec![1.0; self.masked.len() * size * size]],
        };
        self.evaluator
            .stage(self.device, masks, &[Blend::whole(0, path)])
    }
}

impl<D: Device> Session for ModelSession<'_, D> {
    fn mask_extent(&self) -> Option<Extent> {
        self.extent
    }

    fn generate(
        &self,
        path: Path,
        max_new_tokens: usize,
        produced: &mut Callback,
    ) -> Result<Vec<u32>> {
        let greedy = Greedy {
            limit: max_new_tokens,
            stops: &|token| self.tokenizer.stop_ids().contains(&token),
            never: self.image_token,
        };
        let batch = self.whole(path)?;
        self.evaluator
            .generate(self.device, &batch, &greedy, produced)
    }

    fn scorer<'s>(&'s mut self, answer: &[u32]) -> Result<Box<dyn Scorer + 's>> {
        if answer.is_empty() {
            return Err(LvlmError::EmptyAnswer);
        }
        let decoder = &self.evaluator.decoder;
        let image = self.image_token;
        if let Some(&found) = answer
            .iter()
            .find(|&&t| t == image || t as usize >= decoder.vocabulary)
        {
            return Err(LvlmError::BadToken {
                limit: decoder.vocabulary,
                found,
            });
        }
        let before = self.evaluator.prefix_length() + self.evaluator.first_row() + 1;
        let (limit, found) = (decoder.max_positions, before + answer.len());
        if found > limit {
            return Err(LvlmError::TooLong { limit, found });
        }
        within(decoder.window, found - 1)?;
        Ok(Box::new(AnswerScorer::new(self, answer)))
    }
}

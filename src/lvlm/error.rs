//! Errors of models.

use crate::checkpoint::{CheckpointError, Compat};
use crate::device::DeviceError;
use crate::nn::NnError;
use crate::picture::PictureError;

/// Result of a model's operation.
pub type Result<T> = std::result::Result<T, LvlmError>;

/// Result of reading what a checkpoint says.
pub(in crate::lvlm) type ReadResult<T> = std::result::Result<T, CheckpointError>;

/// Errors of models.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LvlmError {
    /// The checkpoint is at fault.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The picture is at fault.
    #[error(transparent)]
    Picture(#[from] PictureError),
    /// A layer is at fault.
    #[error(transparent)]
    Layer(#[from] NnError),
    /// The question is empty.
    #[error("question: expected text, found nothing but white space")]
    EmptyQuestion,
    /// Prompt and answer do not fit the context.
    #[error(
        "prompt and answer: expected at most {limit} tokens (the model's context, the original one with longrope), found {found}"
    )]
    TooLong {
        /// The model's context, in tokens.
        limit: usize,
        /// Prompt and answer together.
        found: usize,
    },
    /// A model that is not among those of a program that is to be reproduced.
    #[error(
        "compat {program}: expected one of that program's models \
         (LLaVA-1.5, LLaVA-OneVision, Mini-Gemini, Cambrian-1), found {found}"
    )]
    Compat {
        /// The program.
        program: Compat,
        /// The model's family.
        found: String,
    },
    /// A sliding window shorter than the sequence, so that some tokens would not see all before
    /// them.
    #[error(
        "prompt and answer: expected at most {limit} tokens \
         (sliding_window of config.json: attention within a window is not supported), found {found}"
    )]
    SlidingWindow {
        /// The window, in tokens.
        limit: usize,
        /// Tokens that are read: prompt and answer without the answer's last.
        found: usize,
    },
    /// A token of the prompt that the model's embedding has no row for.
    #[error(
        "prompt: expected tokens of the model's vocabulary, below {limit} \
         (vocab_size of config.json), found {found} ({text:?}), which only the tokenizer has"
    )]
    Vocabulary {
        /// Rows of the embedding.
        limit: usize,
        /// The token.
        found: u32,
        /// Its text.
        text: String,
    },
    /// The image processor's picture is not what the encoder takes.
    #[error(
        "image processor: expected {expected} x {expected} pixels (vision_config.image_size), it \
         makes {width} x {height}"
    )]
    PictureSize {
        /// The encoder's side.
        expected: usize,
        /// The processor's width.
        width: usize,
        /// The processor's height.
        height: usize,
    },
    /// A picture so thin that none of the model's visual tokens is more than padding.
    #[error(
        "picture: expected sides that differ by a factor of less than {limit} \
         (the model's visual tokens each way), found {width} x {height}"
    )]
    TooThin {
        /// Visual tokens each way.
        limit: usize,
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A prompt whose picture is not at the rows where the model's layers expect it.
    #[error(
        "prompt: expected the picture from row {expected} on ({field} of config.json), \
         found it from row {found} on"
    )]
    ImagePosition {
        /// The field that says so.
        field: &'static str,
        /// The first row that the layers take for the picture's.
        expected: usize,
        /// Tokens before the picture.
        found: usize,
    },
    /// More pictures in a prompt than the model takes, or too few.
    #[error("pictures: expected {expected}, found {found}")]
    Pictures {
        /// What is allowed.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Patches for more or fewer encoders than there are.
    #[error("vision: expected patches for {expected} encoders, found {found}")]
    Encoders {
        /// Encoders.
        expected: usize,
        /// Sets of patches.
        found: usize,
    },
    /// A callback cancelled the work.
    #[error("the work was given up before its end")]
    Cancelled,
    /// One blend does not fit the memory budget.
    #[error(
        "memory budget: expected at least {needed} bytes ({}) for one blend, found {budget}",
        mebibytes(*.needed)
    )]
    Memory {
        /// Bytes that one blend needs.
        needed: usize,
        /// The budget, in bytes.
        budget: usize,
    },
    /// A prompt that was not made by [`Lvlm::prompt`](crate::lvlm::Lvlm::prompt) of the same model.
    #[error("prompt: expected {expected} image tokens in a row, found {found}")]
    Prompt {
        /// Visual tokens of one picture.
        expected: usize,
        /// Image tokens from the first on.
        found: usize,
    },
    /// A token number that the answer does not have.
    #[error("tokens: expected numbers of answer tokens below {answer}, found {found}")]
    Token {
        /// Tokens of the answer.
        answer: usize,
        /// The number.
        found: usize,
    },
    /// Weights that are not one per blend, or per blend and token.
    #[error("weights: expected {expected}, one for each {of}, found {found}")]
    Weights {
        /// What each weight is of: a blend, or a blend and a token.
        of: &'static str,
        /// Number of them.
        expected: usize,
        /// Number of weights.
        found: usize,
    },
    /// A gradient beyond the range of the numbers it is computed in.
    #[error(
        "gradient of the mask: expected finite numbers, found infinity or NaN in {dtype}; bf16 \
         has a wider range than f16"
    )]
    Gradient {
        /// The device's storage format of activations.
        dtype: &'static str,
    },
    /// Something inside the model that it does not have, or that cannot be read.
    #[error("{what}: expected {expected}, found {found}")]
    Unreadable {
        /// The subject.
        what: String,
        /// The requirement.
        expected: String,
        /// The layer, or the model's family.
        found: String,
    },
    /// Pictures, scores or gradients of a foreign model that do not fit together.
    #[error("{what}: expected {expected}, found {found}")]
    Foreign {
        /// What does not fit.
        what: &'static str,
        /// The expected shape or values.
        expected: String,
        /// What was found.
        found: String,
    },
    /// An answer without tokens.
    #[error("answer: expected at least one token, found none")]
    EmptyAnswer,
    /// A token that the model does not have, or the image token inside an answer.
    #[error("answer: expected tokens below {limit} other than the image token, found {found}")]
    BadToken {
        /// Size of the vocabulary.
        limit: usize,
        /// The token.
        found: u32,
    },
}

impl From<DeviceError> for LvlmError {
    fn from(error: DeviceError) -> Self {
        LvlmError::Layer(error.into())
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

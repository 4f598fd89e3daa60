//! The record of a sample: one line of `records.jsonl`.

use serde::{Deserialize, Serialize};

use super::{EvidenceMask, Judgement, Rectangle, Right, Sample, Source};
use crate::blend::Extent;
use crate::device::DeviceError;
use crate::explain::{
    AnswerToken, Curves, ExplainError, Explanation, Faithfulness, Iteration, Unit,
};
use crate::lvlm::LvlmError;
use crate::nn::NnError;

/// A sample's record. It has either an `explanation` or an `error`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The sample's row in the data, from 0.
    pub index: usize,
    /// The sample's name in the data.
    pub id: String,
    /// The question as it was asked.
    pub question: String,
    /// Its picture, the first where there are several.
    pub image: RecordImage,
    /// The other pictures, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_images: Vec<RecordImage>,
    /// Of several pictures, the numbers of those that are explained, from 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub explained_images: Vec<usize>,
    /// The category of the question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The options' texts, in the order of their letters.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The right answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<Right>,
    /// The regions of the picture that show the answer, in pixels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub boxes: Vec<Rectangle>,
    /// A mask of the regions that show the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<EvidenceMask>,
    /// The seed that this sample was explained with.
    pub seed: u64,
    /// The explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Explained>,
    /// The judgement of the answer, if it can be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judgement>,
    /// Why there is no explanation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The place of the mask, of the first picture that is explained where there are several; answers
    /// that do not depend on the picture have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<MaskPlace>,
    /// The places of the masks of the other pictures that are explained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_masks: Vec<MaskPlace>,
    /// The places of the masks of `explanation.each`, in the same order; for each of them one for
    /// every picture that is explained.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each_masks: Vec<MaskPlace>,
}

/// A record's picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordImage {
    /// Its file below the folder of pictures, or a name for a picture that is inside the data.
    pub path: String,
    /// Width in pixels, if it could be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<u32>,
    /// Height in pixels, if it could be decoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u32>,
}

/// An [`Explanation`] without its masks and its times; the fields are those of `explanation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// The prompt as the model read it.
    pub prompt: String,
    /// The answer.
    pub answer: Answer,
    /// The greedy answer to the baseline picture, if requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline_answer: Option<String>,
    /// Whether any token is a key token.
    pub image_dependent: bool,
    /// The objective before each update.
    pub iterations: Vec<Iteration>,
    /// The deletion and insertion curves.
    pub curves: Option<Curves>,
    /// Whether the most salient cells decide the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub faithfulness: Option<Faithfulness>,
    /// The words or key tokens that have masks of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<Unit>,
    /// Number of pictures evaluated by the model.
    pub evaluations: usize,
}

/// An answer and its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The tokens.
    pub tokens: Vec<AnswerToken>,
}

/// The place of a mask.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MaskPlace {
    /// The file's name in the run's folder.
    pub file: String,
    /// Its byte offset in the file.
    pub offset: u64,
    /// Cells per side: `size * size` little-endian f32, row by row; 1 keeps the picture.
    pub size: usize,
    /// CRC-32 (ISO 3309) of those bytes.
    pub crc32: u32,
    /// The part of the picture's plane that it covers, if not the whole picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extent: Option<Extent>,
}

/// The reason why a sample has no explanation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of reason.
    pub cause: Cause,
    /// The reason in words.
    pub message: String,
}

/// The cause of a sample's failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The row of the data cannot be read, or lacks its question or its picture; or its mask of the
    /// evidence is missing, does not decode, or does not fit the picture.
    Data,
    /// A picture is missing, does not decode, or cannot be processed; or there are more than the
    /// model takes.
    Picture,
    /// The question is empty, or the chat template rejects it.
    Question,
    /// Question and answer are longer than the model's context.
    Length,
    /// The model ended its answer at once, a given answer has tokens that the model lacks, or the
    /// run whose answers are explained has none of the sample.
    Answer,
    /// The sample needs more memory than is available.
    Memory,
    /// The model's output or gradient contains infinities or NaN.
    NotFinite,
}

impl std::fmt::Display for Cause {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Cause::Data => "data",
            Cause::Picture => "picture",
            Cause::Question => "question",
            Cause::Length => "length",
            Cause::Answer => "answer",
            Cause::Memory => "memory",
            Cause::NotFinite => "not-finite",
        })
    }
}

impl From<&Explanation> for Explained {
    fn from(explanation: &Explanation) -> Explained {
        Explained {
            prompt: explanation.prompt.clone(),
            answer: Answer {
                text: explanation.answer.clone(),
                tokens: explanation.tokens.clone(),
            },
            baseline_answer: explanation.baseline_answer.clone(),
            image_dependent: explanation.image_dependent,
            iterations: explanation.iterations.clone(),
            curves: explanation.curves.clone(),
            faithfulness: explanation.faithfulness.clone(),
            each: explanation
                .each
                .iter()
                .map(|map| map.unit.clone())
                .collect(),
            evaluations: explanation.cost.evaluations,
        }
    }
}

impl Record {
    /// Returns its pictures, in the order of the question.
    pub fn images(&self) -> impl Iterator<Item = &RecordImage> {
        std::iter::once(&self.image).chain(&self.more_images)
    }

    /// Creates the record of a sample before any result; `name` returns the name of a picture.
    pub(super) fn of(sample: &Sample, name: impl Fn(&Source) -> String, seed: u64) -> Record {
        let image = |source: &Source| RecordImage {
            path: name(source),
            width: None,
            height: None,
        };
        Record {
            index: sample.index,
            id: sample.id.clone(),
            question: sample.question.clone(),
            image: image(&sample.picture),
            more_images: sample.more_pictures.iter().map(image).collect(),
            explained_images: Vec::new(),
            category: sample.category.clone(),
            choices: sample.choices.clone(),
            right: sample.right.clone(),
            boxes: sample.boxes.clone(),
            evidence: None,
            seed,
            explanation: None,
            judgement: None,
            error: None,
            mask: None,
            more_masks: Vec::new(),
            each_masks: Vec::new(),
        }
    }

    /// Returns the places of all its masks, in the order of the files.
    pub(super) fn places(&self) -> impl Iterator<Item = &MaskPlace> {
        let whole = self.mask.iter().chain(&self.more_masks);
        whole.chain(&self.each_masks)
    }

    /// Creates the record of a row that is not a valid sample.
    pub(super) fn of_bad_row(index: usize, seed: u64) -> Record {
        let nothing = Sample {
            index,
            id: String::new(),
            question: String::new(),
            picture: Source::File(Vec::new()),
            more_pictures: Vec::new(),
            choices: Vec::new(),
            right: None,
            boxes: Vec::new(),
            evidence: None,
            category: None,
            answer: None,
        };
        Record::of(&nothing, |_| String::new(), seed)
    }
}

impl Failure {
    /// Returns the failure of a sample that `error` describes.
    ///
    /// # Errors
    /// Returns the error itself if it is independent of the sample, so that further samples would
    /// fail too: the device fails, or a setting is out of range.
    pub fn of(error: ExplainError) -> Result<Failure, ExplainError> {
        let cause = match &error {
            ExplainError::NoAnswer | ExplainError::Key { .. } => Cause::Answer,
            ExplainError::Setting { .. }
            | ExplainError::Mask { .. }
            | ExplainError::Pixels { .. }
            | ExplainError::Cancelled => return Err(error),
            ExplainError::Model(model) => match model {
                LvlmError::Picture(_)
                | LvlmError::PictureSize { .. }
                | LvlmError::Pictures { .. }
                | LvlmError::TooThin { .. } => Cause::Picture,
                LvlmError::EmptyQuestion
                | LvlmError::Vocabulary { .. }
                | LvlmError::Checkpoint(_) => Cause::Question,
                LvlmError::TooLong { .. } | LvlmError::SlidingWindow { .. } => Cause::Length,
                LvlmError::EmptyAnswer | LvlmError::BadToken { .. } => Cause::Answer,
                LvlmError::Memory { .. }
                | LvlmError::Layer(NnError::Device(DeviceError::OutOfMemory { .. })) => {
                    Cause::Memory
                }
                LvlmError::Layer(NnError::NotFinite { .. }) | LvlmError::Gradient { .. } => {
                    Cause::NotFinite
                }
                _ => return Err(error),
            },
        };
        Ok(Failure {
            cause,
            message: error.to_string(),
        })
    }
}

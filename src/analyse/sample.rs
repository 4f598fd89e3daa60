//! A record measured.

use serde::Serialize;

use super::map::{focus_area, mean_saliency};
use super::pointing::{Pointing, pointing};
use crate::explain::{AnswerToken, Mask};
use crate::run::{Explained, Record, Result, Run};

/// Records that are measured at a time.
const HELD: usize = 256;

/// What is measured of an explained sample. What a sample has none of is left out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Its row in the data.
    pub index: usize,
    /// What the data call it.
    pub id: String,
    /// Whether the answer is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// Whether any token of the answer is key.
    pub image_dependent: bool,
    /// Log-ratio of each token of the answer, in nats, and whether it is key.
    #[serde(skip)]
    pub tokens: Vec<(f64, bool)>,
    /// The mean of the tokens' log-ratios.
    pub log_ratio: f64,
    /// The tokens' mean probability with the picture.
    pub probability_picture: f64,
    /// The same with the baseline.
    pub probability_baseline: f64,
    /// Whether every token has a probability above 1/2 with the baseline, so that it is the
    /// likeliest there too.
    pub kept_by_baseline: bool,
    /// Whether the greedy answer to the baseline picture is another one; white space around them
    /// does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_changed: Option<bool>,
    /// As [`mean_saliency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_saliency: Option<f64>,
    /// As [`focus_area`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus_area: Option<f64>,
    /// The deletion score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<f64>,
    /// The insertion score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insertion: Option<f64>,
    /// Where the map lies relative to the boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointing: Option<Pointing>,
}

/// The records of a run, measured.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The explained ones, in the order of the data.
    pub explained: Vec<Sample>,
    /// The failed ones: index, id, and the cause.
    pub failed: Vec<(usize, String, String)>,
}

impl Samples {
    /// Reads and measures all records of a run.
    ///
    /// # Errors
    /// Records or masks that cannot be read, or are not as they were written.
    pub fn read(run: &Run) -> Result<Samples> {
        let mut samples = Samples::default();
        let mut records = run.records()?;
        loop {
            let held: Vec<Record> = records.by_ref().take(HELD).collect::<Result<_>>()?;
            if held.is_empty() {
                return Ok(samples);
            }
            samples.measure(run, &held)?;
        }
    }

    fn measure(&mut self, run: &Run, records: &[Record]) -> Result<()> {
        use rayon::prelude::*;
        let measured: Result<Vec<Option<Sample>>> = records
            .par_iter()
            .map(|record| Sample::of(run, record))
            .collect();
        for (record, sample) in records.iter().zip(measured?) {
            if let Some(sample) = sample {
                self.explained.push(sample);
            } else {
                let cause = record
                    .error
                    .as_ref()
                    .map(|failure| failure.cause.to_string());
                let failed = (record.index, record.id.clone(), cause.unwrap_or_default());
                self.failed.push(failed);
            }
        }
        Ok(())
    }
}

impl Sample {
    /// A record of a run measured; `None` for a failed one, and for one without an answer.
    ///
    /// # Errors
    /// As [`Run::mask`].
    fn of(run: &Run, record: &Record) -> Result<Option<Sample>> {
        let Some(explained) = &record.explanation else {
            return Ok(None);
        };
        if explained.answer.tokens.is_empty() {
            return Ok(None);
        }
        Ok(Some(Sample::new(
            record,
            explained,
            run.mask(record)?.as_ref(),
        )))
    }

    fn new(record: &Record, explained: &Explained, mask: Option<&Mask>) -> Sample {
        let tokens = &explained.answer.tokens;
        let mean = |of: &dyn Fn(&AnswerToken) -> f64| {
            tokens.iter().map(of).sum::<f64>() / tokens.len() as f64
        };
        let curves = explained.curves.as_ref();
        let side = |pixels: Option<u32>| pixels.map(|p| p as usize).filter(|&p| p > 0);
        let picture = side(record.image.width).zip(side(record.image.height));
        let mapped = mask.zip(picture);
        Sample {
            index: record.index,
            id: record.id.clone(),
            correct: record.judgement.map(|j| j.correct),
            image_dependent: explained.image_dependent,
            tokens: tokens.iter().map(|t| (t.llr, t.key)).collect(),
            log_ratio: mean(&|t| t.llr),
            probability_picture: mean(&|t| t.logp_image.exp()),
            probability_baseline: mean(&|t| t.logp_baseline.exp()),
            kept_by_baseline: tokens.iter().all(|t| t.logp_baseline.exp() > 0.5),
            answer_changed: explained
                .baseline_answer
                .as_ref()
                .map(|answer| answer.trim() != explained.answer.text.trim()),
            mean_saliency: mask.map(mean_saliency),
            focus_area: mask.and_then(focus_area),
            deletion: curves.and_then(|c| c.deletion_score),
            insertion: curves.and_then(|c| c.insertion_score),
            pointing: mapped.and_then(|(mask, size)| pointing(mask, size, &record.boxes)),
        }
    }
}

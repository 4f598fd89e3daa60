//! Measurements of a record.

use serde::Serialize;

use super::map::{focus_area, mean_saliency};
use super::pointing::{Pointing, pointing};
use super::settings::Scores;
use super::{AnalyseError, Result};
use crate::explain::{AnswerToken, Curves, Mask, lvlm_interpretation};
use crate::run::{Evidence, Explained, Record, Run};

/// Number of records that are measured at a time.
const HELD: usize = 256;

/// The measurements of an explained sample; those that do not apply are `None`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Its row in the data.
    pub index: usize,
    /// Its name in the data.
    pub id: String,
    /// Whether the answer is right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// Whether any token of the answer is a key token.
    pub image_dependent: bool,
    /// Log-ratio of each token of the answer, in nats, and whether it is a key token.
    #[serde(skip)]
    pub tokens: Vec<(f64, bool)>,
    /// The mean of the tokens' log-ratios.
    pub log_ratio: f64,
    /// The tokens' mean probability with the picture.
    pub probability_picture: f64,
    /// The tokens' mean probability with the baseline.
    pub probability_baseline: f64,
    /// Whether every token has a probability above 1/2 with the baseline, so that it is also the
    /// most likely one there.
    pub kept_by_baseline: bool,
    /// Whether the greedy answer to the baseline picture differs; surrounding white space is
    /// ignored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_changed: Option<bool>,
    /// The value of [`mean_saliency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean_saliency: Option<f64>,
    /// The value of [`focus_area`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub focus_area: Option<f64>,
    /// The deletion score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion: Option<f64>,
    /// The insertion score.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub insertion: Option<f64>,
    /// Whether the answer is lost without the most salient cells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flipped: Option<bool>,
    /// Whether these cells alone keep the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept: Option<bool>,
    /// The smallest share of the cells that keeps the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<f64>,
    /// The location of the map relative to the evidence: the mask, or else the boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointing: Option<Pointing>,
}

/// The measured records of a run.
#[derive(Clone, Debug, Default)]
pub struct Samples {
    /// The explained samples, in the order of the data.
    pub explained: Vec<Sample>,
    /// The failed samples: index, id, and the cause.
    pub failed: Vec<(usize, String, String)>,
}

impl Samples {
    /// Reads and measures all records of a run, with scores by a rule.
    ///
    /// # Errors
    /// Returns an error if records or masks cannot be read or differ from what was written, and
    /// [`AnalyseError::Points`] if curves lack points that the rule needs.
    pub fn read(run: &Run, scores: Scores) -> Result<Samples> {
        let mut samples = Samples::default();
        let mut records = run.records()?;
        loop {
            let held: Vec<Record> = records
                .by_ref()
                .take(HELD)
                .collect::<crate::run::Result<_>>()?;
            if held.is_empty() {
                return Ok(samples);
            }
            samples.measure(run, &held, scores)?;
        }
    }

    fn measure(&mut self, run: &Run, records: &[Record], scores: Scores) -> Result<()> {
        use rayon::prelude::*;
        let measured: Vec<Result<Option<Sample>>> = records
            .par_iter()
            .map(|record| Sample::of(run, record, scores))
            .collect();
        for (record, sample) in records.iter().zip(measured) {
            if let Some(sample) = sample? {
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
    /// Measures a record of a run; returns `None` for a failed sample, and for one without an
    /// answer.
    ///
    /// # Errors
    /// Returns the errors of [`Run::mask`], and [`AnalyseError::Points`].
    fn of(run: &Run, record: &Record, scores: Scores) -> Result<Option<Sample>> {
        let Some(explained) = &record.explanation else {
            return Ok(None);
        };
        if explained.answer.tokens.is_empty() {
            return Ok(None);
        }
        let mask = run.mask(record)?;
        let sample = Sample::new(record, explained, mask.as_ref());
        let curves = match (scores, &explained.curves) {
            (Scores::Authors, Some(curves)) => curves,
            _ => return Ok(Some(sample)),
        };
        let side = run.manifest().settings.mask_size;
        let cells = side.saturating_mul(side) * (1 + record.more_masks.len());
        if !lvlm_interpretation::has_all_points(curves, cells) {
            return Err(AnalyseError::Points {
                path: run.folder().display().to_string(),
                index: record.index,
                points: curves.fraction.len(),
            });
        }
        let Curves {
            deletion_score,
            insertion_score,
            ..
        } = lvlm_interpretation::scored(curves, cells);
        Ok(Some(Sample {
            deletion: deletion_score,
            insertion: insertion_score,
            ..sample
        }))
    }

    fn new(record: &Record, explained: &Explained, mask: Option<&Mask>) -> Sample {
        let tokens = &explained.answer.tokens;
        let mean = |of: &dyn Fn(&AnswerToken) -> f64| {
            tokens.iter().map(of).sum::<f64>() / tokens.len() as f64
        };
        let curves = explained.curves.as_ref();
        // An answer that the baseline keeps says nothing about the map.
        let test = explained.faithfulness.as_ref();
        let test = test.filter(|test| test.region.cells > 0);
        let side = |pixels: Option<u32>| pixels.map(|p| p as usize).filter(|&p| p > 0);
        let picture = side(record.image.width).zip(side(record.image.height));
        let mapped = mask.zip(picture);
        let boxes = Evidence::Boxes(&record.boxes);
        let evidence = record.evidence.as_ref().map_or(boxes, Evidence::Mask);
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
            flipped: test.map(|t| t.flipped),
            kept: test.map(|t| t.kept),
            region: test.map(|t| t.region.fraction),
            pointing: mapped.and_then(|(mask, size)| pointing(mask, size, evidence)),
        }
    }
}

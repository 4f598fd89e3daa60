//! Analysis of one run: whether the answers depend on the picture, and where the model looks when
//! it is right and when it is wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use super::figures::Sides;
use super::measures::{CORRECT, MEASURES, Measure, MeasureKind};
use super::statistics::{fisher, rank_sum, signed_rank};
use super::{
    AnalyseError, AnalyseSettings, Bootstrap, Figures, Histogram, Result, Sample, Samples, Scores,
};
use crate::run::{Manifest, Run};

/// Definitions of the figures that [`MEASURES`] does not contain.
const DEFINITIONS: [(&str, &str); 9] = [
    (
        "key_tokens",
        "share of the answers' tokens that are key; samples are drawn with all of their tokens",
    ),
    (
        "token_log_ratio",
        "mean log-ratio of all tokens of all answers, in nats; samples are drawn \
         with all of their tokens",
    ),
    ("token_log_ratio_q25", "their first quartile"),
    ("token_log_ratio_q50", "their median"),
    ("token_log_ratio_q75", "their third quartile"),
    (
        "token_probability",
        "mean probability of an answer's tokens, given the picture or the baseline, \
         and the answer before each",
    ),
    (
        "probability_halved",
        "share of the answers whose mean token probability is at most half \
         as large with the baseline",
    ),
    (
        "kept_by_baseline",
        "share of the answers all of whose tokens have a probability above 1/2 with the baseline: \
         greedy decoding of the baseline picture begins with the same answer for certain",
    ),
    (
        "answer_changed",
        "share of the answers that are another one for the baseline picture",
    ),
];

/// The reason why the last figure of [`DEFINITIONS`] is left out.
const NO_BASELINE_ANSWER: &str =
    "the run was made without --baseline-answer; 1 - kept_by_baseline is an upper bound";

/// The analysis of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    /// The run.
    pub run: Manifest,
    /// The settings of the intervals.
    pub statistics: Bootstrap,
    /// The rule of the deletion and insertion scores, if not that of the records.
    #[serde(skip_serializing_if = "Scores::is_recorded")]
    pub scores: Scores,
    /// Numbers of samples by kind.
    pub counts: Counts,
    /// The definition of each name.
    pub definitions: BTreeMap<&'static str, &'static str>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The tokens' log-ratios.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_ratios: Option<Histogram>,
    /// The measurements of every explained sample.
    pub samples: Vec<Sample>,
}

/// Samples by kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Samples in the finished run.
    pub samples: usize,
    /// Records so far; fewer while the run is not finished.
    pub records: usize,
    /// Failed samples, by cause.
    pub failed: BTreeMap<String, usize>,
    /// Explained samples.
    pub explained: usize,
    /// Samples with a judged answer.
    pub judged: usize,
    /// Samples with a map.
    pub maps: usize,
    /// Samples with a map and evidence: a box within the picture, or a mask.
    pub boxes: usize,
}

impl Counts {
    pub(super) fn new(run: &Run, samples: &Samples) -> Counts {
        let mut failed = BTreeMap::new();
        for (_, _, cause) in &samples.failed {
            *failed.entry(cause.clone()).or_insert(0) += 1;
        }
        let explained = &samples.explained;
        let count = |has: fn(&Sample) -> bool| explained.iter().filter(|s| has(s)).count();
        Counts {
            samples: run.manifest().samples(),
            records: explained.len() + samples.failed.len(),
            failed,
            explained: explained.len(),
            judged: count(|s| s.correct.is_some()),
            maps: count(|s| s.mean_saliency.is_some()),
            boxes: count(|s| s.pointing.is_some()),
        }
    }
}

/// Analyses a run, finished or not.
///
/// # Errors
/// Returns an error if a setting is out of range or the run cannot be read, and
/// [`AnalyseError::Nothing`] if it has no explanation.
pub fn analyse(run: &Run, settings: &AnalyseSettings) -> Result<Analysis> {
    settings.check()?;
    let samples = Samples::read(run, settings.scores)?;
    let counts = Counts::new(run, &samples);
    if samples.explained.is_empty() {
        return Err(AnalyseError::Nothing {
            path: run.folder().display().to_string(),
            records: counts.records,
        });
    }
    let samples = samples.explained;
    let mut figures = Figures::default();
    of_the_picture(&mut figures, &samples, settings);
    of_correctness(&mut figures, &samples, settings);
    figures.correct();
    let of_measures = MEASURES.iter().map(|m| (m.name, m.meaning));
    Ok(Analysis {
        run: run.manifest().clone(),
        statistics: settings.bootstrap,
        scores: settings.scores,
        counts,
        definitions: DEFINITIONS.into_iter().chain(of_measures).collect(),
        figures,
        log_ratios: Histogram::new(&log_ratios(&samples)),
        samples,
    })
}

fn log_ratios(samples: &[Sample]) -> [(&'static str, Vec<f64>); 2] {
    let of = |wanted: bool| {
        let tokens = samples.iter().flat_map(|s| &s.tokens);
        tokens
            .filter(|(_, key)| *key == wanted)
            .map(|(llr, _)| *llr)
            .collect()
    };
    [("key", of(true)), ("other", of(false))]
}

/// Adds the figures on whether answers depend on the picture.
fn of_the_picture(figures: &mut Figures, samples: &[Sample], settings: &AnalyseSettings) {
    let plan = &settings.bootstrap;
    let n = samples.len();
    let clusters = |of: fn(&(f64, bool)) -> f64| -> Vec<Vec<f64>> {
        samples
            .iter()
            .map(|s| s.tokens.iter().map(of).collect())
            .collect()
    };
    let keys = clusters(|(_, key)| f64::from(u8::from(*key)));
    figures.add("key_tokens", "all", n, plan.clustered_mean(&keys));
    let ratios = clusters(|(llr, _)| *llr);
    figures.add("token_log_ratio", "all", n, plan.clustered_mean(&ratios));
    for (name, share) in [
        ("token_log_ratio_q25", 0.25),
        ("token_log_ratio_q50", 0.5),
        ("token_log_ratio_q75", 0.75),
    ] {
        figures.add(name, "all", n, plan.clustered_quantile(&ratios, share));
    }
    let all = |of: fn(&Sample) -> f64| samples.iter().map(of).collect::<Vec<f64>>();
    let with = (
        all(|s| s.probability_picture),
        all(|s| s.probability_baseline),
    );
    figures.mean(plan, "token_probability", "picture", &with.0, "");
    figures.mean(plan, "token_probability", "baseline", &with.1, "");
    let differences: Vec<f64> = with.0.iter().zip(&with.1).map(|(a, b)| a - b).collect();
    let sides = Sides {
        name: "token_probability",
        groups: ["picture".into(), "baseline".into()],
    };
    figures.pairs(plan, sides, &with.0, &with.1, signed_rank(&differences));
    let share = |of: fn(&Sample) -> bool| -> Vec<f64> {
        samples.iter().map(|s| f64::from(u8::from(of(s)))).collect()
    };
    let halved = share(|s| s.probability_baseline <= 0.5 * s.probability_picture);
    figures.mean(plan, "probability_halved", "all", &halved, "");
    let kept = share(|s| s.kept_by_baseline);
    figures.mean(plan, "kept_by_baseline", "all", &kept, "");
    let changed = samples.iter().filter_map(|s| s.answer_changed);
    let changed: Vec<f64> = changed.map(|c| f64::from(u8::from(c))).collect();
    figures.mean(plan, "answer_changed", "all", &changed, NO_BASELINE_ANSWER);
}

/// Adds the figures on where the model looks when it is right and when it is wrong.
fn of_correctness(figures: &mut Figures, samples: &[Sample], settings: &AnalyseSettings) {
    let plan = &settings.bootstrap;
    let judged = samples.iter().any(|s| s.correct.is_some());
    for measure in &MEASURES {
        let values = |wanted: Option<bool>| -> Vec<f64> {
            let of_group = samples
                .iter()
                .filter(|s| wanted.is_none() || s.correct == wanted);
            of_group.filter_map(|s| measure.value(s)).collect()
        };
        let all = values(None);
        figures.mean(plan, measure.name, "all", &all, measure.lacking);
        if all.is_empty() || !judged || measure.name == CORRECT.name {
            continue;
        }
        let (right, wrong) = (values(Some(true)), values(Some(false)));
        for (group, values) in [("right", &right), ("wrong", &wrong)] {
            let lacking = format!("no answer that is {group} has it");
            figures.mean(plan, measure.name, group, values, &lacking);
        }
        contrast(
            figures,
            measure,
            ["right", "wrong"],
            &right,
            &wrong,
            settings,
        );
    }
    if judged {
        by_dependence(figures, samples, settings);
    }
}

/// Adds the figures on whether answers that depend on the picture are right more often.
fn by_dependence(figures: &mut Figures, samples: &[Sample], settings: &AnalyseSettings) {
    let groups = ["image-dependent", "not image-dependent"];
    let values = [true, false].map(|wanted| -> Vec<f64> {
        let of_group = samples.iter().filter(|s| s.image_dependent == wanted);
        of_group.filter_map(|s| CORRECT.value(s)).collect()
    });
    for (group, values) in groups.iter().zip(&values) {
        let lacking = format!("no judged answer is {group}");
        figures.mean(&settings.bootstrap, CORRECT.name, group, values, &lacking);
    }
    contrast(figures, &CORRECT, groups, &values[0], &values[1], settings);
}

/// Compares two groups by the test for the measure; adds nothing if a group is empty, which its
/// figure already reports.
fn contrast(
    figures: &mut Figures,
    measure: &Measure,
    groups: [&str; 2],
    a: &[f64],
    b: &[f64],
    settings: &AnalyseSettings,
) {
    let yes = |values: &[f64]| (values.iter().sum::<f64>() as u64, values.len() as u64);
    let test = match measure.kind {
        MeasureKind::Share(_) => fisher(yes(a), yes(b)),
        MeasureKind::Number(_) => rank_sum(a, b),
    };
    let Some(test) = test else { return };
    let sides = Sides {
        name: measure.name,
        groups: groups.map(String::from),
    };
    figures.two_groups(&settings.bootstrap, sides, a, b, test);
}

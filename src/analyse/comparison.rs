//! Comparison of several runs on the same data: whether the models look at the same place, and how
//! they differ.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::analysis::Counts;
use super::figures::Sides;
use super::map::{Agreement, agreement, chance_iou};
use super::measures::{MEASURES, Measure, MeasureKind};
use super::statistics::{mcnemar, signed_rank};
use super::{AnalyseError, AnalyseSettings, Figures, Result, Sample, Samples};
use crate::run::{Manifest, Record, Run};

const DEFINITIONS: [(&str, &str); 2] = [
    (
        "rank_correlation",
        "Spearman's correlation of the cells of two models' maps of a sample, ties averaged; of \
         maps of different sizes the larger is sampled at the cells of the smaller",
    ),
    (
        "top_iou",
        "intersection over union of the most salient share of cells (top_share) of two \
         models' maps of a sample; of equal cells the first row by row are taken; chance \
         is top_share / (2 - top_share)",
    ),
];

/// The comparison of several runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The runs, in the order given.
    pub runs: Vec<Compared>,
    /// Fields of the settings in which runs differ from the first, with both values.
    pub settings_differ: Vec<String>,
    /// The settings of the comparison.
    pub statistics: AnalyseSettings,
    /// The value of `top_iou` expected for independent maps.
    pub chance_top_iou: f64,
    /// The definition of each name.
    pub definitions: BTreeMap<&'static str, &'static str>,
    /// Number of samples that all runs explain. Figures of single models use these samples;
    /// contrasts use those of them that have the measure in both models.
    pub paired: usize,
    /// Samples that at least one run has no explanation of.
    pub unpaired: Vec<Unpaired>,
    /// The figures.
    #[serde(flatten)]
    pub figures: Figures,
    /// The agreement of the maps of each pair of models, for each sample.
    pub agreements: Vec<Agreed>,
    /// The measurements of the paired samples, by run. Not part of the JSON: each run's own
    /// analysis has them.
    #[serde(skip)]
    pub samples: Vec<Vec<Sample>>,
}

/// A run compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// The name of the run: the last part of its model's name, or the whole name, with the number
    /// of its random layers if there are any, and a number if several runs have the same.
    pub name: String,
    /// Its numbers of samples by kind.
    pub counts: Counts,
    /// The run.
    pub run: Manifest,
}

/// A sample that is not paired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unpaired {
    /// Its row in the data.
    pub index: usize,
    /// Its name in the data.
    pub id: String,
    /// The runs that do not explain it, with the reason: a cause of failure, or `no record`.
    pub missing: BTreeMap<String, String>,
}

/// Two models' maps of one sample.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreed {
    /// The sample's row in the data.
    pub index: usize,
    /// The sample's name in the data.
    pub id: String,
    /// The runs.
    pub models: [String; 2],
    /// Their agreement.
    #[serde(flatten)]
    pub agreement: Agreement,
}

/// Compares runs of the same data, finished or not. Samples are paired by their row and id.
///
/// # Errors
/// Returns an error if a setting is out of range or a run cannot be read; [`AnalyseError::Few`] for
/// fewer than two runs, [`AnalyseError::Different`] for runs of different data,
/// [`AnalyseError::Nothing`] for a run without an explanation, [`AnalyseError::Unpaired`] if no
/// explained sample is common to all.
pub fn compare(runs: &[Run], settings: &AnalyseSettings) -> Result<Comparison> {
    settings.check()?;
    let [first, others @ ..] = runs else {
        return Err(AnalyseError::Few { found: 0 });
    };
    if others.is_empty() {
        return Err(AnalyseError::Few { found: 1 });
    }
    let mut settings_differ = Vec::new();
    for other in others {
        same_data(first, other)?;
        settings_differ.extend(other_settings(first, other));
    }
    let names = names(runs);
    let all: Vec<Samples> = runs
        .iter()
        .map(|run| Samples::read(run, settings.scores))
        .collect::<Result<_>>()?;
    let compared = |((run, samples), name): ((&Run, &Samples), &String)| Compared {
        name: name.clone(),
        counts: Counts::new(run, samples),
        run: run.manifest().clone(),
    };
    let compared: Vec<Compared> = runs.iter().zip(&all).zip(&names).map(compared).collect();
    let (samples, unpaired) = paired(&names, all);
    if samples[0].is_empty() {
        return Err(AnalyseError::Unpaired {
            paths: runs
                .iter()
                .map(|run| run.folder().display().to_string())
                .collect(),
        });
    }
    let mut figures = Figures::default();
    let agreements = agreements(&mut figures, runs, &names, &samples, settings)?;
    of_models(&mut figures, &names, &samples, settings);
    figures.correct();
    let of_measures = MEASURES.iter().map(|m| (m.name, m.meaning));
    Ok(Comparison {
        runs: compared,
        settings_differ,
        statistics: *settings,
        chance_top_iou: chance_iou(settings.top_share),
        definitions: DEFINITIONS.into_iter().chain(of_measures).collect(),
        paired: samples[0].len(),
        unpaired,
        figures,
        agreements,
        samples,
    })
}

/// Returns an error for a run of other data than the first, by content, or of another form of
/// question. The file's name is ignored.
fn same_data(first: &Run, other: &Run) -> Result<()> {
    let expected = &first.manifest().data;
    let mut found = other.manifest().data.clone();
    found.file.clone_from(&expected.file);
    let differences = differences("data", expected, &found);
    if differences.is_empty() {
        return Ok(());
    }
    Err(AnalyseError::Different {
        path: other.folder().display().to_string(),
        first: first.folder().display().to_string(),
        differences: differences
            .into_iter()
            .map(|line| format!("  {line}"))
            .collect(),
    })
}

/// Returns the fields of the settings in which a run differs from the first, with the run's name.
fn other_settings(first: &Run, other: &Run) -> Vec<String> {
    let (expected, found) = (&first.manifest().settings, &other.manifest().settings);
    let lines = differences("settings", expected, found).into_iter();
    lines
        .map(|line| format!("{}: {line}", other.folder().display()))
        .collect()
}

/// Returns the fields in which two values of one type differ, one line each with both values.
fn differences(name: &str, first: &impl Serialize, other: &impl Serialize) -> Vec<String> {
    let first = serde_json::to_value(first).unwrap_or_default();
    let other = serde_json::to_value(other).unwrap_or_default();
    let keys = |value: &serde_json::Value| -> BTreeSet<String> {
        value
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys().cloned())
            .collect()
    };
    let all = keys(&first)
        .into_iter()
        .chain(keys(&other))
        .collect::<BTreeSet<_>>();
    let differ = all
        .into_iter()
        .filter(|key| first.get(key) != other.get(key));
    let value = |of: &serde_json::Value, key: &str| of.get(key).cloned().unwrap_or_default();
    differ
        .map(|key| {
            let (first, other) = (value(&first, &key), value(&other, &key));
            format!("{name}.{key}: {first} in the first run, {other} in this one")
        })
        .collect()
}

/// Returns the names of runs: the last part of their models' names if these are distinct, otherwise
/// the full names, with the run's number if several are equal.
fn names(runs: &[Run]) -> Vec<String> {
    let model = |run: &Run| {
        let model = &run.manifest().model;
        match model.randomized {
            None => model.name.clone(),
            Some(random) => format!("{} ({} random layers)", model.name, random.layers),
        }
    };
    let models: Vec<String> = runs.iter().map(model).collect();
    let last = |model: &String| model.rsplit('/').next().unwrap_or_default().to_string();
    let short: Vec<String> = models.iter().map(last).collect();
    if short.iter().collect::<BTreeSet<_>>().len() == short.len() {
        return short;
    }
    let name = |(at, name): (usize, &String)| {
        let alike = models.iter().filter(|&other| other == name).count();
        if alike == 1 {
            name.to_string()
        } else {
            format!("{name} #{}", at + 1)
        }
    };
    models.iter().enumerate().map(name).collect()
}

/// Splits the samples into those that all runs explain, by run, and the others.
fn paired(names: &[String], all: Vec<Samples>) -> (Vec<Vec<Sample>>, Vec<Unpaired>) {
    type Key = (usize, String);
    let explained = |samples: &Samples| -> BTreeSet<Key> {
        samples
            .explained
            .iter()
            .map(|s| (s.index, s.id.clone()))
            .collect()
    };
    let has: Vec<BTreeSet<Key>> = all.iter().map(explained).collect();
    let failed: Vec<BTreeMap<usize, &String>> = all
        .iter()
        .map(|samples| {
            samples
                .failed
                .iter()
                .map(|(index, _, cause)| (*index, cause))
                .collect()
        })
        .collect();
    let mut keys: BTreeSet<Key> = has.iter().flatten().cloned().collect();
    let of_failed = all.iter().flat_map(|samples| &samples.failed);
    keys.extend(of_failed.map(|(index, id, _)| (*index, id.clone())));
    let mut unpaired = Vec::new();
    for key in &keys {
        let missing: BTreeMap<String, String> = (0..names.len())
            .filter(|&run| !has[run].contains(key))
            .map(|run| {
                let cause = failed[run].get(&key.0).map_or("no record", |cause| cause);
                (names[run].clone(), cause.to_string())
            })
            .collect();
        if !missing.is_empty() {
            let (index, id) = key.clone();
            unpaired.push(Unpaired { index, id, missing });
        }
    }
    let without: BTreeSet<usize> = unpaired.iter().map(|u| u.index).collect();
    let common = |samples: Samples| {
        let explained = samples.explained.into_iter();
        explained.filter(|s| !without.contains(&s.index)).collect()
    };
    (all.into_iter().map(common).collect(), unpaired)
}

/// Returns each pair of runs, by number.
fn pairs(runs: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..runs).flat_map(move |a| (a + 1..runs).map(move |b| (a, b)))
}

/// Computes the agreement of each pair of models' maps, per sample.
fn agreements(
    figures: &mut Figures,
    runs: &[Run],
    names: &[String],
    samples: &[Vec<Sample>],
    settings: &AnalyseSettings,
) -> Result<Vec<Agreed>> {
    let mut agreed = Vec::new();
    for (a, b) in pairs(runs.len()) {
        let (mut first, mut second) = (runs[a].records()?, runs[b].records()?);
        let from = agreed.len();
        for sample in &samples[0] {
            let both = (
                find(&mut first, sample.index)?,
                find(&mut second, sample.index)?,
            );
            let (Some(one), Some(other)) = both else {
                continue;
            };
            // Of several pictures, the runs may have explained others.
            let explained = [a, b].map(|run| runs[run].manifest().settings.explain_image);
            if !one.more_images.is_empty() && explained[0] != explained[1] {
                continue;
            }
            let (Some(one), Some(other)) = (runs[a].mask(&one)?, runs[b].mask(&other)?) else {
                continue;
            };
            if one.pictures() != other.pictures() {
                continue;
            }
            agreed.push(Agreed {
                index: sample.index,
                id: sample.id.clone(),
                models: [names[a].clone(), names[b].clone()],
                agreement: agreement(&one, &other, settings.top_share),
            });
        }
        let of_pair = &agreed[from..];
        let ranks: Vec<f64> = of_pair
            .iter()
            .filter_map(|p| p.agreement.rank_correlation)
            .collect();
        let tops: Vec<f64> = of_pair.iter().map(|p| p.agreement.top_iou).collect();
        let group = format!("{}, {}", names[a], names[b]);
        let lacking = "no sample has a map in both";
        for (name, values) in [("rank_correlation", &ranks), ("top_iou", &tops)] {
            figures.mean(&settings.bootstrap, name, &group, values, lacking);
        }
    }
    Ok(agreed)
}

/// Reads records up to that of sample `index`.
fn find(
    records: &mut impl Iterator<Item = crate::run::Result<Record>>,
    index: usize,
) -> Result<Option<Record>> {
    for record in records {
        let record = record?;
        if record.index == index {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// Adds the measures of each model, and compares each pair of models on the samples that have the
/// measure in both.
fn of_models(
    figures: &mut Figures,
    names: &[String],
    samples: &[Vec<Sample>],
    settings: &AnalyseSettings,
) {
    let plan = &settings.bootstrap;
    for measure in MEASURES.iter().filter(|m| m.of_model) {
        let values: Vec<Vec<Option<f64>>> = samples
            .iter()
            .map(|of_run| of_run.iter().map(|s| measure.value(s)).collect())
            .collect();
        for (name, values) in names.iter().zip(&values) {
            let values: Vec<f64> = values.iter().flatten().copied().collect();
            figures.mean(plan, measure.name, name, &values, measure.lacking);
        }
        for (a, b) in pairs(names.len()) {
            let both = values[a].iter().zip(&values[b]);
            let (one, other): (Vec<f64>, Vec<f64>) = both.filter_map(|(x, y)| (*x).zip(*y)).unzip();
            let groups = [names[a].clone(), names[b].clone()];
            if one.is_empty() {
                let group = groups.join(", ");
                figures.leave_out(measure.name, &group, "no sample has it in both");
                continue;
            }
            let test = paired_test(measure, &one, &other);
            let sides = Sides {
                name: measure.name,
                groups,
            };
            figures.pairs(plan, sides, &one, &other, test);
        }
    }
}

fn paired_test(measure: &Measure, a: &[f64], b: &[f64]) -> super::statistics::Test {
    let pairs = a.iter().zip(b);
    match measure.kind {
        MeasureKind::Share(_) => {
            let count = |larger: fn(f64, f64) -> bool| {
                pairs.clone().filter(|(x, y)| larger(**x, **y)).count()
            };
            mcnemar(count(|x, y| x > y) as u64, count(|x, y| x < y) as u64)
        }
        MeasureKind::Number(_) => signed_rank(&pairs.map(|(x, y)| x - y).collect::<Vec<_>>()),
    }
}

//! The measures of a sample that are averaged, tabulated and tested.

use super::Sample;

/// The value of a measure for a sample.
#[derive(Clone, Copy)]
pub(super) enum MeasureKind {
    /// Yes or no.
    Share(fn(&Sample) -> Option<bool>),
    /// A number.
    Number(fn(&Sample) -> Option<f64>),
}

/// A measure.
pub(super) struct Measure {
    /// Its name in the JSON and the table.
    pub name: &'static str,
    /// Its definition.
    pub meaning: &'static str,
    /// The reason why a sample may lack it.
    pub lacking: &'static str,
    /// Whether it depends on the model, so that models can be compared by it.
    pub of_model: bool,
    pub kind: MeasureKind,
}

impl Measure {
    /// Returns its value, 1 for yes.
    pub fn value(&self, sample: &Sample) -> Option<f64> {
        match self.kind {
            MeasureKind::Share(of) => of(sample).map(|yes| f64::from(u8::from(yes))),
            MeasureKind::Number(of) => of(sample),
        }
    }
}

const NO_MAP: &str = "no answer depends on the picture, so that there is no map";
const NO_SCORE: &str = "no scores: the run was made without curves, or picture and baseline give \
                        nearly the same probability";
const NO_TEST: &str = "no answer depends on the picture, so that there is no map, the baseline \
                       keeps every answer, or the run was made before maps were tested";
const NO_BOX: &str =
    "no sample has both a map and a box within its picture, or a mask of the evidence";

/// Whether the answer is right.
pub(super) const CORRECT: Measure = Measure {
    name: "correct",
    meaning: "share of the answers that are right, of those that can be judged",
    lacking: "no answer can be judged: the data have no right answers, or none \
              short enough to be looked for",
    of_model: true,
    kind: MeasureKind::Share(|s| s.correct),
};

/// All measures, in the order of the tables.
pub(super) const MEASURES: [Measure; 15] = [
    CORRECT,
    Measure {
        name: "image_dependent",
        meaning: "share of the answers that depend on the picture, that is, have a key token",
        lacking: "no sample is explained",
        of_model: true,
        kind: MeasureKind::Share(|s| Some(s.image_dependent)),
    },
    Measure {
        name: "log_ratio",
        meaning: "mean log-ratio of an answer's tokens, log p(token | picture) - log \
                  p(token | baseline), in nats",
        lacking: "no sample is explained",
        of_model: true,
        kind: MeasureKind::Number(|s| Some(s.log_ratio)),
    },
    Measure {
        name: "mean_saliency",
        meaning: "mean of 1 - mask over its cells",
        lacking: NO_MAP,
        of_model: true,
        kind: MeasureKind::Number(|s| s.mean_saliency),
    },
    Measure {
        name: "focus_area",
        meaning: "smallest share of the mask's cells that holds half of the saliency",
        lacking: NO_MAP,
        of_model: true,
        kind: MeasureKind::Number(|s| s.focus_area),
    },
    Measure {
        name: "deletion",
        meaning: "normalised area under the deletion curve; low is good",
        lacking: NO_SCORE,
        of_model: true,
        kind: MeasureKind::Number(|s| s.deletion),
    },
    Measure {
        name: "insertion",
        meaning: "normalised area under the insertion curve; high is good",
        lacking: NO_SCORE,
        of_model: true,
        kind: MeasureKind::Number(|s| s.insertion),
    },
    Measure {
        name: "flipped",
        meaning: "share of the answers that are lost without the most salient eighth of the cells: \
                  a key token is less than half as probable as with the whole picture",
        lacking: NO_TEST,
        of_model: true,
        kind: MeasureKind::Share(|s| s.flipped),
    },
    Measure {
        name: "kept",
        meaning: "share of the answers that this eighth alone keeps: every key token is at least \
                  half as probable",
        lacking: NO_TEST,
        of_model: true,
        kind: MeasureKind::Share(|s| s.kept),
    },
    Measure {
        name: "region",
        meaning: "smallest share of the cells, the most salient first, that keeps the answer; low \
                  is good",
        lacking: NO_TEST,
        of_model: true,
        kind: MeasureKind::Number(|s| s.region),
    },
    Measure {
        name: "peak_in_box",
        meaning: "share of the maps whose maximum, the first of equal ones, lies in the evidence \
                  (the mask of the evidence, or else a box), 2 pixels of slack allowed",
        lacking: NO_BOX,
        of_model: true,
        kind: MeasureKind::Share(|s| s.pointing.map(|p| p.peak)),
    },
    Measure {
        name: "mass_in_box",
        meaning: "share of the saliency that lies in the evidence",
        lacking: NO_BOX,
        of_model: true,
        kind: MeasureKind::Number(|s| s.pointing.map(|p| p.mass)),
    },
    Measure {
        name: "best_iou",
        meaning: "largest intersection over union of the evidence with the map above a \
                  threshold, over all thresholds",
        lacking: NO_BOX,
        of_model: true,
        kind: MeasureKind::Number(|s| s.pointing.map(|p| p.best_iou)),
    },
    Measure {
        name: "auprc",
        meaning: "area under the precision-recall curve (average precision) of the pixels, ranked \
                  by the map, against the evidence; chance gives about box_area",
        lacking: NO_BOX,
        of_model: true,
        kind: MeasureKind::Number(|s| s.pointing.map(|p| p.auprc)),
    },
    Measure {
        name: "box_area",
        meaning: "share of the picture that the evidence covers, which is the mass \
                  that chance would put there",
        lacking: NO_BOX,
        of_model: false,
        kind: MeasureKind::Number(|s| s.pointing.map(|p| p.area)),
    },
];

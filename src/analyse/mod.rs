//! Statistics over the records of runs: for one run, whether its answers depend on the picture and
//! where the model looks when it is right and when it is wrong ([`analyse`]); for several runs on
//! the same data, whether the models look at the same places and how they differ ([`compare`]).
//! Every figure has its number of samples and a bootstrap interval, every contrast a test.
//! `docs/analyses.md` and `docs/metrics.md` define the measures.

mod analysis;
mod comparison;
mod error;
mod figures;
mod histogram;
mod map;
mod measures;
mod plots;
mod pointing;
mod sample;
mod settings;
mod statistics;

pub use analysis::{Analysis, Counts, analyse};
pub use comparison::{Agreed, Compared, Comparison, Unpaired, compare};
pub use error::AnalyseError;
pub use figures::{Contrast, Figure, Figures, LeftOut};
pub use histogram::Histogram;
pub use map::{Agreement, agreement, chance_iou, focus_area, mean_saliency};
pub use plots::Plot;
pub use pointing::{Pointing, pointing};
pub use sample::{Sample, Samples};
pub use settings::{AnalyseSettings, Scores};
pub use statistics::{Bootstrap, Estimate, Test};

/// Result of the operations of this module.
pub type Result<T> = std::result::Result<T, AnalyseError>;

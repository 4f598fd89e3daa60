//! Pictures of explanations: the map over the picture ([`overlay()`]), the map alone
//! ([`saliency_grey`]), the maps of single words ([`each()`]), the deletion and insertion curves
//! ([`curves()`]), the objective over the iterations ([`losses()`]), the answer's words
//! ([`tokens()`]); and for many explanations, distributions ([`histogram()`]) and values with their
//! intervals ([`intervals()`]). Each is drawn in memory, with an embedded font; [`png()`] encodes
//! it as a file. [`explanation_files`] draws all of one explanation. [`html`] writes a whole run as one page.

mod canvas;
mod colour;
mod curves;
mod each;
mod error;
mod explanation;
mod font;
mod histogram;
pub mod html;
mod intervals;
mod layout;
mod losses;
mod overlay;
mod png;
mod reduced;
mod tokens;

#[cfg(test)]
mod tests;

pub use curves::{CurvesPlot, curves};
pub use each::{EachPanel, each};
pub use error::ReportError;
pub use explanation::{
    explanation_file_names, explanation_files, explanation_overlays, mask_overlay,
};
pub use histogram::{HistogramPlot, histogram};
pub use intervals::{Interval, IntervalsPanel, intervals};
pub use losses::losses;
pub use overlay::{Outline, overlay, saliency, saliency_grey};
pub use png::png;
pub use reduced::reduced;
pub use tokens::{TokenShade, tokens};

/// Result of drawing.
pub type Result<T> = std::result::Result<T, ReportError>;

//! What can go wrong when drawing.

/// Errors of drawing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Values that do not fit together.
    #[error("{what}: expected {expected} values, found {found}")]
    Length {
        /// Which values.
        what: &'static str,
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// A picture or map with a side of 0, or one larger than memory can address.
    #[error("{what}: expected sides of at least 1 that memory can hold, found {width} x {height}")]
    Size {
        /// Which picture or map.
        what: &'static str,
        /// Its columns.
        width: usize,
        /// Its rows.
        height: usize,
    },
    /// Numbers that no axis can show.
    #[error("{what}: expected finite numbers within 1e15 that lie apart, found {low} to {high}")]
    Axis {
        /// Which axis.
        what: &'static str,
        /// The lowest number.
        low: f64,
        /// The highest number.
        high: f64,
    },
    /// A plot that could not be drawn.
    #[error("plot: could not be drawn: {reason}")]
    Plot {
        /// The plotting library's reason.
        reason: String,
    },
    /// A picture that could not be encoded.
    #[error("picture: could not be encoded as PNG: {reason}")]
    Encode {
        /// The encoder's reason.
        reason: String,
    },
    /// A page that could not be written.
    #[error("page: could not be written: {reason}")]
    Page {
        /// The system's reason, or the template's or encoder's.
        reason: String,
    },
}

impl ReportError {
    /// A page that could not be written, for `map_err`.
    pub(super) fn page<E: ToString>(error: E) -> ReportError {
        ReportError::Page {
            reason: error.to_string(),
        }
    }
}

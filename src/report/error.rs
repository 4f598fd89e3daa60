//! Errors of drawing.

/// An error of drawing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Numbers of values do not match.
    #[error("{what}: expected {expected} values, found {found}")]
    Length {
        /// The name of the values.
        what: &'static str,
        /// The expected number.
        expected: usize,
        /// The number found.
        found: usize,
    },
    /// A picture or map has a side of 0, or is larger than memory can address.
    #[error("{what}: expected sides of at least 1 that memory can hold, found {width} x {height}")]
    Size {
        /// The name of the picture or map.
        what: &'static str,
        /// Its width.
        width: usize,
        /// Its height.
        height: usize,
    },
    /// The numbers cannot be shown on an axis.
    #[error("{what}: expected finite numbers within 1e15 that lie apart, found {low} to {high}")]
    Axis {
        /// The name of the axis.
        what: &'static str,
        /// The lowest number.
        low: f64,
        /// The highest number.
        high: f64,
    },
    /// A plot could not be drawn.
    #[error("plot: could not be drawn: {reason}")]
    Plot {
        /// The plotting library's reason.
        reason: String,
    },
    /// A picture could not be encoded.
    #[error("picture: could not be encoded as PNG: {reason}")]
    Encode {
        /// The encoder's reason.
        reason: String,
    },
    /// A page could not be written.
    #[error("page: could not be written: {reason}")]
    Page {
        /// The system's reason, or the template's or encoder's.
        reason: String,
    },
}

impl ReportError {
    /// Converts an error to that of a page that could not be written, for `map_err`.
    pub(crate) fn page<E: ToString>(error: E) -> ReportError {
        ReportError::Page {
            reason: error.to_string(),
        }
    }
}

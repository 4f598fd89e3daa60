//! The algorithms that a trial refused, and why.

use serde::{Deserialize, Serialize};

use crate::device::cuda::cublaslt::Configuration;

/// Number of the library's algorithms that are tried.
pub const CANDIDATES: usize = 4;

/// An algorithm that may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    pub algorithm: Configuration,
    pub why: Refusal,
}

/// The reason why an algorithm may not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// It cannot compute a product of this number of rows.
    Rows(usize),
    /// With this number of rows, a row has other bits than with more.
    Bits(usize),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.why {
            Refusal::Rows(m) => write!(f, "{} (does not take m = {m})", self.algorithm),
            Refusal::Bits(m) => write!(f, "{} (other bits at m = {m})", self.algorithm),
        }
    }
}

/// The algorithms that the library suggested for a shape.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggested {
    count: usize,
    refused: [Option<Refused>; CANDIDATES],
}

impl Suggested {
    pub const NONE: Suggested = Suggested {
        count: 0,
        refused: [None; CANDIDATES],
    };

    /// Adds one; it may be refused.
    pub fn add(&mut self, refused: Option<Refused>) {
        if let Some(place) = self.refused.get_mut(self.count) {
            *place = refused;
        }
        self.count += 1;
    }
}

impl std::fmt::Display for Suggested {
    /// Formats as in `; 1 of 4 refused: algorithm 66 tile 20 stages 11 (other bits at m = 1)`;
    /// nothing if none is refused.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused: Vec<String> = self
            .refused
            .iter()
            .flatten()
            .map(Refused::to_string)
            .collect();
        if refused.is_empty() {
            return Ok(());
        }
        let (number, all) = (refused.len(), self.count);
        write!(f, "; {number} of {all} refused: {}", refused.join(", "))
    }
}

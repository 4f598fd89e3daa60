//! Noise on blends.

/// Gaussian noise added to a blend, from a counter-based generator: the same seed and stream give
/// the same noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Standard deviation in the processor's normalised space.
    pub deviation: f64,
    /// The run's seed.
    pub seed: u64,
    /// Distinct for every blend of a run.
    pub stream: u64,
}

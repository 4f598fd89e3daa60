//! The parts of a model by which costs are counted.

/// The parts of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// Blending the two pictures, and the gradient back to the masks.
    Blend,
    /// Vision encoders.
    #[default]
    Vision,
    /// The layers between encoders and decoder.
    Projector,
    /// The decoder with its token embeddings.
    Decoder,
    /// The vocabulary projection.
    Vocabulary,
}

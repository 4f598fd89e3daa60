//! Granite's multipliers.

use crate::checkpoint::{CheckpointError, Fields};

/// Factors of a decoder's rows, scores and layers, after `transformers`' `GraniteConfig`. Its
/// `logits_scaling` is not among them: the head of transformers' LLaVA classes does not read it.
///
/// The layers' own factor costs nothing: with every row divided by it, a layer adds its output as
/// it is, and a norm, which is blind to its input's size, only needs another epsilon.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Multipliers {
    /// Of the rows that enter, the picture's too.
    embedding: f64,
    /// Of the scores, in place of one over the square root of `head_dim`.
    attention: Option<f64>,
    /// Of what attention and the perceptron add.
    residual: f64,
}

impl Multipliers {
    /// Those of other decoders.
    pub const NONE: Multipliers = Multipliers {
        embedding: 1.0,
        attention: None,
        residual: 1.0,
    };

    /// Reads the fields.
    ///
    /// # Errors
    /// [`CheckpointError::Config`].
    pub fn read(fields: &Fields) -> Result<Self, CheckpointError> {
        let factor = |name: &str| {
            let factor = fields.positive(name)?.unwrap_or(1.0);
            match (1e-6..=1e6).contains(&factor) {
                true => Ok(factor),
                false => Err(fields.error(name, factor, "a number from 0.000001 to 1000000")),
            }
        };
        Ok(Multipliers {
            embedding: factor("embedding_multiplier")?,
            attention: Some(factor("attention_multiplier")?),
            residual: factor("residual_multiplier")?,
        })
    }

    /// Returns the factor of rows that enter.
    pub fn rows(self) -> f64 {
        self.embedding / self.residual
    }

    /// Returns what is added to the mean square in a norm of such rows.
    pub fn eps(self, eps: f64) -> f64 {
        eps / self.residual.powi(2)
    }

    /// Returns the factor of the scores, beside one over the square root of `head_dim`.
    pub fn query(self, head_dim: usize) -> f64 {
        self.attention
            .map_or(1.0, |factor| factor * (head_dim as f64).sqrt())
    }
}

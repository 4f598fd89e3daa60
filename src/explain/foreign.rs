//! The method on a model that foveate does not run.

use std::ops::ControlFlow;

use super::{ExplainError, Iteration, Mask, Progress, Result, Settings, Stage};
use crate::lvlm::{ForeignModel, ForeignPictures, ForeignScorer};

/// The mask of a foreign model's score.
#[derive(Clone, Debug, PartialEq)]
pub struct Attributed {
    /// The mask; 1 keeps the picture.
    pub mask: Mask,
    /// The objective before each update.
    pub iterations: Vec<Iteration>,
    /// Number of pictures that the model scored.
    pub evaluations: usize,
}

/// An error of an attribution.
#[derive(Debug)]
pub enum AttributionError<E> {
    /// The model returned an error.
    Model(E),
    /// The method failed.
    Explain(ExplainError),
}

/// Finds the part of a picture that a score depends on, by the method of `settings`, in batches of
/// at most `batch` pictures.
///
/// ```
/// use foveate::{ForeignModel, ForeignPictures, Settings, Silent, attribute};
///
/// /// Scores the first pixel.
/// struct Corner;
///
/// impl ForeignModel for Corner {
///     type Error = std::convert::Infallible;
///     fn scores(&self, batch: Vec<f32>, count: usize) -> Result<Vec<f64>, Self::Error> {
///         let pictures = batch.chunks(batch.len() / count);
///         Ok(pictures.map(|pixels| f64::from(pixels[0]) - 1.0).collect())
///     }
///     fn gradients(
///         &self,
///         batch: Vec<f32>,
///         count: usize,
///     ) -> Result<(Vec<f64>, Vec<f32>), Self::Error> {
///         let mut gradients = vec![0.0; batch.len()];
///         gradients.iter_mut().step_by(batch.len() / count).for_each(|g| *g = 1.0);
///         Ok((self.scores(batch, count)?, gradients))
///     }
/// }
///
/// let pictures = ForeignPictures {
///     height: 4,
///     width: 4,
///     picture: &[1.0; 48],
///     baseline: &[0.0; 48],
///     visual_tokens: 16,
/// };
/// let settings = Settings { mask_size: 4, ..Settings::default() };
/// let found = attribute(&Corner, pictures, &settings, 8, &mut Silent).unwrap();
/// assert_eq!(found.mask.ascending()[0], 0);
/// ```
///
/// # Errors
/// [`AttributionError::Model`] with the model's error; [`AttributionError::Explain`] if a setting is
/// out of range, the pictures do not have the size that they say, or a score is not finite, and
/// with [`ExplainError::Cancelled`] if `progress` stops it.
pub fn attribute<M: ForeignModel>(
    model: &M,
    pictures: ForeignPictures,
    settings: &Settings,
    batch: usize,
    progress: &mut dyn Progress,
) -> std::result::Result<Attributed, AttributionError<M::Error>> {
    let found = || -> Result<_> {
        settings.validate()?;
        settings.explains_among(1)?;
        Ok(ForeignScorer::new(
            model,
            pictures,
            settings.mask_size,
            batch,
        )?)
    };
    let scorer = found().map_err(AttributionError::Explain)?;
    let method = settings.method.with(settings);
    progress.begin(Stage::Optimise, method.schedule(1).evaluations());
    let (mut iterations, mut evaluations) = (Vec::new(), 0);
    let mask = method.run(
        &scorer,
        &[0],
        &mut |count| {
            evaluations += count;
            progress.advance(count);
            match progress.cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        },
        &mut |_, parts, _| iterations.push(parts),
    );
    match (mask, scorer.failure()) {
        (_, Some(error)) => Err(AttributionError::Model(error)),
        (Err(error), None) => Err(AttributionError::Explain(error)),
        (Ok(mask), None) => Ok(Attributed {
            mask,
            iterations,
            evaluations,
        }),
    }
}

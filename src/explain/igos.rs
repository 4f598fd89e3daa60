//! iGOS+ and iGOS++: integrated gradients along the path, a mask that follows them.

use serde::{Deserialize, Serialize};

use super::objective::Objective;
use super::optimiser::{Nesterov, line_search};
use super::{ExplainError, Mask, Method, OptimizerKind, Regulariser, Result, Settings};
use crate::lvlm::{Callback, Session};

/// The parts of the objective before one update.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iteration {
    /// D(M): the mean score while the picture is removed.
    pub deletion: f64,
    /// R(M): the mean score while it is revealed.
    pub insertion: f64,
    /// The regulariser.
    pub regulariser: f64,
}

/// Optimises the mask of `keys`, calling `each` with every iteration's number, parts and resulting mask.
///
/// # Errors
/// A setting outside its range, what the session reports.
pub fn igos(
    session: &dyn Session,
    keys: &[usize],
    settings: &Settings,
    evaluated: &mut Callback,
    each: &mut dyn FnMut(usize, Iteration, &Mask),
) -> Result<Mask> {
    let (view, pixels) = session.first_view();
    let regulariser = Regulariser::new(
        view,
        pixels,
        [settings.l1, settings.l2, settings.l3],
        settings.gamma,
    )?
    .behind(session.resampling());
    let objective = Objective {
        session,
        regulariser: &regulariser,
        settings,
        keys,
    };
    settings.validate()?;
    let cells = settings.mask_size * settings.mask_size;
    let count = match settings.method {
        Method::IgosPlus => 1,
        Method::IgosPlusPlus => 2,
    };
    let mut masks = vec![Mask::new(settings.mask_size, vec![1.0; cells])?; count];
    let mut nesterov: Vec<_> = (0..count)
        .map(|_| Nesterov::new(settings.lr, settings.momentum, cells))
        .collect();
    for i in 0..settings.iterations {
        let at = objective.evaluate(&masks, i, true, true, evaluated)?;
        masks = match settings.optimizer {
            OptimizerKind::Nag => {
                let steps = nesterov.iter_mut().zip(&masks).zip(&at.gradients);
                steps
                    .map(|((nesterov, mask), gradient)| nesterov.step(mask, gradient, i))
                    .collect()
            }
            OptimizerKind::LineSearch => {
                let start = if settings.noise > 0.0 {
                    objective.evaluate(&masks, i, false, false, evaluated)?.loss
                } else {
                    at.loss
                };
                line_search(&masks, &at.gradients, settings.lr, start, |masks| {
                    Ok::<_, ExplainError>(
                        objective.evaluate(masks, i, false, false, evaluated)?.loss,
                    )
                })?
            }
        };
        let parts = Iteration {
            deletion: at.deletion,
            insertion: at.insertion,
            regulariser: at.regulariser,
        };
        each(i, parts, &Objective::result(&masks));
    }
    Ok(Objective::result(&masks))
}

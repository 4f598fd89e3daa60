//! Updates of a mask from its gradient.

use crate::explain::Mask;

/// Nesterov's accelerated gradient for one mask: `c_i = M - lr * gradient`, `M = clamp(c_i + i /
/// (i + momentum) * (c_i - c_(i-1)), 0, 1)`, with `c_(-1) = 0`.
pub(in crate::explain) struct Nesterov {
    lr: f64,
    momentum: f64,
    previous: Vec<f64>,
}

impl Nesterov {
    pub fn new(lr: f64, momentum: f64, cells: usize) -> Nesterov {
        Nesterov {
            lr,
            momentum,
            previous: vec![0.0; cells],
        }
    }

    /// Returns the mask after iteration `i`.
    pub fn step(&mut self, mask: &Mask, gradient: &[f64], iteration: usize) -> Mask {
        let carried = iteration as f64 / (iteration as f64 + self.momentum);
        let current: Vec<f64> = mask
            .values()
            .iter()
            .zip(gradient)
            .map(|(m, g)| m - self.lr * g)
            .collect();
        let next = mask.mapped(|cell, _| {
            let (c, p) = (current[cell], self.previous[cell]);
            c + carried * (c - p)
        });
        self.previous = current;
        next
    }
}

/// The factor by which a line search shrinks its step.
const SHRINK: f64 = 0.2;
/// The fraction of the first-order decrease that a step must achieve (Armijo's condition).
const DECREASE: f64 = 1e-4;
/// The step size below which the search ends.
const SMALLEST: f64 = 1e-5;

/// Performs a backtracking line search over all masks at once. `loss` is without noise; `start` is
/// the loss at `masks`.
pub(in crate::explain) fn line_search<E>(
    masks: &[Mask],
    gradients: &[Vec<f64>],
    lr: f64,
    start: f64,
    mut loss: impl FnMut(&[Mask]) -> Result<f64, E>,
) -> Result<Vec<Mask>, E> {
    let squared: f64 = gradients.iter().flatten().map(|g| g * g).sum();
    let mut step = lr;
    loop {
        let moved =
            |(mask, gradient): (&Mask, &Vec<f64>)| mask.mapped(|cell, m| m - step * gradient[cell]);
        let next: Vec<Mask> = masks.iter().zip(gradients).map(moved).collect();
        if step < SMALLEST || start - loss(&next)? >= DECREASE * step * squared {
            return Ok(next);
        }
        step *= SHRINK;
    }
}

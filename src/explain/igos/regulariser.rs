//! The regulariser, which keeps a mask small and smooth, and its gradient.

use serde::{Deserialize, Serialize};

use crate::blend::View;
use crate::explain::{ExplainError, Mask, Result};
use crate::lvlm::Resampling;

/// Width of the bilateral weights in normalised pixel values.
const SIGMA: f64 = 0.01;

/// The regulariser, for one picture or for any.
pub struct Regulariser {
    /// The picture whose edges the total variation avoids; without one it is that of the mask.
    picture: Option<Edges>,
    /// Weight of the mask's mean distance from 1.
    l1: f64,
    /// Weight of the decaying quadratic term.
    l2: f64,
    /// Weight of the total variation.
    l3: f64,
    /// Decay of the quadratic term.
    gamma: f64,
}

/// The terms of the regulariser, each times its weight: their sum is its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// `l1 mean|1 - M|`.
    pub l1: f64,
    /// `l2 exp(-gamma i) sum (1 - M)^2`; 0 if the method has no such term.
    pub l2: f64,
    /// `l3 TV(M)`.
    pub l3: f64,
}

/// The edges of a picture in one view.
struct Edges {
    view: View,
    /// The resampling of a mask before the view samples it, if any.
    resampling: Option<Resampling>,
    /// Weights of the step from row i to i + 1, `(h - 1) x w`: channels averaged before the square.
    down: Vec<f64>,
    /// Weights of the step from column j to j + 1, `h x (w - 1)`: channels averaged after the
    /// exponential.
    across: Vec<f64>,
}

impl Regulariser {
    /// Creates the regulariser for the first view of a picture, `3 x height x width`, normalised.
    /// `l` holds l1, l2, l3.
    ///
    /// # Errors
    /// Returns [`ExplainError::Pixels`] if the number of pixels differs from the view's.
    pub fn new(view: &View, pixels: &[f32], l: [f64; 3], gamma: f64) -> Result<Regulariser> {
        let (h, w) = (view.height, view.width);
        if h.checked_mul(w).and_then(|n| n.checked_mul(3)) != Some(pixels.len()) {
            return Err(ExplainError::Pixels {
                height: h,
                width: w,
                found: pixels.len(),
            });
        }
        let at = |c: usize, i: usize, j: usize| f64::from(pixels[(c * h + i) * w + j]);
        let mut down = Vec::with_capacity(h.saturating_sub(1) * w);
        for i in 0..h.saturating_sub(1) {
            for j in 0..w {
                let mean = (0..3).map(|c| at(c, i, j) - at(c, i + 1, j)).sum::<f64>() / 3.0;
                down.push((-mean * mean / SIGMA).exp());
            }
        }
        let mut across = Vec::with_capacity(h * w.saturating_sub(1));
        for i in 0..h {
            for j in 0..w.saturating_sub(1) {
                let weight = |c| (-(at(c, i, j) - at(c, i, j + 1)).powi(2) / SIGMA).exp();
                across.push((0..3).map(weight).sum::<f64>() / 3.0);
            }
        }
        Ok(Regulariser {
            picture: Some(Edges {
                view: *view,
                resampling: None,
                down,
                across,
            }),
            l1: l[0],
            l2: l[1],
            l3: l[2],
            gamma,
        })
    }

    /// Creates the regulariser of iGOS: `l1 mean|1 - M| + l3 TV(M)`, the same for every picture.
    pub fn of_mask(l1: f64, l3: f64) -> Regulariser {
        Regulariser {
            picture: None,
            l1,
            l2: 0.0,
            l3,
            gamma: 0.0,
        }
    }

    /// Returns the regulariser for a view that samples a resampled mask, as described in
    /// [`crate::lvlm::Scorer::resampling`].
    #[must_use]
    pub fn with_resampling(self, resampling: Option<&Resampling>) -> Regulariser {
        let picture = self.picture.map(|edges| Edges {
            resampling: resampling.cloned(),
            ..edges
        });
        Regulariser { picture, ..self }
    }

    /// Returns `l1 mean|1 - M| + l3 TV(M) + l2 exp(-gamma i) sum (1 - M)^2` and its gradient, at
    /// iteration i. TV is the bilateral total variation of a picture's regulariser.
    pub fn value_and_gradient(&self, mask: &Mask, iteration: usize) -> (f64, Vec<f64>) {
        let (value, _, gradient) = self.evaluate(mask, iteration);
        (value, gradient)
    }

    /// Returns the value, its terms, and the gradient.
    pub(in crate::explain) fn evaluate(
        &self,
        mask: &Mask,
        iteration: usize,
    ) -> (f64, Terms, Vec<f64>) {
        let m = mask.values();
        let cells = m.len() as f64;
        let decayed = self.l2 * (-self.gamma * iteration as f64).exp();
        let (variation, mut gradient) = self.total_variation(mask);
        let mut terms = Terms {
            l1: 0.0,
            l2: 0.0,
            l3: self.l3 * variation,
        };
        let mut value = terms.l3;
        for (g, &m) in gradient.iter_mut().zip(m) {
            let away = 1.0 - m;
            let (distance, quadratic) = (self.l1 * away / cells, decayed * away * away);
            value += distance + quadratic;
            terms.l1 += distance;
            terms.l2 += quadratic;
            // The absolute value has no derivative at M = 1: 0 is used.
            let slope = if away > 0.0 { 1.0 } else { 0.0 };
            *g = self.l3 * *g - self.l1 * slope / cells - 2.0 * decayed * away;
        }
        (value, terms, gradient)
    }

    /// Returns the total variation of the mask, and its gradient: `mean (M[i,j] - M[i+1,j])^2 +
    /// mean (M[i,j] - M[i,j+1])^2`. A picture's regulariser has the bilateral total variation, half
    /// of that of the mask, and of the mask as the view samples it, weighted by the picture's own
    /// edges.
    pub fn total_variation(&self, mask: &Mask) -> (f64, Vec<f64>) {
        let size = mask.size();
        let mut gradient = vec![0.0; size * size];
        let mut value = variation(mask.values(), size, size, None, &mut gradient);
        let Some(edges) = &self.picture else {
            gradient.iter_mut().for_each(|g| *g *= 2.0);
            return (2.0 * value, gradient);
        };
        let (h, w) = (edges.view.height, edges.view.width);
        let made = edges
            .resampling
            .as_ref()
            .map(|r| (r.square(mask.values()), r.side()));
        let (cells, side) = match &made {
            Some((square, side)) => (&square[..], *side),
            None => (mask.values(), size),
        };
        let sampled = edges.view.sampled(cells, side);
        let mut d_sampled = vec![0.0; h * w];
        value += variation(
            &sampled,
            h,
            w,
            Some((&edges.down, &edges.across)),
            &mut d_sampled,
        );
        match &edges.resampling {
            None => edges.view.accumulate(&d_sampled, size, &mut gradient),
            Some(resampling) => {
                let mut d_square = vec![0.0; side * side];
                edges.view.accumulate(&d_sampled, side, &mut d_square);
                let d_mask = resampling.adjoint(&d_square);
                gradient.iter_mut().zip(d_mask).for_each(|(g, d)| *g += d);
            }
        }
        (value, gradient)
    }
}

/// Returns `0.5 * (mean wv (u[i,j] - u[i+1,j])^2 + mean wh (u[i,j] - u[i,j+1])^2)`, and adds its
/// gradient to `gradient`. A mean over nothing is 0.
fn variation(
    u: &[f64],
    h: usize,
    w: usize,
    weights: Option<(&[f64], &[f64])>,
    gradient: &mut [f64],
) -> f64 {
    let mut value = 0.0;
    let mut step = |from: usize, to: usize, weight: f64, count: usize| {
        let (d, scale) = (u[from] - u[to], weight / count as f64);
        value += 0.5 * scale * d * d;
        gradient[from] += scale * d;
        gradient[to] -= scale * d;
    };
    for i in 0..h.saturating_sub(1) {
        for j in 0..w {
            let at = i * w + j;
            step(
                at,
                at + w,
                weights.map_or(1.0, |(down, _)| down[at]),
                (h - 1) * w,
            );
        }
    }
    for i in 0..h {
        for j in 0..w.saturating_sub(1) {
            let weight = weights.map_or(1.0, |(_, across)| across[i * (w - 1) + j]);
            step(i * w + j, i * w + j + 1, weight, h * (w - 1));
        }
    }
    value
}

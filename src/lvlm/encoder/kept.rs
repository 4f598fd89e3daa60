//! Hidden states of several layers, side by side, as features.

use std::cell::RefCell;

use crate::device::{Device, Matrix};
use crate::nn::{BlockHook, Result};

/// Keeps the hidden states of some layers, or gives them their gradients.
pub(super) struct Kept<D: Device> {
    /// The numbers of the hidden states, in the order of the features: 0 is before the first layer.
    states: Vec<usize>,
    pass: Pass<D>,
}

enum Pass<D: Device> {
    /// Forward: the states so far, with their numbers.
    Forward(RefCell<Vec<(usize, D::Matrix)>>),
    /// Back: the gradient of the features.
    Back(D::Matrix),
}

impl<D: Device> Kept<D> {
    /// Creates the hook of a forward pass.
    pub fn forward(states: &[usize]) -> Kept<D> {
        Kept {
            states: states.to_vec(),
            pass: Pass::Forward(RefCell::default()),
        }
    }

    /// Creates the hook of a vjp, given the gradient of what [`Kept::join`] returned. Returns with
    /// it the gradient of hidden state `last`, which the stack gets from outside.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn back(
        device: &D,
        states: &[usize],
        gradient: D::Matrix,
        last: usize,
    ) -> Result<(Kept<D>, D::Matrix)> {
        let width = gradient.columns() / states.len().max(1);
        let mut places = places(states, last);
        let mut sum = match places.next() {
            Some(place) => device.take_columns(&gradient, place * width, width)?,
            None => device.zeros(gradient.rows(), width)?,
        };
        for place in places {
            let own = device.take_columns(&gradient, place * width, width)?;
            sum = device.add(&sum, &own)?;
        }
        let kept = Kept {
            states: states.to_vec(),
            pass: Pass::Back(gradient),
        };
        Ok((kept, sum))
    }

    /// Keeps a copy of hidden state `n`, if it is one of the features.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn keep(&self, device: &D, n: usize, x: &D::Matrix) -> Result<()> {
        if let Pass::Forward(kept) = &self.pass
            && self.states.contains(&n)
        {
            let own = device.take_columns(x, 0, x.columns())?;
            kept.borrow_mut().push((n, own));
        }
        Ok(())
    }

    /// Joins the states that were kept, side by side.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn join(self, device: &D) -> Result<D::Matrix> {
        let kept = match self.pass {
            Pass::Forward(kept) => kept.into_inner(),
            Pass::Back(_) => Vec::new(),
        };
        let of = |n: &usize| kept.iter().find(|(number, _)| number == n);
        let parts: Vec<&D::Matrix> = self.states.iter().filter_map(of).map(|(_, x)| x).collect();
        Ok(device.join_columns(&parts)?)
    }

    /// Returns `dy` and the gradient of hidden state `n` as a feature, together.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn with_gradient(&self, device: &D, n: usize, mut dy: D::Matrix) -> Result<D::Matrix> {
        if let Pass::Back(gradient) = &self.pass {
            let width = gradient.columns() / self.states.len();
            for place in places(&self.states, n) {
                let own = device.take_columns(gradient, place * width, width)?;
                dy = device.add(&dy, &own)?;
            }
        }
        Ok(dy)
    }
}

/// Returns the places of hidden state `n` among the features.
fn places(states: &[usize], n: usize) -> impl Iterator<Item = usize> {
    let states = states.iter().enumerate();
    states.filter_map(move |(place, own)| (*own == n).then_some(place))
}

impl<D: Device> BlockHook<D> for Kept<D> {
    type Saved = ();
    type Gradients = ();

    /// The stack's own output is kept, and gets its gradient, outside.
    fn changes(&self, i: usize) -> bool {
        self.states.contains(&(i + 1)) && self.states.iter().any(|n| *n > i + 1)
    }

    fn reads(&self, i: usize) -> bool {
        self.changes(i)
    }

    fn mixes(&self, _: usize) -> bool {
        false
    }

    fn forward(&self, device: &D, i: usize, x: D::Matrix) -> Result<(D::Matrix, ())> {
        self.keep(device, i + 1, &x)?;
        Ok((x, ()))
    }

    fn vjp(&self, device: &D, i: usize, (): (), dy: D::Matrix, (): &mut ()) -> Result<D::Matrix> {
        self.with_gradient(device, i + 1, dy)
    }
}

//! Layers from a checkpoint's tensors.

use std::cell::RefCell;

use super::error::Result;
use super::randomize::Randomize;
use crate::checkpoint::{Tensor, Tensors};
use crate::device::{Device, Real};
use crate::nn::{Linear, Norm};

/// Names and shapes.
pub(in crate::lvlm) type Listed = Vec<(String, Vec<usize>)>;

/// Makes layers on a device out of a checkpoint's tensors.
pub(in crate::lvlm) struct Loader<'a, D: Device> {
    /// The checkpoint's tensors.
    pub tensors: &'a Tensors,
    /// The device of the layers.
    pub device: &'a D,
    /// A list of the tensors that layers need. With one, tensors are only listed and need not
    /// exist.
    pub list: Option<&'a RefCell<Listed>>,
    /// The layers that get random weights.
    pub randomize: Randomize,
}

/// Applies `make` to every item, or returns its first error.
pub(in crate::lvlm) fn each<T, U, const N: usize>(
    items: &[T; N],
    make: impl FnMut(&T) -> Result<U>,
) -> Result<[U; N]> {
    let made: Vec<U> = items.iter().map(make).collect::<Result<_>>()?;
    let made = made.try_into();
    Ok(made.unwrap_or_else(|_| unreachable!("as many were made as there were items")))
}

impl<D: Device> Loader<'_, D> {
    /// Returns a loader of an encoder's own tensors, or this one without any. Those are not listed:
    /// the list is of the model's own.
    pub fn beside<'b>(&'b self, tensors: Option<&'b Tensors>) -> Loader<'b, D> {
        match tensors {
            None => Loader {
                tensors: self.tensors,
                device: self.device,
                list: self.list,
                randomize: self.randomize,
            },
            Some(tensors) => Loader {
                tensors,
                device: self.device,
                list: None,
                randomize: self.randomize,
            },
        }
    }

    /// Returns the loader of the tensors of a layer whose weights may be random.
    pub fn layer(&self, randomize: Randomize) -> Loader<'_, D> {
        Loader {
            randomize,
            ..self.beside(None)
        }
    }

    /// Returns the tensor of that name, which must have that shape, or random numbers in its place.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        match self.list {
            None => {
                let tensor = self.tensors.require(name, shape)?;
                Ok(match self.device.reads_weights() {
                    true => self.randomize.apply(tensor),
                    false => tensor,
                })
            }
            Some(list) => {
                list.borrow_mut().push((name.to_string(), shape.to_vec()));
                Ok(Tensor::absent(name, shape))
            }
        }
    }

    /// Returns whether the values of tensors are not needed.
    fn without_numbers(&self) -> bool {
        self.list.is_some() || !self.device.reads_weights()
    }

    /// Returns the values of a small tensor, zeros where values are not needed.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let tensor = self.tensor(name, shape)?;
        if self.without_numbers() {
            return Ok(vec![0.0; shape.iter().product()]);
        }
        Ok(tensor.to_f32())
    }

    /// Loads a weight matrix.
    pub fn weight(&self, name: &str, shape: &[usize]) -> Result<D::Weight> {
        Ok(self.device.weight(&self.tensor(name, shape)?)?)
    }

    /// Loads a weight matrix of shape `to` whose values `make` computes from those of a tensor, in
    /// f32 where the device stores f32.
    pub fn made_weight(
        &self,
        name: &str,
        shape: &[usize],
        to: [usize; 2],
        make: impl FnOnce(Vec<f32>) -> Vec<f32>,
    ) -> Result<D::Weight> {
        let tensor = self.tensor(name, shape)?;
        let made = match self.without_numbers() {
            true => Tensor::absent(name, &to),
            false => Tensor::from_f32(name, &to, &make(tensor.to_f32())),
        };
        Ok(self.device.weight(&made)?)
    }

    /// Copies `rows x columns` values to the device.
    pub fn upload(&self, rows: usize, columns: usize, values: &[f32]) -> Result<D::Matrix> {
        let values: Vec<D::Host> = values.iter().map(|&v| D::Host::of(f64::from(v))).collect();
        Ok(self.device.upload(rows, columns, &values)?)
    }

    /// Loads a tensor as a `rows x columns` matrix of activations.
    pub fn matrix(
        &self,
        name: &str,
        shape: &[usize],
        rows: usize,
        columns: usize,
    ) -> Result<D::Matrix> {
        self.upload(rows, columns, &self.values(name, shape)?)
    }

    /// Loads `name.weight` and, with `bias`, `name.bias`.
    pub fn linear(&self, name: &str, out: usize, inside: usize, bias: bool) -> Result<Linear<D>> {
        let weight = self.weight(&format!("{name}.weight"), &[out, inside])?;
        let bias = bias
            .then(|| self.matrix(&format!("{name}.bias"), &[out], 1, out))
            .transpose()?;
        Ok(Linear { weight, bias })
    }

    /// Loads several layers that are stacked, row by row, in one tensor `name.weight` (and
    /// `name.bias`).
    pub fn linears<const N: usize>(
        &self,
        name: &str,
        outs: &[usize; N],
        inside: usize,
        bias: bool,
    ) -> Result<[Linear<D>; N]> {
        self.ordered_linears(name, outs, inside, bias, None)
    }

    /// Loads layers as [`Loader::linears`] does, from rows in another order: row r is row
    /// `order[r]` of the tensor.
    pub fn ordered_linears<const N: usize>(
        &self,
        name: &str,
        outs: &[usize; N],
        inside: usize,
        bias: bool,
        order: Option<&[usize]>,
    ) -> Result<[Linear<D>; N]> {
        let all = outs.iter().sum();
        let mut weight = self.tensor(&format!("{name}.weight"), &[all, inside])?;
        let mut biases = bias
            .then(|| self.values(&format!("{name}.bias"), &[all]))
            .transpose()?;
        if let Some(order) = order {
            weight = weight.ordered(order)?;
            biases = biases.map(|biases| order.iter().map(|&row| biases[row]).collect());
        }
        let mut from = 0;
        each(outs, |&out| {
            let rows = from..from + out;
            from += out;
            let bias = biases
                .as_ref()
                .map(|values| self.upload(1, out, &values[rows.clone()]))
                .transpose()?;
            let weight = self.device.weight(&weight.rows(rows)?)?;
            Ok(Linear { weight, bias })
        })
    }

    /// Loads `name.weight` and `name.bias`, with every output multiplied by its element of the
    /// tensor `scale`.
    pub fn scaled_linear(
        &self,
        name: &str,
        scale: &str,
        out: usize,
        inside: usize,
    ) -> Result<Linear<D>> {
        let scale = self.values(scale, &[out])?;
        let shape = [out, inside];
        let weight = self.made_weight(&format!("{name}.weight"), &shape, shape, |mut values| {
            let rows = values.chunks_mut(inside).zip(&scale);
            rows.for_each(|(row, scale)| row.iter_mut().for_each(|v| *v *= scale));
            values
        })?;
        let mut bias = self.values(&format!("{name}.bias"), &[out])?;
        bias.iter_mut().zip(&scale).for_each(|(b, s)| *b *= s);
        let bias = Some(self.upload(1, out, &bias)?);
        Ok(Linear { weight, bias })
    }

    /// Loads a layer norm of `name.weight` and `name.bias`.
    pub fn layer_norm(&self, name: &str, columns: usize, eps: f64) -> Result<Norm<D>> {
        let gain = self.matrix(&format!("{name}.weight"), &[columns], 1, columns)?;
        let bias = self.matrix(&format!("{name}.bias"), &[columns], 1, columns)?;
        Ok(Norm::Layer { gain, bias, eps })
    }

    /// Loads a root-mean-square norm whose gain is `offset` + `name.weight`.
    pub fn rms_norm(&self, name: &str, columns: usize, eps: f64, offset: f32) -> Result<Norm<D>> {
        self.scaled_rms_norm(name, columns, eps, (offset, 1.0))
    }

    /// Loads a root-mean-square norm whose gain is `(offset + name.weight) * scale`.
    pub fn scaled_rms_norm(
        &self,
        name: &str,
        columns: usize,
        eps: f64,
        (offset, scale): (f32, f32),
    ) -> Result<Norm<D>> {
        let mut gain = self.values(&format!("{name}.weight"), &[columns])?;
        gain.iter_mut().for_each(|v| *v = (*v + offset) * scale);
        let gain = self.upload(1, columns, &gain)?;
        Ok(Norm::Rms { gain, eps })
    }
}

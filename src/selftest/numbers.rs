//! Random inputs that are equal on every device, and calibrated comparisons.

use half::{bf16, f16};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::checkpoint::Tensor;
use crate::device::Result;
use crate::device::cpu::{Cpu, CpuMatrix, CpuWeight};
use crate::device::cuda::Storage;
use crate::device::prelude::*;

/// The amount of computation in a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Tens of rows: for an emulator.
    Small,
    /// Hundreds of rows: for a GPU.
    Large,
}

/// The result of one comparison.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Check {
    /// The operation and its shape.
    pub name: String,
    /// The largest difference from the f64 reference.
    pub found: f64,
    /// The allowed difference: 2 times (for a vjp 3 times) the error of the plain computation with
    /// operands rounded to the storage type, plus four units in the last place of an f32 of the
    /// largest value's size.
    pub allowed: f64,
}

impl Check {
    /// Creates a check of a condition.
    pub fn holds(name: String, holds: bool) -> Check {
        Check {
            name,
            found: if holds { 0.0 } else { f64::INFINITY },
            allowed: 0.0,
        }
    }

    /// Returns whether the difference is allowed; NaN is not.
    pub fn passed(&self) -> bool {
        self.found <= self.allowed
    }
}

/// The factor allowed on the plain computation's error for a forward operation.
pub(super) const FORWARD: f64 = 2.0;
/// The factor allowed for a vjp.
pub(super) const VJP: f64 = 3.0;

/// A matrix on the device and on the reference, with its values.
pub(super) struct Operand<D: Device> {
    pub on: D::Matrix,
    pub exact: CpuMatrix<f64>,
    pub values: Vec<f64>,
}

/// A weight on the device and on the reference.
pub(super) struct Weight<D: Device> {
    pub on: D::Weight,
    pub exact: CpuWeight,
    pub values: Vec<f64>,
}

/// A device under test, its reference, and the results.
pub(super) struct Bench<'a, D: Device<Host = f32>> {
    pub device: &'a D,
    pub reference: Cpu<f64>,
    pub single: Cpu<f32>,
    pub storage: Storage,
    pub extent: Extent,
    /// Whether the operation after a product takes it unrounded.
    pub fuses: bool,
    pub checks: Vec<Check>,
    random: StdRng,
}

impl<'a, D: Device<Host = f32>> Bench<'a, D> {
    pub fn new(device: &'a D, storage: Storage, extent: Extent, seed: u64) -> Result<Self> {
        Ok(Bench {
            device,
            reference: Cpu::new(0)?,
            single: Cpu::new(0)?,
            storage,
            extent,
            fuses: true,
            checks: Vec::new(),
            random: StdRng::seed_from_u64(seed),
        })
    }

    /// Returns the nearest value of the storage type.
    pub fn round(&self, value: f64) -> f64 {
        match self.storage {
            Storage::Bf16 => f64::from(bf16::from_f32(value as f32)),
            Storage::F16 => f64::from(f16::from_f32(value as f32)),
        }
    }

    /// Rounds every value to the storage type.
    pub fn rounded(&self, values: &[f64]) -> Vec<f64> {
        values.iter().map(|&v| self.round(v)).collect()
    }

    /// Returns a random index below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    /// Returns random values in -1.5 .. 1.5 that are exact in the storage type.
    pub fn values(&mut self, count: usize) -> Vec<f64> {
        let drawn: Vec<f64> = (0..count)
            .map(|_| f64::from(self.random.random_range(-1.5f32..1.5)))
            .collect();
        self.rounded(&drawn)
    }

    /// Returns random values in 0 .. 1, exact in f32.
    pub fn shares(&mut self, count: usize) -> Vec<f64> {
        (0..count)
            .map(|_| f64::from(self.random.random_range(0.0f32..1.0)))
            .collect()
    }

    /// Returns a matrix of random values.
    pub fn matrix(&mut self, rows: usize, columns: usize) -> Result<Operand<D>> {
        let values = self.values(rows * columns);
        self.matrix_of(rows, columns, values)
    }

    /// Returns a matrix of these values.
    pub fn matrix_of(&self, rows: usize, columns: usize, values: Vec<f64>) -> Result<Operand<D>> {
        let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Ok(Operand {
            on: self.device.upload(rows, columns, &single)?,
            exact: self.reference.upload(rows, columns, &values)?,
            values,
        })
    }

    /// Returns a random weight whose products with [`Bench::matrix`] have a magnitude of about 1.
    pub fn weight(&mut self, out: usize, inside: usize) -> Result<Weight<D>> {
        let size = 1.0 / (inside as f64).sqrt();
        let values = self.values(out * inside);
        let values: Vec<f64> = values.iter().map(|v| self.round(v * size)).collect();
        let single: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let tensor = Tensor::from_f32("weight", &[out, inside], &single);
        Ok(Weight {
            on: self.device.weight(&tensor)?,
            exact: self.reference.weight(&tensor)?,
            values,
        })
    }

    /// Reads the values of a matrix on the device.
    pub fn read(&self, x: &D::Matrix) -> Result<Vec<f64>> {
        Ok(self
            .device
            .download(x)?
            .into_iter()
            .map(f64::from)
            .collect())
    }

    /// Reads statistics on the device.
    pub fn read_statistics(&self, x: &D::Statistics) -> Result<Vec<f64>> {
        let values = self.device.download_statistics(x)?;
        Ok(values.into_iter().map(f64::from).collect())
    }

    /// Reads the values of a matrix of the reference.
    pub fn exact(&self, x: &CpuMatrix<f64>) -> Result<Vec<f64>> {
        self.reference.download(x)
    }

    /// Compares a result with the reference; `plain` is the plain computation in the working
    /// precision.
    pub fn compare(
        &mut self,
        name: String,
        out: &[f64],
        plain: &[f64],
        reference: &[f64],
        factor: f64,
    ) {
        let largest = reference.iter().fold(0.0f64, |m, v| m.max(v.abs()));
        let floor = 4.0 * f64::from(f32::EPSILON) * largest;
        self.checks.push(Check {
            name: format!("{name} {}", self.storage),
            found: distance(out, reference),
            allowed: factor * distance(plain, reference) + floor,
        });
    }

    /// Compares f32 sums of `terms` products with the reference. Tensor cores truncate every
    /// partial sum of eight terms where the CPU rounds: half a unit in the last place is allowed
    /// for each, in addition to the tolerance of [`Bench::compare`].
    pub fn compare_sums(
        &mut self,
        name: String,
        out: &[f64],
        plain: &[f64],
        reference: &[f64],
        terms: usize,
        size: f64,
    ) {
        self.compare(name, out, plain, reference, FORWARD);
        if let Some(check) = self.checks.last_mut() {
            check.allowed += terms.div_ceil(8) as f64 * f64::from(f32::EPSILON) / 2.0 * size;
        }
    }

    /// Compares a matrix with the reference's; the plain computation is the exact one, rounded.
    pub fn compare_rounded(
        &mut self,
        name: String,
        out: &D::Matrix,
        reference: &CpuMatrix<f64>,
        factor: f64,
    ) -> Result<()> {
        let (out, reference) = (self.read(out)?, self.exact(reference)?);
        let plain = self.rounded(&reference);
        self.compare(name, &out, &plain, &reference, factor);
        Ok(())
    }

    /// Records whether a required condition holds.
    pub fn require(&mut self, name: String, holds: bool) {
        let name = format!("{name} {}", self.storage);
        self.checks.push(Check::holds(name, holds));
    }

    /// Compares values that are f32 on every device; the plain computation is the CPU's in f32.
    pub fn compare_single(
        &mut self,
        name: String,
        out: &D::Statistics,
        single: &CpuMatrix<f32>,
        reference: &CpuMatrix<f64>,
    ) -> Result<()> {
        let plain: Vec<f64> = self
            .single
            .download(single)?
            .into_iter()
            .map(f64::from)
            .collect();
        let (out, reference) = (self.read_statistics(out)?, self.exact(reference)?);
        self.compare(name, &out, &plain, &reference, FORWARD);
        Ok(())
    }

    /// Returns the matrix on the f32 CPU device.
    pub fn on_single(&self, x: &Operand<D>) -> Result<CpuMatrix<f32>> {
        let single: Vec<f32> = x.values.iter().map(|&v| v as f32).collect();
        let (rows, columns) = (x.exact.rows(), x.exact.columns());
        self.single.upload(rows, columns, &single)
    }
}

/// Returns the largest difference; NaN or another length counts as infinite.
pub(super) fn distance(a: &[f64], b: &[f64]) -> f64 {
    if a.len() != b.len() {
        return f64::INFINITY;
    }
    let difference = |(a, b): (&f64, &f64)| {
        let d = (a - b).abs();
        if d.is_nan() { f64::INFINITY } else { d }
    };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
}

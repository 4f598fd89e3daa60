//! Peak rates of the card, measured in the same run as everything that is compared with them.

use serde::Serialize;

use super::line::Repetitions;
use super::workload::{Prepared, values};
use crate::checkpoint::Tensor;
use crate::device::Result;
use crate::device::cuda::{Copies, Cuda, Products};
use crate::device::prelude::*;
use crate::selftest::{Check, Extent};

/// The rates of one card in one storage type.
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// Copy bandwidth on the card: bytes read plus bytes written, per second.
    pub copies: f64,
    /// Operations per second of matrix products, by each measurement.
    pub products: Vec<Source>,
}

/// One measurement of the matrix rate.
#[derive(Clone, Debug, Serialize)]
pub struct Source {
    /// The name of the measured product.
    pub name: &'static str,
    /// Operations per second.
    pub rate: f64,
}

impl Rates {
    /// Creates the rates from the copy bandwidth and measurements of the matrix rate.
    pub(super) fn new(copies: f64, sources: Vec<(&'static str, f64)>) -> Rates {
        let source = |(name, rate)| Source { name, rate };
        Rates {
            copies,
            products: sources.into_iter().map(source).collect(),
        }
    }

    /// Returns the matrix rate: the largest measured, in operations per second.
    pub fn matrix(&self) -> f64 {
        self.products.iter().map(|s| s.rate).fold(0.0, f64::max)
    }
}

/// Measures a card, and checks that its products are right. `library` is the same card with
/// products through cuBLASLt.
///
/// # Errors
/// Returns the device's errors.
pub fn rates(device: &Cuda, library: Option<&Cuda>, extent: Extent) -> Result<(Rates, Vec<Check>)> {
    let repetitions = Repetitions::of(extent);
    let copies = copies(device, extent, repetitions)?;
    let (registers, check) = registers(device, extent, repetitions)?;
    let mut sources = vec![("mma.sync on registers", registers)];
    if let Some(library) = library {
        let rate = square(library, extent, repetitions)?;
        // It may have had no usable algorithm.
        if library.uses_library() {
            sources.push(("cublaslt", rate));
        }
    }
    Ok((Rates::new(copies, sources), vec![check]))
}

/// Returns the rate of one large square product.
fn square(device: &Cuda, extent: Extent, repetitions: Repetitions) -> Result<f64> {
    let side = match extent {
        Extent::Small => 64,
        Extent::Large => 8192,
    };
    let numbers = values(side * side);
    let x = device.upload(side, side, &numbers)?;
    let weight = device.weight(&Tensor::from_f32("weight", &[side, side], &numbers))?;
    let mut prepared = Prepared::repeating(device, || device.linear(&x, &weight, None, None));
    let seconds = repetitions.seconds(|count| prepared.time(count))?;
    Ok(2.0 * (side as f64).powi(3) / seconds)
}

fn copies(device: &Cuda, extent: Extent, repetitions: Repetitions) -> Result<f64> {
    // Much larger than any cache, but small enough that it fits twice.
    let bytes = match extent {
        Extent::Small => 1 << 16,
        Extent::Large => (device.memory()?.0 / 4).min(2 << 30),
    };
    let copies = Copies::new(device, bytes)?;
    let moved = copies.moved();
    let mut prepared = Prepared::repeating(device, || copies.run());
    Ok(moved / repetitions.seconds(|count| prepared.time(count))?)
}

/// Returns the rate of products on registers, and whether the timed runs had the right sums.
fn registers(device: &Cuda, extent: Extent, repetitions: Repetitions) -> Result<(f64, Check)> {
    let steps = match extent {
        Extent::Small => 3,
        // About a millisecond if a multiprocessor does 1024 multiply-adds per cycle.
        Extent::Large => 4096,
    };
    let (a, b) = whole_numbers();
    let products = Products::new(device, &a, &b, steps)?;
    let operations = products.operations();
    let mut prepared = Prepared::repeating(device, || products.run());
    let seconds = repetitions.seconds(|count| prepared.time(count))?;
    drop(prepared);
    let expected = sums(&a, &b, steps);
    let found = products.sums()?;
    let right = !found.is_empty() && found.chunks(expected.len()).all(|sums| sums == expected);
    let name = format!("products on registers, {steps} steps {}", device.dtype());
    Ok((operations / seconds, Check::holds(name, right)))
}

/// Returns both operands, `[SIDE, DEPTH]`, of integers from -7 to 7: in 4096 steps no sum exceeds
/// 4096 * 16 * 49, which is below 2^22.
fn whole_numbers() -> (Vec<f32>, Vec<f32>) {
    let count = Products::SIDE * Products::DEPTH;
    let numbers: Vec<f32> = values(2 * count)
        .iter()
        .map(|v| (v * 8.0).trunc())
        .collect();
    let (a, b) = numbers.split_at(count);
    (a.to_vec(), b.to_vec())
}

/// Returns `steps * a b^T`, exactly.
fn sums(a: &[f32], b: &[f32], steps: usize) -> Vec<f32> {
    let rows = |m| <[f32]>::chunks(m, Products::DEPTH);
    let inner = |x: &[f32], y: &[f32]| -> f32 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    rows(a)
        .flat_map(|x| rows(b).map(move |y| steps as f32 * inner(x, y)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums that were all equal, or that did not depend on every number, would let a wrong kernel
    /// pass.
    #[test]
    fn the_inputs_tell_a_wrong_kernel_from_a_right_one() {
        let (a, b) = whole_numbers();
        let right = sums(&a, &b, 4096);
        assert!(right.iter().all(|v| v.abs() < (1 << 22) as f32));
        for operand in 0..2 {
            for at in 0..a.len() {
                let mut wrong = [a.clone(), b.clone()];
                wrong[operand][at] += 1.0;
                let [a, b] = wrong;
                assert_ne!(sums(&a, &b, 4096), right, "operand {operand}, number {at}");
            }
        }
        // All rows and all columns are distinct.
        let rows: Vec<&[f32]> = right.chunks(Products::SIDE).collect();
        let column = |c: usize| rows.iter().map(|r| r[c]).collect::<Vec<_>>();
        for i in 0..rows.len() {
            for j in 0..i {
                assert_ne!(rows[i], rows[j]);
                assert_ne!(column(i), column(j));
            }
        }
    }
}

//! Shared helpers for the tests of devices and layers: seeded numbers, tensors of any dtype, and
//! comparisons.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::checkpoint::{Dtype, Files, Tensor, Tensors};
use crate::device::cpu::{Cpu, CpuMatrix, CpuReal, CpuWeight};
use crate::device::prelude::*;

/// Seeded random numbers; the seed is printed, so that a failing test shows it.
pub(crate) struct Random(StdRng);

impl Random {
    pub fn new(seed: u64) -> Random {
        println!("seed {seed}");
        Random(StdRng::seed_from_u64(seed))
    }

    /// Returns an index below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    /// Returns one of the choices.
    pub fn one_of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Returns a uniformly distributed number that `f32` represents.
    pub fn between(&mut self, low: f32, high: f32) -> f64 {
        f64::from(self.0.random_range(low..high))
    }

    /// Returns `n` numbers in -1.5 .. 1.5 that `f32` represents, so that both working precisions
    /// start from the same values.
    pub fn values(&mut self, n: usize) -> Vec<f64> {
        (0..n).map(|_| self.between(-1.5, 1.5)).collect()
    }

    /// Creates a weight `[out, in]` and returns it with its values in that dtype. With `odd`, its
    /// bytes start at an odd address.
    pub fn tensor(
        &mut self,
        dtype: Dtype,
        out: usize,
        inputs: usize,
        odd: bool,
    ) -> (Tensor, Vec<f64>) {
        let values: Vec<f32> = (0..out * inputs)
            .map(|_| self.between(-0.5, 0.5) as f32)
            .collect();
        let (name, bytes): (_, Vec<u8>) = match dtype {
            Dtype::F32 => ("F32", values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            Dtype::F16 => (
                "F16",
                values
                    .iter()
                    .flat_map(|&v| half::f16::from_f32(v).to_le_bytes())
                    .collect(),
            ),
            Dtype::Bf16 => (
                "BF16",
                values
                    .iter()
                    .flat_map(|&v| half::bf16::from_f32(v).to_le_bytes())
                    .collect(),
            ),
        };
        let tensor = (0..2)
            .map(|padding| embedded(name, [out, inputs], &bytes, padding))
            .find(|tensor| bytes.is_empty() || (tensor.bytes().as_ptr() as usize % 2 == 1) == odd)
            .expect("one byte of padding changes the address from even to odd");
        let exact = |v: f32| match dtype {
            Dtype::F32 => f64::from(v),
            Dtype::F16 => half::f16::from_f32(v).to_f64(),
            Dtype::Bf16 => half::bf16::from_f32(v).to_f64(),
        };
        (tensor, values.into_iter().map(exact).collect())
    }

    /// Creates an f32 weight on a device and returns it with its values.
    pub fn weight<T: CpuReal>(
        &mut self,
        device: &Cpu<T>,
        out: usize,
        inputs: usize,
    ) -> (CpuWeight, Vec<f64>) {
        let (tensor, values) = self.tensor(Dtype::F32, out, inputs, false);
        (device.weight(&tensor).unwrap(), values)
    }

    /// Creates a matrix on a device and returns it with its values.
    pub fn matrix<T: CpuReal>(
        &mut self,
        device: &Cpu<T>,
        rows: usize,
        columns: usize,
    ) -> (CpuMatrix<T>, Vec<f64>) {
        let values = self.values(rows * columns);
        (matrix(device, rows, columns, &values), values)
    }
}

/// Creates a safetensors file of one tensor, its header lengthened by `padding` bytes, and reads
/// it.
fn embedded(dtype: &str, shape: [usize; 2], data: &[u8], padding: usize) -> Tensor {
    let entry =
        serde_json::json!({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, data.len()]}});
    let header = format!("{entry}{}", " ".repeat(padding));
    let file = [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat();
    let files: &'static [(&'static str, &'static [u8])] =
        vec![("model.safetensors", &*file.leak())].leak();
    Tensors::open(&Files::embedded("test", files))
        .unwrap()
        .get("w")
        .unwrap()
        .clone()
}

/// Creates a device of two threads.
pub(crate) fn device<T: CpuReal>() -> Cpu<T> {
    Cpu::new(2).unwrap()
}

/// Creates a matrix of the values nearest to these.
pub(crate) fn matrix<T: CpuReal>(
    device: &Cpu<T>,
    rows: usize,
    columns: usize,
    values: &[f64],
) -> CpuMatrix<T> {
    let values: Vec<T> = values.iter().map(|&v| T::of(v)).collect();
    device.upload(rows, columns, &values).unwrap()
}

/// Returns the values of a matrix.
pub(crate) fn values<T: CpuReal>(x: &CpuMatrix<T>) -> Vec<f64> {
    x.values.iter().map(|v| v.to_f64()).collect()
}

/// Returns rows `first .. first + count` of a matrix.
pub(crate) fn rows_of<T: CpuReal>(
    device: &Cpu<T>,
    x: &CpuMatrix<T>,
    first: usize,
    count: usize,
) -> CpuMatrix<T> {
    let columns = x.columns();
    device
        .upload(
            count,
            columns,
            &x.values[first * columns..(first + count) * columns],
        )
        .unwrap()
}

/// Returns the largest absolute value.
pub(crate) fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |m, v| v.abs().max(m))
}

/// Returns the largest absolute difference; a NaN counts as infinite.
pub(crate) fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "as many values");
    let difference = |(a, b): (&f64, &f64)| {
        if (a - b).is_nan() {
            f64::INFINITY
        } else {
            (a - b).abs()
        }
    };
    a.iter().zip(b).map(difference).fold(0.0, f64::max)
}

/// Asserts that two results agree to 1e-12 of the largest value.
pub(crate) fn assert_same(what: &str, out: &[f64], expected: &[f64]) {
    let (found, limit) = (distance(out, expected), 1e-12 * largest(expected).max(1e-3));
    assert!(
        found <= limit,
        "{what}: differs by {found:e}, allowed {limit:e}"
    );
}

/// Asserts that two results have the same bits.
pub(crate) fn assert_bits(what: &str, a: &[f64], b: &[f64]) {
    assert_eq!(a.len(), b.len(), "{what}: as many values");
    let first = a
        .iter()
        .zip(b)
        .position(|(a, b)| a.to_bits() != b.to_bits());
    assert!(
        first.is_none(),
        "{what}: element {first:?} differs: {:?}",
        first.map(|i| (a[i], b[i]))
    );
}

/// Asserts that an f32 result is at most `factor` times as far from the f64 reference as the naive
/// f32 computation, with a floor of four units in the last place of the largest value.
pub(crate) fn assert_calibrated(
    what: &str,
    out: &[f64],
    naive: &[f64],
    reference: &[f64],
    factor: f64,
) {
    let floor = 4.0 * f64::from(f32::EPSILON) * largest(reference);
    let (found, limit) = (
        distance(out, reference),
        factor * distance(naive, reference) + floor,
    );
    assert!(
        found <= limit,
        "{what}: off by {found:e}, allowed {limit:e}"
    );
}

/// The factor of [`assert_calibrated`] for a forward operation.
pub(crate) const FORWARD: f64 = 2.0;
/// The factor of [`assert_calibrated`] for a vjp.
pub(crate) const VJP: f64 = 3.0;

/// Inputs of at most this many elements are checked element by element.
const SMALL: usize = 220;

/// Asserts that `dx` is the vjp of `f` at `x` for the output gradient `dy`: by central differences
/// in every element of a small `x`, and in two random paths.
pub(crate) fn assert_vjp(
    what: &str,
    random: &mut Random,
    f: impl Fn(&[f64]) -> Vec<f64>,
    x: &[f64],
    dy: &[f64],
    dx: &[f64],
) {
    assert_eq!(x.len(), dx.len(), "{what}: a gradient of the input's size");
    let size = largest(dx).max(1e-3);
    if x.len() <= SMALL {
        let mut path = vec![0.0; x.len()];
        for i in 0..x.len() {
            path[i] = 1.0;
            let expected = slope(&f, x, &path, dy);
            path[i] = 0.0;
            let found = dx[i];
            assert!(
                (found - expected).abs() <= 1e-7 * size,
                "{what}: element {i}: {found} instead of {expected}"
            );
        }
    }
    for _ in 0..2 {
        let path = random.values(x.len());
        let expected = slope(&f, x, &path, dy);
        let found = inner(dx, &path);
        let limit = 1e-7 * size * (x.len() as f64).sqrt().max(1.0);
        assert!(
            (found - expected).abs() <= limit,
            "{what}: along a path: {found} instead of {expected}"
        );
    }
}

/// Returns d/dt of `<dy, f(x + t v)>` at 0 by the five-point central difference, whose error is of
/// order h^4.
fn slope(f: &impl Fn(&[f64]) -> Vec<f64>, x: &[f64], v: &[f64], dy: &[f64]) -> f64 {
    let h = 1e-3;
    let at = |t: f64| f(&x.iter().zip(v).map(|(x, v)| x + t * v).collect::<Vec<_>>());
    let (near, far) = ((at(h), at(-h)), (at(2.0 * h), at(-2.0 * h)));
    assert_eq!(
        near.0.len(),
        dy.len(),
        "an output gradient of the output's size"
    );
    let terms =
        (0..dy.len()).map(|i| dy[i] * (8.0 * (near.0[i] - near.1[i]) - (far.0[i] - far.1[i])));
    terms.sum::<f64>() / (12.0 * h)
}

/// Returns the inner product.
pub(crate) fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

//! A direct implementation of products of dense matrices.

use std::ops::Range;
use std::thread;

use half::{bf16, f16};

use crate::runtime::inside;
use crate::status::{Outcome, Status};

/// An algorithm for products.
#[derive(Debug, PartialEq, Eq)]
pub struct Algorithm {
    number: u64,
    /// The name under which its runs are counted.
    pub name: &'static str,
    /// Whether it splits the sum over k.
    pub splits: bool,
    /// Bytes of workspace that it needs.
    pub workspace: usize,
}

/// The suggested algorithms, in order. The first two must not be used if a row's bits may not
/// depend on the number of rows: the first declares this, the second shows it only in its results.
pub const ALGORITHMS: [Algorithm; 3] = [
    Algorithm {
        number: 1,
        name: "cublaslt_split",
        splits: true,
        workspace: 1 << 20,
    },
    Algorithm {
        number: 2,
        name: "cublaslt_by_rows",
        splits: false,
        workspace: 0,
    },
    Algorithm {
        number: 3,
        name: "cublaslt_ascending",
        splits: false,
        workspace: 4096,
    },
];

/// The alignment of addresses that suggested algorithms may assume, unless the preference says
/// otherwise.
const ALIGNMENT: usize = 256;

/// Marks an algorithm as one of the emulator's.
const MARK: u64 = 0x666f_7665_6174_6521;

impl Algorithm {
    /// Returns the bytes that the caller keeps.
    pub fn data(&self) -> [u64; 8] {
        [MARK, self.number, 0, 0, 0, 0, 0, 0]
    }

    /// Returns the algorithm from the bytes that the caller kept.
    ///
    /// # Safety
    /// `data` must be null or point to an algorithm's bytes.
    pub unsafe fn of(data: *const [u64; 8]) -> Result<&'static Algorithm, Status> {
        if data.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller's guarantee.
        let data = unsafe { data.read_unaligned() };
        let found = ALGORITHMS.iter().find(|a| a.data() == data);
        found.ok_or(Status::INVALID_VALUE)
    }

    /// Returns its number among the emulator's.
    pub fn number(&self) -> u32 {
        self.number as u32
    }

    /// Returns the parts of the sum over `k` for a product with this many columns.
    fn parts(&self, k: usize, columns: usize) -> Vec<Range<usize>> {
        let count = match self.number {
            1 => 2,
            2 => 1 + columns % 3,
            _ => 1,
        };
        let length = k.div_ceil(count).max(1);
        (0..k)
            .step_by(length)
            .map(|start| start..k.min(start + length))
            .collect()
    }
}

/// The type of elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    F16,
    Bf16,
}

impl Kind {
    fn decode(self, bits: u16) -> f32 {
        match self {
            Kind::F16 => f16::from_bits(bits).to_f32(),
            Kind::Bf16 => bf16::from_bits(bits).to_f32(),
        }
    }

    fn encode(self, value: f32) -> u16 {
        match self {
            Kind::F16 => f16::from_f32(value).to_bits(),
            Kind::Bf16 => bf16::from_f32(value).to_bits(),
        }
    }
}

/// A column-major matrix: element (i, j) lies at i + j * step.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    pub kind: Kind,
    pub rows: usize,
    pub columns: usize,
    step: usize,
}

impl Matrix {
    /// Creates a matrix of `cudaDataType_t` 2 (f16) or 14 (bf16); columns must begin at multiples
    /// of 16 bytes.
    pub fn new(kind: u32, rows: u64, columns: u64, step: i64) -> Result<Matrix, Status> {
        let kind = match kind {
            2 => Kind::F16,
            14 => Kind::Bf16,
            _ => return Err(Status::NOT_SUPPORTED),
        };
        let size = |n: u64| usize::try_from(n).map_err(|_| Status::INVALID_VALUE);
        let (rows, columns) = (size(rows)?, size(columns)?);
        let step = usize::try_from(step).map_err(|_| Status::INVALID_VALUE)?;
        if rows == 0 || columns == 0 || step < rows {
            return Err(Status::INVALID_VALUE);
        }
        if !step.is_multiple_of(8) {
            return Err(Status::NOT_SUPPORTED);
        }
        Ok(Matrix {
            kind,
            rows,
            columns,
            step,
        })
    }

    fn bytes(&self) -> usize {
        2 * ((self.columns - 1) * self.step + self.rows)
    }

    /// Returns all elements, row by row if `turned`, otherwise column by column.
    ///
    /// # Safety
    /// The matrix must be at `address`.
    unsafe fn read(&self, address: usize, turned: bool) -> Vec<f32> {
        let at = |i: usize, j: usize| {
            // SAFETY: the caller's guarantee.
            let bits = unsafe { *(address as *const u16).add(i + j * self.step) };
            self.kind.decode(bits)
        };
        if turned {
            (0..self.rows)
                .flat_map(|i| (0..self.columns).map(move |j| at(i, j)))
                .collect()
        } else {
            (0..self.columns)
                .flat_map(|j| (0..self.rows).map(move |i| at(i, j)))
                .collect()
        }
    }
}

/// D = alpha op(A) B + beta C + bias, with its operands once submitted.
pub struct Product {
    matrices: [Matrix; 4],
    transposed_a: bool,
    bias: Option<usize>,
    addresses: [usize; 4],
    factors: (f32, f32),
    algorithm: &'static Algorithm,
    workspace: (usize, usize),
}

impl Product {
    /// Creates a product of the matrices A to D, whose sizes match.
    pub fn new(matrices: [Matrix; 4], transposed_a: bool, bias: Option<usize>) -> Product {
        Product {
            matrices,
            transposed_a,
            bias,
            addresses: [0; 4],
            factors: (1.0, 0.0),
            algorithm: &ALGORITHMS[2],
            workspace: (0, 0),
        }
    }

    /// Returns the product of matrices at these addresses.
    pub fn on(
        mut self,
        addresses: [usize; 4],
        factors: (f32, f32),
        algorithm: &'static Algorithm,
        workspace: (usize, usize),
    ) -> Result<Product, Status> {
        if addresses.iter().any(|a| !a.is_multiple_of(ALIGNMENT)) {
            return Err(Status::NOT_SUPPORTED);
        }
        (self.addresses, self.factors) = (addresses, factors);
        (self.algorithm, self.workspace) = (algorithm, workspace);
        Ok(self)
    }

    /// Returns the name under which its runs are counted.
    pub fn name(&self) -> &'static str {
        self.algorithm.name
    }

    /// Computes the product; every operand must lie in live device memory.
    pub fn run(&self) -> Outcome {
        let [a, b, c, d] = self.matrices;
        let (_, beta) = self.factors;
        let live = |matrix: &Matrix, address| inside(address, matrix.bytes());
        let reads_c = beta != 0.0;
        let whole = live(&a, self.addresses[0])
            && live(&b, self.addresses[1])
            && (!reads_c || live(&c, self.addresses[2]))
            && live(&d, self.addresses[3])
            && self.bias.is_none_or(|bias| inside(bias, 2 * d.rows))
            && (self.workspace.1 == 0 || inside(self.workspace.0, self.workspace.1));
        if !whole {
            return Err(Status::ILLEGAL_ADDRESS);
        }
        let k = b.rows;
        // SAFETY: all of it is live.
        let (a, b) = unsafe {
            (
                a.read(self.addresses[0], !self.transposed_a),
                b.read(self.addresses[1], false),
            )
        };
        // SAFETY: likewise.
        let c = reads_c.then(|| unsafe { c.read(self.addresses[2], false) });
        let bias: Option<Vec<f32>> = self.bias.map(|bias| {
            let element = |i| {
                // SAFETY: likewise.
                unsafe { *(bias as *const u16).add(i) }
            };
            (0..d.rows).map(|i| d.kind.decode(element(i))).collect()
        });
        let parts = self.algorithm.parts(k, d.columns);
        let column = |j: usize| -> Vec<u16> {
            let b = &b[j * k..(j + 1) * k];
            let element = |i: usize| {
                let a = &a[i * k..(i + 1) * k];
                let sums = parts
                    .iter()
                    .map(|part| dot(&a[part.clone()], &b[part.clone()]));
                let sum = match parts.len() {
                    1 => sums.sum(),
                    // Parts are summed in the storage type.
                    _ => sums
                        .map(|sum| d.kind.decode(d.kind.encode(sum)))
                        .sum::<f32>(),
                };
                let mut value = self.factors.0 * sum + bias.as_ref().map_or(0.0, |bias| bias[i]);
                if let Some(c) = &c {
                    value += beta * c[j * d.rows + i];
                }
                d.kind.encode(value)
            };
            (0..d.rows).map(element).collect()
        };
        let share = d
            .columns
            .div_ceil(thread::available_parallelism().map_or(1, usize::from));
        let shares: Vec<Range<usize>> = (0..d.columns)
            .step_by(share)
            .map(|start| start..d.columns.min(start + share))
            .collect();
        thread::scope(|scope| {
            let column = &column;
            for share in shares {
                scope.spawn(move || {
                    for j in share {
                        let to = self.addresses[3] + 2 * j * d.step;
                        let values = column(j);
                        // SAFETY: the column is inside d, and no other thread writes it.
                        unsafe {
                            std::ptr::copy_nonoverlapping(
                                values.as_ptr(),
                                to as *mut u16,
                                values.len(),
                            );
                        }
                    }
                });
            }
        });
        Ok(())
    }
}

/// Returns the dot product, in eight interleaved sums.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    let (a8, a1) = a.as_chunks::<8>();
    let (b8, b1) = b.as_chunks::<8>();
    for (a, b) in a8.iter().zip(b8) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += a * b;
        }
    }
    let rest: f32 = a1.iter().zip(b1).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

//! Matrices and weights on the GPU, and copies to and from it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use half::{bf16, f16};
use rayon::prelude::*;

use super::error::During;
use super::gpu::Gpu;
use super::pool::Buffer;
use super::staging::Pinned;
use super::{Cuda, budget};
use crate::checkpoint::{Dtype, Tensor};
use crate::device::error::expect;
use crate::device::{DeviceProfile, Matrix, Memory, Result};

/// The storage type of activations and weights on a GPU. Arithmetic is f32 with either.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Storage {
    /// bfloat16: the range of f32, 8 bits of precision.
    Bf16,
    /// IEEE half: 11 bits of precision, up to 65504.
    F16,
}

impl Storage {
    /// Returns the name in kernel names and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Storage::Bf16 => "bf16",
            Storage::F16 => "f16",
        }
    }

    /// Returns the nearest stored value.
    fn encode(self, value: f32) -> [u8; 2] {
        match self {
            Storage::Bf16 => bf16::from_f32(value).to_ne_bytes(),
            Storage::F16 => f16::from_f32(value).to_ne_bytes(),
        }
    }

    fn decode(self, bytes: [u8; 2]) -> f32 {
        match self {
            Storage::Bf16 => bf16::from_ne_bytes(bytes).to_f32(),
            Storage::F16 => f16::from_ne_bytes(bytes).to_f32(),
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A row-major matrix on a GPU.
pub struct CudaMatrix {
    pub(super) buffer: Arc<Buffer>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrix for CudaMatrix {
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

impl CudaMatrix {
    /// Returns its address on the device.
    pub(super) fn address(&self) -> u64 {
        self.buffer.address()
    }

    /// Returns the number of elements.
    pub(super) fn count(&self) -> usize {
        self.rows * self.columns
    }

    /// Returns another handle of the same values.
    pub(super) fn share(&self) -> CudaMatrix {
        CudaMatrix {
            buffer: self.buffer.clone(),
            ..*self
        }
    }
}

/// f32 numbers on a GPU, row by row: statistics of norms, log-sum-exps, logits, sums.
pub struct CudaStatistics {
    buffer: Buffer,
    rows: usize,
    columns: usize,
}

impl Matrix for CudaStatistics {
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

impl CudaStatistics {
    /// Returns its address on the device.
    pub(super) fn address(&self) -> u64 {
        self.buffer.address()
    }
}

/// A weight matrix `[out, in]` on a GPU, in the device's storage type.
pub struct CudaWeight {
    pub(super) buffer: Arc<Buffer>,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrix for CudaWeight {
    fn rows(&self) -> usize {
        self.rows
    }
    fn columns(&self) -> usize {
        self.columns
    }
}

/// Weights already on the GPU, for tied ones, by the address of their bytes; the tensor is kept, so
/// that no other tensor can get the same address.
#[derive(Default)]
pub(super) struct Weights {
    uploaded: HashMap<(usize, usize), (Tensor, Weak<Buffer>)>,
    /// Two page-locked buffers: one is filled while the other is copied.
    pinned: Vec<Pinned>,
    /// Index of the next one.
    turn: usize,
}

/// Number of values that one thread converts at a time.
const CONVERTED: usize = 1 << 16;
/// Bytes of an activation or a weight, of either storage type.
pub(super) const STORED: usize = 2;
/// Bytes of one page-locked buffer.
const PINNED: usize = 16 << 20;

impl Gpu {
    /// Allocates a matrix whose values are undefined.
    pub fn matrix(&self, rows: usize, columns: usize) -> Result<CudaMatrix> {
        Ok(CudaMatrix {
            buffer: Arc::new(self.elements(rows, columns, STORED)?),
            rows,
            columns,
        })
    }

    /// Allocates f32 numbers whose values are undefined.
    pub fn statistics(&self, rows: usize, columns: usize) -> Result<CudaStatistics> {
        Ok(CudaStatistics {
            buffer: self.elements(rows, columns, size_of::<f32>())?,
            rows,
            columns,
        })
    }

    /// Allocates memory for elements of `each` bytes.
    fn elements(&self, rows: usize, columns: usize, each: usize) -> Result<Buffer> {
        let bytes = rows
            .checked_mul(columns)
            .and_then(|count| count.checked_mul(each));
        let found = || format!("{rows} x {columns}");
        let expected = || "a matrix that memory can address".to_string();
        expect(bytes.is_some(), "matrix", expected, found)?;
        self.buffer(bytes.unwrap_or(0))
    }

    /// Uploads a weight of `rows x columns` through two alternating page-locked buffers.
    fn weight(
        &self,
        storage: Storage,
        weights: &Mutex<Weights>,
        tensor: &Tensor,
        (rows, columns): (usize, usize),
    ) -> Result<CudaWeight> {
        let bytes = tensor.bytes();
        let mut weights = weights.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (bytes.as_ptr() as usize, bytes.len());
        let shared = weights
            .uploaded
            .get(&key)
            .and_then(|(_, buffer)| buffer.upgrade());
        let buffer = match shared {
            Some(buffer) => buffer,
            None => {
                let buffer = Arc::new(self.buffer(rows * columns * 2)?);
                self.pool.is_weight(&buffer);
                self.send_weight(storage, &mut weights, tensor, &buffer)?;
                let entry = (tensor.clone(), Arc::downgrade(&buffer));
                weights.uploaded.insert(key, entry);
                buffer
            }
        };
        Ok(CudaWeight {
            buffer,
            rows,
            columns,
        })
    }

    fn send_weight(
        &self,
        storage: Storage,
        weights: &mut Weights,
        tensor: &Tensor,
        to: &Buffer,
    ) -> Result<()> {
        let _turn = self.turn();
        let sending = || format!("copying {} to the GPU", tensor.name);
        while weights.pinned.len() < 2 {
            weights.pinned.push(self.pin(PINNED)?);
        }
        let size = tensor.dtype.size();
        for (piece, bytes) in tensor.bytes().chunks(PINNED / 2 * size).enumerate() {
            let pinned = &mut weights.pinned[weights.turn];
            weights.turn = 1 - weights.turn;
            let length = bytes.len() / size * 2;
            let place = pinned.bytes().during(sending)?;
            convert(storage, tensor.dtype, bytes, &mut place[..length]);
            let address = to.address() + (piece * PINNED) as u64;
            // SAFETY: the buffer is as long as all pieces together.
            unsafe { self.send(pinned, length, address) }.during(sending)?;
        }
        Ok(())
    }
}

/// Converts checkpoint values, at any alignment, to the storage type.
fn convert(storage: Storage, dtype: Dtype, from: &[u8], to: &mut [u8]) {
    let same = matches!(
        (storage, dtype),
        (Storage::Bf16, Dtype::Bf16) | (Storage::F16, Dtype::F16)
    );
    if same && cfg!(target_endian = "little") {
        to.copy_from_slice(from);
        return;
    }
    let value = |b: &[u8]| match dtype {
        Dtype::F32 => f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
        Dtype::F16 => f16::from_le_bytes([b[0], b[1]]).to_f32(),
        Dtype::Bf16 => bf16::from_le_bytes([b[0], b[1]]).to_f32(),
    };
    let pieces = to
        .par_chunks_mut(2 * CONVERTED)
        .zip(from.par_chunks(dtype.size() * CONVERTED));
    pieces.for_each(|(to, from)| {
        for (to, from) in to.chunks_exact_mut(2).zip(from.chunks_exact(dtype.size())) {
            to.copy_from_slice(&storage.encode(value(from)));
        }
    });
}

impl Memory for Cuda {
    type Host = f32;
    type Matrix = CudaMatrix;
    type Statistics = CudaStatistics;
    type Weight = CudaWeight;

    fn element_bytes(&self) -> usize {
        STORED
    }

    fn scratch_bytes(&self, _rows: usize, _columns: usize) -> usize {
        DeviceProfile::CUDA.scratch_bytes
    }

    fn memory_budget(&self) -> usize {
        let idle = self.gpu.pool.idle();
        self.memory()
            .map_or(4 << 30, |(free, _)| budget(free + idle))
    }

    fn limit_memory(&self, bytes: usize) {
        self.gpu.pool.limit(bytes);
    }

    /// Uploads values, rounded to the storage type.
    fn upload_impl(&self, rows: usize, columns: usize, values: &[f32]) -> Result<CudaMatrix> {
        let x = self.gpu.matrix(rows, columns)?;
        let encoded = values.iter().flat_map(|&v| self.storage.encode(v));
        let bytes: Vec<u8> = encoded.collect();
        self.gpu.write(&x.buffer, &bytes)?;
        Ok(x)
    }

    fn zeros(&self, rows: usize, columns: usize) -> Result<CudaMatrix> {
        let x = self.gpu.matrix(rows, columns)?;
        self.gpu.zero(&x.buffer, x.count() * STORED)?;
        Ok(x)
    }

    fn download(&self, x: &CudaMatrix) -> Result<Vec<f32>> {
        let mut bytes = vec![0; x.count() * STORED];
        self.gpu.read(&x.buffer, &mut bytes)?;
        let pairs = bytes.chunks_exact(2);
        Ok(pairs.map(|b| self.storage.decode([b[0], b[1]])).collect())
    }

    fn download_statistics(&self, x: &CudaStatistics) -> Result<Vec<f32>> {
        self.gpu.floats(&x.buffer, x.rows * x.columns)
    }

    fn weight_impl(&self, tensor: &Tensor, out: usize, inside: usize) -> Result<CudaWeight> {
        self.gpu
            .weight(self.storage, &self.weights, tensor, (out, inside))
    }
}

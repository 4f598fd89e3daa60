//! Matrix products through NVIDIA's cuBLASLt, if its library is present.
//!
//! The library uses column-major matrices, so it computes the transpose of the kernels' result:
//! y^T = W x^T. Algorithms that split the sum over k are not allowed: the bits of a row would
//! depend on how the sum is split.

mod functions;
mod libraries;
mod places;

use std::ffi::c_void;
use std::ptr::{from_ref, null_mut};
use std::sync::Arc;

use cudarc::cublaslt::sys::{
    cublasComputeType_t as Compute, cublasLtEpilogue_t as LibraryEpilogue, cublasLtMatmulAlgo_t,
    cublasLtMatmulAlgoConfigAttributes_t as AlgorithmAttribute,
    cublasLtMatmulDescAttributes_t as ProductAttribute,
    cublasLtMatmulPreferenceAttributes_t as PreferenceAttribute,
    cublasLtReductionScheme_t as Reduction, cudaDataType_t as DataType,
};

use super::error::During;
use super::gpu::Gpu;
use super::memory::Storage;
use super::pool::Buffer;
use crate::device::{DeviceError, Result};
use functions::{Found, Functions, Object};
pub(super) use libraries::is_turned_off;
use libraries::{Loaded, expected, first_usable};

/// `cublasOperation_t`: not transposed, and transposed.
const AS_IT_IS: i32 = 0;
const TRANSPOSED: i32 = 1;

/// Bytes of workspace: NVIDIA's recommendation for Hopper, more than for older GPUs.
const WORKSPACE: usize = 32 << 20;

/// A version of the library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CublasLtInfo {
    /// Its version, as in `12.9.1`.
    pub version: String,
    /// The name or path by which it was loaded.
    pub place: String,
}

/// Returns the library that is used: before a device uses it, the first that can be loaded.
///
/// # Errors
/// The reason why there is none, in one line.
pub fn info() -> std::result::Result<CublasLtInfo, String> {
    let library = expected()?;
    Ok(CublasLtInfo {
        version: library.version.clone(),
        place: library.place.clone(),
    })
}

/// An algorithm of the library for products of one shape, valid only for the same version of the
/// library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Algorithm([u64; 8]);

#[cfg(test)]
impl Algorithm {
    /// Creates an algorithm that is not the library's.
    pub fn for_test(data: [u64; 8]) -> Algorithm {
        Algorithm(data)
    }
}

/// An algorithm's settings in the library's numbers, which tell algorithms apart in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Configuration {
    pub id: u32,
    /// `cublasLtMatmulTile_t`; 0 if undefined.
    pub tile: u32,
    /// `cublasLtMatmulStages_t`; 0 if undefined.
    pub stages: u32,
}

impl std::fmt::Display for Configuration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Configuration { id, tile, stages } = self;
        write!(f, "algorithm {id} tile {tile} stages {stages}")
    }
}

/// A product y = a b^T (b `[n, k]`) or, if `vjp`, y = a b (b `[k, n]`), plus bias and residual; a
/// `[m, k]`, y `[m, n]`, all row-major in the storage type.
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub vjp: bool,
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a: u64,
    pub b: u64,
    /// `[n]`, or 0.
    pub bias: u64,
    /// `[m, n]`, or 0.
    pub residual: u64,
    pub y: u64,
}

/// The library on one GPU.
pub(super) struct CublasLt {
    functions: &'static Functions,
    version: &'static str,
    handle: Object,
    workspace: Buffer,
    storage: Storage,
    gpu: Arc<Gpu>,
}

// SAFETY: a handle may be used from any thread.
unsafe impl Send for CublasLt {}
// SAFETY: the library allows calls with one handle from several threads; the workspace, which they
// share, is used in the order of the one stream.
unsafe impl Sync for CublasLt {}

impl Drop for CublasLt {
    fn drop(&mut self) {
        if self.gpu.context.bind_to_thread().is_ok() {
            // SAFETY: created by `create`, and destroyed once.
            unsafe { (self.functions.destroy)(self.handle) };
        }
    }
}

/// One of the library's descriptors, destroyed when dropped.
struct Described {
    object: Object,
    destroy: unsafe extern "C" fn(Object) -> u32,
}

impl Drop for Described {
    fn drop(&mut self) {
        // SAFETY: created by the library, and destroyed once.
        unsafe { (self.destroy)(self.object) };
    }
}

/// The library's descriptors of a product.
struct Description {
    product: Described,
    a: Described,
    b: Described,
    /// Layout of both residual and y.
    y: Described,
}

impl CublasLt {
    /// Creates a handle for a GPU.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] if no library is found that supports this GPU and its driver.
    pub fn new(gpu: &Arc<Gpu>, storage: Storage) -> Result<CublasLt> {
        gpu.context
            .bind_to_thread()
            .during(|| "opening cuBLASLt".into())?;
        let create = |library: &'static Loaded| {
            let functions = &library.functions;
            let mut handle: Object = null_mut();
            // SAFETY: writes one handle, of the current context.
            match unsafe { (functions.create)(&mut handle) } {
                0 => Ok(handle),
                status => Err(format!("no handle: {}", functions.words(status))),
            }
        };
        let (library, handle) =
            first_usable(create).map_err(|reason| DeviceError::Unavailable {
                device: "cuBLASLt".into(),
                reason,
            })?;
        let workspace = gpu.single_buffer(WORKSPACE)?;
        // The workspace lives as long as the weights.
        gpu.pool.is_weight(&workspace);
        Ok(CublasLt {
            functions: &library.functions,
            version: &library.version,
            handle,
            workspace,
            storage,
            gpu: gpu.clone(),
        })
    }

    /// Returns the library's version, as in `12.9.1`.
    pub fn version(&self) -> &'static str {
        self.version
    }

    fn succeed(&self, status: u32, doing: &str) -> Result<()> {
        if status == 0 {
            return Ok(());
        }
        Err(DeviceError::Driver {
            operation: format!("cuBLASLt: {doing}"),
            reason: self.functions.words(status),
        })
    }

    fn described(
        &self,
        create: impl FnOnce(*mut Object) -> u32,
        destroy: unsafe extern "C" fn(Object) -> u32,
    ) -> Result<Described> {
        let mut object = null_mut();
        self.succeed(create(&mut object), "describing a product")?;
        Ok(Described { object, destroy })
    }

    /// Sets an attribute of a product's descriptor.
    fn set<T>(&self, product: &Described, attribute: ProductAttribute, value: &T) -> Result<()> {
        let (value, bytes) = (from_ref(value).cast::<c_void>(), size_of::<T>());
        // SAFETY: the value is read during the call, and its size is passed.
        let status =
            unsafe { (self.functions.set_product)(product.object, attribute as u32, value, bytes) };
        self.succeed(status, "describing a product")
    }

    /// Sets an attribute of a preference.
    fn prefer<T>(&self, to: &Described, attribute: PreferenceAttribute, value: &T) -> Result<()> {
        let (value, bytes) = (from_ref(value).cast::<c_void>(), size_of::<T>());
        // SAFETY: as in `set`.
        let status =
            unsafe { (self.functions.set_preference)(to.object, attribute as u32, value, bytes) };
        self.succeed(status, "describing what an algorithm must keep to")
    }

    /// Describes a dense column-major matrix in the storage type.
    fn matrix(&self, rows: usize, columns: usize) -> Result<Described> {
        let f = self.functions;
        let kind = match self.storage {
            Storage::Bf16 => DataType::CUDA_R_16BF,
            Storage::F16 => DataType::CUDA_R_16F,
        } as u32;
        let (rows, columns) = (rows as u64, columns as u64);
        let step = rows.cast_signed();
        // SAFETY: writes one handle.
        let create = |out| unsafe { (f.create_matrix)(out, kind, rows, columns, step) };
        self.described(create, f.destroy_matrix)
    }

    fn describe(&self, p: &Product) -> Result<Description> {
        let f = self.functions;
        // The library uses the thread's current context.
        self.gpu
            .context
            .bind_to_thread()
            .during(|| "describing a product".into())?;
        let (compute, scale) = (
            Compute::CUBLAS_COMPUTE_32F as u32,
            DataType::CUDA_R_32F as u32,
        );
        let create = |out| {
            // SAFETY: writes one handle.
            unsafe { (f.create_product)(out, compute, scale) }
        };
        let product = self.described(create, f.destroy_product)?;
        let turned = if p.vjp { AS_IT_IS } else { TRANSPOSED };
        self.set(
            &product,
            ProductAttribute::CUBLASLT_MATMUL_DESC_TRANSA,
            &turned,
        )?;
        if p.bias != 0 {
            let epilogue = LibraryEpilogue::CUBLASLT_EPILOGUE_BIAS as u32;
            self.set(
                &product,
                ProductAttribute::CUBLASLT_MATMUL_DESC_EPILOGUE,
                &epilogue,
            )?;
            self.set(
                &product,
                ProductAttribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                &p.bias,
            )?;
        }
        // In column-major order, b's rows of k are columns of k, and its rows of n columns of n.
        let a = if p.vjp {
            self.matrix(p.n, p.k)?
        } else {
            self.matrix(p.k, p.n)?
        };
        Ok(Description {
            product,
            a,
            b: self.matrix(p.k, p.m)?,
            y: self.matrix(p.n, p.m)?,
        })
    }

    /// Returns the algorithms that the library suggests for a product, the most promising first:
    /// `most` at most, and none if the library has none.
    ///
    /// # Errors
    /// The error that the library reports.
    pub fn suggestions(&self, product: &Product, most: usize) -> Result<Vec<Algorithm>> {
        let (f, d) = (self.functions, self.describe(product)?);
        // SAFETY: writes one handle.
        let create = |out| unsafe { (f.create_preference)(out) };
        let preference = self.described(create, f.destroy_preference)?;
        self.prefer(
            &preference,
            PreferenceAttribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            &WORKSPACE,
        )?;
        let whole = Reduction::CUBLASLT_REDUCTION_SCHEME_NONE as u32;
        self.prefer(
            &preference,
            PreferenceAttribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            &whole,
        )?;
        let mut found = vec![Found::EMPTY; most];
        let mut count = 0;
        let room = i32::try_from(most).unwrap_or(i32::MAX);
        // SAFETY: all descriptors were created above; there is room for that many results.
        let status = unsafe {
            (f.suggest)(
                self.handle,
                d.product.object,
                d.a.object,
                d.b.object,
                d.y.object,
                d.y.object,
                preference.object,
                room,
                found.as_mut_ptr(),
                &mut count,
            )
        };
        if status != 0 {
            // The shape is not supported.
            return Ok(Vec::new());
        }
        let count = usize::try_from(count).unwrap_or(0);
        let usable = found.iter().take(count).filter(|f| f.status == 0);
        Ok(usable.map(|f| Algorithm(f.algorithm.data)).collect())
    }

    /// Returns an algorithm's settings; those that the library does not tell are 0.
    pub fn configuration(&self, algorithm: Algorithm) -> Configuration {
        let algorithm = cublasLtMatmulAlgo_t { data: algorithm.0 };
        let read = |attribute: AlgorithmAttribute| {
            let (mut value, mut written) = (0u32, 0);
            let to: *mut u32 = &mut value;
            // SAFETY: there is room for the attribute, and its size is passed.
            let status = unsafe {
                (self.functions.configuration)(
                    &algorithm,
                    attribute as u32,
                    to.cast(),
                    size_of::<u32>(),
                    &mut written,
                )
            };
            if status == 0 { value } else { 0 }
        };
        Configuration {
            id: read(AlgorithmAttribute::CUBLASLT_ALGO_CONFIG_ID),
            tile: read(AlgorithmAttribute::CUBLASLT_ALGO_CONFIG_TILE_ID),
            stages: read(AlgorithmAttribute::CUBLASLT_ALGO_CONFIG_STAGES_ID),
        }
    }

    /// Checks whether an algorithm can compute a product in the available workspace.
    ///
    /// # Errors
    /// An error if the product cannot be described.
    pub fn takes(&self, product: &Product, algorithm: Algorithm) -> Result<bool> {
        let (f, d) = (self.functions, self.describe(product)?);
        let algorithm = cublasLtMatmulAlgo_t { data: algorithm.0 };
        let mut found = Found::EMPTY;
        // SAFETY: all descriptors were created above.
        let status = unsafe {
            (f.check)(
                self.handle,
                d.product.object,
                d.a.object,
                d.b.object,
                d.y.object,
                d.y.object,
                &algorithm,
                &mut found,
            )
        };
        // The library need not write the status in `found` here: the returned one decides.
        Ok(status == 0 && found.workspace <= WORKSPACE)
    }

    /// Submits a product.
    ///
    /// # Safety
    /// Every address must be that of a matrix of its shape in the storage type, aligned to 256
    /// bytes, which the library's suggestions require.
    ///
    /// # Errors
    /// The error that the library reports.
    pub unsafe fn multiply(&self, p: &Product, algorithm: Algorithm) -> Result<()> {
        let _turn = self.gpu.turn();
        let doing = || format!("multiplying {} x {} x {}", p.m, p.n, p.k);
        let d = self.describe(p)?;
        let algorithm = cublasLtMatmulAlgo_t { data: algorithm.0 };
        let alpha = 1.0f32;
        let (beta, c) = if p.residual == 0 {
            (0.0f32, p.y)
        } else {
            (1.0, p.residual)
        };
        // SAFETY: the caller guarantees the matrices, alpha and beta are read during the call, and
        // the workspace is used in the stream's order.
        let status = unsafe {
            (self.functions.multiply)(
                self.handle,
                d.product.object,
                from_ref(&alpha).cast(),
                p.b,
                d.a.object,
                p.a,
                d.b.object,
                from_ref(&beta).cast(),
                c,
                d.y.object,
                p.y,
                d.y.object,
                &algorithm,
                self.workspace.address(),
                WORKSPACE,
                self.gpu.stream.cu_stream().cast(),
            )
        };
        self.succeed(status, &doing())
    }
}

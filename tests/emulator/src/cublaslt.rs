//! The functions of cuBLASLt that foveate calls: dense column-major products in bf16 or f16 with
//! f32 sums. Like launches, products wait in their stream and are recorded by captures.

mod product;

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;

use crate::driver::{Driver, Needs, Out, enter};
use crate::status::{Outcome, Status};
use crate::stream::Operation;
pub use product::Product;
use product::{ALGORITHMS, Algorithm, Matrix};

/// The library's version: 13.1.0.
const VERSION: usize = 130_100;

/// `cublasStatus_t`.
mod code {
    pub const NOT_INITIALIZED: u32 = 1;
    pub const INVALID_VALUE: u32 = 7;
    pub const EXECUTION_FAILED: u32 = 13;
    pub const NOT_SUPPORTED: u32 = 15;
}

/// The objects behind the library's handles.
#[derive(Default)]
pub struct Objects {
    handles: HashMap<usize, ()>,
    products: HashMap<usize, Description>,
    matrices: HashMap<usize, Matrix>,
    preferences: HashMap<usize, Preference>,
}

/// A product's description.
#[derive(Clone, Copy, Default)]
struct Description {
    transposed_a: bool,
    transposed_b: bool,
    bias_added: bool,
    bias: usize,
}

/// Constraints on an algorithm.
#[derive(Clone, Copy)]
struct Preference {
    workspace: usize,
    /// Bit mask of the allowed reductions of a split sum; 0 forbids splitting.
    reductions: u32,
}

/// `cublasLtMatmulHeuristicResult_t`.
#[repr(C)]
pub struct Found {
    algorithm: [u64; 8],
    workspace: usize,
    status: u32,
    waves: f32,
    reserved: [c_int; 4],
}

impl Found {
    fn of(algorithm: &Algorithm) -> Found {
        Found {
            algorithm: algorithm.data(),
            workspace: algorithm.workspace,
            status: 0,
            waves: 1.0,
            reserved: [0; 4],
        }
    }
}

/// Runs a function of the library like a driver function, with the library's status codes.
fn call(name: &'static str, body: impl FnOnce(&mut Driver) -> Outcome) -> u32 {
    match enter(name, Needs::Context, body) {
        0 => 0,
        1 => code::INVALID_VALUE,
        3 | 201 => code::NOT_INITIALIZED,
        801 => code::NOT_SUPPORTED,
        _ => code::EXECUTION_FAILED,
    }
}

/// Returns the object of a handle.
fn known<T: Copy>(objects: &HashMap<usize, T>, handle: usize) -> Result<T, Status> {
    objects.get(&handle).copied().ok_or(Status::INVALID_VALUE)
}

/// Reads an attribute's value.
///
/// # Safety
/// `value` must point to `bytes` bytes.
unsafe fn value<T: Copy>(value: *const c_void, bytes: usize) -> Result<T, Status> {
    if value.is_null() || bytes != size_of::<T>() {
        return Err(Status::INVALID_VALUE);
    }
    // SAFETY: the caller's guarantee.
    Ok(unsafe { value.cast::<T>().read_unaligned() })
}

impl Driver {
    /// Returns the sizes of a product, if its matrices match and the emulator supports it.
    fn product(&self, description: usize, matrices: [usize; 4]) -> Result<Product, Status> {
        let objects = &self.cublaslt;
        let product = known(&objects.products, description)?;
        let [a, b, c, d] = matrices.map(|handle| known(&objects.matrices, handle));
        let (a, b, c, d) = (a?, b?, c?, d?);
        if product.transposed_b || a.kind != d.kind || b.kind != d.kind || c.kind != d.kind {
            return Err(Status::NOT_SUPPORTED);
        }
        let (rows, inner) = if product.transposed_a {
            (a.columns, a.rows)
        } else {
            (a.rows, a.columns)
        };
        let fits = b.rows == inner
            && (d.rows, d.columns) == (rows, b.columns)
            && (c.rows, c.columns) == (d.rows, d.columns);
        if !fits {
            return Err(Status::INVALID_VALUE);
        }
        Ok(Product::new(
            [a, b, c, d],
            product.transposed_a,
            product.bias_added.then_some(product.bias),
        ))
    }
}

macro_rules! library_calls {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($driver:ident $(, $argument:ident: $type:ty)* $(,)?) $body:block
    )*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> u32 {
            call(stringify!($name), |$driver| -> Outcome { $body })
        }
    )*};
}

/// Returns the version.
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetVersion() -> usize {
    VERSION
}

/// Returns the description of a status code.
#[unsafe(no_mangle)]
pub extern "C" fn cublasLtGetStatusString(status: u32) -> *const c_char {
    let text: &CStr = match status {
        0 => c"CUBLAS_STATUS_SUCCESS",
        code::NOT_INITIALIZED => c"CUBLAS_STATUS_NOT_INITIALIZED",
        code::INVALID_VALUE => c"CUBLAS_STATUS_INVALID_VALUE",
        code::NOT_SUPPORTED => c"CUBLAS_STATUS_NOT_SUPPORTED",
        _ => c"CUBLAS_STATUS_EXECUTION_FAILED",
    };
    text.as_ptr()
}

library_calls! {
    /// Creates a handle of the library.
    fn cublasLtCreate(driver, handle: Out<usize>) {
        let new = driver.handle();
        driver.cublaslt.handles.insert(new, ());
        handle.put(new)
    }
    /// Destroys the handle.
    fn cublasLtDestroy(driver, handle: usize) {
        driver.cublaslt.handles.remove(&handle).ok_or(Status::INVALID_VALUE)
    }
    /// Creates the description of a product with sums and factors in f32.
    fn cublasLtMatmulDescCreate(driver, product: Out<usize>, compute: u32, scale: u32) {
        // CUBLAS_COMPUTE_32F, CUDA_R_32F.
        if (compute, scale) != (68, 0) {
            return Err(Status::NOT_SUPPORTED);
        }
        let new = driver.handle();
        driver.cublaslt.products.insert(new, Description::default());
        product.put(new)
    }
    /// Sets the transposition of A or B, the epilogue that adds a bias, or the bias.
    fn cublasLtMatmulDescSetAttribute(
        driver, product: usize, attribute: u32, new: *const c_void, bytes: usize,
    ) {
        let product = driver.cublaslt.products.get_mut(&product).ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the caller provides `bytes` bytes.
        unsafe {
            match attribute {
                3 => product.transposed_a = value::<i32>(new, bytes)? == 1,
                4 => product.transposed_b = value::<i32>(new, bytes)? == 1,
                7 => product.bias_added = match value::<u32>(new, bytes)? {
                    1 => false,
                    4 => true,
                    _ => return Err(Status::NOT_SUPPORTED),
                },
                8 => product.bias = value::<usize>(new, bytes)?,
                _ => return Err(Status::NOT_SUPPORTED),
            }
        }
        Ok(())
    }
    /// Destroys the description.
    fn cublasLtMatmulDescDestroy(driver, product: usize) {
        driver.cublaslt.products.remove(&product).map(drop).ok_or(Status::INVALID_VALUE)
    }
    /// Creates the layout of a column-major matrix of bf16 or f16.
    fn cublasLtMatrixLayoutCreate(
        driver, matrix: Out<usize>, kind: u32, rows: u64, columns: u64, step: i64,
    ) {
        let described = Matrix::new(kind, rows, columns, step)?;
        let new = driver.handle();
        driver.cublaslt.matrices.insert(new, described);
        matrix.put(new)
    }
    /// Destroys the layout.
    fn cublasLtMatrixLayoutDestroy(driver, matrix: usize) {
        driver.cublaslt.matrices.remove(&matrix).map(drop).ok_or(Status::INVALID_VALUE)
    }
    /// Creates a preference without workspace that allows every reduction of a split sum.
    fn cublasLtMatmulPreferenceCreate(driver, preference: Out<usize>) {
        let new = driver.handle();
        driver.cublaslt.preferences.insert(new, Preference { workspace: 0, reductions: u32::MAX });
        preference.put(new)
    }
    /// Sets the workspace or the allowed reductions of a split sum.
    fn cublasLtMatmulPreferenceSetAttribute(
        driver, preference: usize, attribute: u32, new: *const c_void, bytes: usize,
    ) {
        let preference = driver.cublaslt.preferences.get_mut(&preference);
        let preference = preference.ok_or(Status::INVALID_VALUE)?;
        // SAFETY: the caller provides `bytes` bytes.
        unsafe {
            match attribute {
                1 => preference.workspace = value(new, bytes)?,
                3 => preference.reductions = value(new, bytes)?,
                _ => return Err(Status::NOT_SUPPORTED),
            }
        }
        Ok(())
    }
    /// Destroys the preference.
    fn cublasLtMatmulPreferenceDestroy(driver, preference: usize) {
        driver.cublaslt.preferences.remove(&preference).map(drop).ok_or(Status::INVALID_VALUE)
    }
    /// Returns the emulator's algorithms that satisfy the preference; see [`ALGORITHMS`].
    fn cublasLtMatmulAlgoGetHeuristic(
        driver, handle: usize, product: usize, a: usize, b: usize, c: usize, d: usize,
        preference: usize, wanted: c_int, found: *mut Found, count: Out<c_int>,
    ) {
        known(&driver.cublaslt.handles, handle)?;
        driver.product(product, [a, b, c, d])?;
        let preference = known(&driver.cublaslt.preferences, preference)?;
        let keeps = |a: &&Algorithm| {
            a.workspace <= preference.workspace && (!a.splits || preference.reductions != 0)
        };
        let most = usize::try_from(wanted).map_err(|_| Status::INVALID_VALUE)?;
        let mut written = 0;
        for algorithm in ALGORITHMS.iter().filter(keeps).take(most) {
            // SAFETY: the caller provides room for the requested number.
            unsafe { found.add(written).write(Found::of(algorithm)) };
            written += 1;
        }
        count.put(written as c_int)
    }
    /// Returns the workspace and waves that an algorithm needs for a product. As in the library's
    /// header, the algorithm and its status are not returned.
    fn cublasLtMatmulAlgoCheck(
        driver, handle: usize, product: usize, a: usize, b: usize, c: usize, d: usize,
        algorithm: *const [u64; 8], found: *mut Found,
    ) {
        known(&driver.cublaslt.handles, handle)?;
        driver.product(product, [a, b, c, d])?;
        // SAFETY: the caller provides an algorithm.
        let checked = Found::of(unsafe { Algorithm::of(algorithm) }?);
        // SAFETY: the caller provides room for the result, or null.
        let found = unsafe { found.as_mut() }.ok_or(Status::INVALID_VALUE)?;
        (found.workspace, found.waves) = (checked.workspace, checked.waves);
        Ok(())
    }
    /// Reads an attribute of an algorithm: its number, or 0 for its tile and stages.
    fn cublasLtMatmulAlgoConfigGetAttribute(
        _driver, algorithm: *const [u64; 8], attribute: u32, value: Out<u32>, bytes: usize,
        written: Out<usize>,
    ) {
        // SAFETY: the caller provides an algorithm.
        let algorithm = unsafe { Algorithm::of(algorithm) }?;
        if bytes != size_of::<u32>() {
            return Err(Status::INVALID_VALUE);
        }
        value.put(match attribute {
            0 => algorithm.number(),
            1 | 6 => 0,
            _ => return Err(Status::NOT_SUPPORTED),
        })?;
        written.put(bytes)
    }
    /// Submits a product to a stream.
    fn cublasLtMatmul(
        driver, handle: usize, product: usize, alpha: *const f32, a: usize, a_matrix: usize,
        b: usize, b_matrix: usize, beta: *const f32, c: usize, c_matrix: usize, d: usize,
        d_matrix: usize, algorithm: *const [u64; 8], workspace: usize, workspace_bytes: usize,
        stream: usize,
    ) {
        known(&driver.cublaslt.handles, handle)?;
        let product = driver.product(product, [a_matrix, b_matrix, c_matrix, d_matrix])?;
        // SAFETY: the caller provides an algorithm.
        let algorithm = unsafe { Algorithm::of(algorithm) }?;
        if algorithm.workspace > workspace_bytes || alpha.is_null() || beta.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller provides both.
        let factors = unsafe { (*alpha, *beta) };
        let workspace = (workspace, algorithm.workspace);
        let product = product.on([a, b, c, d], factors, algorithm, workspace)?;
        driver.submit(stream, Operation::Product(Arc::new(product)))
    }
}

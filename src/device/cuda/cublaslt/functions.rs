//! The functions of NVIDIA's cuBLASLt, loaded from its library at run time.
//!
//! cudarc has them too, but knows the library's names only up to CUDA 12 and ends the program if a
//! function is missing. Types and numbers are cudarc's; statuses are plain numbers, since a newer
//! library may return statuses that these headers do not define.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};

use cudarc::cublaslt::sys::cublasLtMatmulAlgo_t;
use libloading::Library;

/// `cublasLtMatmulHeuristicResult_t`, with its status as a number.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Found {
    /// The algorithm, opaque.
    pub algorithm: cublasLtMatmulAlgo_t,
    /// Bytes of workspace required.
    pub workspace: usize,
    /// Status: 0 if it can be used.
    pub status: u32,
    waves: f32,
    reserved: [c_int; 4],
}

impl Found {
    /// A result to be filled in.
    pub const EMPTY: Found = Found {
        algorithm: cublasLtMatmulAlgo_t { data: [0; 8] },
        workspace: 0,
        status: u32::MAX,
        waves: 0.0,
        reserved: [0; 4],
    };
}

/// A handle of one of the library's objects.
pub type Object = *mut c_void;

macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident = $symbol:literal ($($type:ty),*) -> $result:ty;)*) => {
        /// The functions, named by their purpose.
        pub struct Functions {
            $($(#[$doc])* pub $name: unsafe extern "C" fn($($type),*) -> $result,)*
        }

        impl Functions {
            /// Loads all functions, or returns the name of the first that is missing.
            fn of(library: &Library) -> Result<Functions, &'static str> {
                // SAFETY: the types are those of cublasLt.h, the same since CUDA 11.4.
                unsafe {
                    Ok(Functions {
                        $($name: *library
                            .get(concat!($symbol, "\0").as_bytes())
                            .map_err(|_| $symbol)?,)*
                    })
                }
            }
        }
    };
}

functions! {
    /// Returns the library's version: 10000 * major + 100 * minor + patch.
    version = "cublasLtGetVersion" () -> usize;
    /// Returns a description of a status.
    describe = "cublasLtGetStatusString" (u32) -> *const c_char;
    /// Creates a handle for the current context.
    create = "cublasLtCreate" (*mut Object) -> u32;
    /// Destroys a handle.
    destroy = "cublasLtDestroy" (Object) -> u32;
    /// Creates a product's descriptor: compute type, type of alpha and beta.
    create_product = "cublasLtMatmulDescCreate" (*mut Object, u32, u32) -> u32;
    /// Sets an attribute: attribute, value, its bytes.
    set_product = "cublasLtMatmulDescSetAttribute" (Object, u32, *const c_void, usize) -> u32;
    /// Destroys a product's descriptor.
    destroy_product = "cublasLtMatmulDescDestroy" (Object) -> u32;
    /// Creates a column-major layout: type, rows, columns, elements between columns.
    create_matrix = "cublasLtMatrixLayoutCreate" (*mut Object, u32, u64, u64, i64) -> u32;
    /// Destroys a layout.
    destroy_matrix = "cublasLtMatrixLayoutDestroy" (Object) -> u32;
    /// Creates the constraints on an algorithm.
    create_preference = "cublasLtMatmulPreferenceCreate" (*mut Object) -> u32;
    /// Sets a constraint: attribute, value, its bytes.
    set_preference = "cublasLtMatmulPreferenceSetAttribute"
        (Object, u32, *const c_void, usize) -> u32;
    /// Destroys the constraints.
    destroy_preference = "cublasLtMatmulPreferenceDestroy" (Object) -> u32;
    /// Suggests algorithms: handle, product, matrices A to D, preference, number of algorithms
    /// wanted, room for them, number found.
    suggest = "cublasLtMatmulAlgoGetHeuristic"
        (Object, Object, Object, Object, Object, Object, Object, c_int, *mut Found, *mut c_int)
        -> u32;
    /// Checks an algorithm: handle, product, matrices A to D, the algorithm, its requirements.
    check = "cublasLtMatmulAlgoCheck"
        (Object, Object, Object, Object, Object, Object, *const cublasLtMatmulAlgo_t, *mut Found)
        -> u32;
    /// Reads an attribute of an algorithm: the algorithm, attribute, value, its bytes, bytes
    /// written.
    configuration = "cublasLtMatmulAlgoConfigGetAttribute"
        (*const cublasLtMatmulAlgo_t, u32, *mut c_void, usize, *mut usize) -> u32;
    /// Computes D = alpha A B + beta C: handle, product, alpha, A, B, beta, C, D, algorithm,
    /// workspace and its bytes, stream.
    multiply = "cublasLtMatmul"
        (Object, Object, *const c_void, u64, Object, u64, Object, *const c_void, u64, Object, u64,
         Object, *const cublasLtMatmulAlgo_t, u64, usize, Object) -> u32;
}

impl Functions {
    /// Loads the library by a name for the system's loader or by its path, and its functions. It
    /// stays loaded.
    ///
    /// # Errors
    /// The loader's message, or the name of the function that is missing.
    pub fn load(place: &OsStr) -> Result<Functions, String> {
        let reason = |error: libloading::Error| {
            let text = match std::error::Error::source(&error) {
                Some(source) => source.to_string(),
                None => error.to_string(),
            };
            let named = format!("{}: ", place.display());
            text.strip_prefix(&named).unwrap_or(&text).to_string()
        };
        // SAFETY: loading the library runs its initialisers, as for every program that links it.
        let library = unsafe { Library::new(place) }.map_err(reason)?;
        let functions = Functions::of(&library)
            .map_err(|symbol| format!("expected the function {symbol}, found none"))?;
        // Its code must stay loaded: the functions are kept until the program ends.
        std::mem::forget(library);
        Ok(functions)
    }

    /// Returns the library's description of a status.
    pub fn words(&self, status: u32) -> String {
        // SAFETY: the library returns a text that is never freed, or null.
        let text = unsafe { (self.describe)(status) };
        if text.is_null() {
            return format!("status {status}");
        }
        // SAFETY: not null.
        let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
        format!("{text} ({status})")
    }
}

/// Formats a version.
pub fn name(version: usize) -> String {
    format!(
        "{}.{}.{}",
        version / 10000,
        version / 100 % 100,
        version % 100
    )
}

//! The compiled kernels in the program, and their functions on one GPU.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cudarc::driver::{CudaContext, CudaFunction, CudaModule, sys};
use cudarc::nvrtc::Ptx;

use super::error::During;
use crate::device::{DeviceError, Result};

include!(concat!(env!("OUT_DIR"), "/fatbins.rs"));

/// Dynamic shared memory that every kernel may use without a request, in bytes.
const SHARED_WITHOUT_ASKING: u32 = 48 << 10;

/// Kernel files by name, loaded when their first function is used.
pub(super) struct Kernels {
    context: Arc<CudaContext>,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    modules: HashMap<&'static str, Arc<CudaModule>>,
    functions: HashMap<String, (CudaFunction, u32)>,
}

impl Kernels {
    pub fn new(context: Arc<CudaContext>) -> Kernels {
        Kernels {
            context,
            loaded: Mutex::default(),
        }
    }

    /// Returns function `name` of kernel file `file`, allowed to use `shared` bytes of dynamic
    /// shared memory.
    pub fn function(&self, file: &'static str, name: &str, shared: u32) -> Result<CudaFunction> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((function, allowed)) = loaded.functions.get(name)
            && *allowed >= shared
        {
            return Ok(function.clone());
        }
        let module = match loaded.modules.get(file) {
            Some(module) => module.clone(),
            None => {
                let module = self.load(file)?;
                loaded.modules.insert(file, module.clone());
                module
            }
        };
        let function = module
            .load_function(name)
            .during(|| format!("looking up kernel {name}"))?;
        if shared > SHARED_WITHOUT_ASKING {
            let attribute =
                sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function
                .set_attribute(attribute, shared.cast_signed())
                .during(|| format!("asking for {shared} bytes of shared memory for {name}"))?;
        }
        let allowed = shared.max(SHARED_WITHOUT_ASKING);
        loaded
            .functions
            .insert(name.to_string(), (function.clone(), allowed));
        Ok(function)
    }

    fn load(&self, file: &'static str) -> Result<Arc<CudaModule>> {
        let (_, image) = FATBINS
            .iter()
            .find(|(name, _)| *name == file)
            .ok_or_else(|| DeviceError::Unavailable {
                device: "cuda".into(),
                reason: format!("this program was built without the kernels of {file}.cu"),
            })?;
        self.context
            .load_module(Ptx::from_binary(image.to_vec()))
            .during(|| format!("loading the kernels of {file}.cu"))
    }
}

//! Models.

use std::ffi::c_char;
use std::time::Instant;

use engine::Lvlm;
use engine::cli::keywords;
use serde_json::json;

use crate::boundary;
use crate::handles::Objects;
use crate::settings::{self, FoveateSetting};
use crate::status::FoveateStatus;

/// The handle of a model. One whose id is 0 is of none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FoveateModel {
    pub id: u64,
}

/// A model on a device.
pub struct Model {
    pub model: Box<dyn Lvlm>,
    pub threads: usize,
    pub load_seconds: f64,
    no_gpu: Option<String>,
}

pub static MODELS: Objects<Model> = Objects::new("model");

/// Opens a model: a checkpoint's folder, the name of a repository in Hugging Face's cache, or NULL
/// for the built-in demo model, which knows drawn shapes only.
///
/// `settings` are options of `foveate explain` about the model and the machine, such as "device",
/// "dtype" and "threads". On failure `*model` is the handle of none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_load(
    path: *const c_char,
    settings: *const FoveateSetting,
    setting_count: usize,
    model: *mut FoveateModel,
) -> FoveateStatus {
    boundary::call(|| {
        let started = Instant::now();
        // SAFETY: pointers are as the header says.
        let (keywords, path) = unsafe {
            boundary::write("model", model, FoveateModel { id: 0 })?;
            let path = match path.is_null() {
                true => None,
                false => Some(boundary::path("path", path)?),
            };
            (settings::keywords(settings, setting_count)?, path)
        };
        let opened = keywords::open(path.as_deref(), &keywords)?;
        let id = MODELS.add(Model {
            model: opened.model,
            threads: opened.threads,
            load_seconds: started.elapsed().as_secs_f64(),
            no_gpu: opened.no_gpu,
        });
        // SAFETY: as above.
        unsafe { boundary::write("model", model, FoveateModel { id }) }
    })
}

/// Copies a description of a model as JSON: "name", "family", "device", "dtype", "threads" (0 on a
/// GPU), and "no_gpu", the reason why "device" "auto" chose no GPU, or null.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_model_json(
    model: FoveateModel,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> FoveateStatus {
    boundary::call(|| {
        let model = MODELS.get(model.id)?;
        let description = json!({
            "name": model.model.name(),
            "family": model.model.family(),
            "device": model.model.device(),
            "dtype": model.model.dtype(),
            "threads": model.threads,
            "no_gpu": model.no_gpu,
        });
        // SAFETY: pointers are as the header says.
        unsafe { boundary::copy_text(&description.to_string(), buffer, capacity, length) }
    })
}

/// Frees a model. Explanations that it made stay; calls that still use it end as if it were there.
/// The handle of none is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_model_free(model: FoveateModel) -> FoveateStatus {
    boundary::call(|| MODELS.free(model.id))
}

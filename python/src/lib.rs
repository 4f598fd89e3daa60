//! The native half of the Python package `foveate`: models, explanations, runs and attributions for
//! the Python code in `foveate/`, which has the documented interface. Work runs without the
//! interpreter's lock.

mod attribute;
mod errors;
mod explanation;
mod model;
mod picture;
mod progress;
mod run;

use std::ffi::OsString;

use foveate::cli::keywords::{self, Topic};
use pyo3::prelude::*;

/// Runs a command line, the program's name first, and returns the exit code of the process.
#[pyfunction]
fn command(py: Python, arguments: Vec<OsString>) -> u8 {
    py.detach(|| foveate::cli::run(arguments))
}

/// Lists the options of `load`, `explain` or `attribute`: their names as keywords, their help, and
/// whether they take no value.
#[pyfunction]
fn options(function: &str) -> PyResult<Vec<(String, String, bool)>> {
    let options = keywords::options(topic(function)?).into_iter();
    let named = options.map(|o| (o.name.replace('-', "_"), o.help, o.switch));
    Ok(named.collect())
}

/// Returns the topic of a function's keywords.
fn topic(function: &str) -> PyResult<Topic> {
    match function {
        "load" => Ok(Topic::Model),
        "explain" => Ok(Topic::Explanation),
        "attribute" => Ok(Topic::Method),
        _ => Err(errors::raise(
            "SettingError",
            &format!("expected load, explain or attribute, found {function}"),
            None,
        )),
    }
}

/// The native half of the package.
#[pymodule]
fn _foveate(module: &Bound<PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(command, module)?)?;
    module.add_function(wrap_pyfunction!(options, module)?)?;
    module.add_function(wrap_pyfunction!(model::load, module)?)?;
    module.add_function(wrap_pyfunction!(run::read_run, module)?)?;
    module.add_function(wrap_pyfunction!(attribute::attribute, module)?)?;
    module.add_function(wrap_pyfunction!(attribute::saliency, module)?)?;
    module.add_class::<model::Model>()?;
    module.add_class::<model::Settings>()?;
    module.add_class::<model::Prepared>()?;
    module.add_class::<explanation::Explanation>()?;
    module.add_class::<run::Run>()
}

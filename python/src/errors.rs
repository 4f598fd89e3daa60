//! Errors as exceptions of `foveate._errors`, with the messages of the command line.

use foveate::cli::{Fault, FaultKind};
use foveate::run::RunError;
use pyo3::prelude::*;

/// Returns the exception `class` of `foveate._errors`. `cause` is the word for a sample's failure
/// in a run's records, if it is one.
pub fn raise(class: &str, message: &str, cause: Option<&str>) -> PyErr {
    Python::attach(|py| {
        let made = py
            .import("foveate._errors")
            .and_then(|module| module.getattr(class))
            .and_then(|class| class.call1((message, cause)));
        made.map_or_else(|error| error, PyErr::from_value)
    })
}

/// Converts an error of an explanation, of a picture, of drawing, or of the command line's parts.
pub fn of(error: impl Into<Fault>) -> PyErr {
    let fault = error.into();
    let class = match fault.kind {
        FaultKind::Answer => "AnswerError",
        FaultKind::Checkpoint => "CheckpointError",
        FaultKind::Device => "DeviceError",
        FaultKind::Memory => "MemoryBudgetError",
        FaultKind::NotFinite => "NotFiniteError",
        FaultKind::Output => "OutputError",
        FaultKind::Picture => "PictureError",
        FaultKind::Question => "QuestionError",
        FaultKind::Setting => "SettingError",
        FaultKind::Cancelled | FaultKind::Other => "Error",
    };
    let cause = fault.cause.map(|cause| cause.to_string());
    raise(class, &fault.message, cause.as_deref())
}

/// Converts an error of a run's folder.
pub fn run(error: RunError) -> PyErr {
    raise("RunError", &error.to_string(), None)
}

//! Models.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use foveate::cli::keywords::{self, Keyword};
use foveate::cli::{Context, record};
use foveate::{
    ExplainError, Limits, Lvlm, Picture, PictureError, Request, explain, explain_prepared, prepare,
};
use pyo3::prelude::*;

use crate::errors;
use crate::explanation::Explanation;
use crate::picture::{Pending, Source};
use crate::progress::Watched;

/// A model on a device.
#[pyclass(frozen, module = "foveate._foveate")]
pub struct Model {
    model: Arc<dyn Lvlm>,
    threads: usize,
    no_gpu: Option<String>,
    load_seconds: f64,
}

/// Settings of explanations, checked.
#[pyclass(frozen, module = "foveate._foveate")]
pub struct Settings {
    settings: foveate::Settings,
    limits: Limits,
}

/// A question about pictures, prepared as far as that needs no device.
#[pyclass(frozen, module = "foveate._foveate")]
pub struct Prepared {
    /// Taken by the explanation.
    prepared: Mutex<Option<foveate::Prepared>>,
    asked: Asked,
}

/// What was asked of a model.
#[derive(Clone)]
struct Asked {
    pictures: Arc<[Picture]>,
    paths: Vec<Option<PathBuf>>,
    question: String,
    answer: Option<String>,
    keys: Option<Vec<usize>>,
    settings: foveate::Settings,
}

impl Asked {
    fn request(&self) -> Request<'_> {
        Request {
            pictures: &self.pictures,
            question: &self.question,
            answer: self.answer.as_deref(),
            keys: self.keys.as_deref(),
            settings: &self.settings,
        }
    }
}

/// Opens the model in a folder or in Hugging Face's cache, or the demo model.
#[pyfunction]
pub fn load(py: Python, model: Option<PathBuf>, keywords: Vec<Keyword>) -> PyResult<Model> {
    let started = Instant::now();
    let opened = py.detach(|| keywords::open(model.as_deref(), &keywords).map_err(errors::of))?;
    Ok(Model {
        model: Arc::from(opened.model),
        threads: opened.threads,
        no_gpu: opened.no_gpu,
        load_seconds: started.elapsed().as_secs_f64(),
    })
}

impl Model {
    /// Makes the result of an explanation.
    fn explained(&self, asked: &Asked, explanation: foveate::Explanation) -> Explanation {
        let context = Context {
            model: &*self.model,
            images: asked.paths.iter().map(Option::as_deref).collect(),
            pictures: &asked.pictures,
            question: &asked.question,
            answer: asked.answer.as_deref(),
            keys: asked.keys.as_deref(),
            settings: &asked.settings,
            threads: self.threads,
            load_seconds: self.load_seconds,
        };
        let record = record(&context, &explanation);
        Explanation::new(
            record,
            explanation,
            asked.pictures.clone(),
            asked.question.clone(),
        )
    }

    /// Opens the pictures and puts together what is asked.
    fn asked(
        &self,
        py: Python,
        images: Vec<Source>,
        question: String,
        answer: Option<String>,
        keys: Option<Vec<usize>>,
        settings: &Settings,
    ) -> PyResult<Asked> {
        let pending = images.into_iter().map(Source::pending);
        let pending: Vec<Pending> = pending.collect::<PyResult<_>>()?;
        let opened = py.detach(|| {
            let mut limits = settings.limits;
            let open = |one: Pending| {
                let opened = one.open(&limits)?;
                limits = limits.after(&opened.picture);
                Ok::<_, PictureError>(opened)
            };
            pending.into_iter().map(open).collect::<Result<Vec<_>, _>>()
        });
        let opened = opened.map_err(errors::of)?.into_iter();
        let (pictures, paths): (Vec<_>, _) = opened.map(|one| (one.picture, one.path)).unzip();
        Ok(Asked {
            pictures: pictures.into(),
            paths,
            question,
            answer,
            keys,
            settings: settings.settings.clone(),
        })
    }

    /// Returns the exception that stopped the work, or that of its error.
    fn failed(watched: Watched, error: ExplainError) -> PyErr {
        watched.raised().unwrap_or_else(|| errors::of(error))
    }
}

#[pymethods]
impl Model {
    #[getter]
    fn name(&self) -> String {
        self.model.name()
    }

    #[getter]
    fn family(&self) -> &'static str {
        self.model.family()
    }

    #[getter]
    fn device(&self) -> String {
        self.model.device()
    }

    #[getter]
    fn dtype(&self) -> &'static str {
        self.model.dtype()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.threads
    }

    #[getter]
    fn no_gpu(&self) -> Option<&str> {
        self.no_gpu.as_deref()
    }

    /// Checks settings of explanations by this model.
    fn settings(&self, keywords: Vec<Keyword>) -> PyResult<Settings> {
        let found = keywords::explanation_by(&*self.model, &keywords);
        let (settings, limits) = found.map_err(errors::of)?;
        Ok(Settings { settings, limits })
    }

    /// Explains an answer about pictures.
    #[expect(
        clippy::too_many_arguments,
        reason = "the arguments of Python's function"
    )]
    fn explain(
        &self,
        py: Python,
        images: Vec<Source>,
        question: String,
        answer: Option<String>,
        keys: Option<Vec<usize>>,
        settings: &Settings,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Explanation> {
        let asked = self.asked(py, images, question, answer, keys, settings)?;
        let mut watched = Watched::new(progress);
        let found = py.detach(|| {
            let explanation = explain(&*self.model, &asked.request(), &mut watched)?;
            Ok::<_, ExplainError>(self.explained(&asked, explanation))
        });
        found.map_err(|error| Model::failed(watched, error))
    }

    /// Prepares an explanation as far as that needs no device.
    fn prepare(
        &self,
        py: Python,
        images: Vec<Source>,
        question: String,
        answer: Option<String>,
        keys: Option<Vec<usize>>,
        settings: &Settings,
    ) -> PyResult<Prepared> {
        let asked = self.asked(py, images, question, answer, keys, settings)?;
        let prepared = py.detach(|| prepare(&*self.model, &asked.request()));
        Ok(Prepared {
            prepared: Mutex::new(Some(prepared.map_err(errors::of)?)),
            asked,
        })
    }

    /// Explains what was prepared, once.
    fn explain_prepared(
        &self,
        py: Python,
        prepared: &Prepared,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Explanation> {
        let taken = prepared
            .prepared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(request) = taken else {
            return Err(errors::raise(
                "Error",
                "prepared: expected one that is not used",
                None,
            ));
        };
        let mut watched = Watched::new(progress);
        let found = py.detach(|| {
            let explanation = explain_prepared(&*self.model, request, &mut watched)?;
            Ok::<_, ExplainError>(self.explained(&prepared.asked, explanation))
        });
        found.map_err(|error| Model::failed(watched, error))
    }
}

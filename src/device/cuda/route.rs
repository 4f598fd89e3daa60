//! Selection of the route of a matrix product: `kernels/gemm.cu`, or cuBLASLt followed by one more
//! kernel for the epilogue.
//!
//! A product's route depends on its layout, n, k and epilogue, never on m: a row has the same bits
//! whatever the number of rows. The faster route is measured once, when a product of a shape first
//! occurs, and kept for later runs ([`kept`]), so that these have the same bits too.

mod kept;
mod refused;
mod trial;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Cuda;
use super::cublaslt::{self, Algorithm, CublasLt, Product};
use super::gemm::{Epilogue, Layout};
use super::interface::gemm::GemmArguments;
use crate::device::{DeviceError, Result};
use kept::Kept;
use refused::Suggested;

/// The matrix products that go through cuBLASLt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GemmBackend {
    /// Those that are faster through it, if it is present.
    Auto,
    /// None.
    #[default]
    Native,
    /// All that it supports: those with n and k multiples of 8, except the vocabulary projection.
    Cublaslt,
}

/// The properties that decide a product's route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    layout: Layout,
    n: usize,
    k: usize,
    epilogue: Epilogue,
    bias: bool,
    residual: bool,
}

/// A product's route.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Route {
    Native,
    Library(Algorithm),
}

/// A route, and what decided it: the times in microseconds for [`trial`]'s number of rows, and the
/// algorithms that could be used.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Choice {
    route: Route,
    native: Option<f64>,
    library: Option<f64>,
    suggested: Suggested,
}

impl Choice {
    /// The choice for a product that only the kernels compute.
    const NATIVE: Choice = Choice {
        route: Route::Native,
        native: None,
        library: None,
        suggested: Suggested::NONE,
    };
}

/// The routes of all products so far.
#[derive(Default)]
pub(super) struct Routes {
    gemm: GemmBackend,
    library: Option<Arc<CublasLt>>,
    /// The reason why the library is not used, if it was requested.
    absent: Option<String>,
    /// The storage of choices between runs, if any.
    kept: Option<Kept>,
    choices: Mutex<HashMap<Shape, Choice>>,
}

impl Routes {
    fn choices(&self) -> MutexGuard<'_, HashMap<Shape, Choice>> {
        self.choices.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shape {
    fn of(
        layout: Layout,
        n: usize,
        k: usize,
        epilogue: Epilogue,
        arguments: &GemmArguments,
    ) -> Shape {
        Shape {
            layout,
            n,
            k,
            epilogue,
            bias: arguments.bias != 0,
            // A sum over chunks of the vocabulary takes the same route from its first chunk on.
            residual: arguments.residual != 0 && epilogue != Epilogue::F32,
        }
    }

    /// Checks whether the library is considered: rows must be whole 16-byte pieces. The vocabulary
    /// projection, f32, is bound by memory for its few rows and stays with the kernels.
    fn is_for_library(&self) -> bool {
        let whole =
            self.n > 0 && self.k > 0 && self.n.is_multiple_of(8) && self.k.is_multiple_of(8);
        whole && self.epilogue != Epilogue::F32
    }
}

impl std::fmt::Display for Shape {
    /// Formats as in `nt 4096 x 11008 gate`: layout, n, k, epilogue.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (layout, epilogue) = (self.layout.name(), self.epilogue.name());
        write!(f, "{layout} {} x {} {epilogue}", self.n, self.k)?;
        for (there, what) in [(self.bias, "bias"), (self.residual, "residual")] {
            if there {
                write!(f, " {what}")?;
            }
        }
        Ok(())
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.route {
            Route::Native => "native",
            Route::Library(_) => "cublaslt",
        })?;
        if let (Some(native), Some(library)) = (self.native, self.library) {
            write!(f, " (native {native:.0} us, cublaslt {library:.0} us)")?;
        }
        write!(f, "{}", self.suggested)
    }
}

impl Cuda {
    /// Sets which matrix products go through cuBLASLt; the default is [`GemmBackend::Native`]. With
    /// [`GemmBackend::Auto`] choices are read from and kept in the user's cache folder.
    ///
    /// # Errors
    /// [`DeviceError::Unavailable`] if [`GemmBackend::Cublaslt`] is requested and the library is
    /// missing, and errors of the driver.
    pub fn with_gemm(mut self, gemm: GemmBackend) -> Result<Cuda> {
        let library = match gemm {
            GemmBackend::Native => Ok(None),
            GemmBackend::Auto | GemmBackend::Cublaslt => {
                CublasLt::new(&self.gpu, self.storage).map(Some)
            }
        };
        let (library, absent) = match library {
            Ok(library) => (library, None),
            Err(DeviceError::Unavailable { reason, .. }) if gemm == GemmBackend::Auto => {
                (None, Some(reason))
            }
            Err(error) => return Err(error),
        };
        self.routes = Routes {
            gemm,
            kept: match (gemm, &library) {
                (GemmBackend::Auto, Some(library)) => Kept::of(&self, library.version()),
                _ => None,
            },
            library: library.map(Arc::new),
            absent,
            choices: Mutex::default(),
        };
        Ok(self)
    }

    /// Returns the reason why cuBLASLt computes no products although [`GemmBackend::Auto`] would let
    /// it, in one line; `None` also if the user turned it off.
    pub fn lacks_cublaslt(&self) -> Option<&str> {
        let absent = self.routes.absent.as_deref();
        absent.filter(|_| !cublaslt::is_turned_off())
    }

    /// Returns the routes of all products so far, one line each, as in
    /// `gemm nt 4096 x 11008 gate: cublaslt (native 812 us, cublaslt 604 us)`, and the algorithms
    /// that were refused.
    pub(super) fn ways(&self) -> Vec<String> {
        if let Some(reason) = &self.routes.absent {
            return vec![format!("gemm: native; no cuBLASLt: {reason}")];
        }
        let choices = self.routes.choices();
        let mut lines: Vec<String> = choices
            .iter()
            .map(|(shape, choice)| format!("gemm {shape}: {choice}"))
            .collect();
        lines.sort();
        lines
    }

    /// Returns the library and its algorithm for a product, if that is its route. The first time,
    /// both routes are tried with the operands.
    pub(super) fn through_library(
        &self,
        layout: Layout,
        (n, k): (usize, usize),
        epilogue: Epilogue,
        arguments: &GemmArguments,
    ) -> Result<Option<(Arc<CublasLt>, Algorithm)>> {
        let Some(library) = &self.routes.library else {
            return Ok(None);
        };
        let shape = Shape::of(layout, n, k, epilogue, arguments);
        let known = || self.routes.choices().get(&shape).copied();
        let choice = match known() {
            Some(choice) => choice,
            None => {
                // No other thread selects a route or captures now.
                let _turn = self.gpu.turn();
                match known() {
                    Some(choice) => choice,
                    None => {
                        let choice = self.choose(library, shape, arguments)?;
                        self.routes.choices().insert(shape, choice);
                        choice
                    }
                }
            }
        };
        Ok(match choice.route {
            Route::Native => None,
            Route::Library(algorithm) => Some((library.clone(), algorithm)),
        })
    }

    fn choose(
        &self,
        library: &CublasLt,
        shape: Shape,
        arguments: &GemmArguments,
    ) -> Result<Choice> {
        if !shape.is_for_library() {
            return Ok(Choice::NATIVE);
        }
        // A trial waits for the GPU, which ends a capture: the work then runs operation by
        // operation once more.
        self.gpu.pool.not_while_capturing()?;
        let kept = self.routes.kept.as_ref();
        if let Some(choice) = kept.and_then(|kept| kept.read(shape))
            && self.can_go(library, shape, arguments, choice)?
        {
            return Ok(choice);
        }
        let Some(choice) = self.try_both(library, shape, arguments)? else {
            // There is no memory for a trial; the kernels need none beside their operands. Another
            // run may have more memory, so this choice is not kept.
            return Ok(Choice::NATIVE);
        };
        let Some(kept) = kept else {
            return Ok(choice);
        };
        // Another run may have kept a choice first: that one is used, if it can be.
        let standing = kept.keep(shape, choice);
        if self.can_go(library, shape, arguments, standing)? {
            return Ok(standing);
        }
        kept.replace(shape, choice);
        Ok(choice)
    }

    /// Checks whether the library still supports a choice that was kept.
    fn can_go(
        &self,
        library: &CublasLt,
        shape: Shape,
        arguments: &GemmArguments,
        choice: Choice,
    ) -> Result<bool> {
        match choice.route {
            Route::Native => Ok(true),
            // The number of rows does not matter.
            Route::Library(algorithm) => library.takes(&shape.product(1, arguments), algorithm),
        }
    }

    /// Checks whether any product so far went through the library.
    #[cfg(feature = "cli")]
    pub(crate) fn uses_library(&self) -> bool {
        let choices = self.routes.choices();
        choices
            .values()
            .any(|choice| matches!(choice.route, Route::Library(_)))
    }
}

impl Shape {
    /// Describes the library's product of `m` rows.
    fn product(&self, m: usize, arguments: &GemmArguments) -> Product {
        Product::of(self.layout, (m, self.n, self.k), self.epilogue, arguments)
    }
}

//! foveate shows where a large vision-language model looks when it answers.
//!
//! Given a picture, a question and a model, it answers, selects the words of the answer that depend
//! on the picture, and finds the smallest part of the picture that the answer needs: a mask
//! optimised with integrated gradients for deletion and insertion, as in "Where do Large
//! Vision-Language Models Look at when Answering Questions?" (arXiv 2503.13891).
//!
//! # Open a model
//!
//! [`open`] takes a checkpoint's folder, or its name in Hugging Face's cache, and a device. Without
//! a checkpoint it opens the built-in demo model, which answers questions about drawn shapes:
//!
//! ```
//! use foveate::{Cpu, open};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = open(None, Cpu::<f32>::new(0)?)?; // 0: as many threads as there are cores
//! assert_eq!(model.family(), "llava");
//! # Ok(())
//! # }
//! ```
//!
//! [`Cuda::new(0, Storage::Bf16)?`](Cuda::new) in place of [`Cpu::new`] is the first NVIDIA GPU.
//! [`checkpoint`](fn@checkpoint) and [`load`] are the two halves of [`open`]: the first maps and
//! checks a checkpoint, opened with [`OpenOptions`]; the second puts it on a device. A model is
//! [`Send`] and [`Sync`].
//!
//! # Ask and explain
//!
//! [`explain`](fn@explain) answers the question, or takes the answer that the [`Request`] gives,
//! and explains it:
//!
//! ```
//! use foveate::{Cpu, Picture, Request, Settings, Silent, explain, open};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = open(None, Cpu::<f32>::new(0)?)?;
//! let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes/0000.png");
//! let picture = Picture::open(scene.as_ref())?;
//! let settings = Settings {
//!     mask_size: 8,
//!     iterations: 1,
//!     steps: 2,
//!     curves: false,
//!     ..Settings::default()
//! };
//! let request = Request {
//!     pictures: std::slice::from_ref(&picture),
//!     question: "How many objects are there?",
//!     answer: None, // the model's own
//!     keys: None,   // those tokens that depend on the picture
//!     settings: &settings,
//! };
//! let explanation = explain(&*model, &request, &mut Silent)?;
//! println!("{}", explanation.answer);
//! for token in explanation.tokens.iter().filter(|token| token.key) {
//!     println!("{:?} gains {:.2} nats from the picture", token.text, token.llr);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The default [`Settings`] are the paper's; those above are for speed. [`prepare`] and
//! [`explain_prepared`] are the two halves of [`explain`](fn@explain): the first needs no device,
//! and can process the next picture while the device is busy.
//!
//! # Read the mask
//!
//! A [`Mask`] has S x S values in 0..=1, row by row, in the plane of the original picture, whatever
//! views the model takes of it: 1 keeps the picture. [`Mask::saliency`] is 1 where the answer needs
//! it. An answer of which no token depends on the picture has no mask, which is a result and not an
//! error.
//!
//! ```
//! use foveate::Mask;
//!
//! # fn main() -> Result<(), foveate::ExplainError> {
//! let mask = Mask::new(2, vec![1.0, 0.25, 1.0, 1.0])?;
//! let saliency = mask.saliency();
//! let most = (0..4).max_by(|&a, &b| saliency[a].total_cmp(&saliency[b]));
//! let (row, column) = most.map_or((0, 0), |cell| (cell / mask.size(), cell % mask.size()));
//! assert_eq!((row, column), (0, 1));
//! # Ok(())
//! # }
//! ```
//!
//! The module `report` draws it over the picture (feature `report`):
//!
//! ```
//! # #[cfg(feature = "report")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use foveate::report::{overlay, png};
//! use foveate::{Mask, Picture};
//!
//! let picture = Picture::from_rgb(64, 64, vec![128; 64 * 64 * 3])?;
//! let mask = Mask::new(2, vec![1.0, 0.25, 1.0, 1.0])?;
//! let (width, height) = (picture.width(), picture.height());
//! let drawn = overlay(picture.rgb(), width, height, &mask.saliency(), mask.size(), None)?;
//! let file: Vec<u8> = png(&drawn)?;
//! # assert!(!file.is_empty());
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "report"))]
//! # fn main() {}
//! ```
//!
//! # Own pictures, own data
//!
//! [`Picture::open`], [`Picture::decode`] and [`Picture::from_rgb`] take files, bytes of files and
//! pixels; [`Limits`] bound how large they may be. The module `run` (feature `run`) reads whole
//! data sets, JSON lines, JSON, CSV, TSV and Parquet:
//!
//! ```
//! # #[cfg(feature = "run")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use foveate::Limits;
//! use foveate::run::{Data, DataOptions, Shard};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("questions.csv");
//! # std::fs::write(&path, "image,question\n0001.png,What color is the star?\n")?;
//! # let images = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes");
//! // image,question
//! // 0001.png,What color is the star?
//! let data = Data::open(&path, Some(images.as_ref()), DataOptions::default())?;
//! for row in data.samples(Shard::WHOLE, 0)? {
//!     match row?.sample {
//!         Ok(sample) => {
//!             let picture = sample.picture.picture(data.images(), &Limits::default())?;
//!             println!("{} x {}: {}", picture.width(), picture.height(), sample.question);
//!         }
//!         Err(bad) => eprintln!("{}", bad.message),
//!     }
//! }
//! # Ok(())
//! # }
//! # #[cfg(not(feature = "run"))]
//! # fn main() {}
//! ```
//!
//! `run::work` explains every sample of a data set into a folder that survives crashes; `analyse`
//! has statistics over such folders.
//!
//! # Show progress, cancel
//!
//! [`Progress`] is told of every stage, and can end the work between two batches:
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use foveate::{Cpu, ExplainError, Picture, Progress, Request, Settings, Stage, explain, open};
//!
//! struct Deadline(Instant);
//!
//! impl Progress for Deadline {
//!     fn begin(&mut self, stage: Stage, total: Option<usize>) {
//!         println!("{stage:?}, {total:?} to do");
//!     }
//!     fn advance(&mut self, _count: usize) {}
//!     fn cancelled(&self) -> bool {
//!         Instant::now() >= self.0
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = open(None, Cpu::<f32>::new(0)?)?;
//! let picture = Picture::from_rgb(8, 8, vec![200; 8 * 8 * 3])?;
//! let settings = Settings::default();
//! let request = Request {
//!     pictures: std::slice::from_ref(&picture),
//!     question: "What is it?",
//!     answer: None,
//!     keys: None,
//!     settings: &settings,
//! };
//! let mut deadline = Deadline(Instant::now() + Duration::ZERO);
//! assert!(matches!(explain(&*model, &request, &mut deadline), Err(ExplainError::Cancelled)));
//! # Ok(())
//! # }
//! ```
//!
//! # Stability and features
//!
//! The items below and the modules `run`, `report` and `analyse` are the library's interface. Every
//! other public module is hidden from this documentation: `cli` is the program, `serve` its page;
//! `selftest`, `device`, `nn`, `lvlm`, `checkpoint`, `picture` and `explain` are open for the project's own
//! tests and benchmarks, and change without notice.
//!
//! | feature | what it adds |
//! |---|---|
//! | none | models, and explanations of single pictures |
//! | `run` | data sets, runs over them, records |
//! | `report` | overlays, plots, the HTML page |
//! | `serve` | a page to ask questions on; `report` |
//! | `analyse` | statistics over records; `run` and `report` |
//! | `cli` (default) | the program `foveate` and its self-test; all of the above |

// The floors, from the ground: system; blend; device, checkpoint and picture; nn; lvlm; explain and
// report; run and serve; analyse; cli. A floor uses those below it, never one above.

// What is printed goes through `cli`, where an error in writing is none of the work's: the macros
// panic.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[cfg(feature = "analyse")]
pub mod analyse;
#[doc(hidden)]
pub mod blend;
#[doc(hidden)]
pub mod checkpoint;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod device;
#[doc(hidden)]
pub mod explain;
#[doc(hidden)]
pub mod lvlm;
#[doc(hidden)]
pub mod nn;
#[doc(hidden)]
pub mod picture;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "run")]
pub mod run;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod selftest;
#[cfg(feature = "serve")]
#[doc(hidden)]
pub mod serve;
// The engine alone uses few parts of it, each feature others.
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
mod system;

pub use blend::{Extent, Mask, MaskError};
pub use checkpoint::{Checkpoint, CheckpointError, Compat};
pub use device::DeviceError;
pub use device::cpu::Cpu;
pub use device::cuda::{Cuda, Storage};
pub use explain::{
    AnswerToken, Attributed, AttributionError, Cost, CurvePoints, Curves, Each, ExplainError,
    Explanation, Iteration, Method, OptimizerKind, Prepared, Progress, Request, Settings, Silent,
    Stage, Terms, Unit, UnitMap, attribute, explain, explain_prepared, prepare,
};
pub use lvlm::{
    ForeignModel, ForeignPictures, Lvlm, LvlmError, ModelDevice, OpenOptions, checkpoint, load,
    open,
};
pub use picture::{Baseline, Limits, Picture, PictureError};

//! foveate shows where a large vision-language model looks when it answers.
//!
//! Given a picture, a question and a model, it answers, selects the words of the answer that depend
//! on the picture, and finds the smallest part of the picture that the answer needs: a mask
//! optimised with integrated gradients for deletion and insertion, as in "Where do Large
//! Vision-Language Models Look at when Answering Questions?" (arXiv 2503.13891).
//!
//! ```
//! use foveate::{Cpu, Picture, Request, Settings, Silent, explain, open};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let model = open(None, Cpu::<f32>::new(0)?)?; // None: the built-in demo model
//! let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes/0000.png");
//! let picture = Picture::open(scene.as_ref())?;
//! let settings = Settings { iterations: 1, steps: 2, curves: false, ..Settings::default() };
//! let request =
//!     Request { picture: &picture, question: "How many objects are there?", answer: None, keys: None, settings: &settings };
//! let explanation = explain(&*model, &request, &mut Silent)?;
//! println!("{}", explanation.answer);
//! if let Some(mask) = &explanation.mask {
//!     println!("{:?}", mask.saliency());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Whole data sets, and what is recorded of them, are `run`'s matter.
//!
//! The floors, from the ground: [`blend`]; [`device`], [`checkpoint`] and [`picture`]; [`nn`];
//! [`lvlm`]; [`mod@explain`] and `report`; `run`; `analyse`; `cli`. A floor uses what is below it,
//! never what is above. Below them all is how files are written.

// What is printed goes through `cli`, where an error in writing is none of the work's: the macros
// panic.
#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

#[cfg(feature = "analyse")]
pub mod analyse;
pub mod blend;
pub mod checkpoint;
#[cfg(feature = "cli")]
pub mod cli;
pub mod device;
pub mod explain;
pub mod lvlm;
pub mod nn;
pub mod picture;
#[cfg(feature = "report")]
pub mod report;
#[cfg(feature = "run")]
pub mod run;
#[cfg(feature = "cli")]
pub mod selftest;
// The engine alone uses few parts of it, each feature others.
#[cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
mod system;

pub use device::cpu::Cpu;
pub use device::cuda::Cuda;
pub use explain::{Explanation, Mask, Progress, Request, Settings, Silent, explain};
pub use lvlm::open;
pub use picture::Picture;

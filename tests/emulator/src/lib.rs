//! A CUDA driver without a GPU: the functions of `libcuda` that foveate calls, running foveate's
//! own kernels on the host.
//!
//! The crate's README describes the emulation, the settings, and the functions by which tests read
//! counts.

mod calls;
mod capture;
mod context;
mod copy;
mod counters;
mod cublaslt;
mod device;
mod driver;
mod event;
mod fault;
mod launch;
mod memory;
mod module;
mod runtime;
mod settings;
mod status;
mod stream;

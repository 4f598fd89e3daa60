//! The emulator as used by foveate: opened before cudarc searches for a driver. Every test here
//! runs emulated, without a GPU.

mod driver;
mod harness;
mod pipelines;
mod planted;
#[path = "../../build/scan.rs"]
mod scan;
mod scanning;
mod streams;

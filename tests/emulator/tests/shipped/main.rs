//! The foveate program as it ships, on the emulated driver. Nothing in the program knows that there
//! is no GPU.

mod cublaslt;
mod devices;
mod emulator;
mod explain;
mod faults;
mod kernels;
mod program;
mod steady;
mod threads;
mod throughput;

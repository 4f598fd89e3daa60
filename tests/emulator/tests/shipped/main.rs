//! Tests of the unmodified foveate program on the emulated driver. The program does not know that
//! there is no GPU.

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

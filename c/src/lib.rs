//! The C library: models and explanations behind handles, results copied into the caller's memory,
//! errors as codes with a message. `include/foveate.h` is made from these files, so the
//! documentation of what they export is written for C.

mod boundary;
mod explain;
mod explanation;
mod handles;
mod model;
mod settings;
mod status;
mod version;

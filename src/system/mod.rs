//! What foveate asks of the operating system and of Rust's runtime, below all floors: opening files
//! that may not be what their names say, writing files whole, catching the panics of libraries.

pub(crate) mod panics;
pub(crate) mod regular;
pub(crate) mod whole;

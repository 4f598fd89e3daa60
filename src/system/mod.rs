//! Services of the operating system and of Rust's runtime: opening files that may not be regular,
//! writing files atomically, catching the panics of libraries.

pub(crate) mod panics;
pub(crate) mod regular;
pub(crate) mod whole;

//! The structs that kernels take, and the constants of their launches, as `kernels/` states them:
//! `build/interface.rs` translates both to Rust. Pointers are addresses, so 0 is null.

include!(concat!(env!("OUT_DIR"), "/interface.rs"));

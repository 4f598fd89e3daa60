//! Vision encoders, one file each.

mod clip;

pub(super) use clip::{Clip, ClipKept};

//! The devices that models are compiled for.

use super::open::instantiate;
use crate::checkpoint::Checkpoint;
use crate::device::Device;
use crate::device::cpu::Cpu;
use crate::device::cuda::Cuda;
use crate::lvlm::error::Result;
use crate::lvlm::model::Lvlm;

/// A device that a model can be loaded on.
///
/// A model is generic code, of every family for every device, and most of this crate's. These
/// functions are not generic, so that it is compiled here once and not again in every program, test
/// and example that opens a model.
pub trait ModelDevice: Device + Sized {
    /// Loads the model of a checkpoint onto this device.
    ///
    /// # Errors
    /// As [`load`](crate::lvlm::load).
    fn load_model(self, checkpoint: Checkpoint) -> Result<Box<dyn Lvlm>>;
}

impl ModelDevice for Cpu<f32> {
    #[inline(never)]
    fn load_model(self, checkpoint: Checkpoint) -> Result<Box<dyn Lvlm>> {
        instantiate(checkpoint, self)
    }
}

impl ModelDevice for Cpu<f64> {
    // Compiled where it is called, which is seldom.
    #[inline]
    fn load_model(self, checkpoint: Checkpoint) -> Result<Box<dyn Lvlm>> {
        instantiate(checkpoint, self)
    }
}

impl ModelDevice for Cuda {
    #[inline(never)]
    fn load_model(self, checkpoint: Checkpoint) -> Result<Box<dyn Lvlm>> {
        instantiate(checkpoint, self)
    }
}

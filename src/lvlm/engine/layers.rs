//! The layers of a whole model on one device.

use crate::device::{Device, Part};
use crate::lvlm::decoder::Decoder;
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::{Family, Vision};
use crate::lvlm::loader::Loader;

/// The layers.
pub(in crate::lvlm) struct Layers<F: Family, D: Device> {
    pub vision: F::Vision<D>,
    pub decoder: Decoder<D>,
}

/// The hook between the decoder's layers of a family.
pub(super) type Context<F, D> = <<F as Family>::Vision<D> as Vision<D>>::Context;

impl<F: Family, D: Device> Layers<F, D> {
    /// Loads every layer that is needed.
    ///
    /// # Errors
    /// A tensor that is missing or of another shape than the config says.
    pub fn load(family: &F, loader: &Loader<D>) -> Result<Layers<F, D>> {
        loader.device.part(Part::Vision);
        let vision = family.load(loader)?;
        let (config, names) = family.decoder();
        let decoder = Decoder::load(loader, config, names)?;
        Ok(Layers { vision, decoder })
    }
}

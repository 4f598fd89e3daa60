//! The layers of a whole model on one device.

use crate::device::{Device, Part};
use crate::lvlm::decoder::Decoder;
use crate::lvlm::error::Result;
use crate::lvlm::family::traits::Family;
use crate::lvlm::loader::Loader;

/// Loads every layer that is needed: those of the encoders and the projector, and the decoder.
///
/// # Errors
/// A tensor that is missing or of another shape than the config says.
pub(in crate::lvlm) fn load<F: Family, D: Device>(
    family: &F,
    loader: &Loader<D>,
) -> Result<(F::Vision<D>, Decoder<D>)> {
    loader.device.part(Part::Vision);
    let vision = family.load(loader)?;
    let (config, names) = family.decoder();
    Ok((vision, Decoder::load(loader, config, names)?))
}

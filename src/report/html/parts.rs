//! Parts that this page and that of `foveate serve` share. Each script uses those before it.

use colorous::INFERNO;

use crate::report::colour::Ramp;

/// Colours, fields, cards, pictures, words and curves.
pub(crate) const STYLE: &str = include_str!("page.css");
/// The data at the beginning of a page, as `index`, and ways to make elements.
pub(crate) const DATA: &str = include_str!("data.js");
/// The map over the picture.
pub(crate) const MAP: &str = include_str!("map.js");
/// Curves, and distributions.
pub(crate) const PLOTS: &str = include_str!("plots.js");
/// Words in their shades, and numbers as text.
pub(crate) const TEXT: &str = include_str!("text.js");
/// The slider from a picture to its map.
pub(crate) const SLIDER: &str = include_str!("slider.js");
/// What keys do.
pub(crate) const KEYS: &str = include_str!("keys.js");

/// Returns the map's colours from 0 to 1, six hexadecimal digits each: `ramp` of the data.
pub(crate) fn ramp() -> String {
    let ramp = Ramp::new(INFERNO);
    (0..=255u8)
        .map(|i| {
            let [r, g, b] = ramp.at(f32::from(i) / 255.0).0;
            format!("{r:02x}{g:02x}{b:02x}")
        })
        .collect()
}

//! Parts that this page and that of `foveate serve` share. Each script uses those before it.

use colorous::INFERNO;
use minijinja::Environment;
use minijinja::value::Value;

use crate::report::colour::Ramp;
use crate::report::{ReportError, Result};

/// Colours, fields, cards, pictures, words and curves.
pub(crate) const STYLE: &str = include_str!("page.css");
/// The data at the beginning of a page, as `index`, and ways to make elements.
pub(crate) const DATA: &str = include_str!("data.js");
const LEGEND: &str = include_str!("legend.html");
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

/// Renders a page's HTML, which may include `legend.html`: what the colours of map and words mean.
///
/// # Errors
/// [`ReportError::Page`] if it is no template, or asks for what is not in `values`.
pub(crate) fn render(page: &str, values: Value) -> Result<String> {
    let mut environment = Environment::new();
    // Because of the names' endings every value is escaped for HTML.
    let templates = [("legend.html", LEGEND), ("page.html", page)];
    for (name, template) in templates {
        let added = environment.add_template(name, template);
        added.map_err(ReportError::page)?;
    }
    let page = environment.get_template("page.html");
    let page = page.map_err(ReportError::page)?;
    page.render(values).map_err(ReportError::page)
}

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

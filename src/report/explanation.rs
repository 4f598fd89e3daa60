//! The pictures of one explanation, and the files that hold them.

use image::RgbImage;

use super::{
    CurvesPlot, EachPanel, Outline, Result, TokenShade, curves, each, losses, overlay, png,
    saliency_grey, tokens,
};
use crate::explain::{Explanation, Mask, SufficientRegion};
use crate::picture::Picture;

/// The names of the files that [`explanation_files`] can return.
pub const EXPLANATION_FILES: [&str; 8] = [
    "tokens.png",
    "mask.npy",
    "saliency.png",
    "overlay.png",
    "curves.png",
    "losses.png",
    "each.npy",
    "each.png",
];

/// Returns the files of an explanation of `picture` by name, as far as it has what they show:
/// without a mask only `tokens.png`, `curves.png` with curves only, `losses.png` with two iterations
/// or more, `each.npy` and `each.png` with maps of words only.
///
/// # Errors
/// Returns an error if a plot cannot be drawn or encoded.
pub fn explanation_files(
    picture: &Picture,
    question: &str,
    explanation: &Explanation,
) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let [
        shades,
        values,
        grey,
        over,
        plot,
        objective,
        words_values,
        words_over,
    ] = EXPLANATION_FILES;
    let words: Vec<TokenShade> = explanation
        .tokens
        .iter()
        .map(|t| TokenShade {
            text: &t.text,
            llr: t.llr,
            key: t.key,
        })
        .collect();
    let mut files = vec![(shades, png(&tokens(question, &words)?)?)];
    if let Some(mask) = &explanation.mask {
        let (size, (width, height)) = (mask.size(), (picture.width(), picture.height()));
        let map = saliency_grey(&mask.saliency(), size, width, height)?;
        files.push((values, npy(&[size, size], mask.values())));
        files.push((grey, png(&map)?));
    }
    if let Some(drawn) = explanation_overlay(picture, explanation)? {
        files.push((over, png(&drawn)?));
    }
    if let Some(measured) = &explanation.curves {
        let lines = CurvesPlot {
            fraction: &measured.fraction,
            deletion: &measured.deletion,
            insertion: &measured.insertion,
            deletion_score: measured.deletion_score,
            insertion_score: measured.insertion_score,
        };
        files.push((plot, png(&curves(&lines)?)?));
    }
    if explanation.iterations.len() > 1 {
        files.push((objective, png(&losses(&explanation.iterations)?)?));
    }
    if let Some(first) = explanation.each.first() {
        let (maps, size) = (&explanation.each, first.mask.size());
        let cells: Vec<f64> = maps
            .iter()
            .flat_map(|map| map.mask.values())
            .copied()
            .collect();
        files.push((words_values, npy(&[maps.len(), size, size], &cells)));
        let saliency: Vec<Vec<f32>> = maps.iter().map(|map| map.mask.saliency()).collect();
        let panels = maps.iter().zip(&saliency).map(|(map, saliency)| EachPanel {
            text: &map.unit.text,
            saliency,
        });
        let panels: Vec<EachPanel> = panels.collect();
        let (width, height) = (picture.width(), picture.height());
        let drawn = each(picture.rgb(), width, height, size, &panels)?;
        files.push((words_over, png(&drawn)?));
    }
    Ok(files)
}

/// Draws the map of an explanation over its picture, with an outline around the smallest part that
/// is enough for the answer; `None` without a mask.
///
/// # Errors
/// Returns an error if the picture is too large to be drawn on.
pub fn explanation_overlay(
    picture: &Picture,
    explanation: &Explanation,
) -> Result<Option<RgbImage>> {
    let Some(mask) = &explanation.mask else {
        return Ok(None);
    };
    let region = explanation.faithfulness.as_ref().map(|f| &f.region);
    let region = region.filter(|region| region.cells > 0);
    let inside = region.map(|region| (region.mask(mask).saliency(), caption(region, explanation)));
    let outline = inside.as_ref().map(|(inside, caption)| Outline {
        region: inside,
        caption,
    });
    let (width, height) = (picture.width(), picture.height());
    let saliency = mask.saliency();
    overlay(
        picture.rgb(),
        width,
        height,
        &saliency,
        mask.size(),
        outline,
    )
    .map(Some)
}

/// Draws the map of a mask over its picture.
///
/// # Errors
/// Returns an error if the picture is too large to be drawn on.
pub fn mask_overlay(picture: &Picture, mask: &Mask) -> Result<RgbImage> {
    let (width, height) = (picture.width(), picture.height());
    let saliency = mask.saliency();
    overlay(picture.rgb(), width, height, &saliency, mask.size(), None)
}

/// Describes the outlined part of the picture in a line.
fn caption(region: &SufficientRegion, explanation: &Explanation) -> String {
    format!(
        "outlined: {:.0} % is enough (p {:.2} of {:.2})",
        100.0 * region.fraction,
        region.probability,
        explanation.key_probability()
    )
}

/// Returns an f32 array in NumPy's format, version 1.0: a header whose length is a multiple of 64
/// bytes, and the values in little endian.
fn npy(shape: &[usize], values: &[f64]) -> Vec<u8> {
    let sides: String = shape.iter().map(|side| format!("{side}, ")).collect();
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({sides}), }}");
    // The magic string and the header's length take 10 bytes of it, and a line feed ends it.
    let width = (10 + dict.len() + 1).next_multiple_of(64) - 11;
    let header = format!("{dict:width$}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(values.iter().flat_map(|&v| (v as f32).to_le_bytes()));
    bytes
}

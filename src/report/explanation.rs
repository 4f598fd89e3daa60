//! The pictures of one explanation, and the files that hold them.

use image::RgbImage;

use super::{
    CurvesPlot, EachPanel, Outline, Result, TokenShade, curves, each, losses, overlay, png,
    saliency_grey, tokens,
};
use crate::explain::{Explanation, Mask, SufficientRegion};
use crate::lvlm::MOST_PICTURES;
use crate::picture::Picture;

/// The names of the files of an explanation as a whole.
const WHOLE: [&str; 5] = [
    "tokens.png",
    "mask.npy",
    "curves.png",
    "losses.png",
    "each.npy",
];
/// The names, without their ending, of the files of each picture.
const OF_PICTURE: [&str; 3] = ["saliency", "overlay", "each"];

/// Returns the names of the files that [`explanation_files`] can return, of up to [`MOST_PICTURES`]
/// pictures.
pub fn explanation_file_names() -> Vec<String> {
    let numbers = std::iter::once(None).chain((1..=MOST_PICTURES).map(Some));
    let of_pictures = numbers.flat_map(|n| OF_PICTURE.map(|stem| of_picture(stem, n)));
    WHOLE
        .map(String::from)
        .into_iter()
        .chain(of_pictures)
        .collect()
}

/// Returns the name of a file of one picture; `number` counts from 1 where there are several.
fn of_picture(stem: &str, number: Option<usize>) -> String {
    match number {
        None => format!("{stem}.png"),
        Some(number) => format!("{stem}-{number}.png"),
    }
}

/// Returns the files of an explanation of `pictures` by name, as far as it has what they show:
/// without a mask only `tokens.png`, `curves.png` with curves only, `losses.png` with two iterations
/// or more, `each.npy` and `each.png` with maps of words only. Where there are several pictures, the
/// files of each have its number in their names, as in `overlay-2.png`, and arrays have an axis of
/// pictures before those of cells.
///
/// # Errors
/// Returns an error if a plot cannot be drawn or encoded.
pub fn explanation_files(
    pictures: &[Picture],
    question: &str,
    explanation: &Explanation,
) -> Result<Vec<(String, Vec<u8>)>> {
    let [shades, values, plot, objective, words_values] = WHOLE.map(String::from);
    let [grey, over, words_over] = OF_PICTURE;
    let words: Vec<TokenShade> = explanation
        .tokens
        .iter()
        .map(|t| TokenShade {
            text: &t.text,
            llr: t.llr,
            key: t.key,
        })
        .collect();
    let several = pictures.len() > 1;
    let mut files = vec![(shades, png(&tokens(question, &words)?)?)];
    let explained = explained(pictures, explanation);
    let numbered = |stem: &str, number: usize| of_picture(stem, several.then_some(number));
    if let Some(mask) = &explanation.mask {
        let size = mask.size();
        let shape = [mask.pictures(), size, size];
        let shape = if several { &shape[..] } else { &shape[1..] };
        files.push((values, npy(shape, mask.values())));
        for (&(number, picture), mask) in explained.iter().zip(mask.split()) {
            let (width, height) = (picture.width(), picture.height());
            let map = saliency_grey(&mask.saliency(), size, width, height)?;
            files.push((numbered(grey, number), png(&map)?));
        }
    }
    for ((number, _), drawn) in explained.iter().zip(overlays(&explained, explanation)?) {
        files.push((numbered(over, *number), png(&drawn)?));
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
        let shape = match several {
            true => vec![maps.len(), first.mask.pictures(), size, size],
            false => vec![maps.len(), size, size],
        };
        files.push((words_values, npy(&shape, &cells)));
        let split: Vec<Vec<Mask>> = maps.iter().map(|map| map.mask.split()).collect();
        for (place, &(number, picture)) in explained.iter().enumerate() {
            let masks = split.iter().filter_map(|masks| masks.get(place));
            let saliency: Vec<Vec<f32>> = masks.map(Mask::saliency).collect();
            let panels = maps.iter().zip(&saliency).map(|(map, saliency)| EachPanel {
                text: &map.unit.text,
                saliency,
            });
            let panels: Vec<EachPanel> = panels.collect();
            let (width, height) = (picture.width(), picture.height());
            let drawn = each(picture.rgb(), width, height, size, &panels)?;
            files.push((numbered(words_over, number), png(&drawn)?));
        }
    }
    Ok(files)
}

/// Returns the pictures that the mask of an explanation covers, with their numbers from 1.
fn explained<'a>(pictures: &'a [Picture], explanation: &Explanation) -> Vec<(usize, &'a Picture)> {
    let numbers = explanation.explained_images.iter();
    let picture = |&number: &usize| Some((number, pictures.get(number.checked_sub(1)?)?));
    numbers.filter_map(picture).collect()
}

/// Draws the map of an explanation over each of its pictures that it covers, with an outline around
/// the smallest part that is enough for the answer; empty without a mask.
///
/// # Errors
/// Returns an error if a picture is too large to be drawn on.
pub fn explanation_overlays(
    pictures: &[Picture],
    explanation: &Explanation,
) -> Result<Vec<RgbImage>> {
    overlays(&explained(pictures, explanation), explanation)
}

fn overlays(explained: &[(usize, &Picture)], explanation: &Explanation) -> Result<Vec<RgbImage>> {
    let Some(mask) = &explanation.mask else {
        return Ok(Vec::new());
    };
    let region = explanation.faithfulness.as_ref().map(|f| &f.region);
    let region = region.filter(|region| region.cells > 0);
    let caption = region.map(|region| caption(region, explanation));
    let inside = region.map(|region| region.mask(mask).split());
    let draw = |(place, (&(_, picture), mask)): (usize, (&(usize, &Picture), Mask))| {
        let inside = inside.as_ref().and_then(|masks| masks.get(place));
        let inside = inside.map(Mask::saliency);
        // The part may lie in other pictures.
        let inside = inside.filter(|cells| cells.iter().any(|&cell| cell > 0.0));
        let outline = inside.as_ref().zip(caption.as_ref());
        let outline = outline.map(|(region, caption)| Outline { region, caption });
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
    };
    let masks = explained.iter().zip(mask.split()).enumerate();
    masks.map(draw).collect()
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
    let of = match explanation.explained_images.len() {
        1 => "",
        _ => " of all pictures",
    };
    format!(
        "outlined: {:.0} %{of} is enough (p {:.2} of {:.2})",
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

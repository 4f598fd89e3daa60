//! Reading explanations.

use std::ffi::c_char;

use engine::report;
use engine::{AnswerToken, Mask, Picture};
use serde_json::Value;

use crate::boundary;
use crate::handles::Objects;
use crate::status::{Failure, FoveateStatus, Result};

/// The handle of an explanation. One whose id is 0 is of none.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FoveateExplanation {
    pub id: u64,
}

/// One token of an answer.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FoveateToken {
    /// log p given the picture.
    logp_image: f64,
    /// log p given the baseline.
    logp_baseline: f64,
    /// The difference, in nats: the evidence that the picture adds for the token.
    llr: f64,
    /// Its id in the vocabulary.
    id: u32,
    /// Whether it is a key token: one that depends on the picture.
    key: bool,
}

/// The scores of a mask.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FoveateScores {
    /// Area under the normalised deletion curve; lower is better. NaN if undefined.
    deletion: f64,
    /// Area under the normalised insertion curve; higher is better. NaN if undefined.
    insertion: f64,
}

/// An explanation with what it is about.
pub struct Explanation {
    pub record: Value,
    pub explanation: engine::Explanation,
    pub picture: Picture,
    pub question: String,
}

pub static EXPLANATIONS: Objects<Explanation> = Objects::new("explanation");

impl Explanation {
    fn token(&self, index: usize) -> Result<&AnswerToken> {
        let tokens = &self.explanation.tokens;
        tokens.get(index).ok_or_else(|| {
            Failure::argument("index", &format!("less than {}", tokens.len()), index)
        })
    }

    fn mask(&self) -> Result<&Mask> {
        let mask = self.explanation.mask.as_ref();
        mask.ok_or_else(|| absent("no token of the answer depends on the picture: no mask"))
    }

    fn curves(&self) -> Result<&engine::Curves> {
        let curves = self.explanation.curves.as_ref();
        curves.ok_or_else(|| absent("no curves: the settings leave them out, or there is no mask"))
    }
}

/// Calls `body` with a living explanation.
fn with(
    explanation: FoveateExplanation,
    body: impl FnOnce(&Explanation) -> Result<()>,
) -> FoveateStatus {
    boundary::call(|| body(&*EXPLANATIONS.get(explanation.id)?))
}

fn absent(message: &str) -> Failure {
    Failure::new(FoveateStatus::Absent, message)
}

/// Copies the answer, UTF-8.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_answer(
    explanation: FoveateExplanation,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        // SAFETY: pointers are as the header says.
        unsafe { boundary::copy_text(&explanation.explanation.answer, buffer, capacity, length) }
    })
}

/// Copies the whole record as JSON, UTF-8: what `foveate explain` writes as explanation.json,
/// without its list of files.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_json(
    explanation: FoveateExplanation,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        // SAFETY: pointers are as the header says.
        unsafe { boundary::copy_text(&explanation.record.to_string(), buffer, capacity, length) }
    })
}

/// Writes the number of tokens of the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_token_count(
    explanation: FoveateExplanation,
    count: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        // SAFETY: pointers are as the header says.
        unsafe { boundary::write("count", count, explanation.explanation.tokens.len()) }
    })
}

/// Writes the numbers of one token of the answer, counted from 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_token(
    explanation: FoveateExplanation,
    index: usize,
    token: *mut FoveateToken,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let found = explanation.token(index)?;
        let numbers = FoveateToken {
            logp_image: found.logp_image,
            logp_baseline: found.logp_baseline,
            llr: found.llr,
            id: found.id,
            key: found.key,
        };
        // SAFETY: pointers are as the header says.
        unsafe { boundary::write("token", token, numbers) }
    })
}

/// Copies the text of one token of the answer, UTF-8. The texts of all tokens make up the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_token_text(
    explanation: FoveateExplanation,
    index: usize,
    buffer: *mut c_char,
    capacity: usize,
    length: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let found = explanation.token(index)?;
        // SAFETY: pointers are as the header says.
        unsafe { boundary::copy_text(&found.text, buffer, capacity, length) }
    })
}

/// Copies the mask, `size x size` values in 0..1 row by row, in the plane of the picture: 1 keeps
/// it, 0 replaces it by the baseline. `capacity` is in values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_mask(
    explanation: FoveateExplanation,
    values: *mut f32,
    capacity: usize,
    size: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let mask = explanation.mask()?;
        let cells: Vec<f32> = mask.values().iter().map(|&value| value as f32).collect();
        // SAFETY: pointers are as the header says.
        unsafe {
            boundary::write_optional("size", size, mask.size())?;
            boundary::copy("values", &cells, values, capacity)
        }
    })
}

/// Copies 1 - mask at the picture's pixels, `width x height` values row by row: high where the
/// answer needs the picture. `capacity` is in values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_saliency(
    explanation: FoveateExplanation,
    values: *mut f32,
    capacity: usize,
    width: *mut u32,
    height: *mut u32,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let mask = explanation.mask()?;
        let (wide, high) = (explanation.picture.width(), explanation.picture.height());
        // SAFETY: pointers are as the header says.
        unsafe { size(width, height, wide, high) }?;
        if values.is_null() && capacity == 0 {
            return Ok(());
        }
        let pixels = report::saliency(&mask.saliency(), mask.size(), wide, high)?;
        // SAFETY: as above.
        unsafe { boundary::copy("values", &pixels, values, capacity) }
    })
}

/// Copies the picture under its map, as overlay.png shows it, which may be larger than the picture:
/// `width x height` pixels of red, green and blue, a byte each, row by row. `capacity` is in bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_overlay(
    explanation: FoveateExplanation,
    pixels: *mut u8,
    capacity: usize,
    width: *mut u32,
    height: *mut u32,
) -> FoveateStatus {
    with(explanation, |explanation| {
        explanation.mask()?;
        let pictures = std::slice::from_ref(&explanation.picture);
        let drawn = report::explanation_overlays(pictures, &explanation.explanation)?;
        let drawn = drawn.into_iter().next();
        let drawn = drawn.unwrap_or_default();
        // SAFETY: pointers are as the header says.
        unsafe {
            size(width, height, drawn.width(), drawn.height())?;
            boundary::copy("pixels", &drawn, pixels, capacity)
        }
    })
}

/// Writes the size of a picture.
///
/// # Safety
/// As [`boundary::write_optional`], for both places.
unsafe fn size(width: *mut u32, height: *mut u32, wide: u32, high: u32) -> Result<()> {
    // SAFETY: the caller's promise.
    unsafe {
        boundary::write_optional("width", width, wide)?;
        boundary::write_optional("height", height, high)
    }
}

/// Copies the deletion and insertion curves: at each point the share of the cells that is replaced,
/// and the mean probability of the key tokens with those cells removed from the picture, and with
/// only those revealed. `capacity` is in values, of each buffer; `count` is the number of points.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_curves(
    explanation: FoveateExplanation,
    fraction: *mut f64,
    deletion: *mut f64,
    insertion: *mut f64,
    capacity: usize,
    count: *mut usize,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let curves = explanation.curves()?;
        // SAFETY: pointers are as the header says.
        unsafe {
            boundary::write_optional("count", count, curves.fraction.len())?;
            boundary::copy("fraction", &curves.fraction, fraction, capacity)?;
            boundary::copy("deletion", &curves.deletion, deletion, capacity)?;
            boundary::copy("insertion", &curves.insertion, insertion, capacity)
        }
    })
}

/// Writes the scores of the mask.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_scores(
    explanation: FoveateExplanation,
    scores: *mut FoveateScores,
) -> FoveateStatus {
    with(explanation, |explanation| {
        let curves = explanation.curves()?;
        let found = FoveateScores {
            deletion: curves.deletion_score.unwrap_or(f64::NAN),
            insertion: curves.insertion_score.unwrap_or(f64::NAN),
        };
        // SAFETY: pointers are as the header says.
        unsafe { boundary::write("scores", scores, found) }
    })
}

/// Writes the files that `foveate explain --out` writes, whole or not at all. The folder is created
/// if it does not exist.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explanation_save(
    explanation: FoveateExplanation,
    folder: *const c_char,
) -> FoveateStatus {
    with(explanation, |explanation| {
        // SAFETY: pointers are as the header says.
        let folder = unsafe { boundary::path("folder", folder) }?;
        let Explanation {
            record,
            explanation,
            picture,
            question,
        } = explanation;
        let pictures = std::slice::from_ref(picture);
        let files = report::explanation_files(pictures, question, explanation)?;
        Ok(engine::cli::save(&folder, record, &files)?)
    })
}

/// Frees an explanation. The handle of none is ignored.
#[unsafe(no_mangle)]
pub extern "C" fn foveate_explanation_free(explanation: FoveateExplanation) -> FoveateStatus {
    boundary::call(|| EXPLANATIONS.free(explanation.id))
}

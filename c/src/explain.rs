//! Explaining an answer.

use std::ffi::{CString, c_char, c_void};
use std::path::PathBuf;

use engine::cli::{Context, keywords, record};
use engine::{Limits, Picture, Progress, Request, Stage, explain};

use crate::boundary;
use crate::explanation::{EXPLANATIONS, Explanation, FoveateExplanation};
use crate::model::{FoveateModel, MODELS};
use crate::settings::{self, FoveateSetting};
use crate::status::{Failure, FoveateStatus, Result};

/// Called before and while an explanation is made, on the thread that asked for it: `stage` is
/// "prepare", "answer", "select", "optimise", "curves", "faithfulness" or "each", `done` of `total`
/// evaluations or tokens are done, and a `total` of 0 is unknown. Returning false ends the work. It
/// may call every function of this library; neither exceptions nor longjmp may leave it.
pub type FoveateProgress = Option<
    unsafe extern "C" fn(
        data: *mut c_void,
        stage: *const c_char,
        done: usize,
        total: usize,
    ) -> bool,
>;

/// A question about a picture. What is 0 or NULL is left out; the picture, as a file or as pixels,
/// and the question are needed.
#[repr(C)]
pub struct FoveateRequest {
    /// The picture's file (PNG, JPEG, WebP, GIF, BMP, TIFF, PNM).
    image: *const c_char,
    /// Or its pixels: red, green and blue, a byte each, row by row from the top.
    pixels: *const u8,
    /// The number of bytes at `pixels`: 3 x width x height.
    pixel_bytes: usize,
    width: u32,
    height: u32,
    /// The question, UTF-8.
    question: *const c_char,
    /// Explain this answer, UTF-8, tokenised exactly as given, instead of the model's own.
    answer: *const c_char,
    /// Explain these tokens of the answer, counted from 0, instead of the selected ones.
    keys: *const usize,
    key_count: usize,
    /// Options of `foveate explain` about the explanation.
    settings: *const FoveateSetting,
    setting_count: usize,
    progress: FoveateProgress,
    /// Handed to `progress`.
    data: *mut c_void,
}

/// Answers a question about a picture, or takes the answer that the request gives, and explains it.
///
/// A model may be used by several threads at once. On failure `*explanation` is the handle of none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn foveate_explain(
    model: FoveateModel,
    request: *const FoveateRequest,
    explanation: *mut FoveateExplanation,
) -> FoveateStatus {
    boundary::call(|| {
        // SAFETY: pointers are as the header says.
        let made = unsafe {
            boundary::write("explanation", explanation, FoveateExplanation { id: 0 })?;
            work(model, boundary::read("request", request)?)?
        };
        let id = EXPLANATIONS.add(made);
        // SAFETY: as above.
        unsafe { boundary::write("explanation", explanation, FoveateExplanation { id }) }
    })
}

/// Makes the explanation that a request asks for.
///
/// # Safety
/// The pointers of the request are as the header says.
unsafe fn work(model: FoveateModel, request: &FoveateRequest) -> Result<Explanation> {
    let model = MODELS.get(model.id)?;
    // SAFETY: the caller's promise, for all of them.
    let (question, answer, keys, given) = unsafe {
        (
            boundary::text("question", request.question)?,
            boundary::optional_text("answer", request.answer)?,
            boundary::array("keys", request.keys, request.key_count)?,
            settings::keywords(request.settings, request.setting_count)?,
        )
    };
    let keys = (!keys.is_empty()).then_some(keys);
    let (settings, limits) = keywords::explanation_by(&*model.model, &given)?;
    // SAFETY: as above.
    let (picture, path) = unsafe { picture(request, &limits) }?;
    let asked = Request {
        pictures: std::slice::from_ref(&picture),
        question,
        answer,
        keys,
        settings: &settings,
    };
    let made = explain(&*model.model, &asked, &mut Watched::new(request))?;
    let context = Context {
        model: &*model.model,
        images: vec![path.as_deref()],
        pictures: std::slice::from_ref(&picture),
        question,
        answer,
        keys,
        settings: &settings,
        threads: model.threads,
        load_seconds: model.load_seconds,
    };
    Ok(Explanation {
        record: record(&context, &made),
        question: question.to_string(),
        explanation: made,
        picture,
    })
}

/// Opens or copies the picture of a request, and returns its path if it is a file.
///
/// # Safety
/// The pointers of the request are as the header says.
unsafe fn picture(request: &FoveateRequest, limits: &Limits) -> Result<(Picture, Option<PathBuf>)> {
    match (request.image.is_null(), request.pixels.is_null()) {
        (false, true) => {
            // SAFETY: the caller's promise.
            let path = unsafe { boundary::path("image", request.image) }?;
            Ok((Picture::open_within(&path, limits)?, Some(path)))
        }
        (true, false) => {
            let (width, height, found) = (request.width, request.height, request.pixel_bytes);
            let sides = u64::from(width) * u64::from(height);
            if sides.checked_mul(3) != Some(found as u64) {
                let expected = format!("3 x {width} x {height}");
                return Err(Failure::argument("pixel_bytes", &expected, found));
            }
            // SAFETY: the caller's promise.
            let bytes = unsafe { boundary::array("pixels", request.pixels, found) }?;
            Ok((Picture::from_rgb(width, height, bytes.to_vec())?, None))
        }
        (nothing, _) => {
            let found = if nothing { "neither" } else { "both" };
            Err(Failure::argument("picture", "image or pixels", found))
        }
    }
}

/// Reports to the function of a request, which can stop the work.
struct Watched {
    progress: FoveateProgress,
    data: *mut c_void,
    stage: CString,
    done: usize,
    total: usize,
    stopped: bool,
}

impl Watched {
    fn new(request: &FoveateRequest) -> Watched {
        Watched {
            progress: request.progress,
            data: request.data,
            stage: CString::default(),
            done: 0,
            total: 0,
            stopped: false,
        }
    }

    fn tell(&mut self) {
        if let (Some(progress), false) = (self.progress, self.stopped) {
            // SAFETY: the function is as the header says.
            let go_on = unsafe { progress(self.data, self.stage.as_ptr(), self.done, self.total) };
            self.stopped = !go_on;
        }
    }
}

impl Progress for Watched {
    fn begin(&mut self, stage: Stage, total: Option<usize>) {
        // No name has a NUL.
        self.stage = CString::new(stage.name()).unwrap_or_default();
        (self.done, self.total) = (0, total.unwrap_or(0));
        self.tell();
    }

    fn advance(&mut self, count: usize) {
        self.done += count;
        self.tell();
    }

    fn cancelled(&self) -> bool {
        self.stopped
    }
}

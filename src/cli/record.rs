//! `explanation.json`: the full record of one explanation.

use serde_json::{Map, Value, json};

use crate::explain::{Explanation, Mask, Settings};
use crate::lvlm::Lvlm;
use crate::picture::Picture;
use crate::run::Explained;

/// The contents of the record other than the explanation.
pub struct Context<'a> {
    pub model: &'a dyn Lvlm,
    /// The pictures' files, of those that are files.
    pub images: Vec<Option<&'a std::path::Path>>,
    pub pictures: &'a [Picture],
    pub question: &'a str,
    pub answer: Option<&'a str>,
    pub keys: Option<&'a [usize]>,
    pub settings: &'a Settings,
    pub threads: usize,
    /// Seconds spent on opening the model and the picture.
    pub load_seconds: f64,
}

/// Returns the record of an explanation.
pub fn record(context: &Context, explanation: &Explanation) -> Value {
    let explained = Explained::from(explanation);
    let (images, pictures) = match &images(context)[..] {
        [one] => ("image", one.clone()),
        all => ("images", json!(all)),
    };
    let mut record = json!({
        "model": context.model.name(),
        "family": context.model.family(),
        "device": context.model.device(),
        "dtype": context.model.dtype(),
        "device_choices": context.model.device_choices(),
        (images): pictures,
        "question": context.question,
        "prompt": explained.prompt,
        "answer": explained.answer,
        "image_dependent": explained.image_dependent,
        "settings": settings(context),
        "iterations": explained.iterations,
        "curves": explained.curves,
        "faithfulness": explained.faithfulness,
        "cost": cost(context, explanation),
        "version": env!("CARGO_PKG_VERSION"),
    });
    if context.pictures.len() > 1 {
        record["explained_images"] = json!(explanation.explained_images);
    }
    if context.settings.each.is_some() {
        record["each"] = json!(explained.each);
    }
    if let Some(extent) = explanation.mask.as_ref().and_then(Mask::extent) {
        record["mask_extent"] = json!(extent);
    }
    if let Some(randomized) = context.model.randomized() {
        record["randomized"] = json!(randomized);
    }
    if let Some(answer) = explained.baseline_answer {
        record["baseline_answer"] = json!(answer);
    }
    record
}

/// Returns the file and the size of each picture.
fn images(context: &Context) -> Vec<Value> {
    let image = |(at, picture): (usize, &Picture)| {
        json!({
            "path": context.images.get(at).copied().flatten().map(|path| path.to_string_lossy()),
            "width": picture.width(),
            "height": picture.height(),
        })
    };
    context.pictures.iter().enumerate().map(image).collect()
}

/// Returns the method's settings, and the other inputs that the result depends on.
fn settings(context: &Context) -> Value {
    let mut settings = json!(context.settings);
    settings["answer"] = json!(context.answer);
    settings["keys"] = json!(context.keys);
    settings["threads"] = json!(context.threads);
    settings
}

fn cost(context: &Context, explanation: &Explanation) -> Value {
    let mut seconds = Map::new();
    seconds.insert("load".into(), json!(context.load_seconds));
    for (stage, value) in &explanation.cost.seconds {
        if let Ok(Value::String(stage)) = serde_json::to_value(stage) {
            seconds.insert(stage, json!(value));
        }
    }
    json!({
        "evaluations": explanation.cost.evaluations,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(),
    })
}

/// Returns the peak resident memory of this process in bytes, including mapped weights; `None` on
/// systems other than Linux.
pub(super) fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

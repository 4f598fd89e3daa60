//! Tests of which file and which field of a checkpoint takes precedence: one saved checkpoint, with
//! one edit of its files at a time, compared with the results of transformers
//! (`tests/oracle/precedence`).

use std::path::Path;

use foveate::blend::{Blend, Masks, Path as BlendPath};
use foveate::device::cpu::Cpu;
use foveate::lvlm::{Lvlm, LvlmError, OpenOptions, SessionOptions, checkpoint, go_on, load};
use foveate::picture::Picture;
use serde::Deserialize;
use serde_json::{Map, Value};
use tempfile::TempDir;

/// The contents of `edits.json`.
#[derive(Deserialize)]
struct Table {
    question: String,
    answer: Vec<u32>,
    bases: Map<String, Value>,
    edits: Vec<Edit>,
}

/// A checkpoint before it is edited.
#[derive(Deserialize)]
struct Base {
    model: String,
    picture: String,
    steps: Vec<Step>,
}

/// One edit.
#[derive(Deserialize)]
struct Edit {
    name: String,
    base: String,
    /// Text in the error, if the edit is refused.
    refuse: Option<String>,
    steps: Vec<Step>,
}

/// A change of one file.
#[derive(Deserialize)]
struct Step {
    file: String,
    #[serde(default)]
    remove: bool,
    text: Option<String>,
    json: Option<Value>,
    #[serde(default)]
    set: Map<String, Value>,
    #[serde(default)]
    unset: Vec<String>,
}

/// The results of transformers for an edit: `Made`, or the reason of an error. The file leaves out
/// values that equal those of the base's first edit.
#[derive(Deserialize)]
struct Recorded {
    refused: Option<String>,
    #[serde(flatten)]
    made: Option<Made>,
}

#[derive(Deserialize)]
struct Made {
    /// The prompt, with the image token once.
    ids: Vec<u32>,
    image_tokens: usize,
    pixel_values: usize,
    /// Some of the pixel values, evenly spaced.
    pixels: Vec<f64>,
    /// Log-probabilities of the fixed answer.
    logp: Vec<f64>,
    /// The greedy answer, of at most six tokens.
    greedy: Vec<u32>,
}

fn read<T: for<'a> Deserialize<'a>>(name: &str) -> T {
    let file = oracle().join("precedence").join(name);
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn oracle() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracle"))
}

/// Returns the object that a dotted name leads to, created if missing, and the name's last part.
fn place<'a>(json: &'a mut Value, name: &'a str) -> (&'a mut Map<String, Value>, &'a str) {
    let (above, last) = name.rsplit_once('.').unwrap_or(("", name));
    let mut at = json;
    for part in above.split('.').filter(|part| !part.is_empty()) {
        let map = at.as_object_mut().unwrap();
        at = map.entry(part).or_insert_with(|| Value::Object(Map::new()));
    }
    (at.as_object_mut().unwrap(), last)
}

impl Step {
    fn apply(&self, folder: &Path) {
        let path = folder.join(&self.file);
        if self.remove {
            return std::fs::remove_file(path).unwrap();
        }
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        if let Some(text) = &self.text {
            return std::fs::write(path, text).unwrap();
        }
        let mut json = match (&self.json, std::fs::read_to_string(&path)) {
            (Some(json), _) => json.clone(),
            (None, Ok(text)) => serde_json::from_str(&text).unwrap(),
            (None, Err(_)) => Value::Object(Map::new()),
        };
        for name in &self.unset {
            let (map, last) = place(&mut json, name);
            assert!(map.remove(last).is_some(), "{name} was there");
        }
        for (name, value) in &self.set {
            let (map, last) = place(&mut json, name);
            map.insert(last.to_string(), value.clone());
        }
        std::fs::write(path, json.to_string()).unwrap();
    }
}

/// Returns the edited checkpoint.
fn edited(base: &Base, edit: &Edit) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for entry in oracle()
        .join("models")
        .join(&base.model)
        .read_dir()
        .unwrap()
    {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), dir.path().join(entry.file_name())).unwrap();
    }
    for step in base.steps.iter().chain(&edit.steps) {
        step.apply(dir.path());
    }
    dir
}

/// Returns foveate's results for a folder, in the form recorded from transformers.
fn made(
    folder: &Path,
    picture: &Picture,
    table: &Table,
    image: u32,
    pixels: usize,
) -> Result<Made, LvlmError> {
    let checkpoint = checkpoint(Some(folder), &OpenOptions::default())?;
    let model: Box<dyn Lvlm> = load(checkpoint, Cpu::<f32>::new(2).unwrap())?;
    let prompt = model.prompt(&table.question, std::slice::from_ref(picture))?;
    let images = prompt.ids.iter().filter(|id| **id == image).count();
    let first = prompt.ids.iter().position(|id| *id == image).unwrap();
    let ids = [&prompt.ids[..=first], &prompt.ids[first + images..]].concat();
    let views = model.views(picture)?;
    let values: Vec<f32> = views.into_iter().flat_map(|(_, values)| values).collect();
    let step = values.len() / pixels;
    let options = SessionOptions {
        mask_size: 4,
        memory_budget: 1 << 30,
    };
    let mut session = model.start(picture, picture, &prompt, options)?;
    let greedy = session.generate(BlendPath::Deletion, 6, &mut go_on)?;
    let scorer = session.scorer(&table.answer)?;
    let tokens: Vec<usize> = (0..table.answer.len()).collect();
    let ones = [vec![1.0; 16]];
    let whole = Masks {
        size: 4,
        values: &ones,
    };
    let blend = Blend::whole(0, BlendPath::Deletion);
    let mut logp = scorer.log_probabilities(whole, &[blend], &tokens, &mut go_on)?;
    Ok(Made {
        ids,
        image_tokens: images,
        pixel_values: values.len(),
        pixels: (0..pixels).map(|i| f64::from(values[i * step])).collect(),
        logp: logp.remove(0),
        greedy,
    })
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f64::max)
}

/// Returns the error in an edit's results, if any.
fn wrong(edit: &Edit, table: &Table, recorded: &Recorded) -> Option<String> {
    const IMAGE: u32 = 3;
    let base: Base = serde_json::from_value(table.bases[&edit.base].clone()).unwrap();
    let dir = edited(&base, edit);
    let picture = Picture::open(&oracle().join(&base.picture)).unwrap();
    let pixels = recorded.made.as_ref().map_or(1, |made| made.pixels.len());
    let found = made(dir.path(), &picture, table, IMAGE, pixels);
    match (found, &edit.refuse, &recorded.made) {
        (Err(error), Some(name), _) => {
            let message = error.to_string();
            let named = message.contains(name.as_str());
            (!named).then(|| format!("refused without a word of {name}: {message}"))
        }
        (Err(error), None, _) => Some(format!("refused: {error}")),
        (Ok(_), Some(_), _) => Some("not refused".to_string()),
        (Ok(_), None, None) => {
            let reason = recorded.refused.as_deref().unwrap_or_default();
            Some(format!("not refused, as by transformers: {reason}"))
        }
        (Ok(found), None, Some(expected)) => {
            let prompt = |made: &Made| (made.ids.clone(), made.image_tokens, made.pixel_values);
            if prompt(&found) != prompt(expected) {
                return Some(format!("{:?} for {:?}", prompt(&found), prompt(expected)));
            }
            let pixels = distance(&found.pixels, &expected.pixels);
            let logp = distance(&found.logp, &expected.logp);
            if pixels > 2e-6 || logp > 1e-4 {
                return Some(format!("pixels {pixels:e}, log-probabilities {logp:e} off"));
            }
            let (found, expected) = (&found.greedy, &expected.greedy);
            (found != expected).then(|| format!("answer {found:?} for {expected:?}"))
        }
    }
}

#[test]
fn every_file_counts_as_it_does_in_transformers() {
    let table: Table = read("edits.json");
    let recorded: Map<String, Value> = read("recorded.json");
    assert_eq!(recorded.len(), table.edits.len(), "all edits are recorded");
    let mut firsts = Map::new();
    let mut all = Vec::new();
    for edit in &table.edits {
        let mut own = recorded[&edit.name].as_object().unwrap().clone();
        let first = firsts
            .entry(&edit.base)
            .or_insert_with(|| own.clone().into());
        if !own.contains_key("refused") {
            for (name, value) in first.as_object().unwrap() {
                own.entry(name).or_insert_with(|| value.clone());
            }
        }
        let recorded: Recorded = serde_json::from_value(own.into()).unwrap();
        if let Some(wrong) = wrong(edit, &table, &recorded) {
            all.push(format!("{}: {wrong}", edit.name));
        }
    }
    assert!(all.is_empty(), "{} wrong:\n{}", all.len(), all.join("\n"));
}

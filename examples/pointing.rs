//! Does the map point at the asked object? The pointing figures of docs/measurements.md, over
//! scenes made by `assets/demo/scenes.py`.
//!
//! ```text
//! python assets/demo/scenes.py scenes --count 100 --seed 5000
//! cargo run --release --example pointing -- scenes --noise 0
//! ```
//! peak: the map's maximum lies in the asked object's box (2 pixels of slack); mass: share of the
//! map inside the box; area: the box's share of the picture, which is what chance would give;
//! auprc: area under the precision-recall curve of the map's ranking of pixels against the
//! object's own pixels, or against its box in scenes without masks; deletion and insertion: means
//! over the answers whose scores are defined.

use std::path::PathBuf;

use foveate::analyse::pointing;
use foveate::run::EvidenceMask;
use foveate::{Cpu, Explanation, Method, Picture, Request, Settings, Silent, explain, open};
use serde::Deserialize;

#[derive(Deserialize)]
struct Scene {
    picture: String,
    questions: Vec<Question>,
}

#[derive(Deserialize)]
struct Question {
    question: String,
    answer: String,
    key_words: Vec<String>,
    #[serde(rename = "box")]
    bounds: [f64; 4],
    /// The file of its mask.
    evidence: Option<String>,
}

/// Sums over one kind of question.
#[derive(Default)]
struct Tally {
    asked: f64,
    right: f64,
    key: f64,
    /// Answers with a map.
    maps: f64,
    peak: f64,
    mass: f64,
    area: f64,
    auprc: f64,
    scored: f64,
    deletion: f64,
    insertion: f64,
}

/// Measures how well maps point at the asked object.
#[derive(clap::Parser)]
struct Options {
    /// Folder of scenes made by assets/demo/scenes.py
    scenes: PathBuf,
    /// The attribution method, as `foveate methods` lists them
    #[arg(long, default_value = "fovea")]
    method: Method,
    /// Standard deviation of the noise on every blend; by default the method's own
    #[arg(long)]
    noise: Option<f64>,
    /// Step size of an update, for methods that read it; by default the method's own
    #[arg(long)]
    lr: Option<f64>,
    /// Cells per side of the mask
    #[arg(long, default_value_t = Settings::default().mask_size)]
    mask_size: usize,
    /// Updates of the mask; by default the method's own
    #[arg(long)]
    iterations: Option<usize>,
    /// Leave deletion and insertion out
    #[arg(long)]
    no_curves: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = <Options as clap::Parser>::parse();
    let folder = options.scenes;
    let scenes: Vec<Scene> =
        serde_json::from_str(&std::fs::read_to_string(folder.join("scenes.json"))?)?;
    let model = open(None, Cpu::<f32>::new(0)?)?;
    let own = Settings::of(options.method);
    let settings = Settings {
        noise: options.noise.unwrap_or(own.noise),
        lr: options.lr.unwrap_or(own.lr),
        mask_size: options.mask_size,
        iterations: options.iterations.unwrap_or(own.iterations),
        curves: !options.no_curves,
        ..own
    };
    let mut tallies: Vec<(String, Tally)> = Vec::new();
    for scene in &scenes {
        let picture = Picture::open(&folder.join(&scene.picture))?;
        for question in &scene.questions {
            let request = Request {
                pictures: std::slice::from_ref(&picture),
                question: &question.question,
                answer: None,
                keys: None,
                settings: &settings,
            };
            let explanation = explain(&*model, &request, &mut Silent)?;
            let kind = question
                .question
                .split(' ')
                .take(2)
                .collect::<Vec<_>>()
                .join(" ");
            let at = tallies
                .iter()
                .position(|(k, _)| *k == kind)
                .unwrap_or_else(|| {
                    tallies.push((kind, Tally::default()));
                    tallies.len() - 1
                });
            let size = (picture.width(), picture.height());
            let evidence = match &question.evidence {
                Some(name) => {
                    let mask = Picture::open(&folder.join(name))?;
                    let mask = EvidenceMask::of(&mask, size);
                    Some(mask.map_err(|bad| format!("{name}: {}", bad.message))?)
                }
                None => None,
            };
            tallies[at]
                .1
                .add(question, &explanation, size, evidence.as_ref());
        }
    }
    println!(
        "| question | n | right | key | peak | mass | area | auprc | deletion | insertion \
         | (scored) |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for (kind, t) in &tallies {
        println!(
            "| {kind} ... | {} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} | {:.2} \
             | {} |",
            t.asked,
            t.right / t.asked,
            t.key / t.asked,
            t.peak / t.maps,
            t.mass / t.maps,
            t.area / t.maps,
            t.auprc / t.maps,
            t.deletion / t.scored,
            t.insertion / t.scored,
            t.scored,
        );
    }
    Ok(())
}

impl Tally {
    fn add(
        &mut self,
        question: &Question,
        explanation: &Explanation,
        (width, height): (u32, u32),
        evidence: Option<&EvidenceMask>,
    ) {
        self.asked += 1.0;
        self.right += f64::from(u8::from(explanation.answer.trim() == question.answer));
        let keys: String = explanation
            .tokens
            .iter()
            .filter(|t| t.key)
            .map(|t| t.text.as_str())
            .collect();
        self.key += f64::from(u8::from(
            question.key_words.iter().any(|w| keys.contains(w.as_str())),
        ));
        let Some(mask) = &explanation.mask else {
            return;
        };
        let size = (width as usize, height as usize);
        let Some(point) = pointing(mask, size, &[question.bounds]) else {
            return;
        };
        self.maps += 1.0;
        self.peak += f64::from(u8::from(point.peak));
        self.mass += point.mass;
        self.area += point.area;
        let ranked = match evidence {
            Some(evidence) => pointing(mask, size, evidence),
            None => Some(point),
        };
        self.auprc += ranked.map_or(0.0, |ranked| ranked.auprc);
        if let Some((Some(deletion), Some(insertion))) = explanation
            .curves
            .as_ref()
            .map(|c| (c.deletion_score, c.insertion_score))
        {
            self.scored += 1.0;
            self.deletion += deletion;
            self.insertion += insertion;
        }
    }
}

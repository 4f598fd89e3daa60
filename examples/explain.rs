//! The engine inside another program: load a model, ask, explain, read the mask.
//!
//! ```text
//! cargo run --release --example explain -- PICTURE QUESTION [CHECKPOINT]
//! ```
//! Without arguments it asks the built-in demo model about a drawn scene.

use std::path::PathBuf;

use foveate::{Cpu, Picture, Request, Settings, Silent, explain, open};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes/0000.png");
    let picture = PathBuf::from(arguments.next().unwrap_or(scene.into()));
    let question = arguments.next().unwrap_or("Describe the image.".into());
    let checkpoint = arguments.next().map(PathBuf::from);

    let model = open(checkpoint.as_deref(), Cpu::<f32>::new(0)?)?;
    let picture = Picture::open(&picture)?;
    let settings = Settings {
        mask_size: 16,
        ..Settings::default()
    };
    let request = Request {
        pictures: std::slice::from_ref(&picture),
        question: &question,
        answer: None,
        keys: None,
        settings: &settings,
    };
    let explanation = explain(&*model, &request, &mut Silent)?;

    println!("{question} {}", explanation.answer.trim());
    for token in explanation.tokens.iter().filter(|t| t.key) {
        println!(
            "  {:12} gains {:.2} nats from the picture",
            token.text.trim(),
            token.llr
        );
    }
    let Some(mask) = &explanation.mask else {
        println!("The answer does not depend on the picture.");
        return Ok(());
    };
    for row in mask.saliency().chunks(mask.size()) {
        let shades: String = row
            .iter()
            .map(|s| [" ", "░", "▒", "▓", "█"][(s * 4.0).round() as usize])
            .collect();
        println!("  {shades}");
    }
    Ok(())
}

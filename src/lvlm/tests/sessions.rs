//! Sessions of one model: prompts of other pictures, and what sessions share.

use super::*;
use crate::blend::{Blend, Masks};
use crate::lvlm::{Lvlm, Prompt};

fn picture(width: u32, height: u32, seed: u8) -> Picture {
    let length = 3 * width as usize * height as usize;
    let bytes = (0..length).map(|at| (at * 31 % 251) as u8 ^ seed);
    Picture::from_rgb(width, height, bytes.collect()).unwrap()
}

fn open(model: &str) -> Box<dyn Lvlm> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("tests/oracle/models").join(model);
    let opened = crate::lvlm::checkpoint(Some(&folder), &OpenOptions::default()).unwrap();
    load(opened, Cpu::<f32>::new(1).unwrap()).unwrap()
}

const OPTIONS: SessionOptions = SessionOptions {
    mask_size: 4,
    memory_budget: 1 << 30,
};

/// A picture of 3 x 2 tiles has as many rows as one of 2 x 3, with other texts between them.
#[test]
fn a_prompt_about_a_picture_of_another_size_is_refused() {
    let model = open("tiny-idefics3");
    let (wide, tall) = (picture(90, 60, 1), picture(60, 90, 1));
    let prompt = |picture| {
        model
            .prompt("What is it?", std::slice::from_ref(picture))
            .unwrap()
    };
    let of_wide = prompt(&wide);
    let image = model.tokenizer().image().id();
    let rows = |prompt: &Prompt| prompt.ids.iter().filter(|&&id| id == image).count();
    assert_eq!(rows(&of_wide), rows(&prompt(&tall)));
    assert!(model.start(&wide, &wide, &of_wide, OPTIONS).is_ok());
    let refused = model.start(&tall, &tall, &of_wide, OPTIONS).err().unwrap();
    let said = "pictures: expected 90 x 60 pixels, as in the prompt, found 60 x 90";
    assert_eq!(refused.to_string(), said);
    // Nor is one about two.
    let two = [wide.clone(), tall.clone()];
    let about_two = model.prompt("What is it?", &two).unwrap();
    let refused = model
        .start(&wide, &wide, &about_two, OPTIONS)
        .err()
        .unwrap();
    assert!(
        refused.to_string().contains("90 x 60, 60 x 90 pixels"),
        "{refused}"
    );
}

/// A session after others of the same model, whose prompts begin in the same way or in another, has
/// the bits of the first session of a model.
#[test]
fn sessions_do_not_depend_on_those_before() {
    let pictures = [picture(50, 40, 1), picture(40, 60, 2)];
    let scores = |model: &dyn Lvlm, pictures: &[Picture]| {
        let prompt = model.prompt("What color is it?", pictures).unwrap();
        let pairs: Vec<_> = pictures.iter().map(|p| (p, Some(p))).collect();
        let pairs = model.process(&pairs).unwrap();
        let mut session = model.begin(pairs, &prompt, OPTIONS).unwrap();
        let scorer = session.scorer(&[20, 21, 22]).unwrap();
        let masks = [vec![0.5; 16 * pictures.len()]];
        let masks = Masks {
            size: 4,
            values: &masks,
        };
        let blends = [Blend::whole(0, blend::Path::Deletion)];
        scorer
            .log_probabilities(masks, &blends, &[0, 1, 2], &mut go_on)
            .unwrap()
    };
    for model in ["tiny-llava", "tiny-qwen2-5-vl", "tiny-gemma3"] {
        let fresh = |pictures| scores(&*open(model), pictures);
        let (one, both) = (fresh(&pictures[..1]), fresh(&pictures));
        assert_ne!(one, both, "{model}");
        let model = open(model);
        for _ in 0..2 {
            assert_eq!(scores(&*model, &pictures[..1]), one);
            assert_eq!(scores(&*model, &pictures), both);
            assert_eq!(scores(&*model, &pictures), both);
        }
    }
}

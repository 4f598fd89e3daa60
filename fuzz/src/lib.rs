//! What each fuzz target does with its bytes: the same calls that the program makes with a file
//! from a stranger.
//!
//! A target must return, with an error or without, within two seconds. Panics, aborts and
//! allocations beyond the fuzzer's limit are found by the fuzzer itself; reads out of bounds by a
//! build with a sanitizer.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use foveate::Picture;
use foveate::checkpoint::{
    ChatTemplate, Files, ImageToken, PictureText, ProcessorFile, Template, Tensors, Tokenizer,
    VICUNA,
};
use foveate::lvlm::{OpenOptions, inspect_files};
use foveate::picture::Processor;
use foveate::run::{
    Columns, Data, DataOptions, EvidenceMask, EvidenceSource, Layout, Run, Shard, Store,
};

/// A sound checkpoint of a few kilobytes, whose files the targets replace one at a time.
const CONFIG: &[u8] = include_bytes!("../../tests/oracle/models/tiny-llava/config.json");
const TOKENIZER: &[u8] = include_bytes!("../../tests/oracle/models/tiny-llava/tokenizer.json");
const PROCESSOR: &[u8] =
    include_bytes!("../../tests/oracle/models/tiny-llava/preprocessor_config.json");
/// A safetensors file without tensors.
const EMPTY: &[u8] = b"\x02\0\0\0\0\0\0\0{}";
/// The placeholder of the picture in that tokenizer.
const IMAGE: ImageToken = ImageToken::Text("<image>");
/// A question that a normaliser, a splitter and a vocabulary each have something to do with.
const QUESTION: &str = "What colour is the \u{4f60}\u{e9}\u{301} <image> </s>  1234's?";

fn files<const N: usize>(named: [(&str, &[u8]); N]) -> Files {
    let owned = named.map(|(name, bytes)| (name.to_string(), bytes.to_vec()));
    Files::memory("fuzz", owned)
}

/// A safetensors file.
pub fn header(data: &[u8]) {
    if let Ok(tensors) = Tensors::open(&files([("model.safetensors", data)])) {
        for tensor in tensors.iter() {
            assert_eq!(
                tensor.elements() * tensor.dtype.size(),
                tensor.bytes().len()
            );
        }
    }
}

/// The list of shards.
pub fn index(data: &[u8]) {
    let _ = Tensors::open(&files([
        ("model.safetensors.index.json", data),
        ("a.safetensors", EMPTY),
        (
            "b.safetensors",
            b"\x44\0\0\0\0\0\0\0\
              {\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}            \0\0\0\0",
        ),
    ]));
}

/// A model's config, and what is said of the model.
pub fn config(data: &[u8]) {
    let files = files([
        ("config.json", data),
        ("model.safetensors", EMPTY),
        ("tokenizer.json", TOKENIZER),
        ("preprocessor_config.json", PROCESSOR),
    ]);
    let _ = inspect_files(&files, &OpenOptions::default());
}

/// An image processor's config, put to work on pictures of several shapes.
pub fn processor(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = ProcessorFile::read(&files([("processor_config.json", data)]));
    let Ok(processor) = Processor::from_json(text, "processor_config.json") else {
        return;
    };
    for (width, height) in [(1, 1), (37, 23), (5, 400)] {
        let Ok((rows, columns)) = processor.output_size(width, height) else {
            continue;
        };
        let _ = processor.view(width, height);
        // What a processor makes of a picture grows with its own config, whose sizes are bounded;
        // the largest take too long here.
        if rows.saturating_mul(columns) <= 1 << 20 {
            let rgb = vec![127; (width * height * 3) as usize];
            let picture = Picture::from_rgb(width, height, rgb).expect("a picture");
            let _ = processor.process(&picture);
        }
    }
}

/// tokenizer.json.
pub fn tokenizer(data: &[u8]) {
    let files = files([("config.json", CONFIG), ("tokenizer.json", data)]);
    let Ok(tokenizer) = Tokenizer::load(&files, IMAGE) else {
        return;
    };
    if let Ok(ids) = tokenizer.encode_answer(QUESTION) {
        let _ = tokenizer.decode(&ids);
    }
    ask(&files, &tokenizer);
}

/// A chat template.
pub fn template(data: &[u8]) {
    // Read once: it takes longer than most templates.
    static SOUND: LazyLock<Tokenizer> = LazyLock::new(|| {
        let files = files([("config.json", CONFIG), ("tokenizer.json", TOKENIZER)]);
        Tokenizer::load(&files, IMAGE).expect("a sound tokenizer")
    });
    let files = files([
        ("config.json", CONFIG),
        ("tokenizer.json", TOKENIZER),
        ("chat_template.jinja", data),
    ]);
    ask(&files, &SOUND);
}

/// From a question to token ids.
fn ask(files: &Files, tokenizer: &Tokenizer) {
    let Ok(template) = ChatTemplate::load(files, tokenizer, Template::Default(VICUNA)) else {
        return;
    };
    for pictures in [1, 2] {
        let Ok(prompt) = template.render(QUESTION, pictures) else {
            continue;
        };
        let _ = tokenizer.encode_prompt(&prompt, &vec![PictureText::rows(4); pictures]);
    }
}

/// A picture of any format.
pub fn picture(data: &[u8]) {
    if let Ok(picture) = Picture::decode(data, "picture") {
        let bytes = 3 * picture.width() as usize * picture.height() as usize;
        assert_eq!(picture.rgb().len(), bytes);
    }
}

/// A data file; the first byte chooses its format.
pub fn rows(data: &[u8]) {
    let Some((first, data)) = data.split_first() else {
        return;
    };
    let endings = ["csv", "tsv", "jsonl", "json", "parquet"];
    let folder = tempfile::tempdir().expect("a folder");
    let ending = endings[usize::from(*first) % endings.len()];
    let path = folder.path().join(format!("data.{ending}"));
    fs::write(&path, data).expect("a file");
    let Ok(data) = Data::open(&path, None, DataOptions::default()) else {
        return;
    };
    let Ok(samples) = data.samples(Shard::WHOLE, 0) else {
        return;
    };
    for sample in samples.map_while(Result::ok).take(1000) {
        let _ = sample;
    }
}

/// A segmentation as JSON, drawn in pictures of three sizes.
pub fn segmentation(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data.jsonl");
    let line = [
        &br#"{"image":"0.png","question":"x","shown":"#[..],
        data,
        b"}\n",
    ]
    .concat();
    fs::write(&path, line).expect("a file");
    let options = DataOptions {
        layout: Some(Layout::Table),
        columns: Columns {
            evidence: Some("shown".into()),
            ..Columns::default()
        },
        ..DataOptions::default()
    };
    let Ok(data) = Data::open(&path, None, options) else {
        return;
    };
    let Ok(samples) = data.samples(Shard::WHOLE, 0) else {
        return;
    };
    let samples = samples.map_while(Result::ok).take(10);
    for sample in samples.filter_map(|picked| picked.sample.ok()) {
        if let Some(EvidenceSource::Segmentation(segmentation)) = sample.evidence {
            for size in [(1, 1), (19, 17), (1300, 977)] {
                let _ = EvidenceMask::of_segmentation(&segmentation, size);
            }
        }
    }
}

/// The card of a folder of the hub.
pub fn card(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let inside = folder.path().join("data");
    fs::create_dir(&inside).expect("a folder");
    fs::write(folder.path().join("README.md"), data).expect("a file");
    for name in ["train-00000-of-00002", "train-00001-of-00002", "test"] {
        fs::write(inside.join(format!("{name}.parquet")), "PAR1").expect("a file");
    }
    let _ = Data::open(folder.path(), None, DataOptions::default());
}

/// A run's folder: its files one after the other, each behind its length as two bytes.
pub fn run(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let mut rest = data;
    for name in [
        "run.json",
        "records.jsonl",
        "masks-00000.f32",
        "timings.jsonl",
    ] {
        let Some((length, behind)) = rest.split_first_chunk::<2>() else {
            break;
        };
        let length = usize::from(u16::from_le_bytes(*length)).min(behind.len());
        let (file, behind) = behind.split_at(length);
        fs::write(folder.path().join(name), file).expect("a file");
        rest = behind;
    }
    read_run(folder.path());
}

fn read_run(folder: &Path) {
    let Ok(run) = Run::open(folder) else {
        return;
    };
    if let Ok(records) = run.records() {
        for record in records.map_while(Result::ok).take(1000) {
            let _ = run.mask(&record);
            let _ = run.each_masks(&record);
        }
    }
    let _ = Store::open(folder, run.manifest());
}

//! An artificial run: every kind of record, random maps, smooth pictures with some noise.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use foveate::Mask;
use foveate::explain::{AnswerToken, Curves, Settings, Unit};
use foveate::run::{
    Answer, Ask, Cause, Columns, Data, DataIdentity, DataOptions, DeviceIdentity, Explained,
    Failure, Judgement, Layout, Manifest, ModelIdentity, Record, RecordImage, Right, Shard, Store,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

/// Text that would end an element or run as a script if it were not escaped.
pub const NASTY: &str = "</script><script>document.title = 'taken over'</script><!-- <img src=x \
                         onerror=\"fetch('http://localhost:1')\"> &amp; 'q'";
/// Cells per side of the maps.
pub const SIZE: usize = 32;
/// Number of picture files that the samples share.
const PICTURES: usize = 24;

/// A folder with pictures in `pictures` and a run in `run`.
pub struct MadeUp {
    folder: TempDir,
    pub records: Vec<Record>,
}

impl MadeUp {
    /// Creates `count` records of a run of `expected`; one in ten has failed, one in eight does not
    /// depend on its picture.
    pub fn new(count: usize, expected: usize) -> MadeUp {
        let made = MadeUp {
            folder: TempDir::new().unwrap(),
            records: Vec::new(),
        };
        let seed = rand::random();
        println!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        for n in 0..PICTURES {
            let (width, height) = [(400, 300), (300, 400), (112, 112)][n % 3];
            picture(
                &mut rng,
                width,
                height,
                &made.path(&format!("pictures/{n}.jpg")),
            );
        }
        let mut store = Store::open(&made.path("run"), &manifest(identity(expected))).unwrap();
        let mut records = Vec::new();
        for index in 0..count {
            let (record, mask, each) = record(&mut rng, index);
            store.append(record, mask.as_ref(), &each).unwrap();
        }
        let run = foveate::run::Run::open(&made.path("run")).unwrap();
        records.extend(run.records().unwrap().map(Result::unwrap));
        MadeUp { records, ..made }
    }

    /// Creates one record whose picture is inside the data file, in one colour, and whose map is 1
    /// in the quarter at the left top and 0 elsewhere; those of its two words are 1 at the right top
    /// and at the left bottom.
    pub fn of_one(colour: [u8; 3], width: u32, height: u32) -> MadeUp {
        use base64::Engine;
        let folder = TempDir::new().unwrap();
        let made = MadeUp {
            folder,
            records: Vec::new(),
        };
        let pixels = image::RgbImage::from_pixel(width, height, image::Rgb(colour));
        let mut bytes = std::io::Cursor::new(Vec::new());
        pixels
            .write_to(&mut bytes, image::ImageFormat::Png)
            .unwrap();
        let encoded = base64::engine::general_purpose::STANDARD.encode(bytes.into_inner());
        let line = serde_json::json!({ "image": encoded, "question": "Which?" });
        std::fs::write(made.path("data.jsonl"), format!("{line}\n")).unwrap();
        let data = Data::open(&made.path("data.jsonl"), None, DataOptions::default()).unwrap();
        let mut store = Store::open(&made.path("run"), &manifest(data.identity())).unwrap();
        let mut rng = StdRng::seed_from_u64(0);
        let (mut record, _, _) = record(&mut rng, 0);
        record.image = RecordImage {
            path: "in the data".into(),
            width: Some(width),
            height: Some(height),
        };
        let quarter = |left: bool, top: bool| {
            let high =
                |cell: usize| (cell / SIZE < SIZE / 2) == top && (cell % SIZE < SIZE / 2) == left;
            let values = (0..SIZE * SIZE).map(|cell| if high(cell) { 0.0 } else { 1.0 });
            Mask::new(SIZE, values.collect()).unwrap()
        };
        store
            .append(
                record.clone(),
                Some(&quarter(true, true)),
                &[quarter(false, true), quarter(true, false)],
            )
            .unwrap();
        MadeUp {
            records: vec![record],
            ..made
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `report` on the run, with the pictures.
    pub fn report(&self, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_foveate"));
        command
            .arg("report")
            .current_dir(self.folder.path())
            .args(more);
        command.output().unwrap()
    }

    /// Returns the path of the file that `report run --images pictures` writes.
    pub fn page(&self) -> PathBuf {
        let output = self.report(&["run", "--images", "pictures"]);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        self.path("run/report.html")
    }
}

fn identity(samples: usize) -> DataIdentity {
    DataIdentity {
        file: "made-up.jsonl".into(),
        split: None,
        fingerprint: "0123".into(),
        samples,
        layout: Layout::Table,
        ask: Ask::Open,
        columns: Columns::default(),
    }
}

fn manifest(data: DataIdentity) -> Manifest {
    let model = ModelIdentity {
        name: "made-up".into(),
        family: "llava".into(),
        fingerprint: "4567".into(),
        randomized: None,
    };
    let device = DeviceIdentity {
        name: "cpu".into(),
        dtype: "f32".into(),
        gemm: None,
    };
    let settings = Settings {
        mask_size: SIZE,
        ..Settings::default()
    };
    Manifest::new(model, device, settings, data, Shard::WHOLE)
}

/// Writes a gradient of two colours with noise: about as many bytes as a JPEG of a photograph.
fn picture(rng: &mut StdRng, width: u32, height: u32, path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let (a, b): ([f32; 3], [f32; 3]) = (rng.random(), rng.random());
    let mut pixels = image::RgbImage::new(width, height);
    for (x, y, pixel) in pixels.enumerate_pixels_mut() {
        let t = ((x * 7) as f32 / width as f32).sin() * ((y * 5) as f32 / height as f32).cos()
            / 2.0
            + 0.5;
        let noise: f32 = rng.random_range(-0.06..0.06);
        let channel = |c: usize| ((a[c] + t * (b[c] - a[c]) + noise).clamp(0.0, 1.0) * 255.0) as u8;
        *pixel = image::Rgb([channel(0), channel(1), channel(2)]);
    }
    pixels.save(path).unwrap();
}

/// Creates a record with its mask, and those of two words for every other one that has a mask.
fn record(rng: &mut StdRng, index: usize) -> (Record, Option<Mask>, Vec<Mask>) {
    let (width, height) = [(400, 300), (300, 400), (112, 112)][index % PICTURES % 3];
    let dependent = index % 8 != 3;
    let failed = index % 10 == 7;
    let mut record = Record {
        index,
        id: format!("sample-{index:05}"),
        question: format!("What is number {index}?"),
        more_images: Vec::new(),
        explained_images: Vec::new(),
        image: RecordImage {
            path: format!("{}.jpg", index % PICTURES),
            width: Some(width),
            height: Some(height),
        },
        category: Some(["count", "place", "colour"][index % 3].into()),
        choices: if index.is_multiple_of(4) {
            vec!["a cat".into(), "a dog".into()]
        } else {
            Vec::new()
        },
        right: Some(Right {
            text: Some("a dog".into()),
            letter: index.is_multiple_of(4).then_some('B'),
            ..Right::default()
        }),
        boxes: if index.is_multiple_of(5) {
            vec![[10.0, 20.0, 60.0, 90.0]]
        } else {
            Vec::new()
        },
        evidence: None,
        seed: u64::MAX - index as u64,
        explanation: None,
        judgement: None,
        error: None,
        mask: None,
        more_masks: Vec::new(),
        each_masks: Vec::new(),
    };
    if index == 1 {
        (record.question, record.category) = (NASTY.into(), Some(NASTY.into()));
    }
    if failed {
        let cause = [Cause::Memory, Cause::Length][index / 10 % 2];
        record.error = Some(Failure {
            cause,
            message: format!("no room for {index}"),
        });
        return (record, None, Vec::new());
    }
    let scored = dependent && index % 6 != 5;
    record.explanation = Some(explained(rng, index, dependent, scored));
    if index % 9 != 2 {
        record.judgement = Some(Judgement {
            chosen: None,
            correct: rng.random_bool(0.7),
        });
    }
    let mut mask = || {
        let spread = rng.random_range(0.05..0.3);
        let (x, y) = (rng.random_range(0.2..0.8), rng.random_range(0.2..0.8));
        let cell = |cell: usize| {
            let (dx, dy) = (
                (cell % SIZE) as f64 / SIZE as f64 - x,
                (cell / SIZE) as f64 / SIZE as f64 - y,
            );
            1.0 - (-(dx * dx + dy * dy) / (spread * spread)).exp() - rng.random_range(0.0..0.1)
        };
        Mask::new(SIZE, (0..SIZE * SIZE).map(cell).collect()).unwrap()
    };
    let units = record.explanation.as_ref().map_or(0, |e| e.each.len());
    let each = (0..units).map(|_| mask()).collect();
    (record, dependent.then(mask), each)
}

fn explained(rng: &mut StdRng, index: usize, dependent: bool, scored: bool) -> Explained {
    let words = [
        "There", " are", " five", " objects", " on", " the", " table", ".",
    ];
    let mut token = |(place, text): (usize, &&str)| {
        let key = dependent && (place == 2 || place == 6);
        let llr: f64 = if key {
            rng.random_range(1.0..9.0)
        } else {
            rng.random_range(-0.5..0.9)
        };
        AnswerToken {
            id: place as u32,
            text: text.to_string(),
            logp_image: -0.1,
            logp_baseline: -0.1 - llr,
            llr,
            key,
        }
    };
    let tokens: Vec<AnswerToken> = words.iter().enumerate().map(&mut token).collect();
    let text = if index == 1 {
        NASTY.to_string()
    } else {
        words.concat()
    };
    let unit = |text: &str, token: usize| Unit {
        text: text.into(),
        tokens: vec![token],
        iterations: Vec::new(),
        evaluations: 18,
    };
    let steps = 51;
    let fall: f64 = rng.random_range(2.0..30.0);
    let fraction: Vec<f64> = (0..steps).map(|i| i as f64 / 50.0).collect();
    let deletion: Vec<f64> = fraction
        .iter()
        .map(|f| 0.05 + 0.9 * (-fall * f).exp())
        .collect();
    let insertion: Vec<f64> = fraction
        .iter()
        .map(|f| 0.95 - 0.9 * (-fall * f).exp())
        .collect();
    let curves = Curves {
        fraction,
        deletion,
        insertion,
        deletion_score: scored.then(|| 1.0 / fall),
        insertion_score: scored.then(|| 1.0 - 1.0 / fall - rng.random_range(0.0..0.3)),
        reason: (!scored).then(|| "picture and baseline are equally likely".into()),
    };
    Explained {
        baseline_answer: None,
        prompt: format!("USER: <image>\n{index} ASSISTANT:"),
        answer: Answer { text, tokens },
        image_dependent: dependent,
        iterations: Vec::new(),
        curves: dependent.then_some(curves),
        faithfulness: None,
        each: match dependent && index.is_multiple_of(2) {
            true => vec![unit("five", 2), unit("table", 6)],
            false => Vec::new(),
        },
        evaluations: 138,
    }
}

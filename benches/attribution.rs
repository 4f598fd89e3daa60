//! Benches of a whole explanation by the built-in demo model: default settings, with and without
//! curves.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foveate::{Cpu, Picture, Request, Settings, Silent, explain, open};

fn attribution(c: &mut Criterion) {
    let scene = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/demo/scenes/0001.png");
    let picture = Picture::open(scene.as_ref()).expect("a scene of the project");
    let model = open(None, Cpu::<f32>::new(0).expect("threads")).expect("the built-in model");
    let mut group = c.benchmark_group("attribution/demo");
    group.sample_size(10);
    for (name, curves) in [("mask", false), ("mask and curves", true)] {
        let settings = Settings {
            curves,
            ..Settings::default()
        };
        let request = Request {
            pictures: std::slice::from_ref(&picture),
            question: "What color is the star?",
            answer: Some(" The star is red."),
            keys: Some(&[4]),
            settings: &settings,
        };
        let cost = explain(&*model, &request, &mut Silent)
            .expect("an explanation")
            .cost;
        group.throughput(Throughput::Elements(cost.evaluations as u64));
        group.bench_function(name, |b| {
            b.iter(|| black_box(explain(&*model, &request, &mut Silent)))
        });
    }
    group.finish();
}

criterion_group!(benches, attribution);
criterion_main!(benches);

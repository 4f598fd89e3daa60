//! Blend and patchify of a path, 224 pixels in patches of 16, through a mask of 16 cells; elements are pixel values.

use criterion::{Criterion, Throughput};
use foveate::device::{Blend, Device, Direction, Masks, Noise, Sampling};
use foveate::picture::View;

use super::shapes::{BATCH, cpu, values};

/// The benches of this family.
pub fn benches(c: &mut Criterion) {
    let cpu = cpu();
    let view = View {
        height: 224,
        width: 224,
        resized_height: 224,
        resized_width: 224,
        offset_x: 0,
        offset_y: 0,
    };
    let pixels = values(2 * 3 * 224 * 224);
    let (picture, baseline) = pixels.split_at(3 * 224 * 224);
    let pictures = cpu
        .pictures(picture, baseline, &view, 16, 16)
        .expect("patches tile the view");
    let mask = [vec![0.5; 256]];
    let masks = Masks {
        size: 16,
        values: &mask,
    };
    let path = |noise| -> Vec<Blend> {
        let alphas = (1..=BATCH).map(|n| n as f64 / BATCH as f64);
        alphas
            .map(|alpha| Blend {
                sampling: Sampling::One(0),
                direction: Direction::Keep,
                alpha,
                noise,
            })
            .collect()
    };
    let mut group = c.benchmark_group("blend");
    group.throughput(Throughput::Elements((BATCH * 3 * 224 * 224) as u64));
    let plain = path(None);
    group.bench_function("forward", |b| {
        b.iter(|| cpu.blend(&pictures, masks, &plain))
    });
    let noisy = path(Some(Noise {
        deviation: 0.2,
        seed: 0,
        stream: 0,
    }));
    group.bench_function("forward with noise", |b| {
        b.iter(|| cpu.blend(&pictures, masks, &noisy))
    });
    let dy = cpu.blend(&pictures, masks, &plain).expect("masks fit");
    let mut gradients = vec![vec![0.0; 256]];
    group.bench_function("vjp", |b| {
        b.iter(|| cpu.blend_vjp(&pictures, masks, &plain, &dy, &mut gradients))
    });
    group.finish();
}

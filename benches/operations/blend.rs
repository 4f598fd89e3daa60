//! Blend and patchify of a path through one mask, its vjp, and what is staged for it; elements are pixel values, or cells and
//! blends.

use std::cell::LazyCell;

use criterion::{Criterion, Throughput};
use foveate::device::{Blend, Device, Direction, Masks, Noise, Sampling};
use foveate::picture::View;

use super::device::{Timed, group, matrix, time, values};
use super::shapes::Shapes;

/// The benches of this family.
pub fn benches<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    let mut group = group(c, "blend", device, shapes);
    let pictures = LazyCell::new(|| pictures(device, shapes));
    let mask = [vec![0.5; shapes.mask * shapes.mask]];
    let masks = Masks {
        size: shapes.mask,
        values: &mask,
    };
    let plain = path(shapes.batch, None);
    let noisy = path(
        shapes.batch,
        Some(Noise {
            deviation: 0.2,
            seed: 0,
            stream: 0,
        }),
    );
    group.throughput(Throughput::Elements(
        (shapes.batch * shapes.pixel_values()) as u64,
    ));
    for (name, path) in [("forward", &plain), ("forward with noise", &noisy)] {
        group.bench_function(name, |b| {
            let pictures = &*pictures;
            let batch = device.stage(pictures, masks, path).expect("masks fit");
            time(b, device, || device.blend(pictures, &batch));
        });
    }
    let rows = shapes.batch * shapes.patches();
    let dy = LazyCell::new(|| matrix(device, rows, shapes.patch_values()));
    group.bench_function("vjp", |b| {
        let (pictures, dy) = (&*pictures, &*dy);
        let batch = device.stage(pictures, masks, &plain).expect("masks fit");
        let mut gradients = device.gradients(pictures, 1).expect("one mask");
        time(b, device, || {
            device.blend_vjp(pictures, &batch, dy, &mut gradients)
        });
    });

    group.throughput(Throughput::Elements((mask[0].len() + shapes.batch) as u64));
    group.bench_function("restage", |b| {
        let pictures = &*pictures;
        let mut batch = device.stage(pictures, masks, &plain).expect("masks fit");
        time(b, device, || {
            device.restage(pictures, &mut batch, masks, &plain)
        });
    });
    group.throughput(Throughput::Elements(mask[0].len() as u64));
    group.bench_function("gradients cleared and read", |b| {
        let mut gradients = device.gradients(&pictures, 1).expect("one mask");
        time(b, device, || {
            device.clear(&mut gradients)?;
            device.read_gradients(&gradients)
        });
    });
    group.finish();
}

/// A view of two pictures without structure.
fn pictures<D: Device>(device: &D, shapes: &Shapes) -> D::Pictures {
    let view = View {
        height: shapes.side,
        width: shapes.side,
        resized_height: shapes.side,
        resized_width: shapes.side,
        offset_x: 0,
        offset_y: 0,
    };
    let pixels = values(2 * shapes.pixel_values());
    let (picture, baseline) = pixels.split_at(shapes.pixel_values());
    device
        .pictures(picture, baseline, &view, shapes.patch, shapes.mask)
        .expect("patches tile the view")
}

/// The path from the baseline to the picture, in as many steps as a batch has blends.
fn path(steps: usize, noise: Option<Noise>) -> Vec<Blend> {
    (1..=steps)
        .map(|n| Blend {
            sampling: Sampling::One(0),
            direction: Direction::Keep,
            alpha: n as f64 / steps as f64,
            noise,
        })
        .collect()
}

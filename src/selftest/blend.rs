//! Blends and the gradient back to masks: views with padding and crops, masks smaller and larger than the view, noise.

use super::numbers::{Bench, Check, Extent, FORWARD, VJP, distance};
use crate::device::{Blend, Device, Direction, Masks, Noise, Result, Sampling};
use crate::picture::View;

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let view = |height, width, resized_height, resized_width, offset_y, offset_x| View {
        height,
        width,
        resized_height,
        resized_width,
        offset_y,
        offset_x,
    };
    let mut cases = vec![
        (view(4, 6, 4, 6, 0, 0), 2, 3),
        (view(15, 10, 15, 10, 0, 0), 5, 7),
        // A crop of a wider picture; a picture padded above and below; a mask of one cell, and of more cells than pixels.
        (view(28, 28, 28, 50, 0, 11), 14, 5),
        (view(28, 28, 15, 28, -6, 0), 14, 4),
        (view(6, 6, 6, 6, 0, 0), 3, 1),
        (view(8, 8, 8, 8, 0, 0), 4, 19),
    ];
    if bench.extent == Extent::Large {
        cases.push((view(336, 336, 336, 336, 0, 0), 14, 32));
        cases.push((view(384, 384, 200, 384, -92, 0), 16, 48));
    }
    for (view, patch, size) in cases {
        one(bench, &view, patch, size)?;
    }
    noise(bench)
}

/// Blends of three masks in both directions, one mask and products.
fn path<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Vec<Blend> {
    let blend = |sampling, direction, alpha| Blend {
        sampling,
        direction,
        alpha,
        noise: None,
    };
    let share = bench.shares(1)[0];
    vec![
        blend(Sampling::One(0), Direction::Keep, 1.0),
        blend(Sampling::One(2), Direction::Reveal, share),
        blend(Sampling::Product(0, 1), Direction::Keep, share),
        blend(Sampling::Product(2, 1), Direction::Reveal, 0.25),
        blend(Sampling::One(1), Direction::Reveal, 1.0),
        blend(Sampling::Product(1, 1), Direction::Keep, 0.5),
    ]
}

fn one<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    view: &View,
    patch: usize,
    size: usize,
) -> Result<()> {
    let pixels = 3 * view.height * view.width;
    let [picture, baseline] =
        [(), ()].map(|()| -> Vec<f32> { bench.values(pixels).iter().map(|&v| v as f32).collect() });
    let masks: Vec<Vec<f64>> = (0..3).map(|_| bench.shares(size * size)).collect();
    let masks = Masks {
        size,
        values: &masks,
    };
    let blends = path(bench);
    let name = format!(
        "{} x {} pixels in patches of {patch}, mask of {size}",
        view.height, view.width
    );
    let device = bench.device;
    let on = device.pictures(&picture, &baseline, view, patch, size)?;
    let at = bench
        .reference
        .pictures(&picture, &baseline, view, patch, size)?;
    let batch = device.stage(&on, masks, &blends)?;
    let exact_batch = bench.reference.stage(&at, masks, &blends)?;
    let y = device.blend(&on, &batch)?;
    let exact = bench.reference.blend(&at, &exact_batch)?;
    bench.compare_rounded(format!("blend {name}"), &y, &exact, FORWARD)?;

    let rows = view.height / patch * (view.width / patch) * blends.len();
    let dy = bench.matrix(rows, 3 * patch * patch)?;
    let mut gradients = device.gradients(&on, 3)?;
    device.blend_vjp(&on, &batch, &dy.on, &mut gradients)?;
    let once = device.read_gradients(&gradients)?;
    let mut exact = bench.reference.gradients(&at, 3)?;
    let vjp = |gradients: &mut Vec<Vec<f64>>| {
        bench
            .reference
            .blend_vjp(&at, &exact_batch, &dy.exact, gradients)
    };
    vjp(&mut exact)?;
    let flat = |g: &[Vec<f64>]| -> Vec<f64> { g.iter().flatten().copied().collect() };
    let (found, reference) = (flat(&once), flat(&exact));
    // The plain computation adds every pixel's share to its cells one after the other, in f32: as many roundings as a cell has
    // shares, each of half a unit in the last place of the sum.
    let shares = (3 * view.height * view.width * blends.len()).div_ceil(size * size);
    let largest = reference.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let plain = (shares as f64).sqrt().max(4.0) * f64::from(f32::EPSILON) / 2.0 * largest;
    bench.checks.push(Check {
        name: format!("blend_vjp {name} {}", bench.storage),
        found: distance(&found, &reference),
        allowed: VJP * plain,
    });

    // The same in two batches, into the same gradients: the bits of one batch.
    device.clear(&mut gradients)?;
    let half = blends.len() / 2;
    for (part, dy) in [&blends[..half], &blends[half..]]
        .into_iter()
        .zip(dy.values.chunks(dy.values.len() / 2))
    {
        let batch = device.stage(&on, masks, part)?;
        let dy = bench.matrix_of(rows / 2, 3 * patch * patch, dy.to_vec())?;
        device.blend_vjp(&on, &batch, &dy.on, &mut gradients)?;
    }
    let cut = device.read_gradients(&gradients)?;
    bench.require(format!("blend_vjp cut in two {name}"), once == cut);

    // Other masks and blends in the same places.
    let other: Vec<Vec<f64>> = (0..3).map(|_| bench.shares(size * size)).collect();
    let other = Masks {
        size,
        values: &other,
    };
    let turned: Vec<Blend> = blends.iter().rev().copied().collect();
    let mut batch = batch;
    device.restage(&on, &mut batch, other, &turned)?;
    let y = device.blend(&on, &batch)?;
    let exact_batch = bench.reference.stage(&at, other, &turned)?;
    let exact = bench.reference.blend(&at, &exact_batch)?;
    bench.compare_rounded(format!("blend staged anew {name}"), &y, &exact, FORWARD)
}

/// The noise must be the CPU's, number by number.
fn noise<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for patch in [3, 4] {
        let side = 4 * patch;
        let view = View {
            height: side,
            width: side,
            resized_height: side,
            resized_width: side,
            offset_y: 0,
            offset_x: 0,
        };
        let zero = vec![0.0; 3 * side * side];
        let masks = [vec![1.0; 4]];
        let masks = Masks {
            size: 2,
            values: &masks,
        };
        let blends: Vec<Blend> = [(7, 0), (7, 1), (u64::MAX - 3, 1 << 40)]
            .map(|(seed, stream)| Blend {
                noise: Some(Noise {
                    deviation: 0.2,
                    seed,
                    stream,
                }),
                ..Blend::whole(0, Direction::Keep)
            })
            .to_vec();
        let on = bench.device.pictures(&zero, &zero, &view, patch, 2)?;
        let batch = bench.device.stage(&on, masks, &blends)?;
        let y = bench.device.blend(&on, &batch)?;
        let at = bench.reference.pictures(&zero, &zero, &view, patch, 2)?;
        let batch = bench.reference.stage(&at, masks, &blends)?;
        let exact = bench.reference.blend(&at, &batch)?;
        bench.compare_rounded(
            format!("blend noise, patches of {patch}"),
            &y,
            &exact,
            FORWARD,
        )?;
    }
    Ok(())
}

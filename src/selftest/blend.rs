//! Checks of blends and of the gradient with respect to masks: views with padding and crops,
//! several views, masks smaller and larger than the view, noise.

use super::numbers::{Bench, Check, Extent, FORWARD, VJP, distance};
use crate::blend::View;
use crate::blend::{Blend, Masks, Noise, Path, Sampling, ViewPair};
use crate::device::Result;
use crate::device::prelude::*;

pub(super) fn checks<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    let view = |height, width, resized_height, resized_width, offset_y, offset_x| View {
        height,
        width,
        unit: 1,
        resized_height,
        resized_width,
        offset_y,
        offset_x,
    };
    let one_view = |view, patch, size| (vec![view], patch, size);
    let mut cases = vec![
        one_view(view(4, 6, 4, 6, 0, 0), 2, 3),
        one_view(view(15, 10, 15, 10, 0, 0), 5, 7),
        // A crop of a wider picture; a picture padded above and below; a mask of one cell, and one
        // with more cells than pixels.
        one_view(view(28, 28, 28, 50, 0, 11), 14, 5),
        one_view(view(28, 28, 15, 28, -6, 0), 14, 4),
        one_view(view(6, 6, 6, 6, 0, 0), 3, 1),
        one_view(view(8, 8, 8, 8, 0, 0), 4, 19),
        // Rows and columns beyond the last whole patch.
        one_view(view(11, 13, 9, 13, -1, 0), 4, 5),
        // The whole picture and four tiles of it, padded above and below; three views, the last of
        // which contains only padding.
        (tiles(8, 12, 16, view), 4, 5),
        (
            vec![
                view(6, 9, 11, 9, 3, 0),
                view(6, 9, 2, 13, -2, 2),
                view(6, 9, 6, 9, 20, 0),
            ],
            3,
            4,
        ),
    ];
    if bench.extent == Extent::Large {
        cases.push(one_view(view(336, 336, 336, 336, 0, 0), 14, 32));
        cases.push(one_view(view(384, 384, 200, 384, -92, 0), 16, 48));
        cases.push((tiles(384, 512, 768, view), 16, 32));
    }
    for (views, patch, size) in cases {
        one(bench, &views, patch, size)?;
    }
    two_encoders(bench, view)?;
    noise(bench)
}

/// Returns the views of a whole picture of `side` pixels, and of its four tiles if it is resized to
/// less than 2 x 2 of them.
fn tiles(
    side: usize,
    height: usize,
    width: usize,
    view: impl Fn(usize, usize, usize, usize, isize, isize) -> View,
) -> Vec<View> {
    let margin = (2 * side - height) as isize / 2;
    let tile = |y, x| {
        let (y, x) = ((y * side) as isize, (x * side) as isize);
        view(side, side, height, width, y - margin, x)
    };
    let whole = view(side, side, side, side, 0, 0);
    vec![whole, tile(0, 0), tile(0, 1), tile(1, 0), tile(1, 1)]
}

/// Returns random pixels of picture and baseline for every view.
fn pixels<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    views: &[View],
) -> Vec<(View, [Vec<f32>; 2])> {
    let mut values = |view: &View| -> Vec<f32> {
        let drawn = bench.values(3 * view.height * view.width);
        drawn.iter().map(|&v| v as f32).collect()
    };
    views
        .iter()
        .map(|view| (*view, [values(view), values(view)]))
        .collect()
}

fn pairs<'p>(pixels: &'p [(View, [Vec<f32>; 2])]) -> Vec<ViewPair<'p>> {
    let pair = |(view, both): &'p (View, [Vec<f32>; 2])| ViewPair {
        view: *view,
        picture: &both[0],
        baseline: &both[1],
    };
    pixels.iter().map(pair).collect()
}

/// Returns blends of three masks in both paths, of one mask and of products.
fn path<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Vec<Blend> {
    let blend = |sampling, path, alpha| Blend {
        sampling,
        path,
        alpha,
        noise: None,
    };
    let share = bench.shares(1)[0];
    vec![
        blend(Sampling::One(0), Path::Deletion, 1.0),
        blend(Sampling::One(2), Path::Insertion, share),
        blend(Sampling::Product(0, 1), Path::Deletion, share),
        blend(Sampling::Product(2, 1), Path::Insertion, 0.25),
        blend(Sampling::One(1), Path::Insertion, 1.0),
        blend(Sampling::Product(1, 1), Path::Deletion, 0.5),
    ]
}

fn one<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    views: &[View],
    patch: usize,
    size: usize,
) -> Result<()> {
    let pixels = pixels(bench, views);
    let pairs = pairs(&pixels);
    let masks: Vec<Vec<f64>> = (0..3).map(|_| bench.shares(size * size)).collect();
    let masks = Masks {
        size,
        values: &masks,
    };
    let blends = path(bench);
    let (height, width) = (views[0].height, views[0].width);
    let count = match views.len() {
        1 => String::new(),
        count => format!("{count} x "),
    };
    let name = format!("{count}{height} x {width} pixels in patches of {patch}, mask of {size}");
    let device = bench.device;
    let on = device.pictures(&pairs, patch, size)?;
    let at = bench.reference.pictures(&pairs, patch, size)?;
    let batch = device.stage(&on, masks, &blends)?;
    let exact_batch = bench.reference.stage(&at, masks, &blends)?;
    let y = device.blend(&on, &batch)?;
    let exact = bench.reference.blend(&at, &exact_batch)?;
    bench.compare_rounded(format!("blend {name}"), &y, &exact, FORWARD)?;

    let rows = height / patch * (width / patch) * views.len() * blends.len();
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
    // The plain computation adds every pixel's share to its cells one after the other, in f32: one
    // rounding per share of a cell, each of half a unit in the last place of the sum.
    let shares = (3 * height * width * views.len() * blends.len()).div_ceil(size * size);
    gradient_check(
        bench,
        format!("blend_vjp {name}"),
        &found,
        &reference,
        shares,
    );

    // The same in two batches, into the same gradients, gives the bits of one batch.
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

    // Other masks and blends in the same buffers.
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

/// Compares gradients with respect to masks; each cell sums `shares` products.
fn gradient_check<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    name: String,
    found: &[f64],
    reference: &[f64],
    shares: usize,
) {
    let largest = reference.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let plain = (shares as f64).sqrt().max(4.0) * f64::from(f32::EPSILON) / 2.0 * largest;
    bench.checks.push(Check {
        name: format!("{name} {}", bench.storage),
        found: distance(found, reference),
        allowed: VJP * plain,
    });
}

/// Checks that pictures of two encoders, each of its own size, add to the same gradients.
fn two_encoders<D: Device<Host = f32>>(
    bench: &mut Bench<D>,
    view: impl Fn(usize, usize, usize, usize, isize, isize) -> View,
) -> Result<()> {
    let size = 5;
    let masks: Vec<Vec<f64>> = (0..3).map(|_| bench.shares(size * size)).collect();
    let masks = Masks {
        size,
        values: &masks,
    };
    let blends = path(bench);
    let encoders = [
        (vec![view(8, 8, 8, 8, 0, 0)], 4),
        (vec![view(6, 9, 6, 18, 0, 0), view(6, 9, 6, 18, 0, 9)], 3),
    ];
    let mut gradients = None;
    let mut exact = vec![vec![0.0; size * size]; 3];
    let mut shares = 0;
    for (views, patch) in encoders {
        let pixels = pixels(bench, &views);
        let pairs = pairs(&pixels);
        let on = bench.device.pictures(&pairs, patch, size)?;
        let at = bench.reference.pictures(&pairs, patch, size)?;
        let values: usize = pairs.iter().map(|pair| pair.picture.len()).sum();
        let columns = 3 * patch * patch;
        let dy = bench.matrix(blends.len() * values / columns, columns)?;
        let batch = bench.device.stage(&on, masks, &blends)?;
        let gradients = match &mut gradients {
            Some(gradients) => gradients,
            none => none.insert(bench.device.gradients(&on, 3)?),
        };
        bench.device.blend_vjp(&on, &batch, &dy.on, gradients)?;
        let batch = bench.reference.stage(&at, masks, &blends)?;
        bench
            .reference
            .blend_vjp(&at, &batch, &dy.exact, &mut exact)?;
        shares += (values * blends.len()).div_ceil(size * size);
    }
    if let Some(gradients) = gradients {
        let found = bench.device.read_gradients(&gradients)?.concat();
        let name = "blend_vjp of two encoders".to_string();
        gradient_check(bench, name, &found, &exact.concat(), shares);
    }
    Ok(())
}

/// Checks that the noise equals the CPU's, number by number.
fn noise<D: Device<Host = f32>>(bench: &mut Bench<D>) -> Result<()> {
    for patch in [3, 4] {
        let side = 4 * patch;
        let view = View {
            height: side,
            width: side,
            unit: 1,
            resized_height: side,
            resized_width: side,
            offset_y: 0,
            offset_x: 0,
        };
        let zero = vec![0.0; 3 * side * side];
        let pair = ViewPair {
            view,
            picture: &zero,
            baseline: &zero,
        };
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
                ..Blend::whole(0, Path::Deletion)
            })
            .to_vec();
        let on = bench.device.pictures(&[pair; 3], patch, 2)?;
        let batch = bench.device.stage(&on, masks, &blends)?;
        let y = bench.device.blend(&on, &batch)?;
        let at = bench.reference.pictures(&[pair; 3], patch, 2)?;
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

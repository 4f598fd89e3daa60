//! Workloads of blend and patchify of a path through one mask, its vjp, and their staging.

use super::goals::COPIES;
use super::shapes::Shapes;
use super::workload::{Label, Limit, Operands, Prepared, Target, Timed, Workload, values};
use crate::blend::View;
use crate::blend::{Blend, Masks, Noise, Path, Sampling, ViewPair};
use crate::device::Result;
use crate::device::meta::tally;
use crate::device::prelude::*;

/// Returns the workloads of this family.
pub(super) fn workloads<'d, D: Timed>(
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    let (rows, pixels) = (shapes.batch * shapes.patches(), shapes.patch_values());
    let size = format!(
        "{} x 3 x {side} x {side}, mask {}",
        shapes.batch,
        shapes.mask,
        side = shapes.side
    );
    let noise = Noise {
        deviation: 0.2,
        seed: 0,
        stream: 0,
    };
    let cost = Target::new(Limit::Copies, tally::blend(rows, pixels), Some(COPIES));
    let mut all: Vec<Workload> = [("forward", None), ("forward with noise", Some(noise))]
        .into_iter()
        .map(|(name, noise)| {
            Workload::new(Label::new("blend", name, size.clone()), cost, move || {
                let pictures = pictures(on.device, shapes)?;
                let batch = stage(on.device, &pictures, shapes, noise)?;
                let run = move || on.device.blend(&pictures, &batch);
                Ok(Prepared::repeating(on.device, run))
            })
        })
        .collect();
    let cost = Target::new(Limit::Copies, tally::blend_vjp(rows, pixels), Some(COPIES));
    all.push(Workload::new(
        Label::new("blend", "vjp", size.clone()),
        cost,
        move || {
            let pictures = pictures(on.device, shapes)?;
            let batch = stage(on.device, &pictures, shapes, None)?;
            let dy = on.matrix(rows, pixels)?;
            let mut gradients = on.device.gradients(&pictures, 1)?;
            let run = move || on.device.blend_vjp(&pictures, &batch, &dy, &mut gradients);
            Ok(Prepared::repeating(on.device, run))
        },
    ));

    let cells = tally::numbers(shapes.mask * shapes.mask);
    all.push(Workload::new(
        Label::new("blend", "restage", size.clone()),
        Target::new(Limit::Latency, cells, None),
        move || {
            let pictures = pictures(on.device, shapes)?;
            let mut batch = stage(on.device, &pictures, shapes, None)?;
            let (mask, path) = (mask(shapes), path(shapes.batch, None));
            let run = move || {
                let masks = masks(shapes, &mask);
                on.device.restage(&pictures, &mut batch, masks, &path)
            };
            Ok(Prepared::repeating(on.device, run))
        },
    ));
    all.push(Workload::new(
        Label::new("blend", "gradients cleared and read", size),
        Target::new(Limit::Latency, cells * 2, None),
        move || {
            let pictures = pictures(on.device, shapes)?;
            let mut gradients = on.device.gradients(&pictures, 1)?;
            let run = move || {
                on.device.clear(&mut gradients)?;
                on.device.read_gradients(&gradients)
            };
            Ok(Prepared::repeating(on.device, run))
        },
    ));
    all
}

/// Returns a view of two pictures of pseudorandom values.
fn pictures<D: Device>(device: &D, shapes: &Shapes) -> Result<D::Pictures> {
    let view = View {
        height: shapes.side,
        width: shapes.side,
        unit: 1,
        resized_height: shapes.side,
        resized_width: shapes.side,
        offset_x: 0,
        offset_y: 0,
    };
    let pixels = values(2 * shapes.pixel_values());
    let (picture, baseline) = pixels.split_at(shapes.pixel_values());
    let pair = ViewPair {
        view,
        picture,
        baseline,
    };
    device.pictures(&[pair], shapes.patch, shapes.mask)
}

/// Stages a path through one mask.
fn stage<D: Device>(
    device: &D,
    pictures: &D::Pictures,
    shapes: &Shapes,
    noise: Option<Noise>,
) -> Result<D::Batch> {
    let (mask, path) = (mask(shapes), path(shapes.batch, noise));
    device.stage(pictures, masks(shapes, &mask), &path)
}

fn mask(shapes: &Shapes) -> [Vec<f64>; 1] {
    [vec![0.5; shapes.mask * shapes.mask]]
}

fn masks<'a>(shapes: &Shapes, values: &'a [Vec<f64>]) -> Masks<'a> {
    Masks {
        size: shapes.mask,
        values,
    }
}

/// Returns the path from the baseline to the picture, in as many steps as a batch has blends.
fn path(steps: usize, noise: Option<Noise>) -> Vec<Blend> {
    (1..=steps)
        .map(|n| Blend {
            sampling: Sampling::One(0),
            path: Path::Deletion,
            alpha: n as f64 / steps as f64,
            noise,
        })
        .collect()
}

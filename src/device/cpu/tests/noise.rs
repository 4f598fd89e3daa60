//! The noise of a blend.

use super::support::{Random, assert_bits, device, values};
use crate::blend::View;
use crate::blend::{Blend, Masks, Noise, Path, Sampling, ViewPair};
use crate::device::cpu::Cpu;
use crate::device::prelude::*;

const SIDE: usize = 64;

/// Returns the noise alone: blends of two pictures that are zero.
fn noise(d: &Cpu<f32>, patch: usize, noises: &[Noise]) -> Vec<Vec<f64>> {
    noise_of_views(d, 1, patch, noises)
}

/// Returns the noise of several views.
fn noise_of_views(d: &Cpu<f32>, views: usize, patch: usize, noises: &[Noise]) -> Vec<Vec<f64>> {
    let zero = vec![0.0; 3 * SIDE * SIDE];
    let view = View {
        height: SIDE,
        width: SIDE,
        unit: 1,
        resized_height: SIDE,
        resized_width: SIDE,
        offset_y: 0,
        offset_x: 0,
    };
    let pair = ViewPair {
        view,
        picture: &zero,
        baseline: &zero,
    };
    let pictures = d.pictures(&vec![pair; views], patch, 2).unwrap();
    let blend = |&n: &Noise| Blend {
        sampling: Sampling::One(0),
        path: Path::Deletion,
        alpha: 0.5,
        noise: Some(n),
    };
    let blends: Vec<Blend> = noises.iter().map(blend).collect();
    let masks = Masks {
        size: 2,
        values: &[vec![1.0; 4]],
    };
    let batch = d.stage(&pictures, masks, &blends).unwrap();
    let y = d.blend(&pictures, &batch).unwrap();
    values(&y)
        .chunks(views * zero.len())
        .map(<[f64]>::to_vec)
        .collect()
}

fn streams(seed: u64, count: u64) -> Vec<Noise> {
    (0..count)
        .map(|stream| Noise {
            deviation: 0.2,
            seed,
            stream,
        })
        .collect()
}

#[test]
fn noise_is_standard_normal_times_its_deviation() {
    let all = noise(&device(), 16, &streams(7, 20)).concat();
    let n = all.len() as f64;
    let moment = |p: i32| all.iter().map(|v| (v / 0.2).powi(p)).sum::<f64>() / n;
    // Five standard errors of each moment of a normal distribution.
    for (p, expected, variance) in [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)] {
        let limit = 5.0 * f64::sqrt(variance / n);
        assert!(
            (moment(p) - expected).abs() < limit,
            "moment {p} of {n}: {} within {limit}",
            moment(p)
        );
    }
}

#[test]
fn neighbours_and_streams_are_uncorrelated() {
    let all = noise(&device(), 16, &streams(8, 2));
    let n = all[0].len();
    let correlation = |a: &[f64], b: &[f64]| {
        a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() / 0.04 / a.len() as f64
    };
    let limit = 5.0 / (n as f64 - 768.0).sqrt();
    for lag in [1, 2, 3, 4, 16, 256, 768] {
        let found = correlation(&all[0][lag..], &all[0][..n - lag]);
        assert!(found.abs() < limit, "lag {lag}: {found} within {limit}");
    }
    assert!(correlation(&all[0], &all[1]).abs() < limit);
}

#[test]
fn views_have_noise_of_their_own() {
    let d = device();
    let all = noise_of_views(&d, 3, 16, &streams(9, 2));
    let views: Vec<&[f64]> = all[0].chunks(all[0].len() / 3).collect();
    assert_bits(
        "the first view",
        views[0],
        &noise(&d, 16, &streams(9, 1))[0],
    );
    let n = views[0].len() as f64;
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        let pairs = views[a].iter().zip(views[b]);
        let found = pairs.map(|(a, b)| a * b).sum::<f64>() / 0.04 / n;
        assert!(found.abs() < 5.0 / n.sqrt(), "views {a} and {b}: {found}");
    }
}

#[test]
fn noise_depends_on_seed_and_stream_alone() {
    let (d, mut random) = (device(), Random::new(75));
    let seed = 1 << 40 | random.below(1000) as u64;
    let all = noise(&d, 16, &streams(seed, 5));
    for (stream, together) in all.iter().enumerate() {
        let alone = noise(
            &d,
            16,
            &[Noise {
                deviation: 0.2,
                seed,
                stream: stream as u64,
            }],
        );
        assert_bits("alone and in a batch", &alone[0], together);
    }
    let differ =
        |a: &[f64], b: &[f64]| a.iter().zip(b).filter(|(a, b)| a != b).count() > a.len() * 99 / 100;
    assert!(differ(&all[0], &all[1]), "another stream");
    assert!(
        differ(&all[0], &noise(&d, 16, &streams(seed + 1, 1))[0]),
        "another seed"
    );
    assert!(
        differ(&all[0], &noise(&d, 16, &streams(seed ^ 1 << 40, 1))[0]),
        "another high half of the seed"
    );
    let high = Noise {
        deviation: 0.2,
        seed,
        stream: 1 << 32,
    };
    assert!(
        differ(&all[0], &noise(&d, 16, &[high])[0]),
        "another high half of the stream"
    );
    let doubled = noise(
        &d,
        16,
        &[Noise {
            deviation: 0.4,
            seed,
            stream: 0,
        }],
    );
    assert!(
        doubled[0]
            .iter()
            .zip(&all[0])
            .all(|(a, b)| (a - 2.0 * b).abs() < 1e-6),
        "scaled by the deviation"
    );
    let none = noise(
        &d,
        16,
        &[Noise {
            deviation: 0.0,
            seed,
            stream: 0,
        }],
    );
    assert!(none[0].iter().all(|&v| v == 0.0));
}

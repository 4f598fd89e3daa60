//! Blends of two pictures under masks, and the gradient of the masks.

use super::naive::plus;
use super::support::{
    Random, assert_calibrated, assert_same, assert_vjp, device, inner, matrix, values,
};
use crate::blend::View;
use crate::blend::{Blend, Masks, Path, Sampling, ViewPair};
use crate::device::cpu::{Cpu, CpuPictures, CpuReal};
use crate::device::prelude::*;

/// Two pictures, their views, three masks and blends of them.
pub(super) struct Case {
    /// Pixels view by view.
    pub picture: Vec<f32>,
    pub baseline: Vec<f32>,
    pub views: Vec<View>,
    pub patch: usize,
    pub size: usize,
    pub masks: Vec<Vec<f64>>,
    pub blends: Vec<Blend>,
}

impl Case {
    pub fn new(
        random: &mut Random,
        views: Vec<View>,
        patch: usize,
        size: usize,
        count: usize,
    ) -> Case {
        let pixels: usize = views.iter().map(|view| 3 * view.height * view.width).sum();
        let mut picture = || {
            random
                .values(pixels)
                .iter()
                .map(|&v| v as f32)
                .collect::<Vec<_>>()
        };
        let (picture, baseline) = (picture(), picture());
        let masks = (0..3)
            .map(|_| (0..size * size).map(|_| random.between(0.0, 1.0)).collect())
            .collect();
        let blends = (0..count).map(|_| blend(random)).collect();
        Case {
            picture,
            baseline,
            views,
            patch,
            size,
            masks,
            blends,
        }
    }

    /// Returns the number of rows per blend.
    pub fn patches(&self) -> usize {
        let of = |view: &View| (view.height / self.patch) * (view.width / self.patch);
        self.views.iter().map(of).sum()
    }

    pub fn columns(&self) -> usize {
        3 * self.patch * self.patch
    }

    fn what(&self) -> String {
        format!("{:?} mask {}", self.views, self.size)
    }

    /// Returns every view with its pixels.
    fn pairs(&self) -> Vec<ViewPair<'_>> {
        let pixels = self.picture.len() / self.views.len();
        let parts = self
            .picture
            .chunks(pixels)
            .zip(self.baseline.chunks(pixels));
        let pair = |(&view, (picture, baseline))| ViewPair {
            view,
            picture,
            baseline,
        };
        self.views.iter().zip(parts).map(pair).collect()
    }

    fn pictures<T: CpuReal>(&self, d: &Cpu<T>) -> CpuPictures<T> {
        d.pictures(&self.pairs(), self.patch, self.size).unwrap()
    }

    pub fn on_device<T: CpuReal>(&self, d: &Cpu<T>, masks: &[Vec<f64>]) -> Vec<f64> {
        let pictures = self.pictures(d);
        let masks = Masks {
            size: self.size,
            values: masks,
        };
        let batch = d.stage(&pictures, masks, &self.blends).unwrap();
        values(&d.blend(&pictures, &batch).unwrap())
    }

    /// Adds the gradients to `gradients`.
    pub fn vjp<T: CpuReal>(&self, d: &Cpu<T>, dy: &[f64], gradients: &mut Vec<Vec<f64>>) {
        let pictures = self.pictures(d);
        let dy = matrix(d, self.blends.len() * self.patches(), self.columns(), dy);
        let masks = Masks {
            size: self.size,
            values: &self.masks,
        };
        let batch = d.stage(&pictures, masks, &self.blends).unwrap();
        d.blend_vjp(&pictures, &batch, &dy, gradients).unwrap();
    }

    /// Evaluates the formula pixel by pixel, in f64 or with every step rounded by `round`.
    fn plain(&self, round: impl Fn(f64) -> f64) -> Vec<f64> {
        let pairs = self.pairs();
        let mut out = Vec::new();
        for (blend, pair) in self
            .blends
            .iter()
            .flat_map(|blend| pairs.iter().map(move |pair| (blend, pair)))
        {
            let (h, w, p) = (pair.view.height, pair.view.width, self.patch);
            let see = |m: usize| pair.view.sampled(&self.masks[m], self.size);
            let u: Vec<f64> = match blend.sampling {
                Sampling::One(m) => see(m),
                Sampling::Product(m, n) => see(m).iter().zip(see(n)).map(|(a, b)| a * b).collect(),
            };
            for (block_i, block_j) in (0..h / p).flat_map(|i| (0..w / p).map(move |j| (i, j))) {
                for (c, i, j) in
                    (0..3).flat_map(|c| (0..p).flat_map(move |i| (0..p).map(move |j| (c, i, j))))
                {
                    let at = (block_i * p + i) * w + block_j * p + j;
                    let (x, b) = (
                        pair.picture[c * h * w + at].into(),
                        pair.baseline[c * h * w + at].into(),
                    );
                    let (kept, other): (f64, f64) = if blend.path == Path::Deletion {
                        (x, b)
                    } else {
                        (b, x)
                    };
                    let weight = round(blend.alpha * u[at]);
                    out.push(round(
                        round(kept * weight) + round(other * round(1.0 - weight)),
                    ));
                }
            }
        }
        out
    }
}

/// Creates a random blend of three masks.
fn blend(random: &mut Random) -> Blend {
    let sampling = match random.below(3) {
        0 => Sampling::One(random.below(3)),
        1 => Sampling::Product(random.below(3), random.below(3)),
        _ => Sampling::Product(0, 1),
    };
    let path = random.one_of(&[Path::Deletion, Path::Insertion]);
    Blend {
        sampling,
        path,
        alpha: random.one_of(&[0.0, 0.2, 0.7, 1.0]),
        noise: None,
    }
}

fn view(height: usize, width: usize, resized: (usize, usize), offset: (isize, isize)) -> View {
    let ((resized_height, resized_width), (offset_y, offset_x)) = (resized, offset);
    View {
        height,
        width,
        unit: 1,
        resized_height,
        resized_width,
        offset_y,
        offset_x,
    }
}

/// Returns cases of views (whole, cropped, padded, cropped one way and padded the other; several,
/// as tiles), patch sizes and mask sizes.
pub(super) fn cases(random: &mut Random) -> Vec<Case> {
    // The whole picture and four tiles of it, padded above and below; then a crop beside padding.
    let tile = |y: isize, x| view(4, 4, (6, 8), (y - 1, x));
    let tiles = vec![
        view(4, 4, (4, 4), (0, 0)),
        tile(0, 0),
        tile(0, 4),
        tile(4, 0),
        tile(4, 4),
    ];
    let mixed = vec![
        view(6, 9, (11, 9), (3, 0)),
        view(6, 9, (2, 13), (-2, 2)),
        view(6, 9, (6, 9), (20, 0)),
    ];
    let shapes = [
        (view(4, 4, (4, 4), (0, 0)), 2, 3, 4),
        (view(6, 9, (6, 9), (0, 0)), 3, 4, 5),
        (view(4, 6, (9, 11), (3, 2)), 2, 5, 5),
        (view(8, 4, (5, 4), (-2, 0)), 4, 3, 6),
        (view(6, 6, (4, 13), (-1, 5)), 1, 7, 3),
        (view(3, 3, (1, 1), (-1, -1)), 3, 4, 3),
        (view(5, 5, (5, 5), (0, 0)), 5, 1, 3),
        (view(42, 28, (28, 51), (-7, 11)), 14, 13, 7),
        (view(48, 64, (48, 64), (0, 0)), 16, 32, 5),
        (view(11, 13, (9, 13), (-1, 0)), 4, 5, 4),
    ];
    shapes
        .into_iter()
        .map(|(view, patch, size, count)| (vec![view], patch, size, count))
        .chain([(tiles, 2, 5, 4), (mixed, 3, 4, 5)])
        .map(|(views, patch, size, count)| Case::new(random, views, patch, size, count))
        .collect()
}

#[test]
fn blend_equals_its_formula() {
    let (f32s, f64s) = (device::<f32>(), device::<f64>());
    for case in cases(&mut Random::new(71)) {
        let what = case.what();
        let exact = case.plain(|v| v);
        assert_same(&what, &case.on_device(&f64s, &case.masks), &exact);
        let plain = case.plain(|v| f64::from(v as f32));
        assert_calibrated(
            &what,
            &case.on_device(&f32s, &case.masks),
            &plain,
            &exact,
            2.0,
        );
    }
}

#[test]
fn blend_vjp_is_the_derivative_and_is_added() {
    let (f32s, d, mut random) = (device::<f32>(), device::<f64>(), Random::new(72));
    for case in cases(&mut random) {
        let what = case.what();
        let cells = case.size * case.size;
        let dy = random.values(case.blends.len() * case.patches() * case.columns());
        let x = case.masks.concat();
        let f = |x: &[f64]| {
            case.on_device(
                &d,
                &x.chunks(cells).map(<[f64]>::to_vec).collect::<Vec<_>>(),
            )
        };
        let mut gradients = vec![vec![0.0; cells]; 3];
        case.vjp(&d, &dy, &mut gradients);
        assert_vjp(&what, &mut random, f, &x, &dy, &gradients.concat());

        let start: Vec<Vec<f64>> = (0..3).map(|_| random.values(cells)).collect();
        let mut added = start.clone();
        case.vjp(&d, &dy, &mut added);
        assert_same(
            &format!("{what} added"),
            &added.concat(),
            &plus(&start.concat(), &gradients.concat()),
        );

        let mut single = vec![vec![0.0; cells]; 3];
        case.vjp(&f32s, &dy, &mut single);
        // Products of pixel differences, rounded to f32, whose sum is in f64.
        let scale: f64 = dy.iter().map(|v| v.abs()).sum::<f64>() * 3.0 * f64::from(f32::EPSILON);
        let off = single
            .concat()
            .iter()
            .zip(gradients.concat())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        assert!(off <= scale, "{what}: off by {off:e}, allowed {scale:e}");
    }
}

#[test]
fn alpha_nought_gives_one_picture_and_alpha_one_the_other() {
    let (d, mut random) = (device::<f64>(), Random::new(73));
    let mut case = Case::new(&mut random, vec![view(4, 4, (4, 4), (0, 0))], 2, 3, 1);
    case.masks = vec![vec![1.0; 9]];
    let run = |case: &mut Case, path, alpha| {
        case.blends = vec![Blend {
            sampling: Sampling::One(0),
            path,
            alpha,
            noise: None,
        }];
        case.on_device(&d, &case.masks.clone())
    };
    let kept = run(&mut case, Path::Deletion, 1.0);
    let removed = run(&mut case, Path::Deletion, 0.0);
    assert_eq!(kept, run(&mut case, Path::Insertion, 0.0));
    assert_eq!(removed, run(&mut case, Path::Insertion, 1.0));
    // The first patch: channel, row, column.
    let first = |pixels: &[f32]| {
        let at = |c: usize, i: usize, j: usize| f64::from(pixels[(c * 4 + i) * 4 + j]);
        (0..3)
            .flat_map(|c| [at(c, 0, 0), at(c, 0, 1), at(c, 1, 0), at(c, 1, 1)])
            .collect::<Vec<_>>()
    };
    assert_eq!(kept[..12], first(&case.picture));
    assert_eq!(removed[..12], first(&case.baseline));
}

#[test]
fn gradients_serve_all_pictures_of_their_mask_size() {
    let (d, mut random) = (device::<f64>(), Random::new(76));
    // Two encoders with different resolutions and patches, the same masks and blends.
    let near = Case::new(&mut random, vec![view(4, 4, (4, 7), (0, 2))], 2, 3, 4);
    let mut far = Case::new(&mut random, vec![view(9, 6, (9, 6), (0, 0)); 2], 3, 3, 4);
    (far.masks, far.blends) = (near.masks.clone(), near.blends.clone());
    let sizes = [&near, &far].map(|case| case.blends.len() * case.patches() * case.columns());
    let dy = sizes.map(|size| random.values(size));
    let zero = vec![vec![0.0; 9]; 3];
    let [mut first, mut second, mut both] = [zero.clone(), zero.clone(), zero];
    near.vjp(&d, &dy[0], &mut first);
    far.vjp(&d, &dy[1], &mut second);
    near.vjp(&d, &dy[0], &mut both);
    far.vjp(&d, &dy[1], &mut both);
    assert_same(
        "both",
        &both.concat(),
        &plus(&first.concat(), &second.concat()),
    );
}

#[test]
fn padding_has_no_gradient() {
    let (d, mut random) = (device::<f64>(), Random::new(74));
    let mut case = Case::new(&mut random, vec![view(4, 4, (2, 4), (-1, 0))], 4, 2, 1);
    case.blends[0] = Blend {
        sampling: Sampling::One(0),
        path: Path::Deletion,
        alpha: 1.0,
        noise: None,
    };
    let mut dy = vec![0.0; 48];
    // Rows 0 and 3 of every channel are padding.
    for c in 0..3 {
        dy[c * 16..c * 16 + 4].fill(1.0);
        dy[c * 16 + 12..c * 16 + 16].fill(1.0);
    }
    let mut gradients = vec![vec![0.0; 4]; 3];
    case.vjp(&d, &dy, &mut gradients);
    assert_eq!(inner(&gradients.concat(), &gradients.concat()), 0.0);
}

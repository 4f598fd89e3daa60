//! The trunk's gradient against differences with every kind of checkpointing, and the tensors that
//! it needs.

use std::cell::RefCell;

use super::{Convnext, ConvnextSizes, STEM};
use crate::checkpoint::{Tensor, Tensors};
use crate::device::cpu::Cpu;
use crate::device::cpu::tests::support::{
    Random, assert_bits, assert_vjp, device, distance, matrix, values,
};
use crate::device::meta::Meta;
use crate::device::prelude::*;
use crate::lvlm::loader::{Listed, Loader};
use crate::lvlm::randomize::Randomize;
use crate::nn::Checkpointing;

const PREFIX: &str = "visual.trunk.";

/// A trunk of random numbers, and views of so many pixels each way.
struct Case {
    d: Cpu<f64>,
    random: Random,
    sizes: ConvnextSizes,
    trunk: Convnext<Cpu<f64>>,
    pixels: usize,
    batch: usize,
}

/// Every tensor that a trunk needs, with the shape it has in a checkpoint.
fn listed(sizes: &ConvnextSizes, pixels: usize) -> Listed {
    let list = RefCell::default();
    let loader = Loader {
        tensors: &Tensors::made("none", []),
        device: &Meta::new(2),
        list: Some(&list),
        randomize: Randomize::default(),
    };
    Convnext::load(&loader, sizes, PREFIX, pixels).unwrap();
    list.into_inner()
}

impl Case {
    fn new(seed: u64, widths: &[usize], depths: &[usize], pixels: usize, batch: usize) -> Case {
        let (d, mut random) = (device(), Random::new(seed));
        let sizes = ConvnextSizes {
            depths: depths.to_vec(),
            widths: widths.to_vec(),
            // Few channels may have little variance; a large constant keeps differences accurate.
            eps: 1e-2,
        };
        let made = listed(&sizes, pixels).into_iter().map(|(name, shape)| {
            let count = shape.iter().product();
            let numbers: Vec<f32> = (0..count)
                .map(|_| random.between(-0.5, 0.5) as f32)
                .collect();
            Tensor::from_f32(&name, &shape, &numbers)
        });
        let tensors = Tensors::made("test", made.collect::<Vec<_>>());
        assert_eq!(ConvnextSizes::of(&tensors, PREFIX, sizes.eps), sizes);
        let loader = Loader {
            tensors: &tensors,
            device: &d,
            list: None,
            randomize: Randomize::default(),
        };
        let trunk = Convnext::load(&loader, &sizes, PREFIX, pixels).unwrap();
        Case {
            trunk,
            d,
            random,
            sizes,
            pixels,
            batch,
        }
    }

    /// Values in the patches.
    fn inputs(&self) -> usize {
        self.batch * 3 * self.pixels.pow(2)
    }

    /// Values in each stage's features.
    fn outputs(&self) -> Vec<usize> {
        let widths = self.sizes.widths.iter().enumerate();
        let values =
            |(i, &width): (usize, &usize)| self.batch * ((self.pixels / STEM) >> i).pow(2) * width;
        widths.map(values).collect()
    }

    /// All stages' features, one after the other.
    fn features(&self, x: &[f64]) -> Vec<f64> {
        let patches = self.patches(x);
        let run = self
            .trunk
            .forward(&self.d, patches, Checkpointing::Nothing, false);
        run.unwrap().0.iter().flat_map(values).collect()
    }

    fn patches(&self, x: &[f64]) -> <Cpu<f64> as Memory>::Matrix {
        let columns = 3 * STEM * STEM;
        matrix(&self.d, x.len() / columns, columns, x)
    }

    /// Features and the patches' gradient.
    fn run(&self, x: &[f64], mut dy: &[f64], checkpointing: Checkpointing) -> (Vec<f64>, Vec<f64>) {
        let run = self
            .trunk
            .forward(&self.d, self.patches(x), checkpointing, true);
        let (features, saved) = run.unwrap();
        let mut d_features = Vec::new();
        for (count, &width) in self.outputs().into_iter().zip(&self.sizes.widths) {
            let (own, rest) = dy.split_at(count);
            d_features.push(matrix(&self.d, count / width, width, own));
            dy = rest;
        }
        let dx = self.trunk.vjp(&self.d, saved, &features, d_features);
        let features = features.iter().flat_map(values).collect();
        (features, values(&dx.unwrap()))
    }

    fn check(mut self) {
        let x = self.random.values(self.inputs());
        let dy = self.random.values(self.outputs().iter().sum());
        let (y, dx) = self.run(&x, &dy, Checkpointing::Everything);
        let again = self.run(&x, &dy, Checkpointing::Inputs);
        assert_bits("features", &again.0, &y);
        assert_bits("gradient", &again.1, &dx);
        assert_bits("features, nothing kept", &self.features(&x), &y);
        let f = |x: &[f64]| self.features(x);
        assert_vjp("ConvNeXt", &mut Random::new(148), f, &x, &dy, &dx);
    }
}

/// Small enough for differences in every value.
#[test]
fn the_gradient_is_the_derivative_in_every_value() {
    Case::new(141, &[5, 7], &[1, 1], 8, 1).check();
}

#[test]
fn the_gradient_is_the_derivative_through_four_stages() {
    Case::new(142, &[5, 6, 7, 9], &[1, 2, 1, 1], 32, 2).check();
}

/// Every view is seen by itself.
#[test]
fn views_do_not_mix() {
    let mut case = Case::new(143, &[5, 6], &[1, 1], 16, 1);
    let each = case.inputs();
    let x = case.random.values(2 * each);
    let alone: Vec<Vec<f64>> = x.chunks(each).map(|x| case.features(x)).collect();
    let counts = case.outputs();
    case.batch = 2;
    let mut together = &case.features(&x)[..];
    let mut from = 0;
    for count in counts {
        for alone in &alone {
            let (own, rest) = together.split_at(count);
            assert!(distance(own, &alone[from..from + count]) < 1e-12);
            together = rest;
        }
        from += count;
    }
}

/// The names and shapes are timm's, also of the tensors that layers are made of.
#[test]
fn tensors_are_asked_for_as_checkpoints_have_them() {
    let sizes = ConvnextSizes {
        depths: vec![1, 1],
        widths: vec![5, 7],
        eps: 1e-6,
    };
    let found = listed(&sizes, 8);
    let block = |stage: usize, width: usize| {
        let of = move |part: &str, shape: &[usize]| {
            let name = format!("stages.{stage}.blocks.0.{part}");
            (name, shape.to_vec())
        };
        [
            of("conv_dw.weight", &[width, 1, 7, 7]),
            of("conv_dw.bias", &[width]),
            of("norm.weight", &[width]),
            of("norm.bias", &[width]),
            of("mlp.fc1.weight", &[4 * width, width]),
            of("mlp.fc1.bias", &[4 * width]),
            of("mlp.fc2.weight", &[width, 4 * width]),
            of("mlp.fc2.bias", &[width]),
            of("gamma", &[width]),
        ]
    };
    let other = [
        ("stem.0.weight", vec![5, 3, 4, 4]),
        ("stem.0.bias", vec![5]),
        ("stem.1.weight", vec![5]),
        ("stem.1.bias", vec![5]),
        ("stages.1.downsample.0.weight", vec![5]),
        ("stages.1.downsample.0.bias", vec![5]),
        ("stages.1.downsample.1.weight", vec![7, 5, 2, 2]),
        ("stages.1.downsample.1.bias", vec![7]),
    ];
    let other = other.map(|(name, shape)| (name.to_string(), shape));
    let all = other.into_iter().chain(block(0, 5)).chain(block(1, 7));
    let mut all: Listed = all
        .map(|(name, shape)| (format!("{PREFIX}{name}"), shape))
        .collect();
    let mut found = found;
    all.sort();
    found.sort();
    assert_eq!(found, all);
}

//! `linear` and its vjp.

use super::naive::{linear, plus, transpose};
use super::support::{
    FORWARD, Random, VJP, assert_calibrated, assert_same, assert_vjp, device, matrix, values,
};
use crate::checkpoint::Dtype;
use crate::device::Real;
use crate::device::cpu::Cpu;
use crate::device::cpu::CpuReal;
use crate::device::prelude::*;

/// Sizes at and near the edges of tiles, panels and blocks.
const EDGES: [usize; 17] = [
    1, 2, 11, 12, 13, 31, 32, 33, 63, 65, 191, 193, 255, 256, 257, 383, 385,
];

/// y of `linear` and dx of `linear_vjp` on a device, and naive sums in precision `N`.
struct Case {
    m: usize,
    n: usize,
    k: usize,
    x: Vec<f64>,
    dy: Vec<f64>,
    tensor: crate::checkpoint::Tensor,
    w: Vec<f64>,
    bias: Vec<f64>,
    residual: Vec<f64>,
    onto: Vec<f64>,
}

impl Case {
    fn new(random: &mut Random, m: usize, n: usize, k: usize, dtype: Dtype, odd: bool) -> Case {
        let (tensor, w) = random.tensor(dtype, n, k, odd);
        let mut make = |size| random.values(size);
        let (x, dy, bias, residual, onto) =
            (make(m * k), make(m * n), make(n), make(m * n), make(m * k));
        Case {
            m,
            n,
            k,
            x,
            dy,
            tensor,
            w,
            bias,
            residual,
            onto,
        }
    }

    fn on_device<T: CpuReal>(&self, d: &Cpu<T>) -> (Vec<f64>, Vec<f64>) {
        let Case { m, n, k, .. } = *self;
        let w = d.weight(&self.tensor).unwrap();
        let (x, dy) = (matrix(d, m, k, &self.x), matrix(d, m, n, &self.dy));
        let (bias, residual) = (matrix(d, 1, n, &self.bias), matrix(d, m, n, &self.residual));
        let y = d.linear(&x, &w, Some(&bias), Some(&residual)).unwrap();
        let dx = d
            .linear_vjp(&dy, &w, Some(&matrix(d, m, k, &self.onto)))
            .unwrap();
        (values(&y), values(&dx))
    }

    fn plain<T: Real>(&self) -> (Vec<f64>, Vec<f64>) {
        let Case { m, n, k, .. } = *self;
        let repeated: Vec<f64> = (0..m).flat_map(|_| self.bias.iter().copied()).collect();
        let y = plus(
            &plus(&linear::<T>(&self.x, &self.w, m, n, k), &repeated),
            &self.residual,
        );
        let dx = plus(
            &linear::<T>(&self.dy, &transpose(&self.w, n, k), m, k, n),
            &self.onto,
        );
        (y, dx)
    }

    fn check(&self, f32s: &Cpu<f32>, f64s: &Cpu<f64>) {
        let what = format!("{} x {} x {} {}", self.m, self.n, self.k, self.tensor.dtype);
        let (y, dx) = self.plain::<f64>();
        let (y64, dx64) = self.on_device(f64s);
        assert_same(&format!("linear {what}"), &y64, &y);
        assert_same(&format!("linear_vjp {what}"), &dx64, &dx);
        let ((y32, dx32), (y_plain, dx_plain)) = (self.on_device(f32s), self.plain::<f32>());
        assert_calibrated(&format!("linear {what}"), &y32, &y_plain, &y, FORWARD);
        assert_calibrated(&format!("linear_vjp {what}"), &dx32, &dx_plain, &dx, VJP);
    }
}

#[test]
fn products_equal_plain_sums_at_the_edges_of_tiles() {
    let (f32s, f64s, mut random) = (device(), device(), Random::new(11));
    for _ in 0..40 {
        let (m, n, k) = (
            random.one_of(&EDGES),
            random.one_of(&EDGES),
            random.one_of(&EDGES),
        );
        let dtype = random.one_of(&[Dtype::F16, Dtype::Bf16, Dtype::F32]);
        let odd = random.below(2) == 1;
        Case::new(&mut random, m, n, k, dtype, odd).check(&f32s, &f64s);
    }
}

#[test]
fn every_dtype_is_read_at_even_and_odd_addresses() {
    let (f32s, f64s, mut random) = (device(), device(), Random::new(12));
    for dtype in [Dtype::F16, Dtype::Bf16, Dtype::F32] {
        for odd in [false, true] {
            Case::new(&mut random, 5, 67, 131, dtype, odd).check(&f32s, &f64s);
        }
    }
}

#[test]
fn enough_rows_for_several_row_tasks() {
    let (f32s, f64s, mut random) = (device(), device(), Random::new(13));
    for (m, n, k) in [(384, 33, 17), (385, 257, 31), (577, 19, 401)] {
        Case::new(&mut random, m, n, k, Dtype::Bf16, false).check(&f32s, &f64s);
    }
}

#[test]
fn empty_products_are_what_is_added_to_them() {
    let d = device::<f64>();
    let mut random = Random::new(14);
    for (m, n, k) in [(0, 3, 4), (3, 0, 4), (3, 4, 0)] {
        let case = Case::new(&mut random, m, n, k, Dtype::F32, false);
        let ((y, dx), (y_plain, dx_plain)) = (case.on_device(&d), case.plain::<f64>());
        assert_same("linear", &y, &y_plain);
        assert_same("linear_vjp", &dx, &dx_plain);
    }
}

#[test]
fn linear_vjp_is_the_derivative_plus_onto() {
    let d = device::<f64>();
    let mut random = Random::new(15);
    for (m, n, k) in [(3, 5, 7), (13, 33, 11), (67, 129, 391)] {
        let case = Case::new(&mut random, m, n, k, Dtype::F32, false);
        let w = d.weight(&case.tensor).unwrap();
        let f = |x: &[f64]| values(&d.linear(&matrix(&d, m, k, x), &w, None, None).unwrap());
        let dy = matrix(&d, m, n, &case.dy);
        let dx = values(&d.linear_vjp(&dy, &w, None).unwrap());
        assert_vjp("linear", &mut random, f, &case.x, &case.dy, &dx);
        let onto = values(
            &d.linear_vjp(&dy, &w, Some(&matrix(&d, m, k, &case.onto)))
                .unwrap(),
        );
        assert_same("onto", &onto, &plus(&dx, &case.onto));
    }
}

//! Hooks of any type.

use crate::device::cpu::tests::support::{Random, assert_bits, device, matrix, values};
use crate::device::cpu::{Cpu, CpuMatrix};
use crate::nn::{BlockHook, HookGradients, NoHook, Result, any_hook, gradients_of};

/// Adds i + 1 to every number; its gradients count the numbers that passed.
struct Counting;

impl BlockHook<Cpu<f64>> for Counting {
    type Saved = usize;
    type Gradients = usize;

    fn changes(&self, i: usize) -> bool {
        i == 1
    }

    fn reads(&self, i: usize) -> bool {
        i == 2
    }

    fn mixes(&self, i: usize) -> bool {
        i == 3
    }

    fn forward(
        &self,
        device: &Cpu<f64>,
        i: usize,
        x: CpuMatrix<f64>,
    ) -> Result<(CpuMatrix<f64>, usize)> {
        let sum: Vec<f64> = values(&x).iter().map(|v| v + (i + 1) as f64).collect();
        Ok((matrix(device, 2, 3, &sum), i))
    }

    fn vjp(
        &self,
        _: &Cpu<f64>,
        i: usize,
        saved: usize,
        dy: CpuMatrix<f64>,
        gradients: &mut usize,
    ) -> Result<CpuMatrix<f64>> {
        assert_eq!(saved, i);
        *gradients += values(&dy).len();
        Ok(dy)
    }
}

#[test]
fn a_hook_of_any_type_is_the_hook() {
    let (d, mut random) = (device(), Random::new(151));
    let hook = any_hook::<Cpu<f64>, _>(Counting);
    let found: Vec<[bool; 3]> = (0..5)
        .map(|i| [hook.changes(i), hook.reads(i), hook.mixes(i)])
        .collect();
    let expected = (0..5).map(|i| [i == 1, i == 2, i == 3]);
    assert_eq!(found, expected.collect::<Vec<_>>());
    let x = random.values(6);
    let mut gradients = HookGradients::default();
    for i in [1, 4] {
        let (y, saved) = hook.forward(&d, i, matrix(&d, 2, 3, &x)).unwrap();
        let sum: Vec<f64> = x.iter().map(|v| v + (i + 1) as f64).collect();
        assert_bits("y", &values(&y), &sum);
        let dx = hook.vjp(&d, i, saved, matrix(&d, 2, 3, &x), &mut gradients);
        assert_bits("dx", &values(&dx.unwrap()), &x);
    }
    assert_eq!(gradients_of::<_, Counting>(gradients).unwrap(), 12);
}

#[test]
fn what_another_hook_made_is_an_error() {
    let (d, hook) = (device(), any_hook::<Cpu<f64>, _>(Counting));
    let x = || matrix(&d, 2, 3, &[1.0; 6]);
    let mut none = HookGradients::default();
    assert!(hook.vjp(&d, 1, Box::new("text"), x(), &mut none).is_err());
    let mut other: HookGradients = Some(Box::new("text"));
    assert!(hook.vjp(&d, 1, Box::new(1_usize), x(), &mut other).is_err());
    let other: HookGradients = Some(Box::new("text"));
    let error = gradients_of::<Cpu<f64>, NoHook>(other).unwrap_err();
    assert!(error.to_string().contains("hook"), "{error}");
    assert!(gradients_of::<Cpu<f64>, NoHook>(None).is_ok());
}

//! Stacks of blocks, with activations saved or computed again.

use super::{Sizes, block, on, prefix};
use crate::device::cpu::Cpu;
use crate::device::cpu::tests::support::{Random, assert_bits, assert_vjp, device, values};
use crate::nn::{Checkpointing, KeyValues, NnError, NoHook, Queries, Sequence, Stack};

const SIZES: Sizes = Sizes {
    columns: 13,
    heads: 6,
    kv_heads: 2,
    head_dim: 6,
    inner: 21,
    llama: true,
};
const BATCH: usize = 2;
const LENGTH: usize = 37;

/// Three blocks after a prefix of 5 rows; only rows 36, 30 and 2 leave the last block.
struct Case {
    d: Cpu<f64>,
    random: Random,
    stack: Stack<Cpu<f64>>,
    prefixes: Vec<KeyValues<Cpu<f64>>>,
    queries: Queries,
}

impl Case {
    fn new(seed: u64) -> Case {
        let (d, mut random) = (device(), Random::new(seed));
        let blocks = (0..3).map(|_| block(&mut random, &d, SIZES)).collect();
        let prefixes = (0..3).map(|_| prefix(&mut random, &d, SIZES, 5)).collect();
        let queries = Queries::new(LENGTH, vec![36, 30, 2]);
        Case {
            stack: Stack {
                name: "test",
                blocks,
            },
            d,
            random,
            prefixes,
            queries,
        }
    }

    fn sequence(&self, i: usize) -> Sequence<'_, Cpu<f64>> {
        let (prefix, queries) = (Some(&self.prefixes[i]), (i == 2).then_some(&self.queries));
        Sequence {
            batch: BATCH,
            length: LENGTH,
            causal: true,
            mutual: &[],
            prefix,
            queries,
            positions: None,
            windows: None,
        }
    }

    /// y and dx.
    fn run(&self, x: &[f64], dy: &[f64], checkpointing: Checkpointing) -> (Vec<f64>, Vec<f64>) {
        let (d, c) = (&self.d, SIZES.columns);
        let (y, saved) = self
            .stack
            .forward(
                d,
                on(d, c, x),
                |i| self.sequence(i),
                &NoHook,
                checkpointing,
                true,
            )
            .unwrap();
        let dx = self
            .stack
            .vjp(
                d,
                saved,
                on(d, c, dy),
                |i| self.sequence(i),
                &NoHook,
                &mut (),
            )
            .unwrap();
        (values(&y), values(&dx))
    }
}

#[test]
fn the_gradient_is_the_derivative_however_activations_are_kept() {
    let mut case = Case::new(131);
    let c = SIZES.columns;
    let (x, dy) = (
        case.random.values(BATCH * LENGTH * c),
        case.random.values(BATCH * 3 * c),
    );
    let (y, dx) = case.run(&x, &dy, Checkpointing::Everything);
    let again = case.run(&x, &dy, Checkpointing::Inputs);
    assert_bits("y", &again.0, &y);
    assert_bits("dx", &again.1, &dx);
    let f = |x: &[f64]| {
        let x = on(&case.d, c, x);
        values(
            &case
                .stack
                .forward(
                    &case.d,
                    x,
                    |i| case.sequence(i),
                    &NoHook,
                    Checkpointing::Nothing,
                    false,
                )
                .unwrap()
                .0,
        )
    };
    assert_bits("y", &f(&x), &y);
    assert_vjp("stack", &mut Random::new(132), f, &x, &dy, &dx);
}

#[test]
fn the_first_block_that_is_not_finite_is_named() {
    let mut case = Case::new(133);
    let c = SIZES.columns;
    let x = case.random.values(BATCH * LENGTH * c);
    case.prefixes[1].value = on(&case.d, 12, &[f64::NAN; 84]);
    let run = |check| {
        let x = on(&case.d, c, &x);
        case.stack
            .forward(
                &case.d,
                x,
                |i| case.sequence(i),
                &NoHook,
                Checkpointing::Nothing,
                check,
            )
            .map(|_| ())
    };
    match run(true) {
        Err(NnError::NotFinite { layer }) => assert_eq!(layer, "test layer 1"),
        other => panic!("{other:?}"),
    }
    assert!(run(false).is_ok());
}

//! Every layer's vjp against central differences and random directions in f64, on odd sizes.

mod attention;
mod block;
mod hook;
mod layers;
mod stack;
mod windows;

use crate::checkpoint::Activation;
use crate::device::cpu::tests::support::{Random, matrix};
use crate::device::cpu::{Cpu, CpuMatrix};
use crate::nn::{Attention, Block, KeyValues, Linear, Mlp, Norm, Queries, Rope, Sequence};

fn linear(
    random: &mut Random,
    d: &Cpu<f64>,
    out: usize,
    inputs: usize,
    bias: bool,
) -> Linear<Cpu<f64>> {
    let weight = random.weight(d, out, inputs).0;
    Linear {
        weight,
        bias: bias.then(|| random.matrix(d, 1, out).0),
    }
}

fn norm(random: &mut Random, d: &Cpu<f64>, columns: usize, layer: bool) -> Norm<Cpu<f64>> {
    let gain = random.matrix(d, 1, columns).0;
    if layer {
        Norm::Layer {
            gain,
            bias: random.matrix(d, 1, columns).0,
            eps: 1e-5,
        }
    } else {
        Norm::Rms { gain, eps: 1e-6 }
    }
}

fn mlp(
    random: &mut Random,
    d: &Cpu<f64>,
    columns: usize,
    inner: usize,
    gated: bool,
) -> Mlp<Cpu<f64>> {
    if gated {
        Mlp::Gated {
            gate: linear(random, d, inner, columns, false),
            up: linear(random, d, inner, columns, false),
            down: linear(random, d, columns, inner, false),
            activation: Activation::Silu,
        }
    } else {
        Mlp::Plain {
            first: linear(random, d, inner, columns, true),
            second: linear(random, d, columns, inner, true),
            activation: Activation::QuickGelu,
        }
    }
}

/// Sizes and choices of a block.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    columns: usize,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    inner: usize,
    /// RMS norm, gated perceptron and rotary embedding, or layer norm, plain perceptron and biases.
    llama: bool,
}

fn attention(random: &mut Random, d: &Cpu<f64>, s: Sizes) -> Attention<Cpu<f64>> {
    let (width, kv_width) = (s.heads * s.head_dim, s.kv_heads * s.head_dim);
    let rope = || Rope {
        frequencies: (0..s.head_dim / 2)
            .map(|i| 10f64.powf(-(i as f64)))
            .collect(),
        axes: Vec::new(),
    };
    Attention {
        query: linear(random, d, width, s.columns, !s.llama),
        key: linear(random, d, kv_width, s.columns, !s.llama),
        value: linear(random, d, kv_width, s.columns, !s.llama),
        output: linear(random, d, s.columns, width, !s.llama),
        heads: s.heads,
        kv_heads: s.kv_heads,
        head_dim: s.head_dim,
        norms: None,
        query_gain: None,
        rope: s.llama.then(rope),
    }
}

fn block(random: &mut Random, d: &Cpu<f64>, s: Sizes) -> Block<Cpu<f64>> {
    Block {
        attention_norm: norm(random, d, s.columns, !s.llama),
        attention: attention(random, d, s),
        mlp_norm: norm(random, d, s.columns, !s.llama),
        mlp: mlp(random, d, s.columns, s.inner, s.llama),
        norms_after: None,
    }
}

/// Keys and values of `length` positions, in a buffer that is longer.
fn prefix(random: &mut Random, d: &Cpu<f64>, s: Sizes, length: usize) -> KeyValues<Cpu<f64>> {
    let mut rows = || random.matrix(d, length + 2, s.kv_heads * s.head_dim).0;
    KeyValues {
        key: rows(),
        value: rows(),
        length,
    }
}

/// How the rows of a case attend to each other.
fn sequence<'a>(
    batch: usize,
    length: usize,
    causal: bool,
    prefix: &'a Option<KeyValues<Cpu<f64>>>,
    queries: &'a Option<Queries>,
) -> Sequence<'a, Cpu<f64>> {
    Sequence {
        batch,
        length,
        causal,
        mutual: &[],
        prefix: prefix.as_ref(),
        queries: queries.as_ref(),
        positions: None,
        windows: None,
    }
}

fn on(d: &Cpu<f64>, columns: usize, values: &[f64]) -> CpuMatrix<f64> {
    matrix(d, values.len() / columns, columns, values)
}

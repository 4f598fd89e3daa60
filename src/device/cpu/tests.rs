//! Tests of the CPU device: every operation against a naive implementation, every vjp against
//! central differences.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod errors;
mod gemm;
mod invariance;
mod logprob;
mod naive;
mod noise;
mod norm;
mod pool;
mod rows;
pub(crate) mod support;

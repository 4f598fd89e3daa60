//! Every operation of the CPU device at the shapes of a small LLaVA, one file per family.
//!
//! `cargo bench --bench operations -- gemm` runs one family.

mod activation;
mod attention;
mod blend;
mod gemm;
mod logprob;
mod norm;
mod rows;
mod shapes;

criterion::criterion_group!(
    benches,
    blend::benches,
    gemm::benches,
    attention::benches,
    norm::benches,
    activation::benches,
    rows::benches,
    logprob::benches,
);
criterion::criterion_main!(benches);

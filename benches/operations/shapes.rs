//! The shapes of the benches: a CLIP of 384 columns and a Llama of SmolLM2-135M's shape, five blends at a time.

use foveate::Cpu;
use foveate::checkpoint::Tensor;
use foveate::device::cpu::{CpuMatrix, CpuWeight};
use foveate::device::{AttentionShape, Device, Visible};

/// Blends per batch.
pub const BATCH: usize = 5;
/// Tokens of the vision encoder.
pub const VISION_ROWS: usize = 197;
/// Columns of the vision encoder.
pub const VISION: usize = 384;
/// Tokens of the decoder behind the shared prefix.
pub const TEXT_ROWS: usize = 221;
/// Columns of the decoder.
pub const TEXT: usize = 576;
/// Columns inside both perceptrons.
pub const INNER: usize = 1536;
/// Tokens of the vocabulary.
pub const VOCABULARY: usize = 49152;

/// The CPU with all its cores.
pub fn cpu() -> Cpu<f32> {
    Cpu::new(0).expect("threads")
}

/// Values without structure, in -1 to 1.
pub fn values(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// A matrix of such values.
pub fn matrix(cpu: &Cpu<f32>, rows: usize, columns: usize) -> CpuMatrix<f32> {
    cpu.upload(rows, columns, &values(rows * columns))
        .expect("the count is right")
}

/// A weight of such values.
pub fn weight(cpu: &Cpu<f32>, out: usize, inside: usize) -> CpuWeight {
    cpu.weight(&Tensor::from_f32(
        "weight",
        &[out, inside],
        &values(out * inside),
    ))
    .expect("a matrix")
}

/// The encoder's attention.
pub fn vision_attention() -> AttentionShape {
    AttentionShape {
        batch: BATCH,
        queries: VISION_ROWS,
        keys: VISION_ROWS,
        prefix: 0,
        heads: 6,
        kv_heads: 6,
        head_dim: 64,
        visible: Visible::All,
    }
}

/// The decoder's attention, behind a prefix of nine tokens.
pub fn text_attention() -> AttentionShape {
    AttentionShape {
        batch: BATCH,
        queries: TEXT_ROWS,
        keys: TEXT_ROWS,
        prefix: 9,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        visible: Visible::Causal((0..TEXT_ROWS).collect()),
    }
}

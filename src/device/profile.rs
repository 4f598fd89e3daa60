//! The properties of a kind of device that plans depend on. The device need not be present.

/// The properties that batch sizes and their memory depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceProfile {
    /// Bytes of one activation element, and of one element of a weight.
    pub element_bytes: usize,
    /// Rows of activations beyond which a larger batch is no faster.
    pub useful_rows: usize,
    /// Bytes that operations need in addition to their inputs and outputs.
    pub scratch_bytes: usize,
}

impl DeviceProfile {
    /// Any NVIDIA GPU. Scratch memory is tables, staged batches, and f32 logits of a chunk of the
    /// vocabulary.
    pub const CUDA: DeviceProfile = DeviceProfile {
        element_bytes: 2,
        useful_rows: 1 << 16,
        scratch_bytes: 8 << 20,
    };
}

//! Where a model runs: the operations ([`ops`]), implemented by the CPU, by CUDA, and by a device
//! that only counts.

pub mod cpu;
pub mod cuda;
mod error;
pub(crate) mod meta;
pub mod ops;
mod part;
mod profile;
mod real;

pub use error::DeviceError;
pub use ops::{
    Activations, Attention, AttentionShape, Blending, Columns, Depthwise, DepthwiseShape, Gemm,
    LogProb, Matrix, Memory, Norm, RowMap, Rows, Visible,
};
pub use part::Part;
pub use profile::DeviceProfile;
pub use real::Real;

pub use crate::checkpoint::Activation;

/// The traits of a device, for code that calls operations of one by its name.
pub mod prelude {
    pub use super::Device;
    pub use super::ops::{
        Activations, Attention, Blending, Columns, Depthwise, Gemm, LogProb, Matrix, Memory, Norm,
        Rows,
    };
}

/// Result of a device operation.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// All operation families, and what a device is.
pub trait Device: Blending + Attention + Norm + Columns + Depthwise + LogProb {
    /// A sequence of operations that is done again and again, and the handles of its results.
    type Recording<T: Send + Sync>: Default + Send + Sync;

    /// The device's name, as a user would type it (`cpu`).
    fn name(&self) -> String;
    /// How it stores activations, as a user would type it (`f32`).
    fn dtype(&self) -> &'static str;
    /// Rows of activations beyond which a larger batch is no faster.
    fn useful_rows(&self) -> usize;
    /// The factor on gradients that keeps them within the range of the device's storage type. The
    /// caller multiplies the weights of a score by it and divides the gradients.
    fn gradient_scale(&self) -> f64 {
        1.0
    }
    /// Whether repeating the same work is much cheaper than doing as much other work: batches are
    /// filled up to one size then.
    fn prefers_one_shape(&self) -> bool {
        false
    }
    /// Returns the choices that the device has made by itself and that results may depend on, such
    /// as algorithms, one line each.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }
    /// Does `work`, or what it did the times before, then `read` with its results. A device may
    /// record the operations of `work` and repeat them without calling it, so with one `recording`
    /// it must be the same operations on operands at the same places: what changes between calls
    /// goes through [`Blending::restage`] and [`LogProb::reweigh`]. No other thread's work comes
    /// between `work` and the end of `read`; after that, the memory of the results may serve other
    /// recordings.
    ///
    /// # Errors
    /// Those of `work` and of `read`.
    fn replay<T, R, E>(
        &self,
        recording: &mut Self::Recording<T>,
        work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        T: Send + Sync,
        E: From<DeviceError>;

    /// Marks the operations that follow as belonging to this part of a model. A device may count
    /// them by part or show the part in its profiles.
    fn part(&self, _: Part) {}
}

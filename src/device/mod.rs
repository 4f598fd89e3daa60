//! The devices that a model runs on: the operations ([`ops`]), implemented by the CPU, by CUDA, and
//! by a device that only counts costs.

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

/// The traits of devices, for code that calls their operations.
pub mod prelude {
    pub use super::Device;
    pub use super::ops::{
        Activations, Attention, Blending, Columns, Depthwise, Gemm, LogProb, Matrix, Memory, Norm,
        Rows,
    };
}

/// Result of a device operation.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// A device: all operation families, and its properties.
pub trait Device: Blending + Attention + Norm + Columns + Depthwise + LogProb {
    /// A sequence of operations that is repeated, and the handles of its results.
    type Recording<T: Send + Sync>: Default + Send + Sync;

    /// Returns the device's name as a user would type it (`cpu`).
    fn name(&self) -> String;
    /// Returns the storage type of activations as a user would type it (`f32`).
    fn dtype(&self) -> &'static str;
    /// Returns the number of activation rows beyond which a larger batch is no faster.
    fn useful_rows(&self) -> usize;
    /// Returns the factor on gradients that keeps them within the range of the device's storage
    /// type. The caller multiplies the weights of a score by it and divides the gradients by it.
    fn gradient_scale(&self) -> f64 {
        1.0
    }
    /// Checks whether repeating work of one shape is much cheaper than work of another shape:
    /// batches are then padded to one size.
    fn prefers_one_shape(&self) -> bool {
        false
    }
    /// Returns the choices that the device has made by itself and that results may depend on, such
    /// as algorithms, one line each.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }
    /// Runs `work`, or repeats its recorded operations, then runs `read` on its results. A device
    /// may record the operations of `work` and repeat them without calling it, so with one
    /// `recording` it must always be the same operations on operands at the same addresses: values
    /// that change between calls are passed through [`Blending::restage`] and [`LogProb::reweigh`].
    /// No other thread's work runs between `work` and the end of `read`; after that, the memory of
    /// the results may be reused by other recordings.
    ///
    /// # Errors
    /// The errors of `work` and of `read`.
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

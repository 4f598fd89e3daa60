//! The operations that a model is made of, once as a trait with shapes and contracts; `cpu` implements it.
//!
//! An operation is as large as what gets fused on a GPU and no larger. Weights are frozen: every operation has a `vjp`
//! (vector-Jacobian product) with respect to its activations, none with respect to its weights.
//!
//! Conventions: an activation is a row-major matrix. A batch of B sequences of n rows is one matrix of B * n rows,
//! sequence by sequence. `dy` is the gradient with respect to `y`. An `onto` argument is added to the result, which
//! saves the sum of two branches its own pass. Sizes that do not fit are [`DeviceError::Shape`].

mod contract;
pub mod cpu;
pub mod cuda;
pub(crate) mod dry;
mod error;
mod real;
mod shapes;

use crate::checkpoint::Tensor;

pub use error::DeviceError;
pub use real::Real;
pub use shapes::{
    AttentionShape, Blend, DepthwiseShape, Direction, Masks, Noise, Part, RowMap, Sampling,
    ViewPair, Visible,
};

pub use crate::checkpoint::Activation;

/// Result of a device operation.
pub type Result<T> = std::result::Result<T, DeviceError>;

/// Where a model runs.
pub trait Device: Send + Sync + 'static {
    /// The type in which values enter and leave the device.
    type Host: Real;
    /// A row-major matrix of activations on the device.
    type Matrix: Matrix;
    /// A frozen weight matrix `[out, in]`, in the checkpoint's own dtype.
    type Weight: Send + Sync;
    /// Two pictures as patches of one or several views, and how each view samples a mask.
    type Pictures: Send + Sync;
    /// Masks and the blends that look through them, where `blend` and its vjp read them.
    type Batch: Send + Sync;
    /// One S x S gradient per mask, summed over batches.
    type Gradients: Send + Sync;
    /// One weight per row of a score.
    type Weights: Send + Sync;
    /// Log-probabilities, one per row.
    type Values: Send + Sync;
    /// What `log_probability_vjp` wants of `log_probability`.
    type Logits: Send + Sync;
    /// A sequence of operations that is done again and again, and the handles of its results.
    type Recording<T: Send + Sync>: Default + Send + Sync;

    /// The device's name, as a user would type it (`cpu`).
    fn name(&self) -> String;
    /// How it stores activations, as a user would type it (`f32`).
    fn dtype(&self) -> &'static str;
    /// Bytes of one activation element.
    fn element_bytes(&self) -> usize;
    /// Rows of activations beyond which a larger batch is no faster.
    fn useful_rows(&self) -> usize;
    /// Bytes that operations need beside their inputs and outputs, for matrices of up to `rows x columns`.
    fn scratch_bytes(&self, rows: usize, columns: usize) -> usize;

    /// A budget for activations that suits the device, in bytes, once a model's weights are where they belong.
    fn memory_budget(&self) -> usize;
    /// Memory of matrices no longer in use is kept for the next ones, but given back before `bytes` are exceeded.
    fn limit_memory(&self, bytes: usize);

    /// Values to the device; `values` holds `rows * columns` of them.
    fn upload(&self, rows: usize, columns: usize, values: &[Self::Host]) -> Result<Self::Matrix>;
    /// A matrix of zeros.
    fn zeros(&self, rows: usize, columns: usize) -> Result<Self::Matrix> {
        self.upload(rows, columns, &vec![Self::Host::default(); rows * columns])
    }
    /// Values from the device, row by row.
    fn download(&self, x: &Self::Matrix) -> Result<Vec<Self::Host>>;
    /// A weight matrix from a tensor whose first dimension is the output; the other dimensions are flattened.
    fn weight(&self, tensor: &Tensor) -> Result<Self::Weight>;
    /// Whether it computes with a weight's numbers, or knows its shape only.
    fn reads_weights(&self) -> bool {
        true
    }
    /// Whether every element is finite.
    fn is_finite(&self, x: &Self::Matrix) -> Result<bool>;
    /// The factor on gradients that keeps them within the range of the device's storage type. The caller multiplies the
    /// weights of a score by it and divides the gradients.
    fn gradient_scale(&self) -> f64 {
        1.0
    }
    /// Whether repeating the same work is much cheaper than doing as much other work: batches are filled up to one size then.
    fn prefers_one_shape(&self) -> bool {
        false
    }
    /// What the device has chosen by itself and results may depend on, such as algorithms: a line each.
    fn choices(&self) -> Vec<String> {
        Vec::new()
    }
    /// Does `work`, or what it did the times before, then `read` with its results. A device may record the operations of `work` and
    /// repeat them without calling it, so with one `recording` it must be the same operations on operands at the same places: what
    /// changes between calls goes through [`Device::restage`] and [`Device::reweigh`]. No other thread's work comes between `work` and
    /// the end of `read`; after that, the memory of the results may serve other recordings.
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

    /// What follows is for this part of a model. A device may keep count of it, or show it in its profiles.
    fn part(&self, _: Part) {}

    // blend

    /// Prepares the views of two pictures for blending: at least one, all of one size, each with its own place in the
    /// picture. Rows and columns beyond the last whole patch of `patch` are not seen.
    fn pictures(
        &self,
        views: &[ViewPair],
        patch: usize,
        mask_size: usize,
    ) -> Result<Self::Pictures>;
    /// Puts masks and blends on the device.
    fn stage(
        &self,
        pictures: &Self::Pictures,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<Self::Batch>;
    /// Puts other masks and blends, as many as before, in the place of a batch's.
    fn restage(
        &self,
        pictures: &Self::Pictures,
        batch: &mut Self::Batch,
        masks: Masks,
        blends: &[Blend],
    ) -> Result<()>;
    /// The patch matrix of every blend: `[blends * views * patches, 3 * patch * patch]`, rows ordered blend, view, patch,
    /// columns ordered channel, row, column.
    ///
    /// With U the mask as the view samples it and w = alpha * U, a blend is `x * w + b * (1 - w)` (keep) or
    /// `b * w + x * (1 - w)` (reveal), plus noise, which differs from view to view.
    fn blend(&self, pictures: &Self::Pictures, batch: &Self::Batch) -> Result<Self::Matrix>;
    /// Gradients of `masks` masks, zero. They serve all pictures that were prepared for masks of the same size.
    fn gradients(&self, pictures: &Self::Pictures, masks: usize) -> Result<Self::Gradients>;
    /// Sets gradients to zero.
    fn clear(&self, gradients: &mut Self::Gradients) -> Result<()>;
    /// Adds to `gradients`, one S x S grid per mask, the gradient of every blend's patches in all views. Each blend is
    /// summed on its own, view by view, and the sums are added in the order of the blends, so how a batch was cut does not
    /// show.
    fn blend_vjp(
        &self,
        pictures: &Self::Pictures,
        batch: &Self::Batch,
        dy: &Self::Matrix,
        gradients: &mut Self::Gradients,
    ) -> Result<()>;
    /// The gradients, mask by mask.
    fn read_gradients(&self, gradients: &Self::Gradients) -> Result<Vec<Vec<f64>>>;

    // gemm

    /// `y = x W^T + bias + residual`. x `[n, in]`, W `[out, in]`, bias `[1, out]`, residual and y `[n, out]`.
    fn linear(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        residual: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
    /// `dx = dy W + onto`. dy `[n, out]`, dx and onto `[n, in]`.
    fn linear_vjp(
        &self,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    /// A linear layer and its activation: `h = x W^T + bias` and `f(h)`.
    fn linear_activation(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        let h = self.linear(x, weight, bias, None)?;
        let y = self.activation(kind, &h)?;
        Ok((h, y))
    }
    /// The gradient of h where `y = linear(f(h))`: `(dy W) * f'(h)`.
    fn linear_vjp_activation(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        h: &Self::Matrix,
    ) -> Result<Self::Matrix> {
        self.activation_vjp(kind, h, self.linear_vjp(dy, weight, None)?)
    }
    /// A linear layer multiplied by a gate's activation: `up = x W^T + bias` and `f(gate) * up`.
    fn linear_gate(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        let up = self.linear(x, weight, bias, None)?;
        let y = self.gate(kind, gate, &up)?;
        Ok((up, y))
    }
    /// The gradients of gate and up where `y = linear(f(gate) * up)`.
    fn linear_vjp_gate(
        &self,
        kind: Activation,
        dy: &Self::Matrix,
        weight: &Self::Weight,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)> {
        self.gate_vjp(kind, gate, up, self.linear_vjp(dy, weight, None)?)
    }
    /// A linear layer whose output is turned by [`Device::rope`].
    fn linear_rope(
        &self,
        x: &Self::Matrix,
        weight: &Self::Weight,
        bias: Option<&Self::Matrix>,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
    ) -> Result<Self::Matrix> {
        let mut y = self.linear(x, weight, bias, None)?;
        self.rope(&mut y, head_dim, frequencies, positions, false)?;
        Ok(y)
    }

    // attention

    /// Rotary position embedding in place: in each head of size d, pair (i, i + d/2) turns by `position * frequency[i]`.
    /// Row r of x stands at `positions[r % positions.len()]`. `inverse` turns back, which is the vjp.
    fn rope(
        &self,
        x: &mut Self::Matrix,
        head_dim: usize,
        frequencies: &[f64],
        positions: &[usize],
        inverse: bool,
    ) -> Result<()>;
    /// Scaled dot-product attention; the shapes and what each query sees are in [`AttentionShape`].
    ///
    /// q `[batch * queries, heads * d]`; k, v `[batch * keys, kv_heads * d]`; `prefix` holds keys and values
    /// (at least `shape.prefix` rows of `kv_heads * d`) that every sequence sees before its own. Returns the output, of
    /// q's shape, and per row and head the log-sum-exp of the scores `[batch * queries, heads]`.
    fn attention(
        &self,
        shape: &AttentionShape,
        q: &Self::Matrix,
        k: &Self::Matrix,
        v: &Self::Matrix,
        prefix: Option<(&Self::Matrix, &Self::Matrix)>,
    ) -> Result<(Self::Matrix, Self::Matrix)>;
    /// Gradients with respect to q, k and v; the prefix is constant. `out` and `lse` are what `attention` returned.
    #[expect(
        clippy::too_many_arguments,
        reason = "the operands of one fused operation"
    )]
    fn attention_vjp(
        &self,
        shape: &AttentionShape,
        q: &Self::Matrix,
        k: &Self::Matrix,
        v: &Self::Matrix,
        prefix: Option<(&Self::Matrix, &Self::Matrix)>,
        out: &Self::Matrix,
        lse: &Self::Matrix,
        dy: &Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix, Self::Matrix)>;

    // norm

    /// Layer normalisation over columns: `(x - mean) / sqrt(var + eps) * gain + bias`. Returns y and per row the mean and
    /// the reciprocal standard deviation `[n, 2]`.
    fn layer_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        bias: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Matrix)>;
    /// `dx + onto` of `layer_norm`.
    fn layer_norm_vjp(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Matrix,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
    /// Root-mean-square normalisation over columns: `x / sqrt(mean(x^2) + eps) * gain`. Returns y and per row the
    /// reciprocal root mean square `[n, 1]`.
    fn rms_norm(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        eps: f64,
    ) -> Result<(Self::Matrix, Self::Matrix)>;
    /// `dx + onto` of `rms_norm`.
    fn rms_norm_vjp(
        &self,
        x: &Self::Matrix,
        statistics: &Self::Matrix,
        gain: &Self::Matrix,
        dy: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    // activation

    /// `y = f(x)` element by element.
    fn activation(&self, kind: Activation, x: &Self::Matrix) -> Result<Self::Matrix>;
    /// `dx = dy * f'(x)`.
    fn activation_vjp(
        &self,
        kind: Activation,
        x: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<Self::Matrix>;
    /// `y = f(gate) * up` element by element.
    fn gate(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
    ) -> Result<Self::Matrix>;
    /// Gradients of `gate` with respect to gate and up.
    fn gate_vjp(
        &self,
        kind: Activation,
        gate: &Self::Matrix,
        up: &Self::Matrix,
        dy: Self::Matrix,
    ) -> Result<(Self::Matrix, Self::Matrix)>;

    // rows

    /// The rows `ids` of a weight, `[ids, in]`.
    fn gather(&self, weight: &Self::Weight, ids: &[u32]) -> Result<Self::Matrix>;
    /// Copies all of `x` into `target` from row `at` on.
    fn write_rows(&self, target: &mut Self::Matrix, at: usize, x: &Self::Matrix) -> Result<()>;
    /// Per sequence, `y = map x + constant`: x `[batch * map.inputs, c]`, constant `[map.outputs, c]` the same for every
    /// sequence, y `[batch * map.outputs, c]`.
    fn mix_rows(
        &self,
        x: &Self::Matrix,
        map: &RowMap,
        constant: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
    /// `dx = map^T dy + onto` per sequence.
    fn mix_rows_vjp(
        &self,
        dy: &Self::Matrix,
        map: &RowMap,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    // columns

    /// The same elements in rows of another length, not copied; it divides their number.
    fn reshape(&self, x: Self::Matrix, columns: usize) -> Result<Self::Matrix>;
    /// `a + b`, matrices of one size.
    fn add(&self, a: &Self::Matrix, b: &Self::Matrix) -> Result<Self::Matrix>;
    /// `y = x * gain + onto`: x, onto and y `[n, c]`, gain `[1, c]`. Without `onto` it is its own vjp.
    fn scale_columns(
        &self,
        x: &Self::Matrix,
        gain: &Self::Matrix,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;
    /// Matrices of as many rows side by side, at least one. The vjp by each part is [`Device::take_columns`].
    fn join_columns(&self, parts: &[&Self::Matrix]) -> Result<Self::Matrix>;
    /// `count` columns of `x` from column `from` on.
    fn take_columns(&self, x: &Self::Matrix, from: usize, count: usize) -> Result<Self::Matrix>;

    // depthwise

    /// Every channel convolved with its own kernel, plus its bias: x and y `[batch * height * width, c]`, grid by grid and row
    /// by row, kernel `[size * size, c]`, bias `[1, c]`. Outside the grid x is zero.
    fn depthwise(
        &self,
        x: &Self::Matrix,
        kernel: &Self::Matrix,
        bias: &Self::Matrix,
        shape: DepthwiseShape,
    ) -> Result<Self::Matrix>;
    /// `dx + onto` of `depthwise`.
    fn depthwise_vjp(
        &self,
        dy: &Self::Matrix,
        kernel: &Self::Matrix,
        shape: DepthwiseShape,
        onto: Option<&Self::Matrix>,
    ) -> Result<Self::Matrix>;

    // logprob

    /// Weights to the device, one per row of a score.
    fn weigh(&self, weights: &[f64]) -> Result<Self::Weights>;
    /// Puts other weights, as many as before, in the place of these.
    fn reweigh(&self, place: &mut Self::Weights, weights: &[f64]) -> Result<()>;
    /// Log-probability of one token per row: `log_softmax(x W^T)[target]`, in f32 or better.
    fn log_probability(
        &self,
        x: &Self::Matrix,
        head: &Self::Weight,
        targets: &[u32],
    ) -> Result<(Self::Values, Self::Logits)>;
    /// Log-probabilities from the device.
    fn values(&self, values: &Self::Values) -> Result<Vec<f64>>;
    /// `dx` for `sum over rows of weights[row] * log_probability[row]`.
    fn log_probability_vjp(
        &self,
        logits: Self::Logits,
        head: &Self::Weight,
        targets: &[u32],
        weights: &Self::Weights,
    ) -> Result<Self::Matrix>;
    /// `x W^T` row by row, in f32 or better.
    fn logits(&self, x: &Self::Matrix, head: &Self::Weight) -> Result<Vec<Self::Host>> {
        self.download(&self.linear(x, head, None, None)?)
    }
}

/// The size of a matrix on a device.
pub trait Matrix: Send + Sync {
    /// Number of rows.
    fn rows(&self) -> usize;
    /// Number of columns.
    fn columns(&self) -> usize;
}

//! Goals on one H100: shares of the rates measured on the same card in the same run, and seconds.

/// Share of the matrix rate: the products of `kernels/gemm.cu`.
pub const OWN_PRODUCTS: f64 = 0.5;
/// Share of the matrix rate: products by the faster of several implementations.
pub const CHOSEN_PRODUCTS: f64 = 0.8;
/// Share of the matrix rate: attention.
pub const ATTENTION: f64 = 0.45;
/// Share of the matrix rate: the vjp of attention.
pub const ATTENTION_VJP: f64 = 0.35;
/// Share of the copy bandwidth: blends, norms and activations.
pub const COPIES: f64 = 0.8;
/// Share of the copy bandwidth: depthwise convolutions, whose 49 products per value take nearly as
/// long as the value's bytes.
pub const DEPTHWISE: f64 = 0.5;
/// Share of the copy bandwidth: attention over windows, whose keys are read twice if a head has
/// many columns.
pub const WINDOW: f64 = 0.6;
/// Seconds of a whole attribution with LLaVA-1.5-7B.
pub const ATTRIBUTION: f64 = 6.0;

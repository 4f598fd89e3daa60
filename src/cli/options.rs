//! Command-line options that determine how an explanation is made.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use crate::device::cuda::GemmBackend;
use crate::explain::{Compat, Method, OptimizerKind, Settings};
use crate::lvlm::OpenOptions;
use crate::picture::{Baseline, Limits, Picture};

/// The device to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeviceName {
    /// The first usable GPU, otherwise the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU, by number.
    Cuda(usize),
}

impl std::str::FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<DeviceName, String> {
        match text {
            "auto" => Ok(DeviceName::Auto),
            "cpu" => Ok(DeviceName::Cpu),
            "cuda" => Ok(DeviceName::Cuda(0)),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceName::Cuda)
                .ok_or_else(|| "expected auto, cpu, or cuda:N".to_string()),
        }
    }
}

/// How a GPU stores activations and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DtypeName {
    /// As the checkpoint's weights are; bf16 where they are f32
    Auto,
    /// bfloat16
    Bf16,
    /// IEEE half
    F16,
}

/// How a GPU makes matrix products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum GemmName {
    /// Each shape the faster way of the two, measured when it first occurs and kept for later runs
    Auto,
    /// Through foveate's own kernels
    Native,
    /// Through NVIDIA's cuBLASLt, where its library takes the shape
    Cublaslt,
}

impl GemmName {
    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            GemmName::Auto => "auto",
            GemmName::Native => "native",
            GemmName::Cublaslt => "cublaslt",
        }
    }
}

impl From<GemmName> for GemmBackend {
    fn from(name: GemmName) -> GemmBackend {
        match name {
            GemmName::Auto => GemmBackend::Auto,
            GemmName::Native => GemmBackend::Native,
            GemmName::Cublaslt => GemmBackend::Cublaslt,
        }
    }
}

/// Returns the parser of a method's name.
fn method_parser() -> impl TypedValueParser<Value = Method> {
    let settings = Settings::default();
    let value = |method: Method| {
        let method = method.with(&settings);
        PossibleValue::new(method.name()).help(method.summary())
    };
    PossibleValuesParser::new(Method::ALL.map(value)).try_map(|name| name.parse::<Method>())
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum OptimizerName {
    /// Nesterov's accelerated gradient
    Nag,
    /// Backtracking line search
    Ls,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum BaselineName {
    /// The picture, blurred
    Blur,
    /// Black
    Zero,
    /// Uniform noise
    Noise,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CompatName {
    /// That of the paper's authors, bytedance/LVLM_Interpretation
    LvlmInterpretation,
}

impl From<CompatName> for Compat {
    fn from(name: CompatName) -> Compat {
        match name {
            CompatName::LvlmInterpretation => Compat::LvlmInterpretation,
        }
    }
}

/// The method's settings.
#[derive(Args)]
#[command(next_help_heading = "Method")]
pub(super) struct MethodOptions {
    /// Which masks are optimised
    #[arg(long, value_parser = method_parser(), default_value = "igos+")]
    method: Method,
    /// How a mask is updated
    #[arg(long, value_enum, default_value = "nag")]
    optimizer: OptimizerName,
    /// What stands where the picture is removed
    #[arg(long, value_enum, default_value = "blur")]
    baseline: BaselineName,
    /// Cells per side of the mask, 1 to 1024
    #[arg(long, value_name = "CELLS", default_value_t = Settings::default().mask_size)]
    mask_size: usize,
    /// Steps along each path from the masked picture to the baseline
    #[arg(long, value_name = "N", default_value_t = Settings::default().steps)]
    steps: usize,
    /// Updates of the mask
    #[arg(long, value_name = "N", default_value_t = Settings::default().iterations)]
    iterations: usize,
    /// Weight of the mask's mean distance from 1: larger keeps the mask smaller
    #[arg(long, value_name = "WEIGHT", default_value_t = Settings::default().l1)]
    l1: f64,
    /// Weight of the quadratic term that fades over the iterations
    #[arg(long, value_name = "WEIGHT", default_value_t = Settings::default().l2)]
    l2: f64,
    /// Weight of the bilateral total variation: larger makes the mask smoother
    #[arg(long, value_name = "WEIGHT", default_value_t = Settings::default().l3)]
    l3: f64,
    /// How fast the quadratic term fades, per iteration
    #[arg(long, value_name = "RATE", default_value_t = Settings::default().gamma)]
    gamma: f64,
    /// Iterations that the momentum takes to build up
    #[arg(long, value_name = "N", default_value_t = Settings::default().momentum)]
    momentum: f64,
    /// Step size of an update (the first step tried by a line search)
    #[arg(long, value_name = "STEP", default_value_t = Settings::default().lr)]
    lr: f64,
    /// Standard deviation of the noise on every blend, in normalised pixel values; 0 for none
    #[arg(long, value_name = "DEVIATION", default_value_t = Settings::default().noise)]
    noise: f64,
    /// Seed of all noise: the same seed gives the same bits
    #[arg(long, default_value_t = Settings::default().seed)]
    seed: u64,
    /// Log-ratio in nats (picture over baseline) above which a token of the answer is key
    #[arg(
        long,
        value_name = "NATS",
        default_value_t = Settings::default().threshold,
        allow_negative_numbers = true
    )]
    threshold: f64,
    /// The longest greedy answer, in tokens [default: 128; with --compat that program's own]
    #[arg(long, value_name = "TOKENS")]
    max_new_tokens: Option<usize>,
    /// Leave deletion and insertion curves out
    #[arg(long)]
    no_curves: bool,
    /// Ask about the baseline picture too, and record that answer
    #[arg(long)]
    baseline_answer: bool,
    /// Do as another program does, with what is particular to it, so that numbers can be compared
    #[arg(long, value_enum, value_name = "PROGRAM")]
    compat: Option<CompatName>,
}

/// What pictures are read.
#[derive(Args)]
#[command(next_help_heading = "Picture")]
pub(super) struct PictureOptions {
    /// The most pixels of a picture, at any width and height [default: 178956970, at most 65536 on
    /// a side]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=Picture::MAX_PIXELS)
    )]
    max_pixels: Option<u64>,
}

impl PictureOptions {
    /// Returns the limits for reading pictures.
    pub fn limits(&self) -> Limits {
        self.max_pixels
            .map_or_else(Limits::default, Limits::of_pixels)
    }
}

/// Where and with what the work is done.
#[derive(Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct MachineOptions {
    /// Where to compute: auto (a GPU where there is one), cpu, or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: DeviceName,
    /// How a GPU stores activations and weights; the processor computes in f32
    #[arg(long, value_enum, default_value = "auto")]
    pub dtype: DtypeName,
    /// How a GPU makes matrix products
    #[arg(long, value_enum, default_value = "auto")]
    pub gemm: GemmName,
    /// The most memory for activations, such as 800MiB or 6GB [default: 4GiB, on a GPU 4/5 of what
    /// is free]
    #[arg(long, value_name = "SIZE")]
    memory_budget: Option<ByteSize>,
    /// Threads of the processor, at most 4 per core; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// Where parts of a model are looked for.
#[derive(Args)]
#[command(next_help_heading = "Model")]
pub(super) struct EncoderOptions {
    /// A folder in which to look for encoders that have checkpoints of their own; may be given
    /// several times
    #[arg(long, value_name = "DIR")]
    encoders: Vec<PathBuf>,
}

impl EncoderOptions {
    /// Returns the options for opening a model.
    pub fn options(&self, compat: Option<Compat>) -> OpenOptions {
        OpenOptions {
            encoders: self.encoders.clone(),
            compat,
        }
    }
}

impl MachineOptions {
    /// Returns the requested memory budget in bytes.
    pub fn budget(&self) -> Option<usize> {
        let bytes = self.memory_budget?.as_u64();
        Some(usize::try_from(bytes).unwrap_or(usize::MAX))
    }
}

impl MethodOptions {
    /// Returns the requested settings, without a memory budget.
    pub fn settings(&self) -> Settings {
        let following = Settings::following(self.compat.map(Compat::from));
        Settings {
            method: self.method,
            optimizer: match self.optimizer {
                OptimizerName::Nag => OptimizerKind::Nag,
                OptimizerName::Ls => OptimizerKind::LineSearch,
            },
            baseline: match self.baseline {
                BaselineName::Blur => Baseline::Blur,
                BaselineName::Zero => Baseline::Zero,
                BaselineName::Noise => Baseline::Noise,
            },
            mask_size: self.mask_size,
            steps: self.steps,
            iterations: self.iterations,
            l1: self.l1,
            l2: self.l2,
            l3: self.l3,
            gamma: self.gamma,
            momentum: self.momentum,
            lr: self.lr,
            noise: self.noise,
            seed: self.seed,
            threshold: self.threshold,
            max_new_tokens: self.max_new_tokens.unwrap_or(following.max_new_tokens),
            curves: !self.no_curves,
            baseline_answer: self.baseline_answer,
            ..following
        }
    }
}

/// Returns the settings requested by both groups of options.
pub(super) fn settings(method: &MethodOptions, machine: &MachineOptions) -> Settings {
    Settings {
        memory_budget: machine.budget(),
        ..method.settings()
    }
}

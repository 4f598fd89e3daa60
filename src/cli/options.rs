//! The options that choose how an explanation is made, as they stand on the command line.

use bytesize::ByteSize;
use clap::{Args, ValueEnum};

use crate::explain::{Method, OptimizerKind, Settings};
use crate::picture::Baseline;

/// Where to compute.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum DeviceName {
    /// The best device there is
    Auto,
    /// The processor
    Cpu,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum MethodName {
    /// One mask for deletion and insertion
    #[value(name = "igos+")]
    IgosPlus,
    /// A deletion mask and an insertion mask
    #[value(name = "igos++")]
    IgosPlusPlus,
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

/// The method's settings.
#[derive(Args)]
#[command(next_help_heading = "Method")]
pub(super) struct MethodOptions {
    /// Which masks are optimised
    #[arg(long, value_enum, default_value = "igos+")]
    method: MethodName,
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
    #[arg(long, value_name = "NATS", default_value_t = Settings::default().threshold, allow_negative_numbers = true)]
    threshold: f64,
    /// The longest greedy answer, in tokens
    #[arg(long, value_name = "TOKENS", default_value_t = Settings::default().max_new_tokens)]
    max_new_tokens: usize,
    /// Leave deletion and insertion curves out
    #[arg(long)]
    no_curves: bool,
}

/// Where and with what the work is done.
#[derive(Args)]
#[command(next_help_heading = "Machine")]
pub(super) struct MachineOptions {
    /// Where to compute
    #[arg(long, value_enum, default_value = "auto")]
    pub device: DeviceName,
    /// The most memory for activations, such as 800MiB or 6GB; the mapped weights are not counted
    #[arg(long, value_name = "SIZE", default_value = "4GiB")]
    memory_budget: ByteSize,
    /// Threads of the processor; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub threads: usize,
}

/// The settings that both groups of options ask for.
pub(super) fn settings(method: &MethodOptions, machine: &MachineOptions) -> Settings {
    Settings {
        method: match method.method {
            MethodName::IgosPlus => Method::IgosPlus,
            MethodName::IgosPlusPlus => Method::IgosPlusPlus,
        },
        optimizer: match method.optimizer {
            OptimizerName::Nag => OptimizerKind::Nag,
            OptimizerName::Ls => OptimizerKind::LineSearch,
        },
        baseline: match method.baseline {
            BaselineName::Blur => Baseline::Blur,
            BaselineName::Zero => Baseline::Zero,
            BaselineName::Noise => Baseline::Noise,
        },
        mask_size: method.mask_size,
        steps: method.steps,
        iterations: method.iterations,
        l1: method.l1,
        l2: method.l2,
        l3: method.l3,
        gamma: method.gamma,
        momentum: method.momentum,
        lr: method.lr,
        noise: method.noise,
        seed: method.seed,
        threshold: method.threshold,
        max_new_tokens: method.max_new_tokens,
        curves: !method.no_curves,
        memory_budget: usize::try_from(machine.memory_budget.as_u64()).unwrap_or(usize::MAX),
    }
}

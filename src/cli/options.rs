//! Command-line options that determine how an explanation is made.

use std::path::PathBuf;

use bytesize::ByteSize;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::error::CliError;
use crate::checkpoint::RandomizedLayers;
use crate::device::cuda::GemmBackend;
use crate::explain::{Compat, CurvePoints, Each, Method, OptimizerKind, Preset, Settings};
use crate::lvlm::{Layer, OpenOptions};
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
enum PresetName {
    /// The paper's settings: iGOS+ in 5 iterations of 10 steps, all points of the curves
    Paper,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum QualityName {
    /// A first map: 6 evaluations
    Draft,
    /// fovea's defaults: 18 evaluations
    Normal,
    /// Twice the steps and one iteration more: 60 evaluations
    High,
}

impl From<QualityName> for Preset {
    fn from(name: QualityName) -> Preset {
        match name {
            QualityName::Draft => Preset::Draft,
            QualityName::Normal => Preset::Normal,
            QualityName::High => Preset::High,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CurvePointsName {
    /// Every fiftieth of the mask's cells: 104 evaluations for 32 x 32 cells
    All,
    /// Those that the scores need, to within 0.002 where a curve is monotone: about 40 evaluations
    Adaptive,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EachName {
    /// A key token
    Token,
    /// A word: its key tokens together
    Word,
}

impl From<EachName> for Each {
    fn from(name: EachName) -> Each {
        match name {
            EachName::Token => Each::Token,
            EachName::Word => Each::Word,
        }
    }
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
    /// Begin with a named choice of the method and its settings
    #[arg(long, value_enum, conflicts_with = "method")]
    preset: Option<PresetName>,
    /// Take fovea, and as many evaluations as this
    #[arg(long, value_enum, conflicts_with_all = ["method", "preset"])]
    quality: Option<QualityName>,
    /// How the mask is found [default: fovea; with --compat: igos+]
    #[arg(long, value_parser = method_parser())]
    method: Option<Method>,
    /// How a mask is updated [default: nag; igos: ls]
    #[arg(long, value_enum)]
    optimizer: Option<OptimizerName>,
    /// What stands where the picture is removed
    #[arg(long, value_enum, default_value = "blur")]
    baseline: BaselineName,
    /// Cells per side of the mask, 1 to 1024
    #[arg(long, value_name = "CELLS", default_value_t = Settings::default().mask_size)]
    mask_size: usize,
    /// Steps along each path from the masked picture to the baseline [default: 6; igos+: 10;
    /// igos++: 10; igos: 20; integrated-gradients: 50]
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// Updates of the mask [default: 2; igos+: 5; igos++: 5; igos: 15]
    #[arg(long, value_name = "N")]
    iterations: Option<usize>,
    /// Random masks of RISE, or noisy pictures of SmoothGrad [default: rise: 4000; smoothgrad: 50]
    #[arg(long, value_name = "N")]
    samples: Option<usize>,
    /// Cells per side of RISE's random grids, or regions per side of EAGLE [default: rise: 7;
    /// eagle: 8]
    #[arg(long, value_name = "CELLS")]
    grid: Option<usize>,
    /// Cells per side of the window that occlusion slides over the mask [default: a quarter of the
    /// mask's]
    #[arg(long, value_name = "CELLS")]
    window: Option<usize>,
    /// Cells by which that window moves [default: half of it]
    #[arg(long, value_name = "CELLS")]
    stride: Option<usize>,
    /// The layer whose activations grad-cam weighs: encoder (its last), encoder:N or decoder:N,
    /// counted from 1 [default: encoder]
    #[arg(long, value_name = "LAYER")]
    layer: Option<Layer>,
    /// Weight of the mask's mean distance from 1: larger keeps the mask smaller [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    l1: Option<f64>,
    /// Weight of the quadratic term that fades over the iterations [default: 0.1]
    #[arg(long, value_name = "WEIGHT")]
    l2: Option<f64>,
    /// Weight of the total variation: larger makes the mask smoother [default: 10; igos: 20]
    #[arg(long, value_name = "WEIGHT")]
    l3: Option<f64>,
    /// How fast the quadratic term fades, per iteration [default: 1]
    #[arg(long, value_name = "RATE")]
    gamma: Option<f64>,
    /// Iterations that the momentum takes to build up [default: 5; igos: 3]
    #[arg(long, value_name = "N")]
    momentum: Option<f64>,
    /// Step size of an update (the first step tried by a line search) [default: 10; igos: 1000]
    #[arg(long, value_name = "STEP")]
    lr: Option<f64>,
    /// Standard deviation of the noise on every blend, in normalised pixel values; 0 for none
    /// [default: 0.2; smoothgrad: 0.4]
    #[arg(long, value_name = "DEVIATION")]
    noise: Option<f64>,
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
    /// The points at which curves are measured [default: adaptive; with --compat: all]
    #[arg(long, value_enum, value_name = "POINTS", conflicts_with = "no_curves")]
    curve_points: Option<CurvePointsName>,
    /// Explain this picture alone, counted from 1, and show the others whole
    #[arg(long, value_name = "N")]
    explain_image: Option<usize>,
    /// Find a map for each word that has key tokens as well, or for each key token, beside that of
    /// the whole answer [default where it is given: word]
    #[arg(
        long,
        value_enum,
        value_name = "UNIT",
        num_args = 0..=1,
        default_missing_value = "word"
    )]
    each: Option<EachName>,
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

/// Random weights in place of the model's own.
#[derive(Args)]
#[command(next_help_heading = "Sanity check")]
pub(super) struct RandomizeOptions {
    /// Give the last N layers random weights: the decoder's from its last layer down, then every
    /// encoder's; the answer to explain should be that of the model without this option
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    randomize_layers: Option<usize>,
    /// Seed of these weights
    #[arg(
        long,
        value_name = "SEED",
        default_value_t = 0,
        requires = "randomize_layers"
    )]
    randomize_seed: u64,
}

/// Reads a number of layers.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a number of at least 1".into()),
        Ok(number) => Ok(number),
    }
}

impl RandomizeOptions {
    /// Returns the layers that get random weights.
    pub fn layers(&self) -> Option<RandomizedLayers> {
        let seed = self.randomize_seed;
        self.randomize_layers
            .map(|layers| RandomizedLayers { layers, seed })
    }
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
    /// Returns the program that is reproduced, if any.
    pub fn compat(&self) -> Option<Compat> {
        self.compat.map(Compat::from)
    }

    /// Returns the requested settings, without a memory budget.
    ///
    /// # Errors
    /// [`CliError::Option`] for an option that the method does not read.
    pub fn settings(&self) -> Result<Settings, CliError> {
        let following = Settings::following(self.compat());
        let preset = self.preset.map(|PresetName::Paper| Preset::Paper);
        let preset = preset.or(self.quality.map(Preset::from));
        let method = self.method.unwrap_or(following.method);
        let own = preset.map_or_else(|| Settings::of(method), Settings::preset);
        let optimizer = self.optimizer.map(|name| match name {
            OptimizerName::Nag => OptimizerKind::Nag,
            OptimizerName::Ls => OptimizerKind::LineSearch,
        });
        let given = [
            ("steps", self.steps.is_some()),
            ("iterations", self.iterations.is_some()),
            ("samples", self.samples.is_some()),
            ("grid", self.grid.is_some()),
            ("window", self.window.is_some()),
            ("stride", self.stride.is_some()),
            ("layer", self.layer.is_some()),
            ("noise", self.noise.is_some()),
            ("optimizer", optimizer.is_some()),
            ("l1", self.l1.is_some()),
            ("l2", self.l2.is_some()),
            ("l3", self.l3.is_some()),
            ("gamma", self.gamma.is_some()),
            ("momentum", self.momentum.is_some()),
            ("lr", self.lr.is_some()),
        ];
        let reads = |method: Method, o: &str| method.with(&own).settings().contains(&o);
        let unread = |&&(option, given): &&(&str, bool)| given && !reads(own.method, option);
        if let Some(&(option, _)) = given.iter().find(unread) {
            let readers = Method::ALL.into_iter().filter(|&m| reads(m, option));
            let readers: Vec<&str> = readers.map(|m| m.with(&own).name()).collect();
            return Err(CliError::Option {
                option,
                expected: format!("a method that reads it ({})", readers.join(", ")),
                found: format!("--method {}", own.method.with(&own).name()),
            });
        }
        let kind = optimizer.unwrap_or(own.optimizer);
        if self.momentum.is_some() && kind == OptimizerKind::LineSearch {
            return Err(CliError::Option {
                option: "momentum",
                expected: "--optimizer nag".into(),
                found: "a line search, which has none".into(),
            });
        }
        Ok(Settings {
            preset,
            method: own.method,
            optimizer: optimizer.unwrap_or(own.optimizer),
            baseline: match self.baseline {
                BaselineName::Blur => Baseline::Blur,
                BaselineName::Zero => Baseline::Zero,
                BaselineName::Noise => Baseline::Noise,
            },
            mask_size: self.mask_size,
            steps: self.steps.unwrap_or(own.steps),
            iterations: self.iterations.unwrap_or(own.iterations),
            samples: self.samples.or(own.samples),
            grid: self.grid.or(match own.method {
                // Every region has a cell.
                Method::Eagle => own.grid.map(|grid| grid.min(self.mask_size)),
                _ => own.grid,
            }),
            window: self.window.or(own.window),
            stride: self.stride.or(own.stride),
            layer: self.layer.or(own.layer),
            l1: self.l1.unwrap_or(own.l1),
            l2: self.l2.unwrap_or(own.l2),
            l3: self.l3.unwrap_or(own.l3),
            gamma: self.gamma.unwrap_or(own.gamma),
            momentum: self.momentum.unwrap_or(own.momentum),
            lr: self.lr.unwrap_or(own.lr),
            noise: self.noise.unwrap_or(own.noise),
            seed: self.seed,
            threshold: self.threshold,
            max_new_tokens: self.max_new_tokens.unwrap_or(following.max_new_tokens),
            curves: !self.no_curves,
            curve_points: match self.curve_points {
                None if preset.is_some() => own.curve_points,
                None => following.curve_points,
                Some(CurvePointsName::All) => CurvePoints::All,
                Some(CurvePointsName::Adaptive) => CurvePoints::Adaptive,
            },
            explain_image: self.explain_image,
            each: self.each.map(Each::from),
            baseline_answer: self.baseline_answer,
            ..following
        })
    }
}

/// Returns the settings requested by both groups of options.
///
/// # Errors
/// As [`MethodOptions::settings`].
pub(super) fn settings(
    method: &MethodOptions,
    machine: &MachineOptions,
) -> Result<Settings, CliError> {
    Ok(Settings {
        memory_budget: machine.budget(),
        ..method.settings()?
    })
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        method: MethodOptions,
    }

    /// Returns the defaults of a setting as the help should write them: that of iGOS+, or none, and
    /// those of the other methods that read it and differ.
    fn defaults(option: &str, value: impl Fn(&Settings) -> Option<String>) -> String {
        let reading = Method::ALL.into_iter().filter_map(|method| {
            let settings = Settings::of(method);
            let method = method.with(&settings);
            let read = method.settings().contains(&option);
            read.then(|| Some((method.name(), value(&settings)?)))
                .flatten()
        });
        let mut reading = reading.peekable();
        let usual = reading.next_if(|(name, _)| ["fovea", "igos+"].contains(name));
        let usual = usual.map(|(_, value)| value);
        let others = reading.filter(|(_, value)| Some(value) != usual.as_ref());
        let others = others.map(|(name, value)| format!("{name}: {value}"));
        let all: Vec<String> = usual.clone().into_iter().chain(others).collect();
        all.join("; ")
    }

    /// Defaults that depend on the method are written into the help by hand.
    #[test]
    fn the_help_says_the_defaults_of_each_method() {
        let help = Program::command().render_long_help().to_string();
        let says = |option: &str, value: &dyn Fn(&Settings) -> Option<String>| {
            let at = help.find(&format!("--{option} <")).expect(option);
            let rest = help[at..].split_whitespace().collect::<Vec<_>>().join(" ");
            let end = rest[2..].find(" --").map_or(rest.len(), |end| end + 2);
            let found = &rest[..end];
            let default = defaults(option, value);
            assert!(
                found.contains(&format!("[default: {default}]")),
                "{default}: {found}"
            );
        };
        says("optimizer", &|s| {
            let name = match s.optimizer {
                OptimizerKind::Nag => "nag",
                OptimizerKind::LineSearch => "ls",
            };
            Some(name.into())
        });
        says("steps", &|s| Some(s.steps.to_string()));
        says("iterations", &|s| Some(s.iterations.to_string()));
        says("samples", &|s| s.samples.map(|n| n.to_string()));
        says("grid", &|s| s.grid.map(|n| n.to_string()));
        says("noise", &|s| Some(s.noise.to_string()));
        says("l1", &|s| Some(s.l1.to_string()));
        says("l2", &|s| Some(s.l2.to_string()));
        says("l3", &|s| Some(s.l3.to_string()));
        says("gamma", &|s| Some(s.gamma.to_string()));
        says("momentum", &|s| Some(s.momentum.to_string()));
        says("lr", &|s| Some(s.lr.to_string()));
    }

    #[test]
    fn an_option_that_the_method_does_not_read_is_refused() {
        let settings = |options: &[&str]| {
            let all = ["foveate"].iter().chain(options);
            Program::parse_from(all).method.settings()
        };
        let igos = settings(&["--method", "igos+", "--lr", "1"]).unwrap();
        assert_eq!((igos.lr, igos.steps), (1.0, 10));
        let fovea = settings(&["--steps", "3"]).unwrap();
        assert_eq!(fovea.method, Method::Fovea);
        assert_eq!((fovea.steps, fovea.iterations), (3, 2));
        let rise = settings(&["--method", "rise", "--samples", "9"]).unwrap();
        assert_eq!(
            (rise.samples, rise.grid, rise.noise),
            (Some(9), Some(7), 0.0)
        );
        for (method, option) in [
            ("fovea", "--lr"),
            ("rise", "--steps"),
            ("occlusion", "--noise"),
            ("igos+", "--window"),
            ("igos", "--gamma"),
        ] {
            let error = settings(&["--method", method, option, "1"]).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let text = error.to_string();
            let found = format!("--method {method}");
            assert!(text.contains(option) && text.contains(&found), "{text}");
        }
    }
}

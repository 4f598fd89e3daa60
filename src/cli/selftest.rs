//! `foveate selftest`: checks that a GPU computes what the CPU computes, and measures its speed.

mod throughput;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use serde_json::{Value, json};

use super::error::CliError;
use super::options::{DeviceName, GemmName};
use super::output::{expect_file, write_file};
use super::print;
use crate::device::DeviceError;
use crate::device::cuda::{self, Cuda, GemmBackend, Storage};
use crate::selftest::{CASES, CUBLASLT, Check, Extent, FAMILIES, Part, family, recorded};

/// How much is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ExtentName {
    /// Tens of rows, recorded cases in one way: for an emulator
    Small,
    /// Hundreds of rows, recorded cases with graphs and without, in whole batches and split: for a GPU
    Large,
}

/// The name of the measurements in `--only`.
const THROUGHPUT: &str = "throughput";

#[derive(clap::Args)]
pub(super) struct Options {
    /// The GPU: cuda:N
    #[arg(long, default_value = "cuda:0")]
    device: DeviceName,
    /// How much the checks compute
    #[arg(long, value_enum, default_value = "large")]
    extent: ExtentName,
    /// Check these families of operations only, such as gemm,attention, or the recorded cases by
    /// name; throughput: how fast it is
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// How the recorded cases and whole models make matrix products
    #[arg(long, value_enum, default_value = "auto")]
    gemm: GemmName,
    /// Seed of the inputs
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Also write the results as JSON
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(super) fn run(options: &Options) -> Result<(), CliError> {
    let ordinal = match options.device {
        DeviceName::Cuda(ordinal) => ordinal,
        DeviceName::Auto | DeviceName::Cpu => return Err(CliError::NotAGpu),
    };
    if let Some(path) = &options.out {
        expect_file(path)?;
    }
    let cases = CASES.iter().map(|c| c.name);
    let names = || {
        FAMILIES
            .into_iter()
            .chain([CUBLASLT])
            .chain(cases.clone())
            .chain([THROUGHPUT])
    };
    if let Some(found) = options
        .only
        .iter()
        .find(|only| !names().any(|n| n == **only))
    {
        return Err(CliError::Family {
            found: found.clone(),
            expected: names().collect::<Vec<_>>().join(", "),
        });
    }
    let device = |storage, gemm| Cuda::new(ordinal, storage)?.with_gemm(gemm);
    let gemm = GemmBackend::from(options.gemm);
    let extent = match options.extent {
        ExtentName::Small => Extent::Small,
        ExtentName::Large => Extent::Large,
    };
    let started = Instant::now();
    let mut groups: Vec<(String, Vec<Check>)> = Vec::new();
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    for (name, storage) in FAMILIES
        .iter()
        .filter(|name| wanted(name))
        .flat_map(|n| [(n, Storage::Bf16), (n, Storage::F16)])
    {
        let device = device(storage, GemmBackend::Native)?;
        let checks = family(name, &device, storage, extent, options.seed)?;
        groups.push((format!("{name} in {storage}"), checks));
        report(&groups)?;
    }
    for storage in [Storage::Bf16, Storage::F16] {
        if !wanted(CUBLASLT) {
            continue;
        }
        match library(&device, storage)? {
            Ok(device) => {
                let mut checks = family(CUBLASLT, &device, storage, extent, options.seed)?;
                // Otherwise the kernels would only be checked again.
                let name = format!("products went through cuBLASLt in {storage}");
                checks.push(Check::holds(name, device.uses_library()));
                groups.push((format!("gemm through cuBLASLt in {storage}"), checks));
                report(&groups)?;
            }
            Err(reason) if options.only.is_empty() => {
                print(&format!(
                    "gemm through cuBLASLt in {storage} is left out: {reason}"
                ))?;
            }
            Err(reason) => return Err(reason.into()),
        }
    }
    for case in CASES.iter().filter(|case| wanted(case.name)) {
        let device = |storage| device(storage, gemm);
        groups.push((
            format!("recorded {}", case.name),
            whole(case, extent, &device)?,
        ));
        report(&groups)?;
    }
    let mut speed = Value::Null;
    if wanted(THROUGHPUT) {
        let (checks, record) = throughput::run(&device, gemm, extent)?;
        groups.push((THROUGHPUT.into(), checks));
        report(&groups)?;
        speed = record;
    }
    let failed = groups
        .iter()
        .flat_map(|(_, checks)| checks)
        .filter(|c| !c.passed())
        .count();
    let total: usize = groups.iter().map(|(_, checks)| checks.len()).sum();
    let seconds = started.elapsed().as_secs_f64();
    let verdict = match failed {
        0 => format!("all {total} checks passed in {seconds:.1} s"),
        _ => format!("{failed} of {total} checks failed"),
    };
    print(&verdict)?;
    if let Some(path) = &options.out {
        let json = record(options, ordinal, &groups, seconds, speed)?;
        write_file(path, format!("{json:#}\n").as_bytes())?;
    }
    if failed > 0 {
        return Err(CliError::Selftest { failed, total });
    }
    Ok(())
}

/// Returns the GPU with products through cuBLASLt, or the reason why the library cannot be used.
///
/// # Errors
/// Returns any other error of the driver.
fn library(
    device: &impl Fn(Storage, GemmBackend) -> crate::device::Result<Cuda>,
    storage: Storage,
) -> crate::device::Result<std::result::Result<Cuda, DeviceError>> {
    match device(storage, GemmBackend::Cublaslt) {
        Err(reason @ DeviceError::Unavailable { .. }) => Ok(Err(reason)),
        other => other.map(Ok),
    }
}

/// Runs a recorded case. A large extent also runs it without graphs and in split batches: masks and
/// gradients must have the same bits.
fn whole(
    case: &'static crate::selftest::Recorded,
    extent: Extent,
    device: &impl Fn(Storage) -> crate::device::Result<Cuda>,
) -> Result<Vec<Check>, CliError> {
    // The more precise of the two: these models with random weights amplify rounding.
    let storage = Storage::F16;
    if extent == Extent::Small {
        return Ok(recorded(case, device(storage)?, None, Part::Short)?.checks);
    }
    let first = recorded(case, device(storage)?, None, Part::Everything)?;
    let (mut checks, name) = (first.checks, case.name);
    for (what, at_once, graphs) in [
        ("without graphs", None, false),
        ("three blends at a time", Some(3), true),
    ] {
        let other = recorded(
            case,
            device(storage)?.with_graphs(graphs),
            at_once,
            Part::Bits,
        )?;
        let same = other.first_masks == first.first_masks && other.gradient == first.gradient;
        checks.push(Check::holds(format!("{name} {storage} {what}"), same));
    }
    Ok(checks)
}

/// Prints the line of the last group, and of each of its failed checks.
fn report(groups: &[(String, Vec<Check>)]) -> Result<(), CliError> {
    let Some((name, checks)) = groups.last() else {
        return Ok(());
    };
    let worst = checks
        .iter()
        .filter(|c| c.allowed > 0.0)
        .map(|c| c.found / c.allowed)
        .fold(0.0, f64::max);
    let failed = checks.iter().filter(|c| !c.passed());
    let count = checks.len();
    let verdict = if checks.iter().all(Check::passed) {
        "passed"
    } else {
        "FAILED"
    };
    print(&format!(
        "{name:30} {count:4} checks {verdict}, the worst at {worst:.2} of what is allowed"
    ))?;
    for check in failed {
        print(&format!(
            "    {}: found {:e}, allowed {:e}",
            check.name, check.found, check.allowed
        ))?;
    }
    Ok(())
}

/// Returns the results as JSON.
fn record(
    options: &Options,
    ordinal: usize,
    groups: &[(String, Vec<Check>)],
    seconds: f64,
    throughput: Value,
) -> Result<Value, CliError> {
    let gpu = cuda::gpus().ok().and_then(|g| g.into_iter().nth(ordinal));
    Ok(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "device": gpu.as_ref().map(|g| &g.name),
        "capability": gpu.as_ref().map(|g| format!("{}.{}", g.capability.0, g.capability.1)),
        "cublaslt": cuda::cublaslt().ok().map(|found| found.version),
        "seed": options.seed,
        "seconds": seconds,
        "groups": groups
            .iter()
            .map(|(name, checks)| json!({ "name": name, "checks": checks }))
            .collect::<Vec<_>>(),
        THROUGHPUT: throughput,
    }))
}

//! The emulated device's settings, from the environment or from `foveate_emulator_set`.

use std::collections::BTreeMap;
use std::env;
use std::str::FromStr;
use std::thread::available_parallelism;

use crate::counters::Failure;
use crate::runtime::Order;

const PREFIX: &str = "FOVEATE_EMULATOR_";
/// Every setting's name without the prefix.
pub const NAMES: [&str; 11] = [
    "CAPABILITY",
    "MULTIPROCESSORS",
    "DEVICES",
    "DRIVER",
    "SEED",
    "ORDER",
    "CHECK",
    "THREADS",
    "MEMORY",
    "FAIL",
    "TRACE",
];

/// The settings listed in the README.
pub struct Settings {
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Multiprocessors of each device, if not those of a common card.
    pub multiprocessors: Option<i32>,
    pub devices: usize,
    /// The version returned by cuDriverGetVersion: 13000 for CUDA 13.0.
    pub driver: i32,
    pub seed: u64,
    pub order: Order,
    pub check: bool,
    pub threads: u32,
    /// Bytes of each device.
    pub memory: u64,
    pub failures: Vec<Failure>,
    /// Whether to print each call.
    pub trace: bool,
    /// Whether work runs at once instead of at the next synchronisation (CUDA_LAUNCH_BLOCKING, as
    /// in the real driver).
    pub blocking: bool,
}

impl Settings {
    /// Reads every setting; `given` overrides the environment. An invalid value is reported and
    /// replaced by the default.
    pub fn read(given: &BTreeMap<String, String>) -> Self {
        let text = |name: &str| {
            given
                .get(name)
                .cloned()
                .or_else(|| env::var(format!("{PREFIX}{name}")).ok())
                .filter(|value| !value.is_empty())
        };
        let cores = available_parallelism()
            .map_or(1, |cores| cores.get() as u32)
            .min(16);
        Self {
            capability: parse(
                &text,
                "CAPABILITY",
                "a version such as 9.0",
                (9, 0),
                version,
            ),
            multiprocessors: parse(&text, "MULTIPROCESSORS", "at least 1", None, |value| {
                number(value).filter(|n| *n >= 1).map(Some)
            }),
            devices: parse(&text, "DEVICES", "0 to 16", 1, |value| {
                number(value).filter(|n| *n <= 16)
            }),
            driver: parse(&text, "DRIVER", "a number such as 13000", 13000, number),
            seed: parse(&text, "SEED", "a number", 0, number),
            order: parse(
                &text,
                "ORDER",
                "pct, sequential or random",
                Order::Priorities,
                order,
            ),
            check: parse(&text, "CHECK", "0 or 1", 1u8, |value| {
                number(value).filter(|n| *n <= 1)
            }) == 1,
            threads: parse(&text, "THREADS", "1 to 256", cores, |value| {
                number(value).filter(|n| (1..=256).contains(n))
            }),
            memory: parse(&text, "MEMORY", "bytes", 16 << 30, number),
            failures: parse(
                &text,
                "FAIL",
                "call:k:code[,...] with codes of CUresult",
                Vec::new(),
                Failure::list,
            ),
            trace: parse(&text, "TRACE", "0 or 1", 0u8, |value| {
                number(value).filter(|n| *n <= 1)
            }) == 1,
            blocking: env::var_os("CUDA_LAUNCH_BLOCKING").is_some_and(|value| value == "1"),
        }
    }
}

fn parse<T>(
    text: &impl Fn(&str) -> Option<String>,
    name: &str,
    expected: &str,
    default: T,
    read: impl Fn(&str) -> Option<T>,
) -> T {
    let Some(value) = text(name) else {
        return default;
    };
    read(&value).unwrap_or_else(|| {
        eprintln!("foveate-emulator: {PREFIX}{name}={value}: expected {expected}");
        default
    })
}

fn number<T: FromStr>(value: &str) -> Option<T> {
    value.trim().parse().ok()
}

fn version(value: &str) -> Option<(i32, i32)> {
    let (major, minor) = value.split_once('.')?;
    Some((number(major)?, number(minor)?))
}

fn order(value: &str) -> Option<Order> {
    match value {
        "pct" => Some(Order::Priorities),
        "sequential" => Some(Order::Sequential),
        "random" => Some(Order::Random),
        _ => None,
    }
}

//! Measurements of a device's speed, by operation and for whole models, in relation to the peak
//! rates of the same card in the same run.
//!
//! One table of workloads serves [`measure`] and the benches. Operations and bytes are counted as
//! by [`crate::lvlm::Estimator`]: every operand once per operation, regardless of caches; the
//! pictures of a blend once per blend.

mod activation;
mod attention;
mod blend;
mod columns;
mod depthwise;
mod gemm;
pub mod goals;
mod line;
mod logprob;
mod model;
mod norm;
mod pool;
mod rates;
mod recording;
mod rows;
pub mod shapes;
mod whole;
mod window;
mod workload;

use serde::Serialize;

use super::{Extent, FAMILIES};
use crate::device::Result;
use crate::explain::ExplainError;
use crate::lvlm::LvlmError;
use goals::{CHOSEN_PRODUCTS, OWN_PRODUCTS};
pub use line::{Found, Line};
pub use model::{pool, random_checkpoint};
pub use pool::Pool;
pub use rates::{Rates, Source, rates};
use shapes::{LLAVA_1_5_7B, LLAVA_ONEVISION_0_5B, Shapes, TINY};
pub use workload::{Goal, Limit, Operands, Prepared, Timed, Workload};

/// The families on a GPU's tensor cores, whose speed may depend on the storage type.
pub const TENSOR_CORES: [&str; 2] = ["gemm", "attention"];

/// Returns the families of workloads: those on the tensor cores, the other families of operations,
/// and `recording`, which measures the launch of recorded work and has no results to check.
pub fn families() -> Vec<&'static str> {
    let others = FAMILIES.into_iter().filter(|f| !TENSOR_CORES.contains(f));
    TENSOR_CORES
        .into_iter()
        .chain(others)
        .chain(["recording"])
        .collect()
}

/// Returns the workloads of a family. An unknown family has none.
pub fn workloads<'d, D: Timed>(
    family: &str,
    on: Operands<'d, D>,
    shapes: &'static Shapes,
) -> Vec<Workload<'d>> {
    match family {
        "gemm" => gemm::workloads(on, shapes),
        "attention" => attention::workloads(on, shapes),
        "blend" => blend::workloads(on, shapes),
        "window" => window::workloads(on, shapes),
        "norm" => norm::workloads(on, shapes),
        "activation" => activation::workloads(on, shapes),
        "rows" => rows::workloads(on, shapes),
        "columns" => columns::workloads(on, shapes),
        "depthwise" => depthwise::workloads(on, shapes),
        "logprob" => logprob::workloads(on, shapes),
        "recording" => recording::workloads(on, shapes),
        _ => Vec::new(),
    }
}

/// Returns the models to measure.
pub fn models(extent: Extent) -> Vec<&'static Shapes> {
    match extent {
        Extent::Small => vec![&TINY],
        Extent::Large => vec![&LLAVA_1_5_7B, &LLAVA_ONEVISION_0_5B],
    }
}

/// The measurements at a model's shapes.
#[derive(Debug, Serialize)]
pub struct Measured {
    /// All workloads, with products by the device's own kernels.
    pub operations: Vec<Line>,
    /// Products by the implementation chosen for each, if there is a choice.
    pub chosen: Vec<Line>,
    /// The chosen implementations, one line for each shape.
    pub choices: Vec<String>,
    /// The whole model with random weights, with chosen products.
    pub whole: Vec<Line>,
}

/// Measures every workload of a model's shapes on the device that `native` opens. Measures products
/// and the whole model with random weights on the device that `chosen` opens, if products have
/// several implementations. A device keeps its memory for reuse until it is dropped, so each part
/// opens its own.
///
/// # Errors
/// Returns the errors of the device and the model, except for insufficient memory, which is
/// reported in a line.
pub fn measure<D: Timed, N: Fn() -> Result<D>, C: Fn() -> Result<D>>(
    native: N,
    chosen: Option<C>,
    shapes: &'static Shapes,
    rates: &Rates,
    extent: Extent,
) -> std::result::Result<Measured, ExplainError> {
    let pool = pool(shapes, 0)?;
    let open = || chosen.as_ref().map_or_else(&native, |chosen| chosen());
    let lines = |device: D, families: &[&str], goal| -> Result<_> {
        let lines = operations(&device, families, &pool, shapes, goal, rates, extent)?;
        Ok((lines, device.choices()))
    };
    let own = native().and_then(|device| lines(device, &families(), OWN_PRODUCTS));
    let others = match &chosen {
        Some(chosen) => chosen().and_then(|device| lines(device, &["gemm"], CHOSEN_PRODUCTS)),
        None => Ok((Vec::new(), Vec::new())),
    };
    let (chosen, choices) = others.map_err(LvlmError::from)?;
    Ok(Measured {
        operations: own.map_err(LvlmError::from)?.0,
        chosen,
        choices,
        whole: whole::lines(
            open().map_err(LvlmError::from)?,
            shapes,
            &pool,
            rates,
            extent,
        )?,
    })
}

/// Measures every workload of some families at a model's shapes; `goal` is that of products.
fn operations<D: Timed>(
    device: &D,
    families: &[&str],
    pool: &Pool,
    shapes: &'static Shapes,
    goal: f64,
    rates: &Rates,
    extent: Extent,
) -> Result<Vec<Line>> {
    let on = Operands { device, pool };
    families
        .iter()
        .flat_map(|family| workloads(family, on, shapes))
        .map(|mut workload| {
            if workload.family == "gemm" {
                workload.goal = workload.goal.map(|_| Goal::Share(goal));
            }
            Line::of(&workload, rates, extent)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::device::cpu::Cpu;

    /// Every workload runs at its shape, and every line is complete, on the CPU as on other
    /// devices.
    #[test]
    fn every_family_and_the_whole_path_have_lines() {
        let rates = Rates::new(1e9, vec![("made up", 1e9)]);
        let cpu = || Cpu::<f32>::new(2);
        let measured = measure(cpu, Some(cpu), &TINY, &rates, Extent::Small).unwrap();
        assert!(measured.chosen.iter().all(|l| l.family == "gemm") && !measured.chosen.is_empty());
        for family in families() {
            let of = |l: &Line| l.family == family;
            assert!(measured.operations.iter().any(of), "{family}");
        }
        assert_eq!(measured.whole.len(), 4);
        let lines: Vec<_> = [measured.operations, measured.whole].concat();
        let names: HashSet<_> = lines.iter().map(|l| (l.family, &l.name)).collect();
        assert_eq!(names.len(), lines.len(), "no two lines have one name");
        for line in &lines {
            match &line.found {
                Found::Measured { seconds, share, .. } => {
                    assert!(*seconds > 0.0, "{line:?}");
                    let compared = line.limit != Limit::Latency;
                    assert_eq!(share.is_some_and(|s| s > 0.0 && s.is_finite()), compared);
                }
                Found::Missing { missing } => panic!("{line:?}: {missing}"),
            }
        }
    }

    #[test]
    fn every_shape_has_workloads_of_every_family() {
        let (cpu, pool) = (Cpu::<f32>::new(1).unwrap(), Pool::new(1, 1, 1.0, 0));
        let on = Operands {
            device: &cpu,
            pool: &pool,
        };
        for shapes in models(Extent::Large) {
            for family in families() {
                let all = workloads(family, on, shapes);
                assert!(!all.is_empty(), "{family}");
                for w in all {
                    let amount = match w.limit {
                        Limit::Products => w.cost.operations,
                        Limit::Copies | Limit::Latency => w.cost.bytes,
                    };
                    assert!(amount > 0.0, "{family} {}", w.name);
                }
            }
        }
    }
}

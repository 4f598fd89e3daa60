//! Slurm's arrays, and tasks within a job.

use super::ranks::ranks;
use super::{Environment, OPTION, Part, number, refused};
use crate::run::{Result, Shard};

pub(super) const STEP: (&str, &str) = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS");
pub(super) const ELEMENT: &str = "SLURM_ARRAY_TASK_ID";

/// Returns the shard of an element of a Slurm array, or of a rank within it.
pub(super) fn element(
    environment: Environment,
    id: usize,
    ranks: Option<Part>,
    shards: Option<usize>,
) -> Result<Part> {
    let inner = ranks.as_ref().map_or(Shard::WHOLE, |ranks| ranks.shard);
    let outer = match shards {
        // The identifiers are the indices, whichever of them run in this job.
        Some(count) if count.is_multiple_of(inner.count()) && id < count / inner.count() => {
            Shard::new(id, count / inner.count())?
        }
        Some(count) => {
            let wanted = match &ranks {
                Some(ranks) => format!(
                    "elements from 0 and --shards a multiple of {}",
                    ranks.shard.count()
                ),
                None => format!("an element below --shards, {count}"),
            };
            return Err(refused(
                ELEMENT,
                format!("{wanted}; else {OPTION}"),
                format!("element {id} of {count} shards"),
            ));
        }
        None => array_element(environment, id)?,
    };
    let shard = outer.part(inner)?;
    let reason = match shards {
        Some(count) => format!("{ELEMENT}={id} and --shards {count}"),
        None => format!(
            "{ELEMENT}={id}, which is element {} of {}",
            outer.index(),
            outer.count()
        ),
    };
    let reason = ranks.map_or(reason.clone(), |ranks| {
        format!("{reason}; {}", ranks.reason)
    });
    Ok(Part { shard, reason })
}

/// Returns the shard of an element of a Slurm array that runs as a whole: elements are MIN, MIN +
/// STEP, and so on up to MAX, COUNT of them.
fn array_element(environment: Environment, id: usize) -> Result<Shard> {
    let count = number(environment, "SLURM_ARRAY_TASK_COUNT")?;
    let least = number(environment, "SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
    let most = number(environment, "SLURM_ARRAY_TASK_MAX")?;
    let step = number(environment, "SLURM_ARRAY_TASK_STEP")?
        .unwrap_or(1)
        .max(1);
    let wrong = |expected: String| {
        let numbers =
            format!("element {id}, least {least}, most {most:?}, step {step}, count {count:?}");
        refused(ELEMENT, expected, numbers)
    };
    let count =
        count.ok_or_else(|| wrong(format!("SLURM_ARRAY_TASK_COUNT beside it; else {OPTION}")))?;
    let place = |id: usize| {
        let above = id.checked_sub(least)?;
        (above.is_multiple_of(step) && above / step < count).then_some(above / step)
    };
    // There are no gaps if the last element is number COUNT - 1.
    let whole = most.is_none_or(|most| place(most) == Some(count.wrapping_sub(1)));
    match place(id) {
        Some(index) if whole => Shard::new(index, count),
        _ => Err(wrong(format!(
            "an array without gaps, such as 0-7; for others the number of shards as --shards, \
             elements from 0; else {OPTION}"
        ))),
    }
}

/// Returns a note about a Slurm job of several tasks if this process is none of them.
///
/// # Errors
/// Returns [`RunError::Shard`] for a task that is not the first, which `srun` must have started, if
/// the number of tasks is not set.
pub(super) fn batch_body(environment: Environment) -> Result<Option<String>> {
    let (task, tasks) = (
        number(environment, STEP.0)?,
        number(environment, "SLURM_NTASKS")?,
    );
    if environment(STEP.1).is_some() {
        return Ok(None);
    }
    match (task, tasks) {
        (Some(0), Some(tasks)) if tasks > 1 && ranks(environment)?.is_none() => Ok(Some(format!(
            "SLURM_NTASKS={tasks}, but srun did not start this process: it is no task of several"
        ))),
        (Some(task), _) if task > 0 && ranks(environment)?.is_none() => Err(refused(
            STEP.0,
            format!("{} beside it, as srun sets it; else {OPTION}", STEP.1),
            format!("task {task} of an unknown number"),
        )),
        _ => Ok(None),
    }
}

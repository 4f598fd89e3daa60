//! The shard that a job's environment asks for.
//!
//! A process takes a part of the data only if its launcher gives both the part's index and the
//! number of parts, and the process reports it. An ambiguous environment is an error that names the
//! variables and the option that resolves it.

use super::{Result, RunError, Shard};

/// Looks up environment variables.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The shard assigned to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The shard.
    pub shard: Shard,
    /// The variables that determine it; `None` if nothing in the environment does.
    pub reason: Option<String>,
    /// A note about variables that suggest a shard but do not determine one.
    pub note: Option<String>,
}

/// The rank variables of launchers, the finest first: an index, a count, and who sets them.
const RANKS: [(&str, &str); 5] = [
    // torchrun, accelerate, deepspeed.
    ("RANK", "WORLD_SIZE"),
    // mpirun of Open MPI, of MVAPICH2, of MPICH and Intel MPI.
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),
    // srun. SLURM_NTASKS is not such a count: the body of a batch script, which runs once, has it
    // too.
    STEP,
];
const STEP: (&str, &str) = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS");
const ELEMENT: &str = "SLURM_ARRAY_TASK_ID";
const COMPLETION: &str = "JOB_COMPLETION_INDEX";
/// The option that resolves every ambiguity.
const OPTION: &str = "--shard I/N, or --shard 0/1 for all of the data";

/// A part, and the variables that determine it.
struct Part {
    shard: Shard,
    reason: String,
}

impl Assignment {
    /// Returns the shard that a job's environment asks for: an element of a Slurm array, a rank of
    /// torchrun or MPI, a task of a Slurm step, or an index of a Kubernetes Indexed Job. Ranks
    /// within an element of an array each take a part of the element's. `shards` is the number of
    /// shards, if given; it is required for Kubernetes, which does not provide it, and for an array
    /// that has gaps or of which only some elements are submitted again. Returns all of the data if
    /// the environment asks for no part.
    ///
    /// # Errors
    /// Returns [`RunError::Shard`] if variables contradict each other, do not determine the part,
    /// or are not numbers.
    pub fn of(environment: Environment, shards: Option<usize>) -> Result<Assignment> {
        let ranks = ranks(environment)?;
        let completion = number(environment, COMPLETION)?;
        let part = match (number(environment, ELEMENT)?, completion, ranks) {
            (Some(id), _, ranks) => Some(element(environment, id, ranks, shards)?),
            // These may be the ranks of one index of several, or of all of them: only the number of
            // shards can tell.
            (None, Some(index), Some(ranks)) if shards != Some(ranks.shard.count()) => {
                return Err(refused(
                    COMPLETION,
                    format!("no ranks beside it, or their number as --shards; else {OPTION}"),
                    format!("index {index} and {}", ranks.reason),
                ));
            }
            (None, _, Some(ranks)) => Some(ranks),
            (None, Some(index), None) => Some(indexed(index, shards)?),
            (None, None, None) => None,
        };
        match (shards, &part) {
            (Some(count), Some(part)) if count != part.shard.count() => Err(refused(
                "--shards",
                format!("as many shards as the environment says; else {OPTION}"),
                format!("{count} and {}", part.reason),
            )),
            (Some(count), None) if count != 1 => Err(refused(
                "--shards",
                format!(
                    "a job's index in the environment (Slurm, RANK, {COMPLETION}), or --shard I/N"
                ),
                "none".into(),
            )),
            _ => Ok(Assignment {
                note: batch_body(environment)?,
                shard: part.as_ref().map_or(Shard::WHOLE, |part| part.shard),
                reason: part.map(|part| part.reason),
            }),
        }
    }
}

/// Returns the process's rank in the finest launcher that started several processes.
fn ranks(environment: Environment) -> Result<Option<Part>> {
    let mut found: Option<Part> = None;
    let mut alone = None;
    for (index, count) in RANKS {
        let (i, n) = (number(environment, index)?, number(environment, count)?);
        let (i, n) = match (i, n) {
            (Some(i), Some(n)) => (i, n),
            (Some(_), None) if (index, count) != STEP => {
                alone.get_or_insert((index, count));
                continue;
            }
            _ => continue,
        };
        if i >= n {
            return Err(refused(
                index,
                format!("a number below {count}, {n}"),
                i.to_string(),
            ));
        }
        let part = Part {
            shard: Shard::new(i, n)?,
            reason: format!("{index}={i} of {count}={n}"),
        };
        match &found {
            _ if n == 1 => {}
            None => found = Some(part),
            Some(finer) if within(environment, finer, &part)? => {}
            Some(finer) => {
                return Err(refused(
                    index,
                    format!(
                        "the same launcher as, or one of processes each of which started several of, {}; else {OPTION}",
                        finer.reason
                    ),
                    part.reason,
                ));
            }
        }
    }
    match (found, alone) {
        (None, Some((index, count))) => Err(refused(
            index,
            format!("{count} beside it, the number of ranks; else {OPTION}"),
            "none".into(),
        )),
        (found, _) => Ok(found),
    }
}

/// Checks whether the ranks `finer` can belong to processes that were started as `coarser`.
/// torchrun numbers its ranks across machines only if it knows of the other machines.
fn within(environment: Environment, finer: &Part, coarser: &Part) -> Result<bool> {
    let (many, few) = (finer.shard.count(), coarser.shard.count());
    if !finer.reason.starts_with("RANK=") {
        return Ok(true);
    }
    if many == few {
        return Ok(finer.shard == coarser.shard);
    }
    let local = number(environment, "LOCAL_WORLD_SIZE")?;
    Ok(many.is_multiple_of(few) && local != Some(many))
}

/// Returns the shard of an element of a Slurm array, or of a rank within it.
fn element(
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
            "an array without gaps, such as 0-7; for others the number of shards as --shards, elements from 0; else {OPTION}"
        ))),
    }
}

/// Returns the part of an index of a Kubernetes Indexed Job.
fn indexed(index: usize, shards: Option<usize>) -> Result<Part> {
    let Some(count) = shards else {
        return Err(refused(
            COMPLETION,
            format!("the number of completions beside it, as --shards; else {OPTION}"),
            "none".into(),
        ));
    };
    if index >= count {
        return Err(refused(
            COMPLETION,
            format!("an index below --shards, {count}"),
            index.to_string(),
        ));
    }
    Ok(Part {
        shard: Shard::new(index, count)?,
        reason: format!("{COMPLETION}={index} and --shards {count}"),
    })
}

/// Returns a note about a Slurm job of several tasks if this process is none of them.
///
/// # Errors
/// Returns [`RunError::Shard`] for a task that is not the first, which `srun` must have started, if
/// the number of tasks is not set.
fn batch_body(environment: Environment) -> Result<Option<String>> {
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

fn refused(place: &str, expected: String, found: String) -> RunError {
    RunError::Shard {
        place: place.into(),
        expected,
        found,
    }
}

fn number(environment: Environment, name: &str) -> Result<Option<usize>> {
    match environment(name) {
        Some(text) if !text.trim().is_empty() => match text.trim().parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(refused(name, "a number".into(), text)),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variables<'a> = &'a [(&'a str, &'a str)];

    fn of(variables: Variables, shards: Option<usize>) -> Result<Assignment> {
        let find = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| value.to_string())
        };
        Assignment::of(&find, shards)
    }

    fn is(variables: Variables, shards: Option<usize>, index: usize, count: usize) -> Assignment {
        let found = of(variables, shards).unwrap();
        let expected = Shard::new(index, count).unwrap();
        assert_eq!(found.shard, expected, "{variables:?} {shards:?}");
        found
    }

    const TASKS: [(&str, &str); 3] = [
        ("SLURM_PROCID", "1"),
        ("SLURM_NTASKS", "2"),
        ("SLURM_STEP_NUM_TASKS", "2"),
    ];

    #[test]
    fn every_launcher_says_which_shard() {
        assert_eq!(is(&[], None, 0, 1).reason, None);
        let array = [
            ("SLURM_ARRAY_TASK_ID", "7"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "5"),
            ("SLURM_ARRAY_TASK_MAX", "8"),
        ];
        let reason = is(&array, None, 2, 4).reason.unwrap();
        assert!(reason.contains("SLURM_ARRAY_TASK_ID=7"), "{reason}");
        let stepped = [
            ("SLURM_ARRAY_TASK_ID", "9"),
            ("SLURM_ARRAY_TASK_COUNT", "4"),
            ("SLURM_ARRAY_TASK_MIN", "1"),
            ("SLURM_ARRAY_TASK_MAX", "13"),
            ("SLURM_ARRAY_TASK_STEP", "4"),
        ];
        is(&stepped, None, 2, 4);
        let reason = is(&TASKS, None, 1, 2).reason.unwrap();
        assert_eq!(reason, "SLURM_PROCID=1 of SLURM_STEP_NUM_TASKS=2");
        is(&[array.as_slice(), &TASKS].concat(), None, 5, 8);
        // A launcher's ranks are finer than the tasks that started it.
        let ranks = [("RANK", "6"), ("WORLD_SIZE", "8")];
        is(&[ranks.as_slice(), &TASKS].concat(), None, 6, 8);
        // Ranks within an element of an array divide that element.
        is(&[ranks.as_slice(), &array].concat(), None, 22, 32);
        is(&[("JOB_COMPLETION_INDEX", "3")], Some(10), 3, 10);
        is(
            &[&ranks[..], &[("JOB_COMPLETION_INDEX", "1")]].concat(),
            Some(8),
            6,
            8,
        );
        // Elements 3 and 5 of eight, submitted again.
        let again = [
            ("SLURM_ARRAY_TASK_ID", "5"),
            ("SLURM_ARRAY_TASK_COUNT", "2"),
            ("SLURM_ARRAY_TASK_MIN", "3"),
            ("SLURM_ARRAY_TASK_MAX", "5"),
        ];
        is(&again, Some(8), 5, 8);
        is(&[again.as_slice(), &TASKS].concat(), Some(16), 11, 16);
    }

    #[test]
    fn ranks_of_mpi_are_ranks() {
        for (index, count) in &RANKS[1..4] {
            let found = is(&[(index, "2"), (count, "3")], None, 2, 3);
            assert_eq!(found.reason, Some(format!("{index}=2 of {count}=3")));
            // mpirun starts one daemon on each of two nodes by srun, and three ranks below them.
            is(
                &[&[(*index, "2"), (*count, "3")], &TASKS[..]].concat(),
                None,
                2,
                3,
            );
            // A single process started by mpirun takes no part.
            assert_eq!(is(&[(index, "0"), (count, "1")], None, 0, 1).reason, None);
            let alone = of(&[(index, "1")], None).unwrap_err().to_string();
            assert!(
                alone.contains(count) && alone.contains("--shard 0/1"),
                "{alone}"
            );
        }
        // srun --mpi=pmi2 sets both kinds of variables.
        is(
            &[&[("PMI_RANK", "1"), ("PMI_SIZE", "2")], &TASKS[..]].concat(),
            None,
            1,
            2,
        );
    }

    /// `sbatch -n 4` runs the body of its script once; only `srun` starts four.
    #[test]
    fn the_body_of_a_batch_script_is_no_task() {
        let body = [
            ("SLURM_JOB_ID", "9"),
            ("SLURM_NTASKS", "5"),
            ("SLURM_NPROCS", "5"),
            ("SLURM_PROCID", "0"),
            ("SLURM_LOCALID", "0"),
        ];
        let found = is(&body, None, 0, 1);
        assert_eq!(found.reason, None);
        assert!(found.note.unwrap().contains("SLURM_NTASKS=5"));
        // As an element of an array, it takes the element's whole part.
        let array = [
            ("SLURM_ARRAY_TASK_ID", "1"),
            ("SLURM_ARRAY_TASK_COUNT", "3"),
            ("SLURM_ARRAY_TASK_MIN", "0"),
            ("SLURM_ARRAY_TASK_MAX", "2"),
        ];
        assert!(is(&[&body[..], &array].concat(), None, 1, 3).note.is_some());
        let mpi = [("OMPI_COMM_WORLD_RANK", "4"), ("OMPI_COMM_WORLD_SIZE", "5")];
        assert_eq!(is(&[&body[..], &mpi].concat(), None, 4, 5).note, None);
        assert_eq!(
            is(&[("SLURM_NTASKS", "1"), ("SLURM_PROCID", "0")], None, 0, 1).note,
            None
        );
        let started = of(&[("SLURM_NTASKS", "5"), ("SLURM_PROCID", "2")], None).unwrap_err();
        assert!(
            started.to_string().contains("SLURM_STEP_NUM_TASKS"),
            "{started}"
        );
    }

    /// Slurm gives the least and the greatest index and the count of an array, which do not
    /// determine 1,3,7.
    #[test]
    fn arrays_with_gaps_are_refused_in_every_element() {
        for (ids, step) in [
            (&["1", "3", "7"][..], "1"),
            (&["0", "1", "3"], "1"),
            (&["0", "2", "3"], "2"),
            (&["5", "6", "17"], "0"),
        ] {
            for id in ids {
                let variables = [
                    ("SLURM_ARRAY_TASK_ID", *id),
                    ("SLURM_ARRAY_TASK_COUNT", "3"),
                    ("SLURM_ARRAY_TASK_MIN", ids[0]),
                    ("SLURM_ARRAY_TASK_MAX", ids[2]),
                    ("SLURM_ARRAY_TASK_STEP", step),
                ];
                let error = of(&variables, None).unwrap_err().to_string();
                assert!(
                    error.contains("without gaps") && error.contains("--shard I/N"),
                    "{error}"
                );
                is(&variables, Some(20), id.parse().unwrap(), 20);
            }
        }
    }

    #[test]
    fn what_the_environment_cannot_mean_is_refused() {
        let max = usize::MAX.to_string();
        for (variables, shards, word) in [
            (&[("JOB_COMPLETION_INDEX", "3")][..], None, "--shards"),
            (&[("JOB_COMPLETION_INDEX", "3")], Some(3), "below"),
            (&[("JOB_COMPLETION_INDEX", "0")], Some(0), "below"),
            (
                &[
                    ("JOB_COMPLETION_INDEX", "0"),
                    ("RANK", "0"),
                    ("WORLD_SIZE", "2"),
                ],
                Some(4),
                "no ranks beside it",
            ),
            (&[("RANK", "x"), ("WORLD_SIZE", "2")], None, "a number"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], None, "WORLD_SIZE"),
            (&[("RANK", "0"), ("WORLD_SIZE", "0")], None, "WORLD_SIZE"),
            (&[("RANK", "0"), ("WORLD_SIZE", "2")], Some(3), "RANK"),
            (&[("RANK", "0")], None, "WORLD_SIZE beside it"),
            // Two tasks that each started their own ranks, from 0.
            (
                &[
                    ("RANK", "0"),
                    ("WORLD_SIZE", "4"),
                    ("LOCAL_WORLD_SIZE", "4"),
                    TASKS[0],
                    TASKS[2],
                ],
                None,
                "SLURM_PROCID",
            ),
            (
                &[("RANK", "0"), ("WORLD_SIZE", "2"), TASKS[0], TASKS[2]],
                None,
                "SLURM_PROCID",
            ),
            (&[], Some(3), "--shard I/N"),
            (&[], Some(0), "--shard I/N"),
            (&[("SLURM_ARRAY_TASK_ID", "3")], None, "COUNT"),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "0"),
                    ("SLURM_ARRAY_TASK_COUNT", "0"),
                ],
                None,
                "without gaps",
            ),
            (&[("SLURM_ARRAY_TASK_ID", "3")], Some(3), "below"),
            (
                &[("SLURM_ARRAY_TASK_ID", "0"), TASKS[0], TASKS[2]],
                Some(3),
                "a multiple of 2",
            ),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "1"),
                    ("SLURM_ARRAY_TASK_COUNT", &max),
                    TASKS[0],
                    TASKS[2],
                ],
                None,
                "fewer parts",
            ),
        ] {
            let error = of(variables, shards).unwrap_err().to_string();
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}

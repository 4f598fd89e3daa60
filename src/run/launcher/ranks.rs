//! Ranks of torchrun, of MPI and of Slurm's steps.

use super::slurm::STEP;
use super::{Environment, OPTION, Part, number, refused};
use crate::run::{Result, Shard};

/// The rank variables of launchers, the finest first: an index, a count, and who sets them.
pub(super) const RANKS: [(&str, &str); 5] = [
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

/// Returns the process's rank in the finest launcher that started several processes.
pub(super) fn ranks(environment: Environment) -> Result<Option<Part>> {
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
                        "the same launcher as, or one of processes each of which started \
                         several of, {}; else {OPTION}",
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

//! The shard that a job's environment asks for.
//!
//! A process takes a part of the data only if its launcher gives both the part's index and the
//! number of parts, and the process reports it. An ambiguous environment is an error that names the
//! variables and the option that resolves it.

mod kubernetes;
mod ranks;
mod slurm;
#[cfg(test)]
mod tests;

use super::{Result, RunError, Shard};
use kubernetes::COMPLETION;
use slurm::ELEMENT;

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
        let ranks = ranks::ranks(environment)?;
        let completion = number(environment, COMPLETION)?;
        let part = match (number(environment, ELEMENT)?, completion, ranks) {
            (Some(id), _, ranks) => Some(slurm::element(environment, id, ranks, shards)?),
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
            (None, Some(index), None) => Some(kubernetes::indexed(index, shards)?),
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
                note: slurm::batch_body(environment)?,
                shard: part.as_ref().map_or(Shard::WHOLE, |part| part.shard),
                reason: part.map(|part| part.reason),
            }),
        }
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

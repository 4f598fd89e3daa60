//! Kubernetes' Indexed Jobs.

use super::{OPTION, Part, refused};
use crate::run::{Result, Shard};

pub(super) const COMPLETION: &str = "JOB_COMPLETION_INDEX";

/// Returns the part of an index of a Kubernetes Indexed Job.
pub(super) fn indexed(index: usize, shards: Option<usize>) -> Result<Part> {
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

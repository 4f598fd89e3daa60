//! A folder as published on the Hugging Face hub, as `datasets` reads it: its card says which files
//! belong to which configuration and split; without a card the files' names do.

mod card;
mod pattern;
#[cfg(test)]
mod tests;
mod walk;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Result, RunError};
use card::Config;
use pattern::Pattern;

/// The largest number of patterns of a split.
const MOST_PATTERNS: usize = 1000;

/// The names of a configuration and of one of its splits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HubSplit {
    /// The configuration: `default` in a folder without any.
    pub config: String,
    /// The split.
    pub split: String,
}

/// One split of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Its name.
    pub name: HubSplit,
    /// Parquet files in the order of their rows, below the folder, with `/` between names.
    pub files: Vec<String>,
}

/// Finds the files of a split of the folder. The configuration is, unless it is named, the only
/// one, that of the name `default`, or that which the card calls the default; the split the only
/// one.
///
/// # Errors
/// Returns an error if the folder or its card cannot be read, if there are several configurations
/// or splits to choose from, none of the name, or files of another format, outside of the folder,
/// or missing from the numbers in their names.
pub fn split_of(folder: &Path, config: Option<&str>, split: Option<&str>) -> Result<Split> {
    let wrong = |expected: String, found: String| RunError::Data {
        path: folder.display().to_string(),
        expected,
        found,
    };
    let all = walk::files(folder)?;
    let configs = card::configs(folder)?;
    let configs = match configs.is_empty() {
        true => vec![Config::unnamed()],
        false => configs,
    };
    let chosen = chosen_config(&configs, config).map_err(|(e, found)| wrong(e, found))?;
    let splits = match &chosen.splits {
        Some(splits) => splits.clone(),
        None => sharded(&all),
    };
    if splits.is_empty() {
        return Err(wrong(
            "files such as data/train-00000-of-00001.parquet, or `configs` in README.md that name \
             files (for a single file, give the file)"
                .into(),
            "neither".into(),
        ));
    }
    let names: Vec<&str> = splits.iter().map(|(name, _)| name.as_str()).collect();
    let (name, patterns) = match (split, splits.as_slice()) {
        (None, [only]) => only,
        (None, _) => return Err(wrong("--split, to choose a split".into(), names.join(", "))),
        (Some(split), _) => splits
            .iter()
            .find(|(name, _)| name == split)
            .ok_or_else(|| wrong(format!("a split {split:?}"), names.join(", ")))?,
    };
    let files = matching(&all, patterns).map_err(|(e, found)| wrong(e, found))?;
    complete(&files).map_err(|(e, found)| wrong(e, found))?;
    for file in &files {
        walk::expect_below(folder, file)?;
    }
    Ok(Split {
        name: HubSplit {
            config: chosen.name.clone(),
            split: name.clone(),
        },
        files,
    })
}

/// What was expected, and what was found.
type Mismatch = (String, String);

fn chosen_config<'a>(
    configs: &'a [Config],
    named: Option<&str>,
) -> std::result::Result<&'a Config, Mismatch> {
    let names = || {
        let names: Vec<&str> = configs.iter().map(|config| config.name.as_str()).collect();
        names.join(", ")
    };
    if let Some(named) = named {
        let found = configs.iter().find(|config| config.name == named);
        return found.ok_or_else(|| (format!("a configuration {named:?}"), names()));
    }
    if let [only] = configs {
        return Ok(only);
    }
    let mut usual = configs
        .iter()
        .filter(|config| config.default || config.name == "default");
    match (usual.next(), usual.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(("--config, to choose a configuration".into(), names())),
    }
}

/// Returns the splits of files `data/SPLIT-NNNNN-of-NNNNN...`, and a pattern of each.
fn sharded(all: &[String]) -> Vec<(String, Vec<String>)> {
    let mut splits: Vec<(String, Vec<String>)> = Vec::new();
    for file in all {
        let Some((split, _, _)) = file.strip_prefix("data/").and_then(shard) else {
            continue;
        };
        if !split.contains('/') && card::is_split(split) && !splits.iter().any(|s| s.0 == split) {
            let digits = "[0-9]".repeat(5);
            let pattern = format!("data/{split}-{digits}-of-{digits}*.*");
            splits.push((split.to_string(), vec![pattern]));
        }
    }
    splits
}

/// Splits a name `PREFIX-NNNNN-of-NNNNN...` into its prefix, its number and their count.
fn shard(name: &str) -> Option<(&str, usize, usize)> {
    let at = name.rfind("-of-")?;
    let (before, count) = (name.get(..at)?, name.get(at + 4..at + 9)?);
    let (prefix, number) = before.rsplit_once('-')?;
    let digits = |text: &str| text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit());
    (digits(number) && digits(count))
        .then(|| Some((prefix, number.parse().ok()?, count.parse().ok()?)))?
}

/// Returns the files that match the patterns, those of each in order.
fn matching(all: &[String], patterns: &[String]) -> std::result::Result<Vec<String>, Mismatch> {
    if patterns.len() > MOST_PATTERNS {
        let expected = format!("at most {MOST_PATTERNS} patterns of a split");
        return Err((expected, patterns.len().to_string()));
    }
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for text in patterns {
        let pattern = Pattern::of(text)?;
        let before = files.len();
        for file in all.iter().filter(|file| pattern.matches(file)) {
            if !file.to_ascii_lowercase().ends_with(".parquet") {
                let expected = format!("Parquet files alone that match {text:?}");
                return Err((expected, file.clone()));
            }
            if !seen.insert(file) {
                let expected = "each file in one pattern".to_string();
                return Err((expected, format!("{file} twice")));
            }
            files.push(file.clone());
        }
        if files.len() == before {
            return Err((format!("files that match {text:?}"), "none".into()));
        }
    }
    Ok(files)
}

/// Returns an error if a file is missing from the numbers in the names.
fn complete(files: &[String]) -> std::result::Result<(), Mismatch> {
    let mut numbers: BTreeMap<(&str, usize), BTreeSet<usize>> = BTreeMap::new();
    for (prefix, number, count) in files.iter().filter_map(|file| shard(file)) {
        numbers.entry((prefix, count)).or_default().insert(number);
    }
    for ((prefix, count), numbers) in numbers {
        if let Some(missing) = (0..count).find(|number| !numbers.contains(number)) {
            return Err((
                format!("all {count} files {prefix}-...-of-{count:05}"),
                format!("no {prefix}-{missing:05}-of-{count:05}"),
            ));
        }
    }
    Ok(())
}

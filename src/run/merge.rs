//! Merging shards into one run.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use super::masks::Masks;
use super::shard::shards_in;
use super::store::{MANIFEST, RECORDS, TIMINGS, write_manifest};
use super::{Manifest, Records, Result, Run, RunError, Shard};
use crate::system::regular::open_regular;
use crate::system::whole::{Staging, parent, sync_folder};

/// The largest number of missing shards that a message names.
const NAMED: usize = 20;

/// Merges the shards of a run, all of which must be finished, into the folder `out`. Its records,
/// masks and `run.json` are, byte by byte, those that a single process would have written. A folder
/// among `folders` that is not itself a run stands for the shards in it. `out` appears complete or
/// not at all.
///
/// # Errors
/// Returns an error if the shards are of different runs, if one is missing, duplicated or not
/// finished, or if `out` is not empty.
pub fn merge(folders: &[PathBuf], out: &Path) -> Result<Manifest> {
    let refused = |path: &Path, reason: String| RunError::Merge {
        path: path.display().to_string(),
        reason,
    };
    let mut shards = open(folders)?;
    shards.sort_by_key(|run| run.manifest().shard.index());
    let manifest = whole(&shards)?;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(refused(out, "the folder to write to is not empty".into()));
    }
    let parent = parent(out);
    fs::create_dir_all(parent).map_err(RunError::writing(parent))?;
    let hidden = Staging::new(parent).map_err(RunError::writing(parent))?;
    let folder = hidden.path();
    write(&shards, &manifest, &folder)?;
    fs::rename(&folder, out)
        .and_then(|()| sync_folder(parent))
        .map_err(RunError::writing(out))?;
    Ok(manifest)
}

/// Opens every shard that the folders are or contain.
fn open(folders: &[PathBuf]) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for folder in folders {
        let shards = shards_in(folder);
        if folder.join(MANIFEST).exists() || shards.is_empty() {
            runs.push(Run::open(folder)?);
        } else {
            for name in shards.into_iter().filter_map(Shard::folder) {
                runs.push(Run::open(&folder.join(name))?);
            }
        }
    }
    Ok(runs)
}

/// Returns the manifest of the whole run that these shards, in order, form.
fn whole(shards: &[Run]) -> Result<Manifest> {
    let refused = |run: &Run, reason: String| RunError::Merge {
        path: run.folder().display().to_string(),
        reason,
    };
    let Some(first) = shards.first() else {
        return Err(RunError::Merge {
            path: "shards".into(),
            reason: "there are none".into(),
        });
    };
    let whole = |run: &Run| Manifest {
        shard: Shard::WHOLE,
        ..run.manifest().clone()
    };
    let count = first.manifest().shard.count();
    for run in shards {
        let mut differences = whole(run).differences(&whole(first));
        let other = run.manifest().shard.count();
        if other != count {
            differences.push(format!("  shard.count: {count} and {other}"));
        }
        if !differences.is_empty() {
            let other = first.folder().display();
            return Err(refused(
                run,
                format!(
                    "it is of another run than {other}:\n{}",
                    differences.join("\n")
                ),
            ));
        }
    }
    for pair in shards.windows(2) {
        if pair[0].manifest().shard == pair[1].manifest().shard {
            let (shard, other) = (pair[0].manifest().shard, pair[0].folder().display());
            return Err(refused(
                &pair[1],
                format!("shard {shard} is there twice, also in {other}"),
            ));
        }
    }
    // Indices are sorted and distinct: the first that differs from its position shows a gap.
    let indices = shards.iter().map(|run| run.manifest().shard.index());
    let mut missing = Vec::new();
    let mut next = 0;
    for index in indices.chain([count]) {
        missing.extend((next..index).take(NAMED + 1 - missing.len()));
        next = index.saturating_add(1);
    }
    if !missing.is_empty() {
        let all = count - shards.len();
        let mut names: Vec<String> = missing
            .iter()
            .take(NAMED)
            .map(|i| format!("{i}/{count}"))
            .collect();
        if all > NAMED {
            names.push(format!("{} more", all - NAMED));
        }
        return Err(refused(
            first,
            format!("missing beside it: shard {}", names.join(", ")),
        ));
    }
    Ok(whole(first))
}

/// Writes the whole run and waits until every file is on the disk.
fn write(shards: &[Run], manifest: &Manifest, folder: &Path) -> Result<()> {
    let mut readers: Vec<Records> = shards.iter().map(Run::records).collect::<Result<_>>()?;
    let mut masks = Masks::open(folder, manifest.settings.mask_size, 0)?;
    let path = folder.join(RECORDS);
    let mut records = BufWriter::new(File::create(&path).map_err(RunError::writing(&path))?);
    for index in 0..manifest.data.samples {
        let (run, reader) = (
            &shards[index % shards.len()],
            &mut readers[index % shards.len()],
        );
        let record = reader
            .next()
            .transpose()?
            .filter(|record| record.index == index);
        let Some(mut record) = record else {
            return Err(RunError::Merge {
                path: run.folder().display().to_string(),
                reason: format!("it has no record of sample {index}: it is not finished"),
            });
        };
        let same = |line: &[u8]| line == reader.line();
        if !line(&record).is_ok_and(|l| same(&l)) {
            return Err(RunError::Merge {
                path: run.folder().display().to_string(),
                reason: format!(
                    "its record of sample {index} has more in it than this version of foveate knows"
                ),
            });
        }
        if let Some(bytes) = run.mask_bytes(&record)? {
            let extent = record.mask.and_then(|place| place.extent);
            record.mask = Some(masks.append_bytes(&bytes, extent)?);
        }
        let others = record.more_masks.iter_mut().chain(&mut record.each_masks);
        for place in others {
            *place = masks.append_bytes(&run.bytes(place)?, place.extent)?;
        }
        let line = line(&record).map_err(RunError::writing(&path))?;
        records.write_all(&line).map_err(RunError::writing(&path))?;
    }
    for (run, reader) in shards.iter().zip(&mut readers) {
        if reader.next().transpose()?.is_some() {
            return Err(RunError::Merge {
                path: run.folder().display().to_string(),
                reason: "it has more records than samples".into(),
            });
        }
    }
    masks.sync()?;
    let file = records
        .into_inner()
        .map_err(|e| RunError::writing(&path)(e.error()))?;
    file.sync_all().map_err(RunError::writing(&path))?;
    join_timings(shards, &folder.join(TIMINGS))?;
    write_manifest(folder, manifest)
}

/// Serialises a record as its line.
fn line(record: &super::Record) -> serde_json::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(record)?;
    line.push(b'\n');
    Ok(line)
}

/// Concatenates the timings of the shards.
fn join_timings(shards: &[Run], path: &Path) -> Result<()> {
    let mut joined = File::create(path).map_err(RunError::writing(path))?;
    for run in shards {
        if let Ok(mut file) = open_regular(&run.folder().join(TIMINGS)) {
            std::io::copy(&mut file, &mut joined).map_err(RunError::writing(path))?;
        }
    }
    Ok(())
}

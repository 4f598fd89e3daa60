//! The header of a safetensors file, checked with specific errors.
//!
//! The format of the entries is that of the `safetensors` crate. The crate's validation stops at
//! the first fault without saying which tensors are concerned, and its sums of sizes overflow on a
//! malicious header; so the layout is checked here.

use super::CheckpointError;
use safetensors::Dtype;
use safetensors::tensor::TensorInfo;
use std::collections::BTreeMap;
use std::ops::Range;

/// The longest header that the format allows, in bytes.
const HEADER_LIMIT: u64 = 100_000_000;
/// Bytes of the little-endian header length that begins the file.
const PREFIX: usize = 8;

/// One tensor as a safetensors header describes it.
pub(super) struct Entry {
    pub name: String,
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    /// Byte range in the whole file, known to lie inside it.
    pub range: Range<usize>,
}

/// Reads the entries of the safetensors file `bytes`, in the order of their bytes.
pub(super) fn entries(bytes: &[u8], file: &str) -> Result<Vec<Entry>, CheckpointError> {
    let bad = |reason: String| CheckpointError::BadHeader {
        file: file.to_string(),
        reason,
    };
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(CheckpointError::TooShort {
            file: file.to_string(),
            bytes: bytes.len(),
        });
    };
    let length = u64::from_le_bytes(*prefix);
    let header = usize::try_from(length)
        .ok()
        .filter(|_| length <= HEADER_LIMIT)
        .and_then(|length| rest.get(..length));
    let Some(header) = header else {
        let room = rest.len().min(HEADER_LIMIT as usize);
        return Err(CheckpointError::HeaderBeyondFile {
            file: file.to_string(),
            header: length,
            room,
        });
    };
    let (start, data) = (PREFIX + header.len(), rest.len() - header.len());
    let raw: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(header).map_err(|error| bad(error.to_string()))?;

    let mut entries = Vec::with_capacity(raw.len());
    for (name, value) in raw {
        if name == "__metadata__" {
            continue;
        }
        let info: TensorInfo = serde_json::from_value(value)
            .map_err(|error| bad(format!("tensor {name}: {error}")))?;
        let (begin, end) = info.data_offsets;
        entries.push(Entry {
            name,
            dtype: info.dtype,
            shape: info.shape,
            range: begin..end,
        });
    }
    entries.sort_by_key(|entry| (entry.range.start, entry.range.end));
    check_layout(&entries, data, file)?;
    for entry in &mut entries {
        entry.range = entry.range.start + start..entry.range.end + start;
    }
    Ok(entries)
}

/// Checks that `entries`, sorted by their offsets, cover `data` bytes exactly, each with the size
/// of its shape and dtype.
fn check_layout(entries: &[Entry], data: usize, file: &str) -> Result<(), CheckpointError> {
    let file = || file.to_string();
    for entry in entries {
        let elements = entry
            .shape
            .iter()
            .try_fold(1usize, |product, &size| product.checked_mul(size));
        let Some(bits) = elements.and_then(|elements| elements.checked_mul(entry.dtype.bitsize()))
        else {
            return Err(CheckpointError::ShapeOverflow {
                file: file(),
                tensor: entry.name.clone(),
                shape: entry.shape.clone(),
            });
        };
        if entry.range.end.checked_sub(entry.range.start) != Some(bits / 8)
            || !bits.is_multiple_of(8)
        {
            return Err(CheckpointError::ByteRange {
                file: file(),
                tensor: entry.name.clone(),
                dtype: entry.dtype.to_string(),
                shape: entry.shape.clone(),
                expected: bits.div_ceil(8),
                begin: entry.range.start,
                end: entry.range.end,
            });
        }
    }
    let mut covered = 0;
    let mut previous: Option<&Entry> = None;
    for entry in entries {
        let Range { start, end } = entry.range;
        match previous {
            Some(first) if start < covered => {
                let (first, second) = (first.name.clone(), entry.name.clone());
                return Err(CheckpointError::Overlap {
                    file: file(),
                    first,
                    second,
                });
            }
            _ if start > covered => {
                return Err(CheckpointError::Gap {
                    file: file(),
                    begin: covered,
                    end: start,
                });
            }
            _ => {}
        }
        if end > data {
            return Err(CheckpointError::BeyondFile {
                file: file(),
                tensor: entry.name.clone(),
                end,
                data,
            });
        }
        covered = end;
        previous = Some(entry);
    }
    if covered < data {
        return Err(CheckpointError::Gap {
            file: file(),
            begin: covered,
            end: data,
        });
    }
    Ok(())
}

//! The weights: the tensors of all shards, memory-mapped.

use super::files::{Bytes, Files, WEIGHTS, WEIGHTS_INDEX};
use super::{CheckpointError, header};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

/// The supported storage formats of weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE 754 binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    Bf16,
    /// IEEE 754 binary32.
    F32,
}

impl Dtype {
    /// Returns the bytes of one element.
    pub fn size(self) -> usize {
        match self {
            Dtype::F16 | Dtype::Bf16 => 2,
            Dtype::F32 => 4,
        }
    }

    /// Rounds a number as an element is stored.
    pub fn round(self, v: f64) -> f64 {
        match self {
            Dtype::F16 => f16::from_f64(v).to_f64(),
            Dtype::Bf16 => bf16::from_f64(v).to_f64(),
            Dtype::F32 => f64::from(v as f32),
        }
    }
}

impl std::fmt::Display for Dtype {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
            Dtype::F32 => "f32",
        })
    }
}

/// One tensor, row-major, little-endian. A clone shares the file's bytes.
#[derive(Debug, Clone)]
pub struct Tensor {
    /// Its name in the file.
    pub name: String,
    /// Its storage format.
    pub dtype: Dtype,
    /// Its shape, outermost axis first.
    pub shape: Vec<usize>,
    /// The name, for messages, of the file that holds the tensor.
    pub file: Arc<str>,
    source: Bytes,
    range: Range<usize>,
}

impl Tensor {
    /// Creates an f32 tensor in memory; `values` are row-major, and their number must match
    /// `shape`.
    pub fn from_f32(name: &str, shape: &[usize], values: &[f32]) -> Tensor {
        Tensor::of(name, Dtype::F32, shape, values)
    }

    /// Creates a tensor in memory, of `values` rounded to `dtype`; otherwise as
    /// [`Tensor::from_f32`].
    pub(super) fn of(name: &str, dtype: Dtype, shape: &[usize], values: &[f32]) -> Tensor {
        let bytes: Arc<[u8]> = match dtype {
            Dtype::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Dtype::F16 => {
                let rounded = values.iter().map(|&v| f16::from_f32(v));
                rounded.flat_map(f16::to_le_bytes).collect()
            }
            Dtype::Bf16 => {
                let rounded = values.iter().map(|&v| bf16::from_f32(v));
                rounded.flat_map(bf16::to_le_bytes).collect()
            }
        };
        Tensor {
            name: name.to_string(),
            dtype,
            shape: shape.to_vec(),
            file: "memory".into(),
            range: 0..bytes.len(),
            source: Bytes::Owned(bytes),
        }
    }

    /// Creates a tensor with only a name and a shape, without bytes.
    pub fn absent(name: &str, shape: &[usize]) -> Tensor {
        Tensor {
            name: name.to_string(),
            dtype: Dtype::F32,
            shape: shape.to_vec(),
            file: "nowhere".into(),
            source: Bytes::Embedded(&[]),
            range: 0..0,
        }
    }

    /// Returns the rows `rows` of the first axis, sharing the bytes.
    ///
    /// # Errors
    /// [`CheckpointError::Rows`] if the tensor does not have these rows, or if the range ends
    /// before it begins.
    pub fn rows(&self, rows: Range<usize>) -> Result<Tensor, CheckpointError> {
        let all = self.shape.first().copied().unwrap_or(0);
        if rows.start > rows.end || rows.end > all {
            return Err(CheckpointError::Rows {
                file: self.file.to_string(),
                tensor: self.name.clone(),
                rows: all,
                found: rows,
            });
        }
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = rows.len();
        }
        let row = self.range.len() / all.max(1);
        let start = self.range.start;
        Ok(Tensor {
            name: format!("{}[{}..{}]", self.name, rows.start, rows.end),
            shape,
            range: start + rows.start * row..start + rows.end * row,
            ..self.clone()
        })
    }

    /// Returns a tensor of these rows along the first dimension, in that order, in memory of its
    /// own.
    ///
    /// # Errors
    /// [`CheckpointError::Rows`] if the tensor does not have one of these rows.
    pub fn ordered(&self, order: &[usize]) -> Result<Tensor, CheckpointError> {
        let mut bytes = Vec::with_capacity(self.range.len());
        for &row in order {
            bytes.extend_from_slice(self.rows(row..row.saturating_add(1))?.bytes());
        }
        let mut shape = self.shape.clone();
        if let Some(first) = shape.first_mut() {
            *first = order.len();
        }
        Ok(Tensor {
            name: format!("{} in another order", self.name),
            shape,
            range: 0..bytes.len(),
            source: Bytes::Owned(bytes.into()),
            ..self.clone()
        })
    }

    /// Creates a tensor of bytes in memory: those of `source` from `at` on, little-endian and
    /// shared. `None` if `source` has fewer bytes than `shape` requires.
    pub fn piece(
        name: &str,
        dtype: Dtype,
        shape: &[usize],
        source: &Bytes,
        at: usize,
    ) -> Option<Tensor> {
        let count = shape.iter().try_fold(1usize, |n, &d| n.checked_mul(d))?;
        let end = at.checked_add(count.checked_mul(dtype.size())?)?;
        (end <= source.len()).then(|| Tensor {
            name: name.to_string(),
            dtype,
            shape: shape.to_vec(),
            file: "memory".into(),
            range: at..end,
            source: source.clone(),
        })
    }

    /// Returns the bytes as stored in the file: `elements() * dtype.size()`, not necessarily
    /// aligned.
    pub fn bytes(&self) -> &[u8] {
        &self.source[self.range.clone()]
    }

    /// Returns the number of elements.
    pub fn elements(&self) -> usize {
        self.range.len() / self.dtype.size()
    }

    /// Converts the elements to f32, which represents all three formats exactly.
    pub fn to_f32(&self) -> Vec<f32> {
        let bytes = self.bytes();
        match self.dtype {
            Dtype::F32 => match aligned::<f32>(bytes) {
                Some(numbers) => numbers.to_vec(),
                None => numbers(bytes, f32::from_le_bytes),
            },
            Dtype::F16 => match aligned::<f16>(bytes) {
                Some(numbers) => numbers.to_f32_vec(),
                None => numbers(bytes, |b| f16::from_le_bytes(b).to_f32()),
            },
            Dtype::Bf16 => match aligned::<bf16>(bytes) {
                Some(numbers) => numbers.to_f32_vec(),
                None => numbers(bytes, |b| bf16::from_le_bytes(b).to_f32()),
            },
        }
    }
}

/// Returns the bytes as numbers if the machine can read them in place; `to_f32_vec` then converts
/// many at a time.
fn aligned<T: bytemuck::Pod>(bytes: &[u8]) -> Option<&[T]> {
    if cfg!(target_endian = "little") {
        bytemuck::try_cast_slice(bytes).ok()
    } else {
        None
    }
}

/// Reads numbers of `N` bytes one by one, at any alignment.
fn numbers<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| read(*chunk))
        .collect()
}

/// The tensors of a checkpoint, by name.
#[derive(Debug, Clone)]
pub struct Tensors {
    tensors: BTreeMap<String, Tensor>,
    /// Buffers of integers, such as the `position_ids` of older CLIP checkpoints: their dtype and
    /// file.
    integers: BTreeMap<String, (String, Arc<str>)>,
    /// Names of the weight files read.
    files: Vec<String>,
    model: String,
}

impl Tensors {
    /// Maps `model.safetensors`, or else every shard that `model.safetensors.index.json` names, and
    /// reads the headers.
    ///
    /// # Errors
    /// Every fault of a weight file or of the index, each naming the file; see [`CheckpointError`].
    /// A floating-point tensor of an unsupported format is an error at once, an integer tensor only
    /// when it is requested.
    pub fn open(files: &Files) -> Result<Self, CheckpointError> {
        let mut all = Self {
            tensors: BTreeMap::new(),
            integers: BTreeMap::new(),
            files: Vec::new(),
            model: files.name(),
        };
        if let Some(bytes) = files.bytes(WEIGHTS)? {
            all.add(WEIGHTS, bytes, files)?;
            return Ok(all);
        }
        let Some(index) = files.json(WEIGHTS_INDEX)? else {
            return Err(no_weights(files));
        };
        let index_file = files.path(WEIGHTS_INDEX);
        let places = weight_map(&index, &index_file)?;
        for shard in places.values().collect::<BTreeSet<_>>() {
            if shard.is_empty()
                || shard.contains(['/', '\\', ':', '\0'])
                || shard == ".."
                || shard == "."
            {
                return Err(CheckpointError::ShardOutside {
                    index: index_file,
                    shard: shard.clone(),
                });
            }
            let Some(bytes) = files.bytes(shard)? else {
                return Err(CheckpointError::MissingShard {
                    index: index_file,
                    shard: shard.clone(),
                });
            };
            all.add(shard, bytes, files)?;
        }
        for (tensor, shard) in &places {
            if all.file_of(tensor) != Some(&files.path(shard)) {
                return Err(CheckpointError::NotInShard {
                    index: index_file,
                    tensor: tensor.clone(),
                    shard: shard.clone(),
                });
            }
        }
        Ok(all)
    }

    /// Maps one file and reads its header.
    ///
    /// # Errors
    /// As [`Tensors::open`].
    pub fn open_file(files: &Files, name: &str) -> Result<Self, CheckpointError> {
        let mut all = Self::made(&files.name(), []);
        let Some(bytes) = files.bytes(name)? else {
            return Err(no_weights(files));
        };
        all.add(name, bytes, files)?;
        Ok(all)
    }

    /// Creates tensors in memory; `model` is their checkpoint's name in messages. Of two tensors of
    /// the same name the last is kept.
    pub fn made(model: &str, tensors: impl IntoIterator<Item = Tensor>) -> Self {
        let named = tensors.into_iter().map(|t| (t.name.clone(), t));
        Self {
            tensors: named.collect(),
            integers: BTreeMap::new(),
            files: Vec::new(),
            model: model.to_string(),
        }
    }

    fn add(&mut self, name: &str, bytes: Bytes, files: &Files) -> Result<(), CheckpointError> {
        let file: Arc<str> = files.path(name).into();
        for entry in header::entries(&bytes, &file)? {
            if let Some(first) = self.file_of(&entry.name) {
                return Err(CheckpointError::DuplicateTensor {
                    first: first.to_string(),
                    second: file.to_string(),
                    tensor: entry.name,
                });
            }
            let dtype = match entry.dtype {
                safetensors::Dtype::F16 => Dtype::F16,
                safetensors::Dtype::BF16 => Dtype::Bf16,
                safetensors::Dtype::F32 => Dtype::F32,
                other if is_integer(other) => {
                    self.integers
                        .insert(entry.name, (other.to_string(), file.clone()));
                    continue;
                }
                other => {
                    return Err(CheckpointError::UnsupportedDtype {
                        file: file.to_string(),
                        tensor: entry.name,
                        dtype: other.to_string(),
                    });
                }
            };
            let tensor = Tensor {
                name: entry.name.clone(),
                dtype,
                shape: entry.shape,
                file: file.clone(),
                source: bytes.clone(),
                range: entry.range,
            };
            self.tensors.insert(entry.name, tensor);
        }
        self.files.push(name.to_string());
        Ok(())
    }

    fn file_of(&self, name: &str) -> Option<&str> {
        let integer = || self.integers.get(name).map(|(_, file)| &**file);
        self.tensors
            .get(name)
            .map(|tensor| &*tensor.file)
            .or_else(integer)
    }

    /// Returns a tensor by its name in the file; `None` if it is absent or holds integers.
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.tensors.get(name)
    }

    /// Returns a tensor that must exist with this shape.
    ///
    /// # Errors
    /// [`CheckpointError::MissingTensor`] if it is absent,
    /// [`ShapeMismatch`](CheckpointError::ShapeMismatch) if its shape differs, or
    /// [`UnsupportedDtype`](CheckpointError::UnsupportedDtype) if it holds integers.
    pub fn require(&self, name: &str, shape: &[usize]) -> Result<Tensor, CheckpointError> {
        let tensor = name.to_string();
        match self.tensors.get(name) {
            Some(found) if found.shape == shape => Ok(found.clone()),
            Some(found) => Err(CheckpointError::ShapeMismatch {
                file: found.file.to_string(),
                tensor,
                expected: shape.to_vec(),
                found: found.shape.clone(),
            }),
            None => Err(match self.integers.get(name) {
                Some((dtype, file)) => CheckpointError::UnsupportedDtype {
                    file: file.to_string(),
                    tensor,
                    dtype: dtype.clone(),
                },
                None => CheckpointError::MissingTensor {
                    model: self.model.clone(),
                    tensor,
                    shape: shape.to_vec(),
                },
            }),
        }
    }

    /// Returns the supported tensors, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &Tensor> {
        self.tensors.values()
    }

    /// Returns the names of the integer tensors.
    pub(crate) fn integers(&self) -> impl Iterator<Item = &str> {
        self.integers.keys().map(String::as_str)
    }

    /// Returns the names of the supported tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Returns the names of the weight files, in the order read.
    pub fn files(&self) -> &[String] {
        &self.files
    }

    /// Returns the checkpoint's name as messages show it.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Returns the bytes of all supported tensors.
    pub fn total_bytes(&self) -> usize {
        self.tensors
            .values()
            .map(|tensor| tensor.bytes().len())
            .sum()
    }

    /// Returns the number of elements in all supported tensors.
    pub fn total_parameters(&self) -> usize {
        self.tensors.values().map(Tensor::elements).sum()
    }
}

fn is_integer(dtype: safetensors::Dtype) -> bool {
    use safetensors::Dtype::{BOOL, I8, I16, I32, I64, U8, U16, U32, U64};
    matches!(dtype, BOOL | I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
}

/// Returns the index's `weight_map`: tensor name to shard.
fn weight_map(
    index: &serde_json::Value,
    file: &str,
) -> Result<BTreeMap<String, String>, CheckpointError> {
    let bad = |reason: String| CheckpointError::Json {
        file: file.to_string(),
        reason,
    };
    let map = index
        .get("weight_map")
        .and_then(serde_json::Value::as_object);
    let map = map.ok_or_else(|| bad("no weight_map of tensor names to shards".to_string()))?;
    map.iter()
        .map(|(tensor, shard)| match shard.as_str() {
            Some(shard) => Ok((tensor.clone(), shard.to_string())),
            None => Err(bad(format!(
                "weight_map: {tensor}: expected a file name, found {shard}"
            ))),
        })
        .collect()
}

fn no_weights(files: &Files) -> CheckpointError {
    let other = files.list().unwrap_or_default().into_iter().find(|name| {
        [".bin", ".pt", ".pth", ".gguf"]
            .iter()
            .any(|end| name.ends_with(end))
    });
    let found = other
        .map(|name| format!("; {name} is not a format that is read: convert it to safetensors"));
    CheckpointError::MissingFile {
        file: files.path(WEIGHTS),
        purpose: format!(
            "the weights are read from it or from the shards in {WEIGHTS_INDEX}{}",
            found.unwrap_or_default()
        ),
    }
}

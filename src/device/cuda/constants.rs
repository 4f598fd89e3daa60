//! Small tables that operations read: indices, positions, rotary turns. They are uploaded once and
//! found again by content.

use std::collections::HashMap;
use std::sync::Arc;

use super::gpu::Gpu;
use super::pool::Buffer;
use crate::device::{DeviceError, Result};

/// The most bytes of tables that are kept for operations to come.
const KEPT: usize = 64 << 20;

/// A table's key: a tag for its kind, and the values it is made from.
pub(super) type Key = (&'static str, Vec<u64>);

/// Tables on the device by what they are made from.
#[derive(Default)]
pub(super) struct Constants {
    tables: HashMap<Key, Arc<Buffer>>,
    bytes: usize,
    /// Tables used since a recording began: it keeps them.
    used: Option<Vec<Arc<Buffer>>>,
    /// While work is being captured, nothing can be uploaded.
    capturing: bool,
    /// Whether a table was refused for that reason.
    starved: bool,
}

impl Constants {
    /// From here on, tables are noted for a recording.
    pub fn begin(&mut self, capturing: bool) {
        self.used = Some(Vec::new());
        (self.capturing, self.starved) = (capturing, false);
    }

    /// Whether a table was missing since [`Constants::begin`].
    pub fn starved(&self) -> bool {
        self.starved
    }

    /// The tables used since [`Constants::begin`].
    pub fn end(&mut self) -> Vec<Arc<Buffer>> {
        self.capturing = false;
        self.used.take().unwrap_or_default()
    }
}

impl Gpu {
    /// The table of `key`, whose bytes are `make()`.
    pub fn constant(&self, key: Key, make: impl FnOnce() -> Vec<u8>) -> Result<Arc<Buffer>> {
        let _turn = self.turn();
        let mut constants = self.constants();
        let table = match constants.tables.get(&key) {
            Some(table) => table.clone(),
            None if constants.capturing => {
                constants.starved = true;
                return Err(DeviceError::Starved);
            }
            None => {
                let bytes = make();
                if constants.bytes + bytes.len() > KEPT {
                    constants.tables.clear();
                    constants.bytes = 0;
                }
                let table = Arc::new(self.single_buffer(bytes.len())?);
                self.write(&table, &bytes)?;
                constants.tables.insert(key, table.clone());
                constants.bytes += bytes.len();
                table
            }
        };
        if let Some(used) = &mut constants.used {
            used.push(table.clone());
        }
        Ok(table)
    }

    /// A table of indices.
    pub fn indices(
        &self,
        tag: &'static str,
        values: impl Iterator<Item = usize>,
    ) -> Result<Arc<Buffer>> {
        let key: Vec<u64> = values.map(|v| v as u64).collect();
        let bytes = key
            .iter()
            .flat_map(|&v| i32::try_from(v).unwrap_or(i32::MAX).to_ne_bytes())
            .collect();
        self.constant((tag, key), || bytes)
    }
}

//! Small tables that operations read: indices, positions, rotary rotations. They are uploaded once
//! and cached by content.

use std::collections::HashMap;
use std::sync::Arc;

use super::gpu::Gpu;
use super::pool::Buffer;
use crate::device::{DeviceError, Result};

/// The largest number of bytes of tables that are cached.
const KEPT: usize = 64 << 20;

/// A table's key: a tag for its kind, and the values it is made from.
pub(super) type Key = (&'static str, Vec<u64>);

/// Tables on the device by their keys.
#[derive(Default)]
pub(super) struct Constants {
    tables: HashMap<Key, Arc<Buffer>>,
    bytes: usize,
    /// Tables used since a recording began, which holds them.
    used: Option<Vec<Arc<Buffer>>>,
    /// Whether work is being captured: nothing can be uploaded then.
    capturing: bool,
    /// Whether a table was refused during a capture.
    starved: bool,
}

impl Constants {
    /// Starts collecting the tables that a recording uses.
    pub fn begin(&mut self, capturing: bool) {
        self.used = Some(Vec::new());
        (self.capturing, self.starved) = (capturing, false);
    }

    /// Checks whether a table was missing since [`Constants::begin`].
    pub fn starved(&self) -> bool {
        self.starved
    }

    /// Returns the tables used since [`Constants::begin`].
    pub fn end(&mut self) -> Vec<Arc<Buffer>> {
        self.capturing = false;
        self.used.take().unwrap_or_default()
    }
}

impl Gpu {
    /// Returns the table of `key`, whose bytes are `make()`.
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

    /// Returns a table of indices.
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

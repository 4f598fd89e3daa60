//! Handles: numbers that stand for objects, so that a wrong one is an error and never a wrong
//! address.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::status::{Failure, FoveateStatus, Result};

/// The number of the next object of any kind. None is given twice.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The living objects of one kind.
pub struct Objects<T> {
    kind: &'static str,
    living: Mutex<BTreeMap<u64, Arc<T>>>,
}

impl<T> Objects<T> {
    pub const fn new(kind: &'static str) -> Objects<T> {
        Objects {
            kind,
            living: Mutex::new(BTreeMap::new()),
        }
    }

    /// Adds an object and returns its number.
    pub fn add(&self, object: T) -> u64 {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.living().insert(id, Arc::new(object));
        id
    }

    /// Returns an object. It lives on, freed or not, for as long as the caller keeps it.
    ///
    /// # Errors
    /// [`FoveateStatus::Handle`] if no living object has that number.
    pub fn get(&self, id: u64) -> Result<Arc<T>> {
        let found = self.living().get(&id).cloned();
        found.ok_or_else(|| self.unknown(id))
    }

    /// Frees an object; 0 is none.
    ///
    /// # Errors
    /// [`FoveateStatus::Handle`] if no living object has that number.
    pub fn free(&self, id: u64) -> Result<()> {
        if id == 0 {
            return Ok(());
        }
        // Dropped after the lock is released: a model takes a while.
        let freed = self.living().remove(&id);
        freed.map(drop).ok_or_else(|| self.unknown(id))
    }

    fn unknown(&self, id: u64) -> Failure {
        let kind = self.kind;
        let found = match id {
            0 => "0, which is none".to_string(),
            id if id < NEXT.load(Ordering::Relaxed) => {
                format!("{id}, which is freed or no {kind}")
            }
            id => format!("{id}, which was never given out"),
        };
        Failure::new(
            FoveateStatus::Handle,
            format!("{kind}: expected the handle of a living one, found {found}"),
        )
    }

    fn living(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<T>>> {
        // No code panics while it holds the lock.
        self.living.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_of_one_object_while_it_lives() {
        let objects = Objects::new("thing");
        let others = Objects::new("other");
        let (id, other) = (objects.add("a"), others.add("b"));
        assert_eq!(objects.get(id).ok().as_deref(), Some(&"a"));
        let held = objects.get(id);
        assert!(objects.free(id).is_ok());
        assert_eq!(held.ok().as_deref(), Some(&"a"));
        for wrong in [id, other, 0, u64::MAX] {
            let failure = objects.get(wrong).unwrap_err();
            assert_eq!(failure.status, FoveateStatus::Handle);
            assert!(
                failure.message.starts_with("thing: "),
                "{}",
                failure.message
            );
        }
        assert_eq!(objects.free(id).unwrap_err().status, FoveateStatus::Handle);
        assert!(objects.free(0).is_ok());
        assert_ne!(objects.add("c"), id);
    }
}

//! The pictures that were sent, the last of them kept.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::picture::Picture;

/// The most pictures that are kept.
const PICTURES: usize = 16;
/// The most bytes of their pixels; the last picture is kept whatever its size.
const BYTES: usize = 1 << 30;

/// Pictures by number; the oldest are dropped.
#[derive(Default)]
pub(super) struct Pictures {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    last: u64,
    pictures: VecDeque<(u64, Arc<Picture>)>,
}

impl Pictures {
    /// Keeps a picture and returns its number.
    pub fn keep(&self, picture: Arc<Picture>) -> u64 {
        let mut kept = self.kept.lock();
        kept.last += 1;
        let id = kept.last;
        kept.pictures.push_back((id, picture));
        let bytes = |kept: &Kept| -> usize {
            let each = kept.pictures.iter();
            each.map(|(_, picture)| picture.rgb().len()).sum()
        };
        while kept.pictures.len() > PICTURES || (kept.pictures.len() > 1 && bytes(&kept) > BYTES) {
            kept.pictures.pop_front();
        }
        id
    }

    /// Returns the picture of that number, if it is still kept.
    pub fn get(&self, id: u64) -> Option<Arc<Picture>> {
        let kept = self.kept.lock();
        let mut pictures = kept.pictures.iter();
        let found = pictures.find(|(of, _)| *of == id);
        found.map(|(_, picture)| picture.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_dropped() {
        let pictures = Pictures::default();
        let picture = Arc::new(Picture::from_rgb(1, 1, vec![0; 3]).unwrap());
        for id in 1..=PICTURES as u64 + 2 {
            assert_eq!(pictures.keep(picture.clone()), id);
        }
        assert!(pictures.get(2).is_none() && pictures.get(3).is_some());
        assert!(pictures.get(0).is_none() && pictures.get(99).is_none());
    }
}

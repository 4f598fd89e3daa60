//! A run as one self-contained HTML file that needs no network and no other file.
//!
//! A [`Page`] holds the beginning of the file: the properties of the run, and of every sample the
//! fields for searching, sorting and counting. A [`Detail`] holds the rest of a sample, including
//! its picture and its map. [`write_page`] writes a page and its details one after the other, so
//! that a run of any size needs little memory; a browser reads a detail when its sample comes near
//! the screen. Every text is embedded as data: the content of a question or an answer is never
//! interpreted as HTML or script.

mod data;
pub(crate) mod embed;
mod explanation;
mod map;
pub(crate) mod parts;
mod summary;
mod thumbnail;
mod write;

#[cfg(test)]
mod tests;

pub use data::{
    CurveLines, Detail, Entry, Page, PageFaithfulness, PagePicture, PageToken, PageUnit,
};
pub use map::MapCells;
pub use summary::{Mean, Share, Summary};
#[cfg(feature = "serve")]
pub(crate) use thumbnail::address;
pub use thumbnail::{THUMBNAIL, thumbnail};
pub use write::write_page;

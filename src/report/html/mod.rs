//! A run as one HTML file that needs nothing else: no network, no other file.
//!
//! A [`Page`] says what the file begins with: what the run is, and of every sample as much as
//! searching, sorting and counting take. A [`Detail`] is the rest of a sample, its picture and its
//! map among it. [`write_page`] writes a page and its details one after the other, so that a run of
//! any size passes through little memory; a browser reads a detail when its sample comes near the
//! screen. Every text goes in as data: nothing that a question or an answer says is taken for HTML
//! or for a program.

mod data;
mod embed;
mod map;
mod summary;
mod thumbnail;
mod write;

#[cfg(test)]
mod tests;

pub use data::{CurveLines, Detail, Entry, Page, PageToken};
pub use map::MapCells;
pub use summary::{Mean, Share, Summary};
pub use thumbnail::{THUMBNAIL, thumbnail};
pub use write::write_page;

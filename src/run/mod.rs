//! Many samples: data sets, records, shards, resuming.
//!
//! A run asks a model about every row of a [`Data`] set and keeps one [`Record`] of each in a
//! folder, with the masks beside them: [`work`] does that, [`Run`] reads it. `docs/runs.md` has the
//! formats.
//!
//! ```no_run
//! # fn main() -> Result<(), foveate::run::RunError> {
//! let run = foveate::run::Run::open("out".as_ref())?;
//! for record in run.records()? {
//!     let record = record?;
//!     let answer = record.explanation.as_ref().map(|e| &e.answer.text);
//!     let cells = run.mask(&record)?.map_or(0, |mask| mask.values().len());
//!     println!("{}: {answer:?}, {cells} cells", record.id);
//! }
//! # Ok(())
//! # }
//! ```

mod data;
mod error;
mod evidence;
mod export;
mod files;
mod hub;
mod images;
mod judge;
mod launcher;
mod layout;
mod manifest;
mod masks;
mod merge;
mod order;
mod reader;
mod record;
mod recorded;
mod sample;
mod segmentation;
mod shard;
mod store;
mod table;
mod work;

pub use data::{Data, DataOptions};
pub use error::{FileAction, RunError};
pub use evidence::{Evidence, EvidenceMask};
#[cfg(feature = "analyse")]
pub(crate) use evidence::{LONGEST as LONGEST_EVIDENCE, within};
pub use export::{Cell, Exported, Kind, Table, export, samples, tokens};
pub use hub::HubSplit;
pub use images::ImageFolder;
pub use judge::{Judgement, judge};
pub use launcher::{Assignment, Environment};
pub use layout::{AnswerFormat, Ask, BoxFormat, Columns, Layout};
pub use manifest::{DataIdentity, DeviceIdentity, Manifest, ModelIdentity};
pub use merge::merge;
pub use reader::{Records, Run};
pub use record::{Answer, Cause, Explained, Failure, MaskPlace, Record, RecordImage};
pub use recorded::RecordedAnswers;
pub use sample::{BadRow, EvidenceSource, Picked, Rectangle, Right, Sample, Source};
pub use segmentation::Segmentation;
pub use shard::Shard;
pub use store::{Store, Timing, Unjudged};
pub use work::{Job, Summary, Watch, work};

/// Result of the operations of this module.
pub type Result<T> = std::result::Result<T, RunError>;

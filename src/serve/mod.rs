//! A page on which one asks a model questions about pictures, for this machine alone.
//!
//! [`serve`] answers HTTP on an address of 127.0.0.1 below a random token. The page is in the
//! program and loads nothing else. Pictures are kept in memory, jobs wait in a bounded queue, and
//! one thread explains one after the other with the model of the [`Program`]; what it finds goes to
//! the page as server-sent events. What the command line knows (options by name, the files of an
//! explanation) is behind [`Program`].

mod address;
mod body;
mod events;
mod job;
mod jobs;
mod page;
mod pictures;
mod program;
mod question;
mod refusal;
mod response;
mod routes;
mod server;
mod worker;

pub use address::Address;
pub use program::{Choice, Given, PageOption, Program};
pub use server::serve;

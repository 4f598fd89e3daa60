//! Tests of `foveate report`: the file that it writes, and the page in a browser.

mod browser;
mod made_up;
mod page;
mod program;

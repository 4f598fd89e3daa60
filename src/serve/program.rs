//! What the server asks of the program around it.

use std::path::PathBuf;

use serde::Serialize;

use crate::explain::{Explanation, Request, Settings};
use crate::lvlm::Lvlm;
use crate::picture::Limits;

/// An option by its name on the command line, without dashes in front, and its value; `None` for
/// one that takes none.
pub type Given = (String, Option<String>);

/// An option of a question as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub struct PageOption {
    /// The name on the command line, without dashes in front.
    pub name: String,
    /// The help.
    pub help: String,
    /// Whether it takes no value.
    pub switch: bool,
    /// The default, where it does not depend on other options.
    pub default: Option<String>,
    /// The values that it can have; empty if they are not listed.
    pub values: Vec<Choice>,
}

/// A value of an option.
#[derive(Clone, Debug, Serialize)]
pub struct Choice {
    /// The value.
    pub name: String,
    /// What it means; may be empty.
    pub help: String,
}

/// The program around the server: its model, and what the command line knows. Errors are messages.
pub trait Program: Send + Sync {
    /// Returns the model that answers.
    fn model(&self) -> &dyn Lvlm;
    /// Returns a remark on the model for its users, if there is one.
    fn remark(&self) -> Option<&str>;
    /// Returns what pictures are read.
    fn limits(&self) -> Limits;
    /// Lists the options of a question.
    fn options(&self) -> Vec<PageOption>;
    /// Returns the settings that options ask for.
    ///
    /// # Errors
    /// For an option that does not exist, has a wrong value or contradicts others.
    fn settings(&self, given: &[Given]) -> Result<Settings, String>;
    /// Returns the folder below which explanations are saved, if they can be.
    fn output(&self) -> Option<PathBuf>;
    /// Saves an explanation in a new folder below [`Program::output`], and returns the folder.
    ///
    /// # Errors
    /// If there is no such folder, or it cannot be written to.
    fn save(&self, request: &Request, explanation: &Explanation) -> Result<PathBuf, String>;
    /// Returns whether the server is to end.
    fn stopped(&self) -> bool;
}

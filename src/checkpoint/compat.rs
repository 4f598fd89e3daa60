//! Other programs whose results can be reproduced.

use serde::{Deserialize, Serialize};

/// A program whose results are reproduced with what is particular to it, for where numbers must be
/// compared; `docs/methods.md` says what that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// That of the paper's authors, `bytedance/LVLM_Interpretation`.
    #[serde(rename = "lvlm-interpretation")]
    LvlmInterpretation,
}

impl std::fmt::Display for Compat {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Compat::LvlmInterpretation => "lvlm-interpretation",
        })
    }
}

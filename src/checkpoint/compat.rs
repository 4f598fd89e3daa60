//! Other programs whose results can be reproduced.

use serde::{Deserialize, Serialize};

/// A program whose results are reproduced, including its peculiarities, for comparing numbers;
/// `docs/methods.md` lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compat {
    /// The program of the paper's authors, `bytedance/LVLM_Interpretation`.
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

//! Data inside HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::report::{ReportError, Result};

/// Bytes as base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Data as JSON that can stand in a `<script>` element: without `<`, no text in it ends the element
/// or begins a comment. In JSON that character occurs in strings alone, where the escape means the
/// same.
///
/// # Errors
/// [`ReportError::Page`] for data that are not JSON's.
pub(super) fn json(data: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(data).map_err(ReportError::page)?;
    Ok(text.replace('<', "\\u003c"))
}

/// The source expression of a content security policy that allows exactly this script.
pub(super) fn script_hash(script: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(script)))
}

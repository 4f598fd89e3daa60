//! Embedding data in HTML.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::report::{ReportError, Result};

/// Encodes bytes as base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Serialises data as JSON for a `<script>` element: without `<`, no text in it can end the element
/// or begin a comment. In JSON that character occurs only in strings, where the escape is
/// equivalent.
///
/// # Errors
/// Returns [`ReportError::Page`] if the data cannot be serialised.
pub(crate) fn json(data: &impl Serialize) -> Result<String> {
    let text = serde_json::to_string(data).map_err(ReportError::page)?;
    Ok(text.replace('<', "\\u003c"))
}

/// Returns the source expression of a content security policy that allows exactly this script, or
/// style.
pub(crate) fn script_hash(script: &str) -> String {
    format!("'sha256-{}'", base64(&Sha256::digest(script)))
}

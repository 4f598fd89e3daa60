//! Search for a checkpoint's chat template.

use super::processor_file::PROCESSOR_CONFIG;
use super::special::TOKENIZER_CONFIG;
use super::{CheckpointError, Files};
use serde_json::Value;

const JINJA: &str = "chat_template.jinja";
const JSON: &str = "chat_template.json";
/// The folder of named templates, and the name of the one that is used.
const FOLDER: &str = "additional_chat_templates";
const DEFAULT: &str = "additional_chat_templates/default.jinja";
const FIELD: &str = "chat_template";

/// Returns the template's text and its file, searched as transformers'
/// `ProcessorMixin.get_processor_dict` does: in processor_config.json, else in chat_template.json,
/// else in chat_template.jinja, else in additional_chat_templates/default.jinja. These are all the
/// places that a processor searches; its tokenizer also searches tokenizer_config.json, which comes
/// last here.
///
/// # Errors
/// As [`Files::text`], and [`CheckpointError::Template`] for templates that transformers refuses:
/// chat_template.json beside additional templates, additional templates without a default, a
/// template that is not text.
pub(super) fn find(files: &Files) -> Result<Option<(String, &'static str)>, CheckpointError> {
    let fail = |file: &str, reason: &str| CheckpointError::Template {
        file: files.path(file),
        reason: reason.to_string(),
    };
    let old = files.json(JSON)?;
    let additional = files.has_within(FOLDER, ".jinja")?;
    if old.is_some() && additional {
        let reason = format!("expected no {FOLDER} beside it: only one of them can count");
        return Err(fail(JSON, &reason));
    }
    let wrong = "expected a text, or a table with one named \"default\"";
    if let Some(json) = files.json(PROCESSOR_CONFIG)?
        && let Some(template) = json.get(FIELD).filter(|value| !value.is_null())
    {
        let text = text(template).ok_or_else(|| fail(PROCESSOR_CONFIG, wrong))?;
        return Ok(Some((text.to_string(), PROCESSOR_CONFIG)));
    }
    if let Some(json) = &old {
        let reason = format!("expected a field {FIELD}");
        let template = json.get(FIELD).ok_or_else(|| fail(JSON, &reason))?;
        let text = match template {
            Value::Null => "",
            other => text(other).ok_or_else(|| fail(JSON, wrong))?,
        };
        if !text.is_empty() {
            return Ok(Some((text.to_string(), JSON)));
        }
    } else {
        for file in [JINJA, DEFAULT] {
            if let Some(text) = files.text(file)?.filter(|text| !text.is_empty()) {
                return Ok(Some((text, file)));
            }
        }
        if additional {
            return Err(fail(FOLDER, "expected one called default.jinja"));
        }
    }
    let config = files.json(TOKENIZER_CONFIG)?;
    match config.as_ref().and_then(|json| json.get(FIELD)) {
        None | Some(Value::Null) => Ok(None),
        Some(template) => {
            let named = template.as_array().into_iter().flatten();
            let mut default = named.filter(|entry| entry["name"] == "default");
            let default = default.find_map(|entry| entry["template"].as_str());
            let wrong = "expected a text, or a list with one named \"default\"";
            let text = text(template).or(default);
            let text = text.ok_or_else(|| fail(TOKENIZER_CONFIG, wrong))?;
            Ok(Some((text.to_string(), TOKENIZER_CONFIG)))
        }
    }
}

/// Returns a template, or the default one of several.
fn text(template: &Value) -> Option<&str> {
    let default = || template.get("default").and_then(Value::as_str);
    template.as_str().or_else(default)
}

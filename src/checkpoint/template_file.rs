//! Which file a checkpoint's chat template is from.

use super::processor_file::PROCESSOR_CONFIG;
use super::special::TOKENIZER_CONFIG;
use super::{CheckpointError, Files};
use serde_json::Value;

const JINJA: &str = "chat_template.jinja";
const JSON: &str = "chat_template.json";
/// The folder of templates that have names, and the one that counts.
const FOLDER: &str = "additional_chat_templates";
const DEFAULT: &str = "additional_chat_templates/default.jinja";
const FIELD: &str = "chat_template";

/// The template's text and the file it is from, as transformers'
/// `ProcessorMixin.get_processor_dict` finds it: in processor_config.json, else in
/// chat_template.json, else in chat_template.jinja, else in
/// additional_chat_templates/default.jinja. A processor knows no other place; its tokenizer also
/// knows tokenizer_config.json, which is looked at last.
///
/// # Errors
/// As [`Files::text`], and [`CheckpointError::Template`] for templates that transformers refuses:
/// chat_template.json beside additional templates, additional templates none of which is the
/// default, what is no text.
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

/// A template, or the default one of several.
fn text(template: &Value) -> Option<&str> {
    let default = || template.get("default").and_then(Value::as_str);
    template.as_str().or_else(default)
}

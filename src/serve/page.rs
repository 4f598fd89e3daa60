//! The page: one file with its style, its script and its data.

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use minijinja::context;
use minijinja::value::Value;
use serde_json::json;

use super::program::Program;
use super::routes::PICTURE_BYTES;
use crate::report::ReportError;
use crate::report::html::embed::{json, script_hash};
use crate::report::html::parts;

const SHELL: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// The parts of the script; each part uses those above it.
const SCRIPTS: [&str; 11] = [
    parts::DATA,
    parts::MAP,
    parts::PLOTS,
    parts::TEXT,
    parts::SLIDER,
    parts::KEYS,
    include_str!("page/server.js"),
    include_str!("page/settings.js"),
    include_str!("page/picture.js"),
    include_str!("page/panel.js"),
    include_str!("page/studio.js"),
];

/// The page as it is sent.
pub(super) struct Page {
    pub html: Bytes,
    /// Its content security policy: its own script and style, pictures inside it, and requests to
    /// this server.
    pub policy: HeaderValue,
}

impl Page {
    /// Renders the page of a program.
    ///
    /// # Errors
    /// [`ReportError::Page`] if it cannot be rendered.
    pub fn new(program: &dyn Program) -> Result<Page, ReportError> {
        let style = [parts::STYLE, STYLE].concat();
        let script = SCRIPTS.concat();
        let policy = format!(
            "default-src 'none'; script-src {}; style-src {}; img-src data:; connect-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
            script_hash(&script),
            script_hash(&style),
        );
        let policy = HeaderValue::try_from(policy).map_err(ReportError::page)?;
        let model = program.model();
        let data = json(&json!({
            "entries": [],
            "ramp": parts::ramp(),
            "options": program.options(),
            "saves": program.output().is_some(),
            "most": PICTURE_BYTES,
        }))?;
        let values = context! {
            model => model.name(),
            family => model.family(),
            device => model.device(),
            dtype => model.dtype(),
            remark => program.remark(),
            output => program.output().map(|path| path.display().to_string()),
            version => env!("CARGO_PKG_VERSION"),
            style => Value::from_safe_string(style),
            script => Value::from_safe_string(script),
            data => Value::from_safe_string(data),
        };
        Ok(Page {
            html: parts::render(SHELL, values)?.into(),
            policy,
        })
    }
}

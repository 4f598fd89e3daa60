//! Writing the file.

use std::io::Write;

use minijinja::context;
use minijinja::value::Value;
use serde_json::json;

use super::embed::{json, script_hash};
use super::parts::{self, ramp};
use super::{Detail, Mean, Page, Share, Summary};
use crate::report::{ReportError, Result};

const SHELL: &str = include_str!("page.html");
/// The parts of the script; each part uses those above it.
const SCRIPTS: [&str; 9] = [
    parts::DATA,
    parts::MAP,
    parts::PLOTS,
    parts::TEXT,
    parts::SLIDER,
    include_str!("card.js"),
    include_str!("list.js"),
    parts::KEYS,
    include_str!("reader.js"),
];

/// Writes a page and the details of its samples, one for each entry and in the same order.
///
/// # Errors
/// Returns the errors of `details`, [`ReportError::Page`] if writing fails, and
/// [`ReportError::Length`] if the number of details differs from that of the entries.
pub fn write_page<E: From<ReportError>>(
    out: &mut dyn Write,
    page: &Page,
    details: impl Iterator<Item = std::result::Result<Detail, E>>,
) -> std::result::Result<(), E> {
    let script = SCRIPTS.concat();
    let shell = shell(page, &script)?;
    let index = json(&json!({ "entries": page.entries, "ramp": ramp() }))?;
    put(out, &shell)?;
    put(out, &block("index", &index))?;
    let mut written = 0;
    for detail in details {
        let text = json(&detail?)?;
        put(out, &block(&format!("detail{written}"), &text))?;
        written += 1;
    }
    if written != page.entries.len() {
        return Err(E::from(ReportError::Length {
            what: "samples of the page",
            expected: page.entries.len(),
            found: written,
        }));
    }
    put(
        out,
        &format!("<script>{script}</script>\n</body>\n</html>\n"),
    )?;
    Ok(())
}

fn put(out: &mut dyn Write, text: &str) -> Result<()> {
    out.write_all(text.as_bytes()).map_err(ReportError::page)
}

fn block(id: &str, json: &str) -> String {
    format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n")
}

/// Renders everything before the data.
fn shell(page: &Page, script: &str) -> Result<String> {
    let summary = Summary::of(&page.entries);
    let mut causes: Vec<String> = summary
        .causes
        .iter()
        .map(|(cause, count)| format!("{cause} {count}"))
        .collect();
    if causes.is_empty() {
        causes.push("none".into());
    }
    let share = |share: Share| {
        context! { percent => share.percent(), count => share.count, of => share.of }
    };
    let mean =
        |mean: Mean| context! { value => mean.value.map(|v| format!("{v:.3}")), of => mean.of };
    parts::render(
        SHELL,
        context! {
            title => page.title.as_str(),
            facts => page.facts.clone(),
            expected => page.expected,
            samples => summary.samples,
            correct => share(summary.correct),
            image_dependent => share(summary.image_dependent),
            deletion => mean(summary.deletion),
            insertion => mean(summary.insertion),
            failed => summary.failed,
            causes => causes.join(", "),
            version => env!("CARGO_PKG_VERSION"),
            script_hash => script_hash(script),
            style => Value::from_safe_string(parts::STYLE.to_string()),
        },
    )
}

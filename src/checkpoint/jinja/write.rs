//! Conversion of values to text: Python's `str`, `repr` and `json.dumps`.

use super::evaluate::Run;
use super::numbers::float_text;
use super::value::{Items, Value};
use super::{Error, Result};

impl Run {
    /// Returns Python's `str` of a value.
    pub fn text(&self, value: &Value) -> Result<String> {
        let mut out = String::new();
        match value {
            Value::Text(text) => {
                self.work(text.len() / 16)?;
                out.push_str(text);
            }
            Value::Undefined(_) => {}
            other => self.repr(other, &mut out)?,
        }
        Ok(out)
    }

    /// Writes Python's `repr` of a value.
    pub fn repr(&self, value: &Value, out: &mut String) -> Result<()> {
        self.work(1)?;
        match value {
            Value::Undefined(_) => out.push_str("Undefined"),
            Value::None => out.push_str("None"),
            Value::Bool(true) => out.push_str("True"),
            Value::Bool(false) => out.push_str("False"),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&float_text(*number)),
            Value::Text(text) => {
                self.work(text.len() / 8)?;
                quote(text, out)?;
            }
            Value::List(items) => self.repr_items(items, "[", "]", out)?,
            Value::Tuple(items) if items.values.len() == 1 => {
                self.repr_items(items, "(", ",)", out)?;
            }
            Value::Tuple(items) => self.repr_items(items, "(", ")", out)?,
            Value::View(name, items) => {
                out.push_str(name);
                self.repr_items(items, "([", "])", out)?;
            }
            Value::Dict(entries) => {
                out.push('{');
                for (at, (key, value)) in entries.pairs.iter().enumerate() {
                    if at > 0 {
                        out.push_str(", ");
                    }
                    self.repr(key, out)?;
                    out.push_str(": ");
                    self.repr(value, out)?;
                }
                out.push('}');
            }
            Value::Range(start, stop, 1) => out.push_str(&format!("range({start}, {stop})")),
            Value::Range(start, stop, step) => {
                out.push_str(&format!("range({start}, {stop}, {step})"));
            }
            other => {
                let reason = format!("a {} is not written", other.type_name());
                return Err(Error::new(reason));
            }
        }
        Ok(())
    }

    fn repr_items(&self, items: &Items, open: &str, close: &str, out: &mut String) -> Result<()> {
        out.push_str(open);
        for (at, value) in items.values.iter().enumerate() {
            if at > 0 {
                out.push_str(", ");
            }
            self.repr(value, out)?;
        }
        out.push_str(close);
        Ok(())
    }
}

/// Writes a string in quotes, as Python's `repr` does.
fn quote(text: &str, out: &mut String) -> Result<()> {
    let mark = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(mark);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == mark => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            '\0'..='\u{a0}' | '\u{ad}' => out.push_str(&format!("\\x{:02x}", c as u32)),
            '\u{a1}'..='\u{377}' => out.push(c),
            '\u{e000}'..='\u{f8ff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            '\u{f0000}'.. => out.push_str(&format!("\\U{:08x}", c as u32)),
            // Whether Python prints other characters depends on the Unicode version that it was
            // built with.
            c if c.is_alphanumeric() || is_printed(c) => out.push(c),
            c => {
                let reason = format!("the repr of U+{:04X} is not known", c as u32);
                return Err(Error::new(reason));
            }
        }
    }
    out.push(mark);
    Ok(())
}

/// Checks for blocks of punctuation and symbols without unassigned characters.
fn is_printed(c: char) -> bool {
    matches!(
        c,
        '\u{2010}'..='\u{2027}'
            | '\u{2030}'..='\u{205e}'
            | '\u{20a0}'..='\u{20bf}'
            | '\u{2190}'..='\u{23ff}'
            | '\u{2500}'..='\u{27bf}'
            | '\u{3001}'..='\u{303f}'
            | '\u{ff01}'..='\u{ff65}'
            | '\u{1f300}'..='\u{1f64f}'
    )
}

/// The options of `json.dumps`.
pub(super) struct Json {
    pub ascii: bool,
    /// The indentation of one level; `None` writes everything on one line.
    pub indent: Option<String>,
    /// The separators between items, and after keys.
    pub separators: (String, String),
    pub sort_keys: bool,
}

impl Run {
    /// Writes a value as Python's `json.dumps` does.
    pub fn json(&self, value: &Value, how: &Json, level: usize, out: &mut String) -> Result<()> {
        self.work(1 + (how.separators.0.len() + how.separators.1.len()) / 16)?;
        let line = |out: &mut String, level: usize| -> Result<()> {
            if let Some(indent) = &how.indent {
                self.work(indent.len().saturating_mul(level) / 16 + 1)?;
                out.push('\n');
                for _ in 0..level {
                    out.push_str(indent);
                }
            }
            Ok(())
        };
        match value {
            Value::None => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Int(number) => out.push_str(&number.to_string()),
            Value::Float(number) => out.push_str(&json_float(*number)),
            Value::Text(text) => {
                self.work(text.len() / 8)?;
                json_text(text, how.ascii, out);
            }
            Value::List(items) | Value::Tuple(items) => {
                if items.values.is_empty() {
                    out.push_str("[]");
                    return Ok(());
                }
                out.push('[');
                for (at, value) in items.values.iter().enumerate() {
                    if at > 0 {
                        out.push_str(&how.separators.0);
                    }
                    line(out, level + 1)?;
                    self.json(value, how, level + 1, out)?;
                }
                line(out, level)?;
                out.push(']');
            }
            Value::Dict(entries) => {
                if entries.pairs.is_empty() {
                    out.push_str("{}");
                    return Ok(());
                }
                let mut pairs: Vec<&(Value, Value)> = entries.pairs.iter().collect();
                if how.sort_keys {
                    self.sort(&mut pairs, |pair| Ok(pair.0.clone()))?;
                }
                out.push('{');
                for (at, (key, value)) in pairs.into_iter().enumerate() {
                    if at > 0 {
                        out.push_str(&how.separators.0);
                    }
                    line(out, level + 1)?;
                    match key {
                        Value::Text(text) => json_text(text, how.ascii, out),
                        Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                            out.push('"');
                            self.json(key, how, level, out)?;
                            out.push('"');
                        }
                        other => {
                            let found = other.type_name();
                            return Err(Error::new(format!("{found} is no key of JSON")));
                        }
                    }
                    out.push_str(&how.separators.1);
                    self.json(value, how, level + 1, out)?;
                }
                line(out, level)?;
                out.push('}');
            }
            other => {
                let found = other.type_name();
                let reason = format!("Object of type {found} is not JSON serializable");
                return Err(Error::new(reason));
            }
        }
        Ok(())
    }
}

fn json_float(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_string()
    } else if value.is_infinite() {
        if value > 0.0 { "Infinity" } else { "-Infinity" }.to_string()
    } else {
        float_text(value)
    }
}

fn json_text(text: &str, ascii: bool, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            ' '..='~' => out.push(c),
            c if ascii => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

//! The configurations in a data set's card, README.md.

use std::path::Path;

use super::walk;
use super::yaml::{Node, front_matter};
use crate::run::files::read_text;
use crate::run::{Result, RunError};

const CARD: &str = "README.md";
/// The largest size of a card in bytes.
const LONGEST_CARD: u64 = 4 << 20;
/// Members of a configuration that do not change which rows there are.
const KNOWN: [&str; 5] = [
    "config_name",
    "data_files",
    "default",
    "version",
    "description",
];

/// A configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: String,
    /// Whether the card calls it the default.
    pub default: bool,
    /// The splits, and the patterns of their files; `None` if the files' names determine them.
    pub splits: Option<Vec<(String, Vec<String>)>>,
}

impl Config {
    /// Returns the configuration of a folder without any.
    pub fn unnamed() -> Config {
        Config {
            name: "default".into(),
            default: true,
            splits: None,
        }
    }
}

/// Reads the configurations; none if there is no card or it has none.
///
/// # Errors
/// Returns an error with the line or the configuration if the card cannot be read or has another
/// form.
pub fn configs(folder: &Path) -> Result<Vec<Config>> {
    let path = folder.join(CARD);
    if path.symlink_metadata().is_err() {
        return Ok(Vec::new());
    }
    walk::expect_below(folder, CARD)?;
    let text = read_text(&path, LONGEST_CARD).map_err(RunError::reading(&path))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let wrong = |place: String, found: String| RunError::Data {
        path: format!("{}: {place}", path.display()),
        expected: "`configs` as datasets writes them".into(),
        found,
    };
    let node = front_matter(text, "configs")
        .map_err(|(line, reason)| wrong(format!("line {line}"), reason))?;
    let items = match node {
        None | Some(Node::Nothing) => return Ok(Vec::new()),
        Some(Node::List(items)) => items,
        Some(_) => return Err(wrong("configs".into(), "no list".into())),
    };
    let mut configs: Vec<Config> = Vec::new();
    for (place, item) in items.into_iter().enumerate() {
        let config =
            config(item).map_err(|found| wrong(format!("configuration {place}"), found))?;
        if configs.iter().any(|other| other.name == config.name) {
            return Err(wrong(
                format!("configuration {place}"),
                format!("{:?} twice", config.name),
            ));
        }
        configs.push(config);
    }
    Ok(configs)
}

/// Returns whether a text can be the name of a split (`_split_re` of `datasets`).
pub fn is_split(name: &str) -> bool {
    let word =
        |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_');
    name.split('.').all(word)
}

fn config(node: Node) -> std::result::Result<Config, String> {
    let Node::Mapping(members) = node else {
        return Err("no mapping".into());
    };
    if let Some((name, _)) = members
        .iter()
        .find(|(name, _)| !KNOWN.contains(&name.as_str()))
    {
        return Err(format!("the member {name:?}, which is not supported"));
    }
    let member = |name: &str| {
        members
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, node)| node)
    };
    let name = member("config_name").ok_or("no config_name")?;
    let default = match member("default") {
        None => false,
        Some(Node::Text(text, false)) if text == "true" => true,
        Some(Node::Text(text, false)) if text == "false" => false,
        Some(_) => return Err("a default that is neither true nor false".into()),
    };
    Ok(Config {
        name: name_of(name)?,
        default,
        splits: member("data_files").map(splits).transpose()?,
    })
}

/// Reads `data_files`: patterns of the split `train`, or splits with their patterns.
fn splits(node: &Node) -> std::result::Result<Vec<(String, Vec<String>)>, String> {
    let Node::List(items) = node else {
        return Ok(vec![("train".into(), paths(node)?)]);
    };
    if !items.iter().any(|item| matches!(item, Node::Mapping(_))) {
        return Ok(vec![("train".into(), paths(node)?)]);
    }
    let mut splits: Vec<(String, Vec<String>)> = Vec::new();
    for item in items {
        let (split, path) = match item {
            Node::Mapping(members) => match members.as_slice() {
                [(a, split), (b, path)] if a == "split" && b == "path" => (split, path),
                [(a, path), (b, split)] if a == "path" && b == "split" => (split, path),
                _ => return Err("data_files: an item without exactly split and path".into()),
            },
            _ => return Err("data_files: an item without split and path among others".into()),
        };
        let split = name_of(split)?;
        if !is_split(&split) {
            return Err(format!("data_files: {split:?} as the name of a split"));
        }
        if splits.iter().any(|(other, _)| *other == split) {
            return Err(format!("data_files: the split {split:?} twice"));
        }
        splits.push((split, paths(path)?));
    }
    Ok(splits)
}

fn paths(node: &Node) -> std::result::Result<Vec<String>, String> {
    let items = match node {
        Node::List(items) if !items.is_empty() => items.as_slice(),
        Node::Text(..) => std::slice::from_ref(node),
        _ => return Err("data_files: no path".into()),
    };
    items.iter().map(name_of).collect()
}

/// Reads text that YAML does not read as a number, a date, a truth value or nothing.
fn name_of(node: &Node) -> std::result::Result<String, String> {
    const OTHER: [&str; 9] = [
        "true", "false", "yes", "no", "on", "off", "null", "~", "nan",
    ];
    match node {
        Node::Text(text, true) => Ok(text.clone()),
        Node::Text(text, false) => {
            let other = OTHER.contains(&text.to_ascii_lowercase().as_str())
                || text.starts_with([
                    '+', '-', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9',
                ]) && text
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() || "+-._:xoe TZ".contains(c));
            match other {
                true => Err(format!(
                    "{text}, which YAML may not read as text: put it in quotes"
                )),
                false => Ok(text.clone()),
            }
        }
        _ => Err("no text where a name or a path belongs".into()),
    }
}

//! Hugging Face's cache of downloaded repositories. Nothing is downloaded here.

use std::path::{Path, PathBuf};

/// Returns the folder of the cache's repositories, as `huggingface_hub.constants` finds it:
/// `HF_HUB_CACHE`, else its old name `HUGGINGFACE_HUB_CACHE`, else `hub` in `HF_HOME`, else in
/// `huggingface` in `XDG_CACHE_HOME`, else in `~/.cache`. A leading `~`, `$NAME` and `${NAME}` are
/// expanded as in a shell. An empty variable counts as unset, unlike there, where it is the working
/// directory.
pub fn hub() -> Option<PathBuf> {
    hub_of(&|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

/// An environment: returns a variable's value.
type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

fn hub_of(variable: Environment) -> Option<PathBuf> {
    let named = ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"];
    if let Some(hub) = named.iter().find_map(|name| variable(name)) {
        return Some(PathBuf::from(expanded(&hub, variable)));
    }
    let home = || {
        let cache = || Some(Path::new(&variable("HOME")?).join(".cache"));
        let cache = variable("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(cache)?;
        Some(cache.join("huggingface").to_string_lossy().into_owned())
    };
    let home = variable("HF_HOME").or_else(home)?;
    Some(Path::new(&expanded(&home, variable)).join("hub"))
}

/// Expands a leading `~` to the user's home folder, and variables to their values; names of unset
/// variables stay.
fn expanded(path: &str, variable: Environment) -> String {
    let home = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (home, variable("HOME")) {
        (Some(rest), Some(home)) => format!("{}{rest}", home.trim_end_matches('/')),
        _ => path.to_string(),
    };
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let braced = after
            .strip_prefix('{')
            .and_then(|inside| inside.split_once('}'));
        let (name, after) = braced.unwrap_or_else(|| {
            let end = after.find(|c: char| !word(c)).unwrap_or(after.len());
            after.split_at(end)
        });
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    out + rest
}

/// Returns the cached snapshot of a repository such as `llava-hf/llava-1.5-7b-hf`: the one that
/// `main` points at, else the only one.
pub fn snapshot(hub: &Path, repository: &str) -> Option<PathBuf> {
    let whole = |part: &str| {
        let plain = part
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
        plain && !part.is_empty() && !part.starts_with('.')
    };
    let mut parts = repository.split('/');
    let (owner, name) = (parts.next()?, parts.next()?);
    if parts.next().is_some() || !whole(owner) || !whole(name) {
        return None;
    }
    let folder = hub.join(format!("models--{owner}--{name}"));
    let snapshots = folder.join("snapshots");
    let main = std::fs::read_to_string(folder.join("refs/main")).ok();
    if let Some(revision) = main.as_deref().map(str::trim).filter(|r| whole(r)) {
        let snapshot = snapshots.join(revision);
        if snapshot.is_dir() {
            return Some(snapshot);
        }
    }
    let entries = std::fs::read_dir(snapshots).ok()?;
    let folders = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut folders = folders.filter(|path| path.is_dir());
    match (folders.next(), folders.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are those of `huggingface_hub.constants`, version 2.4.0.
    #[test]
    fn the_cache_is_where_the_environment_says() {
        let home = ("HOME", "/home/u");
        for (set, expected) in [
            (&[home][..], "/home/u/.cache/huggingface/hub"),
            (&[home, ("XDG_CACHE_HOME", "/x")], "/x/huggingface/hub"),
            (
                &[home, ("XDG_CACHE_HOME", "~/x")],
                "/home/u/x/huggingface/hub",
            ),
            (
                &[home, ("HF_HOME", "~/hf"), ("XDG_CACHE_HOME", "/x")],
                "/home/u/hf/hub",
            ),
            (&[home, ("HF_HOME", "$HOME/hf")], "/home/u/hf/hub"),
            (&[home, ("HF_HOME", "${HOME}/hf$")], "/home/u/hf$/hub"),
            (
                &[home, ("HF_HOME", "/hf/$NONE/${NONE}/a~b")],
                "/hf/$NONE/${NONE}/a~b/hub",
            ),
            (
                &[home, ("HF_HOME", "/hf"), ("HUGGINGFACE_HUB_CACHE", "~/old")],
                "/home/u/old",
            ),
            (
                &[("HF_HUB_CACHE", "/$A-$B/c"), ("A", "1"), ("B", "2")],
                "/1-2/c",
            ),
            (
                &[
                    home,
                    ("HF_HUB_CACHE", "~"),
                    ("HUGGINGFACE_HUB_CACHE", "/old"),
                ],
                "/home/u",
            ),
        ] {
            let variable = |name: &str| {
                let found = set.iter().find(|(set, _)| *set == name);
                found.map(|(_, value)| (*value).to_string())
            };
            assert_eq!(hub_of(&variable), Some(PathBuf::from(expected)), "{set:?}");
        }
        assert_eq!(hub_of(&|_| None), None);
    }

    #[test]
    fn a_repository_is_found_by_its_main_revision_or_where_there_is_one_only() {
        let hub = tempfile::tempdir().unwrap();
        let model = hub.path().join("models--org--name");
        for revision in ["abc", "def"] {
            std::fs::create_dir_all(model.join("snapshots").join(revision)).unwrap();
        }
        assert_eq!(snapshot(hub.path(), "org/name"), None);
        std::fs::create_dir_all(model.join("refs")).unwrap();
        std::fs::write(model.join("refs/main"), "def\n").unwrap();
        let found = snapshot(hub.path(), "org/name").unwrap();
        assert_eq!(found, model.join("snapshots/def"));
        // A revision that does not exist, and invalid names.
        for bad in ["xyz", "../../x", ""] {
            std::fs::write(model.join("refs/main"), bad).unwrap();
            assert_eq!(snapshot(hub.path(), "org/name"), None);
        }
        std::fs::remove_dir(model.join("snapshots/abc")).unwrap();
        assert_eq!(
            snapshot(hub.path(), "org/name"),
            Some(model.join("snapshots/def"))
        );
        for other in [
            "org/other",
            "org",
            "org/name/more",
            "../name",
            "/name",
            "org/..",
        ] {
            assert_eq!(snapshot(hub.path(), other), None, "{other}");
        }
    }
}

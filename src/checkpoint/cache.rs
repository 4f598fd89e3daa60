//! Hugging Face's cache: repositories that were downloaded by its tools. Nothing is downloaded here.

use std::path::{Path, PathBuf};

/// Where the cache's repositories lie: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in `huggingface` in the user's cache folder.
pub fn hub() -> Option<PathBuf> {
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty());
        value.map(PathBuf::from)
    };
    if let Some(hub) = variable("HF_HUB_CACHE") {
        return Some(hub);
    }
    let home = variable("HF_HOME").or_else(|| {
        let cache = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
        Some(cache?.join("huggingface"))
    });
    Some(home?.join("hub"))
}

/// The folder of a repository such as `llava-hf/llava-1.5-7b-hf` in the cache: its snapshot that `main` points at, else its only
/// one.
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
        // A revision that is not there, and one that is no name.
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

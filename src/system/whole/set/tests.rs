use super::*;

/// The old set, the new set, and all names that a set can have.
const FIRST: [&str; 4] = ["record.json", "a.png", "b.png", "only-old.png"];
const SECOND: [&str; 4] = ["record.json", "a.png", "b.png", "only-new.png"];
const ALL: [&str; 5] = [
    "record.json",
    "a.png",
    "b.png",
    "only-old.png",
    "only-new.png",
];

fn staged(folder: &Path, names: &[&str], content: &str) -> Staging {
    let staging = Staging::new(folder).unwrap();
    for name in names {
        staging.write(name, content.as_bytes()).unwrap();
    }
    staging
}

/// Creates a folder with the old set and a file of the user's.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("notes.txt"), "the user's").unwrap();
    staged(folder.path(), &FIRST, "old")
        .place("record.json", &ALL)
        .unwrap();
    folder
}

/// Returns the contents, by name, of the files that a set can have.
fn found(folder: &Path) -> Vec<(&'static str, String)> {
    assert_eq!(
        fs::read_to_string(folder.join("notes.txt")).unwrap(),
        "the user's"
    );
    let read = |name| Some((name, fs::read_to_string(folder.join(name)).ok()?));
    ALL.into_iter().filter_map(read).collect()
}

fn whole(names: &[&'static str], content: &str) -> Vec<(&'static str, String)> {
    names.iter().map(|n| (*n, content.to_string())).collect()
}

fn names(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn a_set_replaces_another_and_leaves_other_files() {
    let folder = folder();
    assert_eq!(found(folder.path()), whole(&FIRST, "old"));
    staged(folder.path(), &SECOND, "new")
        .place("record.json", &ALL)
        .unwrap();
    let expected = ["record.json", "a.png", "b.png", "only-new.png"];
    assert_eq!(found(folder.path()), whole(&expected, "new"));
    assert_eq!(names(folder.path()), 5);
    // A set dropped without being placed leaves nothing.
    drop(staged(folder.path(), &SECOND, "newer"));
    assert_eq!(names(folder.path()), 5);
}

/// A process that dies between any two steps leaves no mixture, and the next process to write
/// there finds a whole set.
#[test]
fn death_at_any_step_leaves_no_mixture() {
    let (mut died, mut sets) = (0, Vec::new());
    loop {
        let folder = folder();
        let path = folder.path();
        let staging = staged(path, &SECOND, "new");
        fs::create_dir(staging.part(OLD)).unwrap();
        let steps = staging.steps("record.json", &ALL).unwrap();
        if died > steps.len() {
            break;
        }
        carry_out(&steps[..died]).unwrap();
        // A locked folder belongs to a living process and stays.
        sweep(path);
        let Staging {
            _lock: lock,
            temporary,
            ..
        } = staging;
        let left = temporary.keep();
        assert!(left.exists());
        let there = found(path);
        let new = there.iter().filter(|(_, content)| content == "new").count();
        assert!(new == 0 || new == there.len(), "{died}: {there:?}");
        if there.iter().any(|(name, _)| *name == "record.json") {
            assert_eq!(there.len(), 4, "{died}: {there:?}");
        }
        // The process is dead.
        drop(lock);
        sweep(path);
        assert_eq!(names(path), 5, "{died}");
        let there = found(path);
        assert_eq!(there.len(), 4, "{died}: {there:?}");
        assert!(there.iter().all(|(_, content)| *content == there[0].1));
        sets.push(there[0].1.clone());
        died += 1;
    }
    assert!(died > 15 && sets[0] == "old" && sets[died - 1] == "new");
}

#[test]
fn an_error_at_any_step_leaves_the_old_set() {
    let mut failed = 0;
    loop {
        let folder = folder();
        let staging = staged(folder.path(), &SECOND, "new");
        fs::create_dir(staging.part(OLD)).unwrap();
        let mut steps = staging.steps("record.json", &ALL).unwrap();
        if failed > steps.len() {
            break;
        }
        let nowhere = staging.part("nothing");
        steps.insert(failed, Step::Rename(nowhere.clone(), nowhere));
        assert!(carry_out(&steps).is_err());
        assert_eq!(found(folder.path()), whole(&FIRST, "old"), "{failed}");
        failed += 1;
    }
}

/// Two dead processes, one of them half-way, and a third that had started before.
#[test]
fn what_a_dead_process_began_is_not_ended_over_a_later_set() {
    let folder = folder();
    let path = folder.path();
    let later = staged(path, &SECOND, "later");
    let dying = staged(path, &SECOND, "new");
    fs::create_dir(dying.part(OLD)).unwrap();
    let steps = dying.steps("record.json", &ALL).unwrap();
    carry_out(&steps[..steps.len() - 3]).unwrap();
    let Staging {
        _lock: lock,
        temporary,
        ..
    } = dying;
    let _left = temporary.keep();
    drop(lock);
    later.place("record.json", &ALL).unwrap();
    sweep(path);
    assert_eq!(names(path), 5);
    let expected = ["record.json", "a.png", "b.png", "only-new.png"];
    assert_eq!(found(path), whole(&expected, "later"));
}

#[test]
#[cfg(unix)]
fn no_link_and_no_folder_is_replaced() {
    let folder = folder();
    let path = folder.path();
    fs::remove_file(path.join("b.png")).unwrap();
    std::os::unix::fs::symlink("notes.txt", path.join("b.png")).unwrap();
    let placed = staged(path, &SECOND, "new").place("record.json", &ALL);
    let reason = placed.unwrap_err().to_string();
    assert!(reason.contains("found a symbolic link"), "{reason}");
    fs::remove_file(path.join("b.png")).unwrap();
    fs::create_dir(path.join("b.png")).unwrap();
    let placed = staged(path, &SECOND, "new").place("record.json", &ALL);
    assert!(placed.unwrap_err().to_string().contains("found a folder"));
    assert_eq!(
        fs::read_to_string(path.join("a.png")).unwrap(),
        "old",
        "nothing is moved"
    );
    assert_eq!(names(path), 5);
}

/// A foreign temporary folder that contains links does not reach outside of the folder.
#[test]
#[cfg(unix)]
fn parts_that_are_links_are_not_followed() {
    let (folder, elsewhere) = (folder(), TempDir::new().unwrap());
    fs::write(elsewhere.path().join("secret"), "").unwrap();
    let left = folder.path().join(".foveate-00000000-aaaaaa.tmp");
    fs::create_dir_all(left.join(OUT)).unwrap();
    fs::write(left.join(LOCK), "").unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), left.join(NEW)).unwrap();
    sweep(folder.path());
    assert!(!left.exists() && elsewhere.path().join("secret").exists());
    assert_eq!(names(folder.path()), 5);
}

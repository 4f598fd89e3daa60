use std::fs;
use std::os::unix::fs::symlink;

use super::*;

/// A grey pixel.
const PIXEL: &[u8] = b"P5 1 1 255\n\x80";

#[test]
fn names_do_not_lead_out_of_the_folder() {
    let around = tempfile::tempdir().unwrap();
    let at = |name: &str| around.path().join(name);
    fs::create_dir_all(at("images/sub")).unwrap();
    for name in ["x.pgm", "images/x.pgm", "images/sub/y.pgm"] {
        fs::write(at(name), PIXEL).unwrap();
    }
    symlink(at("x.pgm"), at("images/out.pgm")).unwrap();
    symlink(around.path(), at("images/up")).unwrap();
    symlink("x.pgm", at("images/in.pgm")).unwrap();
    symlink(at("images"), at("linked")).unwrap();
    let absolute = at("x.pgm").display().to_string();
    let inside = at("images/x.pgm").display().to_string();
    for folder in ["images", "linked"] {
        let closed = ImageFolder::new(&at(folder), false);
        let open = ImageFolder::new(&at(folder), true);
        for name in ["x.pgm", "./x.pgm", "sub/y.pgm", "in.pgm"] {
            assert!(
                closed.has(name) && closed.open(name, &Limits::default()).is_ok(),
                "{name}"
            );
        }
        for name in [
            "../x.pgm",
            "sub/../../x.pgm",
            "out.pgm",
            "up/x.pgm",
            &absolute,
            &inside,
        ] {
            let error = closed
                .open(name, &Limits::default())
                .unwrap_err()
                .to_string();
            assert!(error.contains("--images-anywhere"), "{name}: {error}");
            assert!(
                open.has(name) && open.open(name, &Limits::default()).is_ok(),
                "{name}"
            );
        }
        // The error does not reveal whether the file exists.
        assert!(!closed.has("../x.pgm") && !closed.has(&absolute));
        let missing = closed
            .open("../none.pgm", &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(missing.contains("--images-anywhere"), "{missing}");
        assert!(
            !closed
                .open("none.pgm", &Limits::default())
                .unwrap_err()
                .to_string()
                .contains("anywhere")
        );
    }
}

#[test]
fn a_snapshot_in_the_cache_has_its_files_as_links() {
    let cache = tempfile::tempdir().unwrap();
    let at = |name: &str| cache.path().join(name);
    let snapshot = "datasets--a--b/snapshots/0123/images";
    fs::create_dir_all(at(snapshot)).unwrap();
    fs::create_dir_all(at("datasets--a--b/blobs")).unwrap();
    fs::write(at("datasets--a--b/blobs/ab"), PIXEL).unwrap();
    fs::write(at("other"), PIXEL).unwrap();
    symlink("../../../blobs/ab", at(snapshot).join("x.pgm")).unwrap();
    symlink(at("other"), at(snapshot).join("y.pgm")).unwrap();
    for folder in [snapshot, "datasets--a--b/snapshots/0123"] {
        let folder = ImageFolder::new(&at(folder), false);
        let prefix = if folder.path().ends_with("images") {
            ""
        } else {
            "images/"
        };
        assert!(
            folder
                .open(&format!("{prefix}x.pgm"), &Limits::default())
                .is_ok()
        );
        assert!(
            folder
                .open(&format!("{prefix}y.pgm"), &Limits::default())
                .is_err()
        );
    }
}

#[test]
fn what_is_no_regular_file_is_no_picture() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(
        std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    fs::create_dir(folder.path().join("folder.png")).unwrap();
    let images = ImageFolder::new(folder.path(), true);
    for (name, word) in [
        ("pipe.png", "a pipe"),
        ("folder.png", "a folder"),
        ("/dev/zero", "a device"),
    ] {
        let error = images
            .open(name, &Limits::default())
            .unwrap_err()
            .to_string();
        assert!(error.contains(word), "{error}");
    }
}

//! Files that are whole or not there.

use std::fs;
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a file under a temporary name and renames it: whoever opens it finds all of it, or what was there before.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = written(folder, bytes)?;
    file.persist(path).map(|_| ()).map_err(|e| e.error)
}

/// Bytes in a file of a temporary name, on the disk, as readable as a result.
pub(crate) fn written(folder: &Path, bytes: &[u8]) -> std::io::Result<NamedTempFile> {
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    readable_as_others(&file)?;
    Ok(file)
}

/// Temporary files are private; results are as readable as the folder that they lie in.
#[cfg(unix)]
pub(crate) fn readable_as_others(file: &NamedTempFile) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let folder = file.path().parent().unwrap_or(Path::new("."));
    let mode = fs::metadata(folder)?.permissions().mode() & 0o666;
    file.as_file()
        .set_permissions(fs::Permissions::from_mode(mode | 0o600))
}

#[cfg(not(unix))]
pub(crate) fn readable_as_others(_: &NamedTempFile) -> std::io::Result<()> {
    Ok(())
}

/// Makes sure that the names of new files in a folder are on the disk too. Where folders cannot be synchronised, there is nothing to
/// be made sure of.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind::{InvalidInput, Unsupported};
    if !cfg!(unix) {
        return Ok(());
    }
    match fs::File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), InvalidInput | Unsupported) => Ok(()),
        synced => synced,
    }
}

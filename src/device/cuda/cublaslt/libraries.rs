//! The library that this process uses: the first one that loads, suits the driver, and creates a
//! handle.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use super::functions::{Functions, name};
use super::places::Places;
use crate::device::cuda::probe::driver_version;

/// The environment variable that names the library to load; empty for none.
const VARIABLE: &str = "FOVEATE_CUBLASLT";

/// The folder of toolkits.
const LOCAL: &str = "/usr/local";

/// The oldest supported version.
const OLDEST: usize = 12_00_00;

/// Advice for users without the library; its CUDA 12 runs with every supported driver.
const ADVICE: &str =
    "`pip install nvidia-cublas-cu12` in an active virtual environment provides it";

/// A library that was loaded. It stays loaded until the program ends.
pub struct Loaded {
    pub functions: Functions,
    /// Its version, as in `12.9.1`.
    pub version: String,
    /// The name or path by which it was loaded.
    pub place: String,
}

/// A place, and the result of loading the library there, once that was tried.
struct Candidate {
    place: OsString,
    loaded: Option<Result<&'static Loaded, String>>,
}

/// The candidates of a process.
struct Search {
    candidates: Vec<Candidate>,
    /// The library that created a handle: all devices use the same version.
    chosen: Option<&'static Loaded>,
    /// What was searched, in words; `None` if the user named the place.
    searched: Option<String>,
}

/// Checks whether the user wants no library.
pub fn is_turned_off() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|path| path.is_empty())
}

/// Returns the library, and what `create` returns for it. Until a library succeeds, each is tried
/// in turn; later calls use only that one.
///
/// # Errors
/// The reason why there is none, in one line.
pub fn first_usable<T>(
    create: impl Fn(&'static Loaded) -> Result<T, String>,
) -> Result<(&'static Loaded, T), String> {
    let mut search = search()?;
    let (library, made) = search.first(create)?;
    search.chosen = Some(library);
    Ok((library, made))
}

/// Returns the library that is used, or the first that can be loaded.
///
/// # Errors
/// The reason why there is none, in one line.
pub fn expected() -> Result<&'static Loaded, String> {
    let (library, ()) = search()?.first(|_| Ok(()))?;
    Ok(library)
}

fn search() -> Result<MutexGuard<'static, Search>, String> {
    static SEARCH: LazyLock<Mutex<Search>> = LazyLock::new(|| Mutex::new(Search::of_process()));
    if is_turned_off() {
        return Err(format!("{VARIABLE} is empty"));
    }
    Ok(SEARCH.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Search {
    fn of_process() -> Search {
        if let Some(path) = std::env::var_os(VARIABLE) {
            return Search::new([path], None);
        }
        let places = Places::new(|name| std::env::var_os(name), Path::new(LOCAL));
        Search::new(places.candidates, Some(places.searched.join(", ")))
    }

    fn new(places: impl IntoIterator<Item = OsString>, searched: Option<String>) -> Search {
        let candidate = |place| Candidate {
            place,
            loaded: None,
        };
        Search {
            candidates: places.into_iter().map(candidate).collect(),
            chosen: None,
            searched,
        }
    }

    /// Returns the chosen library or else the first for which `create` succeeds.
    fn first<T>(
        &mut self,
        create: impl Fn(&'static Loaded) -> Result<T, String>,
    ) -> Result<(&'static Loaded, T), String> {
        if let Some(chosen) = self.chosen {
            let made = create(chosen).map_err(|reason| format!("{}: {reason}", chosen.place))?;
            return Ok((chosen, made));
        }
        let mut reasons = Vec::new();
        for candidate in &mut self.candidates {
            let loaded = candidate.loaded();
            match loaded.and_then(|library| Ok((library, create(library)?))) {
                Ok(made) => return Ok(made),
                Err(reason)
                    if self.searched.is_some() && !candidate.says_more(&reason, &reasons) => {}
                Err(reason) => reasons.push(format!("{}: {reason}", candidate.place.display())),
            }
        }
        let reasons = reasons.join("; ");
        Err(match &self.searched {
            None => format!("{VARIABLE}={reasons}"),
            Some(searched) if reasons.is_empty() => {
                format!("not found in {searched}; {ADVICE}")
            }
            Some(searched) => format!("none can be used in {searched}: {reasons}; {ADVICE}"),
        })
    }
}

impl Candidate {
    fn loaded(&mut self) -> Result<&'static Loaded, String> {
        let load = || load(&self.place);
        self.loaded.get_or_insert_with(load).clone()
    }

    /// Checks whether the reason against a candidate is worth a word beside earlier ones: not if
    /// the loader does not know its name, or knows it as a library that was tried by its path.
    fn says_more(&self, reason: &str, earlier: &[String]) -> bool {
        let by_name = !Path::new(&self.place).is_absolute();
        let missing = reason.contains("No such file or directory");
        let again = format!(": {reason}");
        let tried = earlier.iter().any(|earlier| earlier.ends_with(&again));
        !(by_name && (missing || tried))
    }
}

fn load(place: &OsStr) -> Result<&'static Loaded, String> {
    let functions = Functions::load(place)?;
    // SAFETY: the function takes no arguments.
    let version = unsafe { (functions.version)() };
    suits(version, driver_version())?;
    // Its functions may be called until the program ends.
    Ok(Box::leak(Box::new(Loaded {
        functions,
        version: name(version),
        place: place.display().to_string(),
    })))
}

/// Checks a version of the library against the driver's CUDA version (1000 * major + 10 * minor).
/// Within a major version of CUDA, a library runs with older drivers too.
fn suits(version: usize, driver: Option<i32>) -> Result<(), String> {
    if version < OLDEST {
        let (oldest, found) = (name(OLDEST), name(version));
        return Err(format!("expected version {oldest} or newer, found {found}"));
    }
    let major = version / 10000;
    match driver.and_then(|driver| usize::try_from(driver).ok()) {
        Some(driver) if driver / 1000 < major => Err(format!(
            "version {} needs a driver for CUDA {major}.0 or newer, found one for {}.{}",
            name(version),
            driver / 1000,
            driver % 1000 / 10
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_checked_against_the_driver() {
        assert_eq!(suits(120_903, Some(12000)), Ok(()));
        assert_eq!(suits(120_903, Some(13000)), Ok(()));
        assert_eq!(suits(130_401, Some(13000)), Ok(()));
        assert_eq!(suits(130_401, None), Ok(()));
        assert_eq!(
            suits(130_401, Some(12080)).unwrap_err(),
            "version 13.4.1 needs a driver for CUDA 13.0 or newer, found one for 12.8"
        );
        let old = suits(110_803, Some(13000)).unwrap_err();
        assert_eq!(old, "expected version 12.0.0 or newer, found 11.8.3");
    }

    #[test]
    fn places_without_a_library_are_named_with_their_reasons() {
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("libcublasLt.so.12");
        std::fs::write(&broken, "not a library").unwrap();
        let places = ["libcublasLt.so.none".into(), broken.clone().into()];
        let searched = Some("the loader's paths".to_string());
        let mut search = Search::new(places, searched.clone());
        for _ in 0..2 {
            let reason = search.first(|_| Ok(())).err().unwrap();
            let start = format!(
                "none can be used in the loader's paths: {}: ",
                broken.display()
            );
            assert!(reason.starts_with(&start), "{reason}");
            assert!(reason.ends_with(ADVICE), "{reason}");
            assert_eq!(reason.lines().count(), 1, "{reason}");
        }
        let mut search = Search::new(["libcublasLt.so.none".into()], searched);
        let reason = search.first(|_| Ok(())).err().unwrap();
        assert_eq!(reason, format!("not found in the loader's paths; {ADVICE}"));
    }

    #[test]
    fn a_library_that_the_loader_knows_too_is_named_once() {
        let candidate = |place: &str| Candidate {
            place: place.into(),
            loaded: None,
        };
        let earlier = ["/env/libcublasLt.so.13: no handle: not initialized (1)".to_string()];
        let says_more = |place, reason| candidate(place).says_more(reason, &earlier);
        let reason = "no handle: not initialized (1)";
        assert!(!says_more("libcublasLt.so.13", reason));
        assert!(says_more("/cuda/lib64/libcublasLt.so.13", reason));
        assert!(says_more("libcublasLt.so.12", "invalid ELF header"));
    }

    /// Any library of the system loads, but it has other functions.
    #[cfg(target_os = "linux")]
    #[test]
    fn another_library_is_refused_by_the_first_missing_function() {
        let mut search = Search::new(["libc.so.6".into()], None);
        let reason = search.first(|_| Ok(())).err().unwrap();
        assert!(reason.contains("cublasLtGetVersion"), "{reason}");
    }
}

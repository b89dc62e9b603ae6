//! Library: where `libjemoxide.so` is.
//!
//! Beside the command, as `cargo build --release` leaves it; else in `../lib`, as an installation
//! does. Nothing else is searched and nothing is built: which library runs must be predictable.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The file name looked for.
pub(crate) const FILE_NAME: &str = "libjemoxide.so";

/// A library that exists; the path is absolute.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    path: PathBuf,
}

impl Library {
    /// `asked` is the path a person gave; without it the usual two places are looked at.
    pub(crate) fn find(asked: Option<&Path>) -> Result<Self, Failure> {
        match asked {
            Some(path) => Self::at(path).ok_or_else(|| {
                Failure::misuse(format!("no library at {} (--library).", path.display()))
            }),
            None => {
                let command =
                    std::env::current_exe()
                        .and_then(fs::canonicalize)
                        .map_err(|why| {
                            Failure::misuse(format!(
                                "cannot tell where this command is ({why}); use --library PATH."
                            ))
                        })?;
                let places = places_beside(&command);
                places
                    .iter()
                    .find_map(|place| Self::at(place))
                    .ok_or_else(|| missing(&places))
            }
        }
    }

    /// Absolute, as it is put into `LD_PRELOAD`.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file knows the environment variable through which it is asked for reports: tells
    /// another library, or one built before reports, from a program that never allocated.
    pub(crate) fn can_report(&self) -> bool {
        let word = b"JEMOXIDE_CONF";
        fs::read(&self.path)
            .is_ok_and(|bytes| bytes.windows(word.len()).any(|window| window == word))
    }

    fn at(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        path.is_file().then_some(Self { path })
    }
}

fn places_beside(command: &Path) -> Vec<PathBuf> {
    let Some(folder) = command.parent() else {
        return Vec::new();
    };
    let mut places = vec![folder.join(FILE_NAME)];
    places.extend(
        folder
            .parent()
            .map(|above| above.join("lib").join(FILE_NAME)),
    );
    places
}

fn missing(places: &[PathBuf]) -> Failure {
    let mut message = format!("cannot find {FILE_NAME}, the allocator itself. Looked for:\n");
    for place in places {
        message.push_str(&format!("  {}\n", place.display()));
    }
    message.push_str("Build it with `cargo build --release`, or name it with --library PATH.");
    Failure::misuse(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_places_are_beside_and_in_lib() {
        let places = places_beside(Path::new("/opt/j/bin/jemoxide"));
        assert_eq!(
            places,
            [
                Path::new("/opt/j/bin/libjemoxide.so"),
                Path::new("/opt/j/lib/libjemoxide.so")
            ]
        );
    }

    #[test]
    fn a_missing_library_names_the_path_asked_for() {
        let failure = Library::find(Some(Path::new("/nowhere/x.so"))).expect_err("not there");
        assert!(failure.message().contains("/nowhere/x.so"));
    }

    #[test]
    fn a_relative_path_becomes_absolute() {
        let library = Library::find(Some(Path::new("Cargo.toml")))
            .expect("tests run in the package's folder");
        assert!(library.path().is_absolute());
        assert!(!library.can_report());
    }
}

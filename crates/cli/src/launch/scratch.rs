//! Scratch: a private directory into which processes put their reports.
//!
//! Its path travels inside `JEMOXIDE_CONF`, where a comma ends a value, and may carry a link to the
//! library inside `LD_PRELOAD`, where blanks, colons and `$` have a meaning. A temporary directory with
//! such a path is passed over for the next usual one.
//!
//! The directory is removed when the value is dropped, on success and on failure.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::failure::Failure;

/// The directory; dropping it removes it.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: TempDir,
}

impl Scratch {
    /// In `TMPDIR`, or in the first usual place whose path can be passed on.
    pub(crate) fn create() -> Result<Self, Failure> {
        let preferred = std::path::absolute(std::env::temp_dir()).unwrap_or_default();
        let mut reasons = String::new();
        for place in places(preferred) {
            let mut builder = tempfile::Builder::new();
            builder
                .prefix("jemoxide-")
                .permissions(Permissions::from_mode(0o700));
            match builder.tempdir_in(&place) {
                Ok(folder) => return Ok(Self { folder }),
                Err(why) => reasons.push_str(&format!("\n  {}: {why}", place.display())),
            }
        }
        Err(Failure::misuse(format!(
            "cannot create a temporary directory:{reasons}"
        )))
    }

    /// Absolute.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Whether `path` survives `JEMOXIDE_CONF` and `LD_PRELOAD` unchanged.
pub(crate) fn is_plain(path: &OsStr) -> bool {
    !path
        .as_bytes()
        .iter()
        .any(|byte| b",: $\t\n".contains(byte))
}

fn places(preferred: PathBuf) -> Vec<PathBuf> {
    let usual = ["/tmp", "/dev/shm", "/var/tmp"].map(PathBuf::from);
    let mut places = vec![preferred];
    places.extend(usual);
    places.retain(|place| is_plain(place.as_os_str()));
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_comma_is_passed_over() {
        assert_eq!(places("/a,b".into())[0], Path::new("/tmp"));
        assert_eq!(places("/a b".into())[0], Path::new("/tmp"));
        assert_eq!(places("/ab".into())[0], Path::new("/ab"));
    }

    #[test]
    fn dropping_it_removes_it_with_its_content() {
        let scratch = Scratch::create().expect("a temporary directory");
        let path = scratch.path().to_owned();
        let mode = path.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "private");
        std::fs::write(path.join("1"), "x").expect("writable");
        drop(scratch);
        assert!(!path.exists());
    }
}

//! Folder: a temporary folder of a test's own, empty at first and gone at its end.

use std::fs;
use std::ops::Deref;
use std::path::Path;

/// A folder that goes away with this value, whichever way the test ends.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// Makes one; panics where the system's temporary folder takes none.
    #[expect(
        clippy::new_without_default,
        reason = "a folder on the disk is no default"
    )]
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("the temporary folder is writable"))
    }

    /// The folder's path as text, for options that name it.
    pub fn text(&self) -> &str {
        self.to_str().expect("temporary folders have plain names")
    }

    /// Names of what lies in it, in order.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self).expect("the folder is readable");
        let mut names: Vec<_> = entries
            .map(|entry| {
                let name = entry.expect("the folder is readable").file_name();
                name.into_string().expect("tests give plain names")
            })
            .collect();
        names.sort();
        names
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.0.path()
    }
}

impl AsRef<Path> for Folder {
    fn as_ref(&self) -> &Path {
        self
    }
}

//! File: profiles get to their place as a whole.
//!
//! They are written beside their place and then moved there: whoever looks sees all of it or nothing, and what was there
//! before stays until then.

use std::fmt::Display;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::failure::Failure;

/// Writes `content` to `to`; `-` is standard output.
pub(crate) fn write(to: &Path, content: &[u8]) -> Result<(), Failure> {
    if to == Path::new("-") {
        let mut out = io::stdout().lock();
        return match out.write_all(content).and_then(|()| out.flush()) {
            // A reader who has seen enough.
            Err(why) if why.kind() == ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|why| refused(to, &why)),
        };
    }
    if to.exists() && !to.is_file() {
        // A pipe or a device: nothing can be moved there.
        return fs::write(to, content).map_err(|why| refused(to, &why));
    }
    let mut file = beside(to)?;
    file.write_all(content).map_err(|why| refused(to, &why))?;
    file.persist(to)
        .map(drop)
        .map_err(|why| refused(to, &why.error))
}

/// Moves the file `from` to `to`, which may be on another file system.
pub(crate) fn carry(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut file = beside(to)?;
    let copied = File::open(from).and_then(|mut from| io::copy(&mut from, &mut file));
    copied.map_err(|why| refused(to, &why))?;
    file.persist(to)
        .map(drop)
        .map_err(|why| refused(to, &why.error))?;
    // What cannot be removed goes with its folder.
    let _ = fs::remove_file(from);
    Ok(())
}

/// Whether a file can be made at `to`; tried, not guessed.
pub(crate) fn try_place(to: &Path) -> Result<(), Failure> {
    if to.is_dir() {
        return Err(refused(to, &"it is a folder"));
    }
    beside(to).map(drop)
}

fn beside(to: &Path) -> Result<NamedTempFile, Failure> {
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    tempfile::Builder::new()
        .prefix(".jemoxide-")
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder.unwrap_or(Path::new(".")))
        // Its own words name the temporary file, which nobody knows.
        .map_err(|why| match why.raw_os_error() {
            Some(number) => refused(to, &io::Error::from_raw_os_error(number)),
            None => refused(to, &why.kind()),
        })
}

fn refused(to: &Path, why: &dyn Display) -> Failure {
    Failure::broken(format!("cannot write {}: {why}.", to.display()))
}

//! Profile: a dump of the allocator's, read back and given names.
//!
//! ```text
//! off, seconds=N   switch on ── N s ── dump ── switch off           on   (wait) ── dump
//!                                       └──> private file ──> Profile ──> names ──> without the allocator's frames
//! ```

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use jemoxide::profile;
use jemoxide_profile::Profile;
use jemoxide_profile::symbols::{Fold, Options, symbolize};

/// Why there is no profile.
#[derive(Debug)]
pub(crate) struct Failed {
    /// HTTP status.
    pub(crate) status: u16,
    /// A sentence.
    pub(crate) why: String,
}

impl Failed {
    fn new(status: u16, why: impl Display) -> Self {
        Self {
            status,
            why: why.to_string(),
        }
    }
}

/// Takes a profile, after `seconds` of sampling; its dump may have `most` bytes.
pub(crate) fn take(seconds: Duration, most: u64) -> Result<Profile, Failed> {
    let is_on = profile::is_active();
    if !is_on && seconds.is_zero() {
        return Err(Failed::new(
            409,
            "Heap profiling is off. Ask with ?seconds=30 to sample for so long, or start the program with \
             MALLOC_CONF=prof:true, or have it call jemoxide::profile::start.",
        ));
    }
    // Rule N1: switched back on every way out.
    let _switched = (!is_on).then(Switched::on);
    thread::sleep(seconds);
    let folder = tempfile::tempdir()
        .map_err(|why| Failed::new(500, format!("There is no temporary folder: {why}.")))?;
    let file = folder.path().join("heap");
    dump(&file)?;
    read(&file, most)
}

/// Has the allocator write a dump to `file`.
pub(crate) fn dump(file: &Path) -> Result<(), Failed> {
    profile::dump_bytes(file.as_os_str().as_bytes()).map_err(|why| {
        let file = file.display();
        Failed::new(500, format!("The allocator could not write {file}: {why}."))
    })
}

fn read(file: &Path, most: u64) -> Result<Profile, Failed> {
    let len = file
        .metadata()
        .map_err(|why| Failed::new(500, format!("The dump is not there: {why}.")))?
        .len();
    if len > most {
        return Err(Failed::new(
            507,
            format!("The dump has {len} bytes, more than the {most} that are allowed."),
        ));
    }
    let mut profile = Profile::read_file(file).map_err(|why| Failed::new(500, why))?;
    symbolize(&mut profile, &Options::default(), &mut |_| {});
    profile.hide_allocator(Fold::Allocator);
    Ok(profile)
}

/// Profiling, switched on for a while.
struct Switched;

impl Switched {
    fn on() -> Self {
        profile::start();
        Self
    }
}

impl Drop for Switched {
    fn drop(&mut self) {
        profile::stop();
    }
}

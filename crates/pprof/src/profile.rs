//! Profile: a dump of the allocator's, read back and given names.
//!
//! ```text
//! dump, within a bound ──> private file ──> Profile ──> names ──> without the allocator's frames
//! ```

use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use jemoxide::profile;
use jemoxide_profile::Profile;
use jemoxide_profile::symbols::{Fold, Options, symbolize};

/// The system's number of the error that a file is too large, everywhere.
const EFBIG: i32 = 27;

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

/// Takes a profile; its dump may have `dump_max` bytes, and the debug information of a file `debug_max`. `dumped` is called in
/// between: names may take longer.
pub(crate) fn take(
    dump_max: u64,
    debug_max: u64,
    dumped: impl FnOnce(),
) -> Result<Profile, Failed> {
    let folder = tempfile::tempdir()
        .map_err(|why| Failed::new(500, format!("There is no temporary folder: {why}.")))?;
    let file = folder.path().join("heap");
    dump_within(&file, dump_max)?;
    dumped();
    let mut profile = Profile::read_file(&file).map_err(|why| Failed::new(500, why))?;
    drop(folder);
    let options = Options {
        debug_max,
        ..Options::default()
    };
    symbolize(&mut profile, &options, &mut |_| {});
    profile.hide_allocator(Fold::Allocator);
    Ok(profile)
}

/// Has the allocator write a dump to `file`.
pub(crate) fn dump(file: &Path) -> Result<(), Failed> {
    dump_within(file, u64::MAX)
}

fn dump_within(file: &Path, most: u64) -> Result<(), Failed> {
    profile::dump_within(file.as_os_str().as_bytes(), most).map_err(|why| {
        let place = file.display();
        match why.code() {
            EFBIG if most < u64::MAX => Failed::new(
                507,
                format!(
                    "The dump has more than the {most} bytes that are allowed (Handlers::dump_max); a larger lg_prof_sample \
                     makes it smaller."
                ),
            ),
            _ => Failed::new(500, format!("The allocator could not write {place}: {why}.")),
        }
    })
}

//! Environment: the two variables that put a program on the allocator.
//!
//! `LD_PRELOAD` keeps what it held, after ours: the first library wins. `JEMOXIDE_CONF` keeps what it
//! held, before ours: there the last setting wins, and the reports must come to our directory.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::failure::Failure;
use crate::launch::library::{FILE_NAME, Library};
use crate::launch::scratch::{self, Scratch};

/// The loader's list of libraries to load first.
pub(crate) const PRELOAD: &str = "LD_PRELOAD";
/// The allocator's options.
pub(crate) const OPTIONS: &str = "JEMOXIDE_CONF";

/// What a program is to get besides the library.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Every allocation and free is counted.
    pub(crate) count: bool,
    /// Libraries that we were told to preload are preloaded there too.
    pub(crate) keep_preloads: bool,
    /// A heap profile is left at the end.
    pub(crate) profile: Option<Sampling>,
}

/// How allocations are sampled for a heap profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sampling {
    /// Once in two to so many bytes, on average.
    Lg(u8),
    /// As the environment already says.
    AsSet,
}

impl Sampling {
    /// Mean bytes between samples where nobody said anything: 64 KiB. A service samples eight times as rarely, but a
    /// program that is run to be looked at may take some percent of time for it.
    const USUAL: Self = Self::Lg(16);

    /// What was asked for, else what the environment says, else the usual.
    pub(crate) fn choose(asked: Option<u8>) -> Self {
        let set = SOURCES.iter().any(|name| {
            let text = std::env::var_os(name).unwrap_or_default();
            text.to_string_lossy().contains("lg_prof_sample:")
        });
        match asked {
            Some(lg) => Self::Lg(lg),
            None if set => Self::AsSet,
            None => Self::USUAL,
        }
    }
}

/// Where options come from, beside the program itself.
const SOURCES: [&str; 3] = ["MALLOC_CONF", "_RJEM_MALLOC_CONF", OPTIONS];

/// What dumps of heap profiles in the private directory begin with; the process number follows.
pub(crate) const DUMP_PREFIX: &str = "profile";

/// Sets both variables in the environment `command` will get.
pub(crate) fn put_on_allocator(
    command: &mut Command,
    library: &Library,
    scratch: &Scratch,
    settings: Settings,
) -> Result<(), Failure> {
    let path = spellable(library, scratch)?;
    let ours = options(scratch, settings);
    let others = std::env::var_os(PRELOAD).filter(|_| settings.keep_preloads);
    command.env(PRELOAD, joined(path.as_os_str(), ":", others.as_deref()));
    command.env(
        OPTIONS,
        joined_last(std::env::var_os(OPTIONS).as_deref(), &ours),
    );
    Ok(())
}

/// Adds one option of the allocator's to those that `command` will get from [`put_on_allocator`].
pub(crate) fn add_option(command: &mut Command, option: impl AsRef<OsStr>) {
    let before = command
        .get_envs()
        .find(|(name, _)| *name == OPTIONS)
        .and_then(|(_, value)| value.map(OsStr::to_owned));
    command.env(OPTIONS, joined_last(before.as_deref(), option.as_ref()));
}

/// A path of the library that `LD_PRELOAD` can hold: its own, or a link in the private directory when
/// its own contains a separator.
fn spellable(library: &Library, scratch: &Scratch) -> Result<PathBuf, Failure> {
    if scratch::is_plain(library.path().as_os_str()) {
        return Ok(library.path().to_owned());
    }
    let link = scratch.path().join(FILE_NAME);
    if link.symlink_metadata().is_err() {
        symlink(library.path(), &link).map_err(|why| {
            Failure::misuse(format!("cannot link {}: {why}", library.path().display()))
        })?;
    }
    Ok(link)
}

fn options(scratch: &Scratch, settings: Settings) -> OsString {
    let mut text = OsString::from("report_dir:");
    text.push(scratch.path());
    if settings.count {
        text.push(",count:true");
    }
    if let Some(sampling) = settings.profile {
        // Accumulated: stacks of which nothing is left alive stay, and with them what was live at the peak.
        text.push(",prof:true,prof_final:true,prof_accum:true,prof_details:true,prof_prefix:");
        text.push(scratch.path().join(DUMP_PREFIX));
        if let Sampling::Lg(lg) = sampling {
            text.push(format!(",lg_prof_sample:{lg}"));
        }
    }
    text
}

fn joined(ours: &OsStr, separator: &str, theirs: Option<&OsStr>) -> OsString {
    let mut text = ours.to_owned();
    if let Some(theirs) = theirs.filter(|theirs| !theirs.is_empty()) {
        text.push(separator);
        text.push(theirs);
    }
    text
}

fn joined_last(theirs: Option<&OsStr>, ours: &OsStr) -> OsString {
    match theirs.filter(|theirs| !theirs.is_empty()) {
        Some(theirs) => joined(theirs, ",", Some(ours)),
        None => ours.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn our_library_comes_first_and_theirs_stays() {
        let ours = OsStr::new("/x/ours.so");
        assert_eq!(
            joined(ours, ":", Some(OsStr::new("/y/theirs.so"))),
            "/x/ours.so:/y/theirs.so"
        );
        assert_eq!(joined(ours, ":", Some(OsStr::new(""))), "/x/ours.so");
        assert_eq!(joined(ours, ":", None), "/x/ours.so");
    }

    #[test]
    fn our_options_come_last_and_theirs_stay() {
        let scratch = Scratch::create().expect("a temporary directory");
        let mut settings = Settings {
            count: true,
            keep_preloads: true,
            profile: None,
        };
        let ours = options(&scratch, settings);
        let text = joined_last(Some(OsStr::new("narenas:2")), &ours);
        assert_eq!(
            text,
            format!(
                "narenas:2,report_dir:{},count:true",
                scratch.path().display()
            )
            .as_str()
        );
        assert_eq!(joined_last(None, OsStr::new("a:b")), "a:b");
        settings.count = false;
        let plain = options(&scratch, settings);
        assert!(!plain.to_string_lossy().contains("count"));
        settings.profile = Some(Sampling::Lg(10));
        let text = options(&scratch, settings);
        let text = text.to_string_lossy();
        let prefix = format!("prof_prefix:{}/profile,", scratch.path().display());
        for part in [
            "prof:true",
            "prof_final:true",
            "prof_details:true",
            &prefix,
            "lg_prof_sample:10",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_library_path_with_a_blank_is_linked() {
        let scratch = Scratch::create().expect("a temporary directory");
        let folder = tempfile::Builder::new()
            .prefix("with blank ")
            .tempdir()
            .expect("a directory");
        let file = folder.path().join("l.so");
        std::fs::write(&file, "x").expect("writable");
        let library = Library::find(Some(&file)).expect("exists");
        let spelled = spellable(&library, &scratch).expect("linked");
        assert!(scratch::is_plain(spelled.as_os_str()));
        assert_eq!(
            std::fs::canonicalize(&spelled).expect("a link"),
            std::fs::canonicalize(&file).expect("a file")
        );
        let plain = Library::find(Some(Path::new("Cargo.toml"))).expect("exists");
        assert_eq!(spellable(&plain, &scratch).expect("as is"), plain.path());
    }
}

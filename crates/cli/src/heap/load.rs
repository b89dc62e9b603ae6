//! Load: files become one profile with names, and notes for whoever reads the result.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use jemoxide_profile::symbols::{FileReport, Fold, Found, Options, symbolize};
use jemoxide_profile::{Measure, Profile};

use crate::arguments::heap::{By, NameArguments};
use crate::failure::Failure;
use crate::screen::numbers::{count, of_them};

/// Work that is done sooner shows no progress.
const PATIENCE: Duration = Duration::from_millis(400);

/// A profile and what is to be said about it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) profile: Profile,
    /// Whole sentences.
    pub(crate) notes: Vec<String>,
}

impl Loaded {
    /// Reads `files` and merges them.
    pub(crate) fn from_files(files: &[PathBuf], names: &NameArguments) -> Result<Self, Failure> {
        let mut all: Option<Self> = None;
        for file in files {
            let next = Self::from_file(file, names)?;
            match &mut all {
                None => all = Some(next),
                Some(all) => all.merge(next),
            }
        }
        let mut all = all.ok_or_else(|| Failure::misuse("no profile given."))?;
        all.hide(names);
        Ok(all)
    }

    /// Reads one file; nothing is hidden yet.
    fn from_file(file: &Path, names: &NameArguments) -> Result<Self, Failure> {
        let mut profile = Profile::read_file(file).map_err(Failure::misuse)?;
        let mut notes = profile.warnings().to_vec();
        if !names.no_symbols {
            notes.extend(find_names(&mut profile, names));
        }
        Ok(Self { profile, notes })
    }

    fn merge(&mut self, other: Self) {
        self.profile.merge(&other.profile);
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    fn hide(&mut self, names: &NameArguments) {
        let fold = match (names.all_frames, names.fold_std) {
            (true, _) => Fold::Nothing,
            (false, true) => Fold::StandardLibrary,
            (false, false) => Fold::Allocator,
        };
        self.profile.hide_allocator(fold);
    }

    /// The failure to tell when `by` is asked for and the profile does not know it.
    pub(crate) fn demand(&self, by: By) -> Result<Measure, Failure> {
        let measure = by.measure();
        if measure.is_known(self.profile.known()) {
            return Ok(measure);
        }
        Err(Failure::misuse(match by {
            By::Cumulative => {
                "the profile does not tell what was allocated and freed again. Take one with `prof_accum:true`, or \
                 by `jemoxide run --profile`."
            }
            _ => {
                "the profile does not tell what was live at the peak. Take one with `prof_details:true`, or by \
                 `jemoxide run --profile`."
            }
        }))
    }
}

fn find_names(profile: &mut Profile, names: &NameArguments) -> Vec<String> {
    let options = Options {
        root: names.root.clone(),
        ..Options::default()
    };
    // Draws on a terminal only, when it takes long enough to be read, and goes away at the end.
    let begun = Instant::now();
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("  looking up names {bar:30} {percent:>3} %  {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    let reports = symbolize(profile, &options, &mut |progress| {
        if begun.elapsed() < PATIENCE {
            return;
        }
        bar.set_length(progress.all as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(progress.file.to_owned());
    });
    bar.finish_and_clear();
    notes(&reports)
}

/// What is worth telling: files of which many addresses got no names or no lines.
fn notes(reports: &[FileReport]) -> Vec<String> {
    let all: usize = reports.iter().map(|report| report.addresses).sum();
    // A twentieth without names is worth a note; a system's libraries hardly ever have lines.
    let matters = |report: &&FileReport| {
        let share = if report.found == Found::Names { 4 } else { 20 };
        report.addresses * share >= all.max(1)
    };
    let mut notes = Vec::new();
    for report in reports.iter().filter(matters) {
        let addresses = of_them(report.addresses as u64, "address", "addresses");
        match &report.found {
            Found::Nothing(why) if !report.path.starts_with('[') => notes.push(format!(
                "No names for {addresses} of {} in {}: {why}.",
                count(all as u64),
                report.path
            )),
            Found::Names => notes.push(format!(
                "No lines for {addresses} in {}: it has no debug information, and none lies in /usr/lib/debug.",
                report.path
            )),
            Found::TooLarge { bytes } => notes.push(format!(
                "No lines for {addresses} in {}: it has {} MiB of debug information.",
                report.path,
                bytes >> 20
            )),
            _ => {}
        }
    }
    if notes.len() > 3 {
        let rest = of_them(notes.len() as u64 - 3, "more file", "more files");
        notes.truncate(3);
        notes.push(format!("And so for {rest}."));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_matter_are_told() {
        let report = |path: &str, addresses, found| FileReport {
            path: path.to_owned(),
            addresses,
            found,
        };
        let told = notes(&[
            report("/opt/app", 90, Found::Lines),
            report("/lib/libc.so.6", 40, Found::Names),
            report("/opt/gone.so", 8, Found::Nothing("No such file".to_owned())),
            report("[vdso]", 6, Found::Nothing("no file".to_owned())),
            report("/lib/small.so", 1, Found::Names),
        ]);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("No lines for 40 addresses in /lib/libc.so.6"));
        assert!(told[1].contains("No names for 8 addresses of 145 in /opt/gone.so: No such file."));
    }
}

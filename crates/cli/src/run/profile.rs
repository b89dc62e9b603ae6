//! Profile: the heap profiles that a run leaves, and its ten heaviest call paths.
//!
//! ```text
//! PROGRAM        profile.4711.0.f.heap  --> FILE                        the program's own
//! its children   profile.4712.1.f.heap  --> FILE with 4712 in its name  at most 15, the longest dumps
//! dumps made on the way  profile.4711.2.m0.heap  --> FILE with 4711.2.m0 in its name
//! ```
//! Every process dumps into the private directory, where names cannot clash with anything; from there profiles are
//! carried to where they are wanted. Shown is the process that held most at its peak: where a shell or `make` was started,
//! that is the one people mean.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use jemoxide_profile::views::paths;
use jemoxide_profile::{Measure, Profile};
use serde_json::{Value, json};

use crate::arguments::RunArguments;
use crate::arguments::heap::NameArguments;
use crate::failure::Failure;
use crate::heap::load::Loaded;
use crate::heap::paths::{PathStyle, path_list};
use crate::heap::{file, json, size};
use crate::launch::environment::{DUMP_PREFIX, Sampling};
use crate::launch::{HowEnded, Scratch};
use crate::screen::WIDTH;
use crate::screen::numbers::{bytes, of_them};
use crate::screen::paragraph::paragraph;
use crate::screen::style::{FAINT, TITLE, WARNING};

/// Call paths shown.
const SHOWN: usize = 10;
/// Profiles of other processes that are kept.
const OTHERS_KEPT: usize = 15;

/// What the arguments ask for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Where the profile goes; `None`: named after the program and its process number.
    file: Option<PathBuf>,
    /// The program's name, for files.
    program: String,
    pub(super) sampling: Sampling,
}

impl Wanted {
    /// `None`: no profile is asked for. That it can be written is tried before the program starts.
    pub(super) fn of(arguments: &RunArguments, program: &OsStr) -> Result<Option<Self>, Failure> {
        let Some(name) = &arguments.profile else {
            return Ok(None);
        };
        let program = Path::new(program).file_name().unwrap_or(program);
        let wanted = Self {
            file: (!name.is_empty()).then(|| PathBuf::from(name)),
            program: program.to_string_lossy().into_owned(),
            sampling: Sampling::choose(arguments.sample),
        };
        file::try_place(&wanted.place("0"))?;
        Ok(Some(wanted))
    }

    /// Where the profile of the program itself goes.
    fn place(&self, pid: &str) -> PathBuf {
        match &self.file {
            Some(file) => file.clone(),
            None => PathBuf::from(format!("{}.{pid}.heap", self.program)),
        }
    }

    /// Where another goes: `mark` is in its name.
    fn place_marked(&self, mark: &str) -> PathBuf {
        match &self.file {
            Some(file) => {
                let stem = file.file_stem().unwrap_or_default().to_string_lossy();
                let end = file
                    .extension()
                    .unwrap_or(OsStr::new("heap"))
                    .to_string_lossy();
                file.with_file_name(format!("{stem}.{mark}.{end}"))
            }
            None => PathBuf::from(format!("{}.{mark}.heap", self.program)),
        }
    }
}

/// What the run left.
#[derive(Debug)]
pub(super) enum Left {
    Profile(Box<Shown>),
    /// Nothing to show, and why.
    Nothing(String),
}

/// The profile that is shown, and the others.
#[derive(Debug)]
pub(super) struct Shown {
    file: PathBuf,
    /// The process, when it is not the program itself.
    other_pid: Option<String>,
    loaded: Loaded,
    others: Vec<PathBuf>,
    /// Profiles of other processes that were not kept.
    dropped: usize,
}

/// A dump in the private directory.
struct Dump {
    path: PathBuf,
    pid: String,
    /// `None`: the one at its process's end; else `2.m0`, as it is named.
    on_the_way: Option<String>,
    length: u64,
}

/// Carries the profiles to where they are wanted and reads the one to show.
pub(super) fn collect(wanted: &Wanted, scratch: &Scratch, pid: u32, how: HowEnded) -> Left {
    let mut dumps = dumps(scratch.path());
    let own = pid.to_string();
    // The program's own first, then the longest: they hold most stacks.
    dumps.sort_by(|one, two| {
        let rank = |dump: &Dump| (dump.pid != own, Reverse(dump.length));
        rank(one)
            .cmp(&rank(two))
            .then_with(|| one.path.cmp(&two.path))
    });
    let mut kept: Vec<(PathBuf, String)> = Vec::new();
    let mut on_the_way = Vec::new();
    let mut dropped = 0;
    for dump in dumps {
        let place = match &dump.on_the_way {
            Some(mark) => wanted.place_marked(&format!("{}.{mark}", dump.pid)),
            None if dump.pid == own => wanted.place(&own),
            None if kept.len() <= OTHERS_KEPT => wanted.place_marked(&dump.pid),
            None => {
                dropped += 1;
                continue;
            }
        };
        if let Err(why) = file::carry(&dump.path, &place) {
            return Left::Nothing(why.into_message());
        }
        match dump.on_the_way {
            Some(_) => on_the_way.push(place),
            None => kept.push((place, dump.pid)),
        }
    }
    if kept.is_empty() {
        return Left::Nothing(reason(how));
    }
    let shown = largest(&kept);
    let (file, shown_pid) = kept.remove(shown);
    // Few frames are shown: they should be the program's.
    let names = NameArguments {
        fold_std: true,
        ..NameArguments::default()
    };
    match Loaded::from_files(std::slice::from_ref(&file), &names) {
        Err(why) => Left::Nothing(why.into_message()),
        Ok(loaded) => Left::Profile(Box::new(Shown {
            file,
            other_pid: (shown_pid != own).then_some(shown_pid),
            loaded,
            others: sorted(kept.into_iter().map(|(place, _)| place).chain(on_the_way)),
            dropped,
        })),
    }
}

fn sorted(places: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let mut places: Vec<_> = places.collect();
    places.sort();
    places
}

fn dumps(folder: &Path) -> Vec<Dump> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let dump = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let parts: Vec<&str> = name.split('.').collect();
        // With a name space's number before the process's, when the program is in one of its own.
        let &[first, .., pid, sequence, kind, "heap"] = parts.as_slice() else {
            return None;
        };
        (first == DUMP_PREFIX).then(|| Dump {
            path: entry.path(),
            pid: pid.to_owned(),
            on_the_way: (kind != "f").then(|| format!("{sequence}.{kind}")),
            length: entry.metadata().map_or(0, |facts| facts.len()),
        })
    };
    entries.filter_map(dump).collect()
}

/// The index of the process that held most at its peak.
fn largest(kept: &[(PathBuf, String)]) -> usize {
    let held = |path: &Path| {
        let profile = Profile::read_file(path).ok()?;
        Some(profile.total(measure(&profile)).bytes)
    };
    let mut best = (0, f64::NEG_INFINITY);
    for (index, (path, _)) in kept.iter().enumerate() {
        let held = held(path).unwrap_or(-1.0);
        if held > best.1 {
            best = (index, held);
        }
    }
    best.0
}

/// What a finished process is best judged by: at its end little is live.
fn measure(profile: &Profile) -> Measure {
    if profile.known().peak {
        Measure::Peak
    } else if profile.known().cumulative && profile.total(Measure::Live).is_zero() {
        Measure::Cumulative
    } else {
        Measure::Live
    }
}

fn reason(how: HowEnded) -> String {
    match how {
        HowEnded::Signal { number, .. } => format!(
            "Signal {number} ended the program before it could write a profile. End it in a way that lets it return \
             from main or call exit."
        ),
        HowEnded::Exit(_) => {
            "The program left no profile: it ended by _exit, or runs on another allocator, or the \
             library was built without profiling."
                .to_owned()
        }
    }
}

impl Left {
    /// The part of the screen that is about the profile.
    pub(super) fn text(&self, width: Option<usize>) -> String {
        match self {
            Self::Nothing(why) => {
                let mut text = String::from("\n");
                text.push_str(&paragraph(&format!("No heap profile. {why}"), WARNING));
                text
            }
            Self::Profile(shown) => shown.text(width),
        }
    }

    /// The same for other programs.
    pub(super) fn json(&self) -> Value {
        match self {
            Self::Nothing(why) => json!({ "missing": why }),
            Self::Profile(shown) => shown.json(),
        }
    }
}

impl Shown {
    fn text(&self, width: Option<usize>) -> String {
        let profile = &self.loaded.profile;
        let measure = measure(profile);
        let whole = profile.total(measure);
        // Writing to a String cannot fail: results are dropped throughout.
        let mut text = String::new();
        let _ = writeln!(
            text,
            "\n{TITLE}heap profile: {}{TITLE:#}",
            self.file.display()
        );
        let mut facts = vec![match profile.period() {
            1 => "every allocation was sampled".to_owned(),
            period => format!("estimates, sampled once in {}", bytes(period)),
        }];
        if profile.known().peak {
            facts.push(format!("{} at the peak", size(whole)));
        }
        facts.push(format!(
            "{} live at the end",
            size(profile.total(Measure::Live))
        ));
        if profile.known().cumulative {
            facts.push(format!(
                "{} allocated in all",
                size(profile.total(Measure::Cumulative))
            ));
        }
        text.push_str(&paragraph(&facts.join("; "), FAINT));
        if let Some(pid) = &self.other_pid {
            let told = format!("It is of process {pid}, the one of this run that held most.");
            text.push_str(&paragraph(&told, FAINT));
        }
        let paths = paths(profile, |stack| stack.amount(measure));
        let _ = writeln!(
            text,
            "\n{TITLE}heaviest call paths{TITLE:#}{}",
            match measure {
                Measure::Peak => ", when most was live",
                Measure::Cumulative => ", of all that was allocated",
                _ => ", live at the end",
            }
        );
        if paths.is_empty() {
            text.push_str(&paragraph(
                "Nothing was sampled: the program allocates too little for this rate. Try --sample=1.",
                FAINT,
            ));
        }
        if !paths.is_empty() {
            text.push_str(&paragraph(
                "What the standard libraries allocate is charged to their callers.",
                FAINT,
            ));
        }
        let style = PathStyle {
            // As wide as the rest of the screen, also in a file.
            width: width.or(Some(WIDTH)),
            limit: SHOWN,
            frames: 6,
        };
        text.push_str(&path_list(&paths, whole, style, |_| String::new()));
        for note in &self.loaded.notes {
            text.push_str(&paragraph(note, WARNING));
        }
        text.push_str(&self.others_text());
        let more = format!(
            "more: jemoxide report {} --fold-std --view tree,leaks,temporary",
            self.file.display()
        );
        let _ = writeln!(text, "\n  {FAINT}{more}{FAINT:#}");
        text
    }

    fn others_text(&self) -> String {
        let mut text = String::new();
        if let Some(first) = self.others.first() {
            let told = match self.others.len() {
                1 => format!("One more profile of this run: {}", first.display()),
                more => format!(
                    "{more} more profiles of this run, such as {}",
                    first.display()
                ),
            };
            text.push_str(&paragraph(&told, FAINT));
        }
        if self.dropped > 0 {
            let told = of_them(
                self.dropped as u64,
                "process's profile was",
                "processes' profiles were",
            );
            text.push_str(&paragraph(
                &format!("{told} not kept: they are smaller."),
                FAINT,
            ));
        }
        text
    }

    fn json(&self) -> Value {
        let profile = &self.loaded.profile;
        let measure = measure(profile);
        let paths = paths(profile, |stack| stack.amount(measure));
        json!({
            "file": self.file.display().to_string(),
            "other_pid": self.other_pid,
            "sampling_period_bytes": profile.period(),
            "by": match measure {
                Measure::Peak => "peak",
                Measure::Cumulative => "cumulative",
                _ => "live",
            },
            "total": json::amount(profile.total(measure)),
            "heaviest_paths": paths.iter().take(SHOWN).map(json::path).collect::<Vec<_>>(),
            "other_files": self.others.iter().map(|file| file.display().to_string()).collect::<Vec<_>>(),
            "notes": self.loaded.notes,
        })
    }
}

#[cfg(test)]
mod tests;

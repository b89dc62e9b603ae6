//! Symbols: from return addresses to functions and lines.
//!
//! ```text
//! return address -1 --> module --> address in the file --+--> debug information: inlined functions, file, line
//!                                                        `--> symbol table: a name      (when there is none)
//! ```
//! S1  Every address is reduced by one before it is looked up: a return address may be the first of another line, or of
//!     another function. (Allocation profiles have return addresses only, the innermost one too.)
//! S2  Files are looked up below `root`, which may be `/proc/PID/root` of a container.
//! S3  A file whose build id is not the recorded one gives no names: wrong ones would be worse than none.
//! S4  A location that has functions already (a profile read from pprof) keeps them.
//!
//! Memory: one file's debug sections at a time.

mod demangle;
mod elf;
mod hide;
mod table;

use std::collections::BTreeMap;
use std::path::PathBuf;

pub use demangle::demangled;
pub use hide::Fold;

use crate::build::FunctionTable;
use crate::model::{Call, Function, Profile};
use elf::ElfFile;

/// Where files are looked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Put before every path of the process: `/proc/PID/root`, or a folder with its files.
    pub root: PathBuf,
    /// Folders with separate debug files, below `root` and as they are.
    pub debug_folders: Vec<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            debug_folders: vec![PathBuf::from("/usr/lib/debug")],
        }
    }
}

/// How far the work is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The file whose addresses are being looked up.
    pub file: &'a str,
    /// Addresses done, of all files.
    pub done: usize,
    /// All addresses.
    pub all: usize,
}

/// What was found in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileReport {
    /// The file, as the process knew it.
    pub path: String,
    /// Addresses in it.
    pub addresses: usize,
    /// What they got.
    pub found: Found,
}

/// What the addresses of a file got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Functions and lines.
    Lines,
    /// Functions only: the file has no debug information, and no separate file with it was found.
    Names,
    /// Nothing, and why.
    Nothing(String),
}

/// How often progress is told, in addresses.
const STEP: usize = 256;

/// Fills in the functions of all locations that have none. Tells for each file, the one with most addresses first, what
/// was found; a file that cannot be read is no error.
pub fn symbolize(
    profile: &mut Profile,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Vec<FileReport> {
    let mut files: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, location) in profile.locations.iter().enumerate() {
        if let Some(module) = location.module.filter(|_| location.calls.is_empty()) {
            let path = &profile.module(module).path;
            match files.get_mut(path) {
                Some(locations) => locations.push(index),
                None => {
                    files.insert(path.clone(), vec![index]);
                }
            }
        }
    }
    let all = files.values().map(Vec::len).sum();
    let mut table = FunctionTable::of(&profile.functions);
    let mut done = 0;
    let mut reports = Vec::new();
    for (path, locations) in files {
        progress(Progress {
            file: &path,
            done,
            all,
        });
        let found = match ElfFile::open(&path, options) {
            Err(why) => Found::Nothing(why),
            Ok(file) => of_file(profile, &path, &file, &locations, &mut table, |within| {
                progress(Progress {
                    file: &path,
                    done: done + within,
                    all,
                });
            }),
        };
        done += locations.len();
        reports.push(FileReport {
            path,
            addresses: locations.len(),
            found,
        });
    }
    reports.sort_by_key(|report| std::cmp::Reverse(report.addresses));
    reports
}

fn of_file(
    profile: &mut Profile,
    path: &str,
    file: &ElfFile,
    locations: &[usize],
    table: &mut FunctionTable,
    mut progress: impl FnMut(usize),
) -> Found {
    for module in profile
        .modules
        .iter_mut()
        .filter(|module| module.path == path)
    {
        if !module.build_id.is_empty() && module.build_id != file.build_id() {
            return Found::Nothing(
                "the file there now is another build than the one in the profile".to_owned(),
            );
        }
        module.build_id = file.build_id().to_vec();
    }
    let mut has_lines = false;
    for (count, &index) in locations.iter().enumerate() {
        if count % STEP == STEP - 1 {
            progress(count);
        }
        let location = &profile.locations[index];
        let Some(module) = location.module.map(|id| profile.module(id)) else {
            continue;
        };
        // Rule S1.
        let inside = location.address.saturating_sub(1);
        let offset = inside
            .wrapping_sub(module.addresses.start)
            .wrapping_add(module.offset);
        let Some(address) = file.address_of(offset) else {
            continue;
        };
        let calls = file.functions_at(address).into_iter().map(|found| {
            has_lines |= found.line > 0;
            let function = Function {
                name: demangled(&found.symbol).into(),
                symbol: found.symbol.into(),
                file: found.file.into(),
            };
            Call {
                function: table.id(&mut profile.functions, function),
                line: found.line,
            }
        });
        let calls: Vec<Call> = calls.collect();
        profile.locations[index].calls = calls;
    }
    match (has_lines, file.has_names()) {
        (true, _) => Found::Lines,
        (false, true) => Found::Names,
        (false, false) => Found::Nothing("the file is stripped of all names".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule S3: this program itself, with a build id that it does not have.
    #[test]
    fn a_file_of_another_build_gives_no_names() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        let address = demangled as fn(&str) -> String as usize + 1;
        let dump =
            format!("heap_v2/1\n@ {address:#x}\n  t*: 1: 8 [0: 0]\n\nMAPPED_LIBRARIES:\n{maps}");
        let found = |damage: fn(&mut Vec<u8>)| {
            let mut profile = Profile::read(dump.as_bytes()).expect("well formed");
            symbolize(&mut profile, &Options::default(), &mut |_| {});
            for module in &mut profile.modules {
                damage(&mut module.build_id);
            }
            profile.locations[0].calls.clear();
            let reports = symbolize(&mut profile, &Options::default(), &mut |_| {});
            reports.into_iter().next().expect("one file").found
        };
        assert_eq!(found(|_| {}), Found::Lines);
        let other = found(|id| id.iter_mut().for_each(|byte| *byte ^= 1));
        assert!(
            matches!(&other, Found::Nothing(why) if why.contains("another build")),
            "{other:?}"
        );
    }
}

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
//! S5  One file is open at a time, with at most [`Options::debug_max`] bytes of its debug sections, and of its symbol tables.
//!     Where there are more, the report says so ([`Found::TooLarge`]), as do the profile's warnings.

mod demangle;
mod elf;
mod hide;
mod table;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

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
    /// Debug sections of one file (with those that it shares with others) that are longer together, unpacked, are left alone:
    /// its symbol table gives names, without lines. So is a symbol table that is longer, where the dynamic one is left.
    pub debug_max: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            debug_folders: vec![PathBuf::from("/usr/lib/debug")],
            debug_max: 6 << 30,
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
    /// Functions at most: its debug information has so many bytes, more than [`Options::debug_max`].
    TooLarge {
        /// Unpacked.
        bytes: u64,
    },
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
    let mut files: BTreeMap<Arc<str>, Work> = BTreeMap::new();
    for (index, location) in profile.locations.iter().enumerate() {
        if let Some(module) = location.module.filter(|_| location.calls.is_empty()) {
            let path = profile.module(module).path.clone();
            files.entry(path).or_default().locations.push(index);
        }
    }
    for (index, module) in profile.modules.iter().enumerate() {
        if let Some(work) = files.get_mut(&module.path) {
            work.modules.push(index);
        }
    }
    let all = files.values().map(|work| work.locations.len()).sum();
    let mut table = FunctionTable::of(&profile.functions);
    let mut done = 0;
    let mut reports = Vec::new();
    for (path, work) in files {
        progress(Progress {
            file: &path,
            done,
            all,
        });
        let found = match ElfFile::open(&path, options) {
            Err(why) => Found::Nothing(why),
            Ok(file) => of_file(profile, &file, &work, &mut table, |within| {
                progress(Progress {
                    file: &path,
                    done: done + within,
                    all,
                });
            }),
        };
        if let Found::TooLarge { bytes } = found {
            profile.warnings.push(format!(
                "No lines for {path}: its debug information has {} MiB, more than the {} that may be read.",
                bytes >> 20,
                options.debug_max >> 20
            ));
        }
        done += work.locations.len();
        reports.push(FileReport {
            path: path.as_ref().to_owned(),
            addresses: work.locations.len(),
            found,
        });
    }
    reports.sort_by_key(|report| std::cmp::Reverse(report.addresses));
    reports
}

/// What of a profile is of one file.
#[derive(Default)]
struct Work {
    locations: Vec<usize>,
    modules: Vec<usize>,
}

fn of_file(
    profile: &mut Profile,
    file: &ElfFile,
    work: &Work,
    table: &mut FunctionTable,
    mut progress: impl FnMut(usize),
) -> Found {
    for &index in &work.modules {
        let module = &mut profile.modules[index];
        if !module.build_id.is_empty() && module.build_id != file.build_id() {
            return Found::Nothing(
                "the file there now is another build than the one in the profile".to_owned(),
            );
        }
        module.build_id = file.build_id().to_vec();
    }
    let mut has_lines = false;
    let mut names: HashMap<String, Arc<str>> = HashMap::new();
    for (count, &index) in work.locations.iter().enumerate() {
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
            let symbol = table.text(&found.symbol);
            let name = names
                .entry(found.symbol)
                .or_insert_with_key(|symbol| table.text(&demangled(symbol)));
            let function = Function {
                name: name.clone(),
                symbol,
                file: table.text(&found.file),
            };
            Call {
                function: table.id(&mut profile.functions, function),
                line: found.line,
            }
        });
        let calls: Vec<Call> = calls.collect();
        profile.locations[index].calls = calls;
    }
    match (has_lines, file.too_large(), file.has_names()) {
        (true, ..) => Found::Lines,
        (false, Some(bytes), _) => Found::TooLarge { bytes },
        (false, None, true) => Found::Names,
        (false, None, false) => Found::Nothing("the file is stripped of all names".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rule S5.
    #[test]
    fn debug_information_beyond_the_bound_leaves_the_symbol_table() {
        let maps = std::fs::read_to_string("/proc/self/maps").expect("readable");
        let address = demangled as fn(&str) -> String as usize + 1;
        let dump =
            format!("heap_v2/1\n@ {address:#x}\n  t*: 1: 8 [0: 0]\n\nMAPPED_LIBRARIES:\n{maps}");
        let looked = |debug_max: u64| {
            let mut profile = Profile::read(dump.as_bytes()).expect("well formed");
            let options = Options {
                debug_max,
                ..Options::default()
            };
            let reports = symbolize(&mut profile, &options, &mut |_| {});
            (reports[0].found.clone(), profile)
        };
        let (Found::TooLarge { bytes }, nothing) = looked(0) else {
            panic!("0 bytes are not enough");
        };
        assert!(nothing.locations[0].calls.is_empty(), "nor for symbols");
        let (found, named) = looked(bytes - 1);
        assert_eq!(found, Found::TooLarge { bytes });
        let call = named.locations[0].calls[0];
        assert!(named.function(call.function).name.contains("demangled"));
        assert_eq!(call.line, 0);
        let told = &named.warnings()[0];
        assert!(told.starts_with("No lines for /"), "{told}");
        let (found, _) = looked(bytes);
        assert_eq!(found, Found::Lines);
    }

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

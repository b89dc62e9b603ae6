//! Elf: one file of the process, its separate debug file, and what they say of an address.
//!
//! ```text
//! /opt/app  ---------- program headers: offset in the file -> address
//!    |                 .symtab, .dynsym, .debug_*
//!    |- build id ----> /usr/lib/debug/.build-id/ab/cdef....debug     .debug_*, .symtab
//!    |- .gnu_debuglink  app.debug beside it, in .debug/, or below /usr/lib/debug
//!    `- .gnu_debugaltlink (in either)   what several debug files share (dwz)
//! ```
//! Files are read in parts, never mapped: a file that is cut while it is read is an error, not a signal.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use addr2line::Context;
use gimli::{EndianArcSlice, RunTimeEndian, SectionId};
use object::{Object, ObjectSection, ObjectSegment, ReadCache};

use super::Options;
use super::table::SymbolTable;

type Reader = EndianArcSlice<RunTimeEndian>;

/// Debug sections of one file that are longer together are left alone.
const SECTIONS_MAX: u64 = 6 << 30;

/// A function found at an address.
pub(super) struct FoundFunction {
    pub(super) symbol: String,
    /// Empty: not known.
    pub(super) file: String,
    /// 0: not known.
    pub(super) line: u32,
}

/// A file, ready for questions.
pub(super) struct ElfFile {
    build_id: Vec<u8>,
    segments: Vec<Segment>,
    table: SymbolTable,
    debug: Option<Context<Reader>>,
}

/// A loaded part: where in the file, and at which address.
struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

impl ElfFile {
    /// Opens `path` of the process below the root. The error is a reason, for a person.
    pub(super) fn open(path: &str, options: &Options) -> Result<Self, String> {
        if path.starts_with('[') || path.is_empty() {
            return Err("no file: code that the kernel or the program itself put there".to_owned());
        }
        let (path, was_deleted) = match path.strip_suffix(" (deleted)") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let place = below(&options.root, Path::new(path));
        let reason = |why: &dyn std::fmt::Display| {
            if was_deleted {
                format!("the file had been deleted or replaced when the dump was taken ({why})")
            } else {
                why.to_string()
            }
        };
        let file = open_regular(&place).map_err(|why| reason(&why))?;
        let cache = ReadCache::new(file);
        let main = object::File::parse(&cache).map_err(|why| reason(&why))?;
        let mut table = SymbolTable::default();
        table.add(&main);
        let build_id = main.build_id().ok().flatten().unwrap_or_default().to_vec();
        let mut debug = has_debug(&main)
            .then(|| context(&main, &place, options))
            .flatten();
        if debug.is_none() {
            let candidates = separate_files(&main, &build_id, &place, options);
            debug = candidates
                .iter()
                .find_map(|candidate| separate(candidate, &build_id, options, &mut table));
        }
        table.sort();
        let segments = main.segments().map(|segment| {
            let (offset, size) = segment.file_range();
            Segment {
                offset,
                size,
                address: segment.address(),
            }
        });
        Ok(Self {
            build_id,
            segments: segments.collect(),
            table,
            debug,
        })
    }

    /// The linker's mark of the content; empty: it left none.
    pub(super) fn build_id(&self) -> &[u8] {
        &self.build_id
    }

    /// Whether any address can get a name.
    pub(super) fn has_names(&self) -> bool {
        self.debug.is_some() || !self.table.is_empty()
    }

    /// The address, as the file's own tables count, of the byte at `offset` in it.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let segment = self.segments.iter().find(|segment| {
            offset
                .checked_sub(segment.offset)
                .is_some_and(|inside| inside < segment.size)
        })?;
        Some((offset - segment.offset).wrapping_add(segment.address))
    }

    /// The functions at `address`, innermost first: several where some were inlined.
    pub(super) fn functions_at(&self, address: u64) -> Vec<FoundFunction> {
        let mut found = self.debugged(address).unwrap_or_default();
        let symbol = self.table.find(address);
        match found.last_mut() {
            // Line tables without functions (assembly, minimal debug information) leave the outermost unnamed.
            Some(outermost) => {
                // Line tables without functions (assembly, minimal debug information) leave it unnamed; that of
                // a closure says `operator()` and not whose, unlike the linker's name.
                let is_mangled = |name: &str| name.starts_with("_Z") || name.starts_with("_R");
                let is_better = !is_mangled(&outermost.symbol) && symbol.is_some_and(is_mangled);
                if outermost.symbol.is_empty() || is_better {
                    outermost.symbol = symbol.unwrap_or("(no name)").to_owned();
                }
            }
            None => found.extend(symbol.map(|symbol| FoundFunction {
                symbol: symbol.to_owned(),
                file: String::new(),
                line: 0,
            })),
        }
        found.retain(|function| !function.symbol.is_empty());
        found
    }

    fn debugged(&self, address: u64) -> Option<Vec<FoundFunction>> {
        // Parts of the information that lie in other files again (split DWARF) are not followed.
        let mut frames = self
            .debug
            .as_ref()?
            .find_frames(address)
            .skip_all_loads()
            .ok()?;
        let mut found = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let name = frame
                .function
                .as_ref()
                .and_then(|function| function.raw_name().ok());
            let place = frame.location;
            found.push(FoundFunction {
                symbol: name.map(|name| name.into_owned()).unwrap_or_default(),
                file: place
                    .as_ref()
                    .and_then(|place| place.file)
                    .unwrap_or_default()
                    .to_owned(),
                line: place.and_then(|place| place.line).unwrap_or(0),
            });
        }
        Some(found)
    }
}

/// Opens a file that is one: a dump may name a pipe, which would never open, or a device without an end.
fn open_regular(place: &Path) -> io::Result<File> {
    // It is looked at first, as opening a device may do something; and again when it is open, as it may be another by then.
    let of_file = |is_file: bool| {
        is_file
            .then_some(())
            .ok_or_else(|| io::Error::other("it is no regular file"))
    };
    of_file(place.metadata()?.is_file())?;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(place)?;
    of_file(file.metadata()?.is_file())?;
    Ok(file)
}

fn has_debug<'a>(file: &impl Object<'a>) -> bool {
    file.section_by_name(".debug_info").is_some() || file.section_by_name(".zdebug_info").is_some()
}

/// `path` below `root`; an absolute one as well.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Where the debug file of `main` may be, most certain first.
fn separate_files<'a>(
    main: &impl Object<'a>,
    build_id: &[u8],
    place: &Path,
    options: &Options,
) -> Vec<PathBuf> {
    let mut places = Vec::new();
    let folders = debug_folders(options);
    if let Some((first, rest)) = build_id.split_first() {
        let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
        let name = format!(".build-id/{first:02x}/{rest}.debug");
        places.extend(folders.iter().map(|folder| folder.join(&name)));
    }
    if let Ok(Some((name, _checksum))) = main.gnu_debuglink() {
        let name = String::from_utf8_lossy(name).into_owned();
        if let Some(folder) = place.parent().filter(|_| !name.contains('/')) {
            places.push(folder.join(&name));
            places.push(folder.join(".debug").join(&name));
            let inner = folder.strip_prefix(&options.root).unwrap_or(folder);
            let inner = inner.strip_prefix("/").unwrap_or(inner);
            places.extend(folders.iter().map(|debug| debug.join(inner).join(&name)));
        }
    }
    places
}

fn debug_folders(options: &Options) -> Vec<PathBuf> {
    let own = options.debug_folders.iter();
    let mut folders: Vec<_> = own
        .clone()
        .map(|folder| below(&options.root, folder))
        .collect();
    folders.extend(own.cloned());
    folders.dedup();
    folders
}

/// The debug information in `file`, when it is there and belongs to the build; its names go into `table`.
fn separate(
    file: &Path,
    build_id: &[u8],
    options: &Options,
    table: &mut SymbolTable,
) -> Option<Context<Reader>> {
    let cache = ReadCache::new(open_regular(file).ok()?);
    let debug = object::File::parse(&cache).ok()?;
    if debug.build_id().ok().flatten().unwrap_or_default() != build_id {
        return None;
    }
    table.add(&debug);
    context(&debug, file, options)
}

fn context<'a>(file: &impl Object<'a>, place: &Path, options: &Options) -> Option<Context<Reader>> {
    let size: u64 = file
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug")))
        .map(|section| section.size())
        .fold(0, u64::saturating_add);
    if size > SECTIONS_MAX {
        return None;
    }
    let mut dwarf = dwarf(file)?;
    if let Some(shared) = shared(file, place, options) {
        dwarf.set_sup(shared);
    }
    Context::from_dwarf(dwarf).ok()
}

fn dwarf<'a>(file: &impl Object<'a>) -> Option<gimli::Dwarf<Reader>> {
    let endian = if file.is_little_endian() {
        RunTimeEndian::Little
    } else {
        RunTimeEndian::Big
    };
    let section = |id: SectionId| -> Result<Reader, gimli::Error> {
        let content = file
            .section_by_name(id.name())
            .and_then(|section| section.uncompressed_data().ok())
            .unwrap_or_default();
        Ok(EndianArcSlice::new(Arc::from(&*content), endian))
    };
    gimli::Dwarf::load(section).ok()
}

/// What the debug file shares with others.
fn shared<'a>(
    file: &impl Object<'a>,
    place: &Path,
    options: &Options,
) -> Option<gimli::Dwarf<Reader>> {
    let (name, build_id) = file.gnu_debugaltlink().ok().flatten()?;
    let name = PathBuf::from(String::from_utf8_lossy(name).into_owned());
    let beside = place.parent()?.join(&name);
    // The link is written for the place where the package installs; a copy may lie elsewhere.
    let by_name = name.file_name().into_iter().flat_map(|name| {
        debug_folders(options)
            .into_iter()
            .map(move |folder| folder.join(".dwz").join(name))
    });
    let places = [beside, below(&options.root, &name)]
        .into_iter()
        .chain(by_name);
    places.into_iter().find_map(|place| {
        let cache = ReadCache::new(open_regular(&place).ok()?);
        let file = object::File::parse(&cache).ok()?;
        let same = file.build_id().ok().flatten().unwrap_or_default() == build_id;
        same.then(|| dwarf(&file)).flatten()
    })
}

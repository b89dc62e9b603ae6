//! Elf: one file of the process, its separate debug file, and what they say of an address.
//!
//! ```text
//! /opt/app  ---------- program headers: offset in the file -> address
//!    |                 .symtab, .dynsym, .debug_*
//!    |- build id ----> /usr/lib/debug/.build-id/ab/cdef....debug     .debug_*, .symtab
//!    |- .gnu_debuglink  app.debug beside it, in .debug/, or below /usr/lib/debug
//!    `- .gnu_debugaltlink (in either)   what several debug files share (dwz)
//! ```
//! Files are read in parts, never mapped: a file that is cut while it is read is an error, not a signal. Of debug sections
//! only those are read that names and lines need, one after the other; what they take together is known, and bounded, before
//! the first is read.

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
    debug: Debug,
}

/// The debug information of a file.
enum Debug {
    Read(Box<Context<Reader>>),
    /// More bytes than may be read.
    TooLarge(u64),
    None,
}

/// What names and lines need: neither the places of variables nor macros.
const SECTIONS: [SectionId; 11] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
    SectionId::DebugTypes,
];

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
        let cache = ReadCache::new(&file);
        let main = object::File::parse(&cache).map_err(|why| reason(&why))?;
        let mut table = SymbolTable::default();
        table.add(&main, options.debug_max);
        let build_id = main.build_id().ok().flatten().unwrap_or_default().to_vec();
        let mut debug = Debug::None;
        if has_debug(&main) {
            debug = context(&file, &main, &place, options);
        }
        if !matches!(debug, Debug::Read(_)) {
            for candidate in separate_files(&main, &build_id, &place, options) {
                match separate(&candidate, &build_id, options, &mut table) {
                    Debug::None => {}
                    found @ Debug::Read(_) => {
                        debug = found;
                        break;
                    }
                    found @ Debug::TooLarge(_) => debug = found,
                }
            }
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
        matches!(self.debug, Debug::Read(_)) || !self.table.is_empty()
    }

    /// Bytes of debug information that was not read, as there is more than may be.
    pub(super) fn too_large(&self) -> Option<u64> {
        match self.debug {
            Debug::TooLarge(bytes) => Some(bytes),
            _ => None,
        }
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
        let Debug::Read(context) = &self.debug else {
            return None;
        };
        let mut frames = context.find_frames(address).skip_all_loads().ok()?;
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
fn separate(file: &Path, build_id: &[u8], options: &Options, table: &mut SymbolTable) -> Debug {
    let found = open_regular(file).ok().and_then(|opened| {
        let cache = ReadCache::new(&opened);
        let debug = object::File::parse(&cache).ok()?;
        if debug.build_id().ok().flatten().unwrap_or_default() != build_id {
            return None;
        }
        table.add(&debug, options.debug_max);
        Some(context(&opened, &debug, file, options))
    });
    found.unwrap_or(Debug::None)
}

/// The debug information of `file`, which is `parsed` and lies at `place`, together with what it shares with others.
fn context<'a>(file: &File, parsed: &impl Object<'a>, place: &Path, options: &Options) -> Debug {
    let shared = shared(parsed, place, options);
    let of_shared = shared.as_ref().map_or(0, |(_, bytes)| *bytes);
    let bytes = size(parsed).saturating_add(of_shared);
    if bytes > options.debug_max {
        return Debug::TooLarge(bytes);
    }
    let read = dwarf(file).and_then(|mut dwarf| {
        if let Some(shared) = shared.and_then(|(shared, _)| self::dwarf(&shared)) {
            dwarf.set_sup(shared);
        }
        Context::from_dwarf(dwarf).ok()
    });
    read.map_or(Debug::None, |context| Debug::Read(Box::new(context)))
}

/// Bytes, unpacked, of the sections that [`dwarf`] reads.
fn size<'a>(file: &impl Object<'a>) -> u64 {
    let sections = SECTIONS
        .iter()
        .filter_map(|id| file.section_by_name(id.name()));
    sections
        .map(|section| match section.compressed_file_range() {
            Ok(range) => range.uncompressed_size,
            Err(_) => section.size(),
        })
        .fold(0, u64::saturating_add)
}

fn dwarf(file: &File) -> Option<gimli::Dwarf<Reader>> {
    let section = |id: SectionId| -> Result<Reader, gimli::Error> {
        if !SECTIONS.contains(&id) {
            return Ok(EndianArcSlice::new(Arc::from([]), RunTimeEndian::Little));
        }
        // The cache keeps what was read of the file: it goes with the section, of which a copy stays.
        let cache = ReadCache::new(file);
        let parsed = object::File::parse(&cache).map_err(|_| gimli::Error::Io)?;
        let endian = if parsed.is_little_endian() {
            RunTimeEndian::Little
        } else {
            RunTimeEndian::Big
        };
        let content = parsed
            .section_by_name(id.name())
            .and_then(|section| section.uncompressed_data().ok())
            .unwrap_or_default();
        Ok(EndianArcSlice::new(Arc::from(&*content), endian))
    };
    gimli::Dwarf::load(section).ok()
}

/// The file that the debug file shares with others, and the bytes of its sections.
fn shared<'a>(file: &impl Object<'a>, place: &Path, options: &Options) -> Option<(File, u64)> {
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
        let opened = open_regular(&place).ok()?;
        let bytes = {
            let cache = ReadCache::new(&opened);
            let parsed = object::File::parse(&cache).ok()?;
            let same = parsed.build_id().ok().flatten().unwrap_or_default() == build_id;
            same.then(|| size(&parsed))?
        };
        Some((opened, bytes))
    })
}

//! Program: which file a command line starts, and whether the library can get into it.
//!
//! ```text
//! name -- PATH --> file -- "#!" --> interpreter -- ... --> ELF file
//!                                                            |- no PT_INTERP: statically linked
//!                                                            |- another machine than the library
//!                                                            |- another C library's loader
//!                                                            `- runs with more rights than we have
//! ```
//! The loader, not this file, decides in the end: what is found here only explains missing figures.
//! When in doubt (unreadable, unknown format) the answer is that nothing stands in the way.

use std::ffi::{CString, OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use object::elf;
use object::read::elf::{FileHeader, ProgramHeader};

/// Headers lie at the start of every file that a linker writes.
const HEAD_BYTES: u64 = 64 << 10;
/// The kernel follows that many interpreters of interpreters.
const SCRIPT_DEPTH: usize = 5;

/// Why a program stays on its own allocator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// Nothing is loaded into it at start.
    Static(PathBuf),
    /// Built for another processor or word size than the library.
    OtherMachine(PathBuf),
    /// Its loader belongs to another C library.
    OtherLoader(PathBuf, String),
    /// The loader ignores preloading for programs that gain rights.
    Privileged(PathBuf),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Static(file) => {
                write!(
                    to,
                    "{} is statically linked: nothing can be preloaded into it",
                    file.display()
                )
            }
            Self::OtherMachine(file) => {
                write!(
                    to,
                    "{} is built for another kind of processor than the library",
                    file.display()
                )
            }
            Self::OtherLoader(file, loader) => write!(
                to,
                "{} starts through {loader}, which belongs to another C library than ours",
                file.display()
            ),
            Self::Privileged(file) => write!(
                to,
                "{} gains rights when started (setuid, setgid or capabilities): preloading is ignored",
                file.display()
            ),
        }
    }
}

/// The file that `name` stands for, as the system will look it up.
pub(crate) fn find(name: &OsStr) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        let path = PathBuf::from(name);
        return path.is_file().then_some(path);
    }
    let path = std::env::var_os("PATH")?;
    let files: Vec<_> = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .filter(|file| file.is_file())
        .collect();
    files
        .iter()
        .find(|file| is_executable(file))
        .or(files.first())
        .cloned()
}

/// What keeps `library` out of the program in `file`, if anything does.
pub(crate) fn obstacle(file: &Path, library: &Path) -> Option<Obstacle> {
    let file = end_of_scripts(file)?;
    if gains_rights(&file) {
        return Some(Obstacle::Privileged(file));
    }
    let program = Elf::read(&file)?;
    let ours = Elf::read(library);
    if ours.as_ref().is_some_and(|ours| ours.kind != program.kind) {
        return Some(Obstacle::OtherMachine(file));
    }
    match program.loader {
        None => Some(Obstacle::Static(file)),
        Some(loader) if loader.contains("/ld-musl") && cfg!(target_env = "gnu") => {
            Some(Obstacle::OtherLoader(file, loader))
        }
        Some(_) => None,
    }
}

/// The interpreter a script's first line names, or `None` for anything but a script.
pub(crate) fn interpreter(file: &Path) -> Option<PathBuf> {
    let head = head(file)?;
    let line = head
        .strip_prefix(b"#!")?
        .split(|&byte| byte == b'\n')
        .next()?;
    let mut words = line
        .split(|byte| b" \t\r".contains(byte))
        .filter(|word| !word.is_empty());
    words
        .next()
        .map(|word| PathBuf::from(OsString::from_vec(word.to_vec())))
}

fn end_of_scripts(file: &Path) -> Option<PathBuf> {
    let mut file = file.to_owned();
    for _ in 0..SCRIPT_DEPTH {
        match interpreter(&file) {
            Some(next) => file = next,
            None => return Some(file),
        }
    }
    None
}

fn is_executable(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|facts| facts.permissions().mode() & 0o111 != 0)
}

fn gains_rights(file: &Path) -> bool {
    let Ok(facts) = fs::metadata(file) else {
        return false;
    };
    let mode = facts.permissions().mode();
    // SAFETY: both calls only read the process's identity and cannot fail.
    let (user, group) = unsafe { (libc::getuid(), libc::getgid()) };
    (mode & libc::S_ISUID != 0 && facts.uid() != user)
        || (mode & libc::S_ISGID != 0 && facts.gid() != group)
        || (user != 0 && has_capabilities(file))
}

fn has_capabilities(file: &Path) -> bool {
    let Ok(path) = CString::new(file.as_os_str().as_bytes()) else {
        return false;
    };
    // SAFETY: both strings end in NUL and outlive the call; with size 0 nothing is written.
    let size = unsafe {
        libc::getxattr(
            path.as_ptr(),
            c"security.capability".as_ptr(),
            std::ptr::null_mut(),
            0,
        )
    };
    size > 0
}

fn head(file: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)
        .ok()?
        .take(HEAD_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(bytes)
}

/// What the headers of an ELF file say.
struct Elf {
    /// Word size, byte order, processor.
    kind: (elf::FileClass, elf::DataEncoding, elf::Machine),
    /// The loader it asks for; none in a static program and in a library.
    loader: Option<String>,
}

impl Elf {
    fn read(file: &Path) -> Option<Self> {
        let bytes = head(file)?;
        match bytes.get(4).copied().map(elf::FileClass) {
            Some(elf::ELFCLASS64) => Self::parse::<elf::FileHeader64<object::Endianness>>(&bytes),
            Some(elf::ELFCLASS32) => Self::parse::<elf::FileHeader32<object::Endianness>>(&bytes),
            _ => None,
        }
    }

    fn parse<H: FileHeader<Endian = object::Endianness>>(bytes: &[u8]) -> Option<Self> {
        let header = H::parse(bytes).ok()?;
        let endian = header.endian().ok()?;
        let ident = header.e_ident();
        let kind = (ident.class, ident.data, header.e_machine(endian));
        let mut loader = None;
        for segment in header.program_headers(endian, bytes).ok()? {
            if segment.p_type(endian) == elf::PT_INTERP {
                // Beyond the head that was read: there is a loader, whatever its name.
                let name = segment.data(endian, bytes).unwrap_or_default();
                let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
                loader = Some(String::from_utf8_lossy(name).into_owned());
            }
        }
        Some(Self { kind, loader })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, content).expect("writable");
        path
    }

    /// An ELF file of nothing but headers: 64 bits, low byte first.
    fn elf_file(machine: u16, loader: Option<&str>) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        file[16] = 2;
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[20] = 1;
        file[32] = 64;
        file[52] = 64;
        file[54] = 56;
        if let Some(loader) = loader {
            file[56] = 1;
            let mut segment = vec![0; 56];
            segment[0] = 3;
            segment[8] = 120;
            segment[32] = loader.len() as u8 + 1;
            file.extend(segment);
            file.extend(loader.bytes());
            file.push(0);
        }
        file
    }

    #[test]
    fn a_program_without_a_loader_is_static() {
        let folder = tempfile::tempdir().expect("a directory");
        let library = written(folder.path(), "lib", &elf_file(62, None));
        let program = written(folder.path(), "static", &elf_file(62, None));
        assert_eq!(
            obstacle(&program, &library),
            Some(Obstacle::Static(program.clone()))
        );
        let program = written(
            folder.path(),
            "dynamic",
            &elf_file(62, Some("/lib64/ld-linux-x86-64.so.2")),
        );
        assert_eq!(obstacle(&program, &library), None);
    }

    #[test]
    fn another_machine_and_another_loader_are_told() {
        let folder = tempfile::tempdir().expect("a directory");
        let library = written(folder.path(), "lib", &elf_file(62, None));
        let arm = written(
            folder.path(),
            "arm",
            &elf_file(183, Some("/lib/ld-linux-aarch64.so.1")),
        );
        assert_eq!(obstacle(&arm, &library), Some(Obstacle::OtherMachine(arm)));
        let musl = written(
            folder.path(),
            "musl",
            &elf_file(62, Some("/lib/ld-musl-x86_64.so.1")),
        );
        assert!(matches!(
            obstacle(&musl, &library),
            Some(Obstacle::OtherLoader(..))
        ));
    }

    #[test]
    fn a_script_is_judged_by_its_interpreter() {
        let folder = tempfile::tempdir().expect("a directory");
        let library = written(folder.path(), "lib", &elf_file(62, None));
        let shell = written(folder.path(), "shell", &elf_file(62, None));
        let line = format!("#! {}\t-e\necho\n", shell.display());
        let script = written(folder.path(), "script", line.as_bytes());
        assert_eq!(interpreter(&script), Some(shell.clone()));
        assert_eq!(obstacle(&script, &library), Some(Obstacle::Static(shell)));
        let circle = folder.path().join("circle");
        let circle = written(
            folder.path(),
            "circle",
            format!("#!{}\n", circle.display()).as_bytes(),
        );
        assert_eq!(obstacle(&circle, &library), None);
    }

    #[test]
    fn nonsense_stands_in_no_ones_way() {
        let folder = tempfile::tempdir().expect("a directory");
        for (index, content) in [
            &b""[..],
            b"#!",
            b"\x7fELF",
            b"\x7fELF\x02\x01\x01",
            b"echo hello",
        ]
        .iter()
        .enumerate()
        {
            let file = written(folder.path(), &index.to_string(), content);
            assert_eq!(obstacle(&file, &file), None, "{content:?}");
        }
        let mut broken = elf_file(62, Some("/l"));
        broken[32] = 0xff;
        let file = written(folder.path(), "broken", &broken);
        assert_ne!(
            obstacle(&file, &file),
            Some(Obstacle::OtherMachine(file.clone()))
        );
    }

    #[test]
    fn the_path_is_searched_for_executables() {
        assert!(find(OsStr::new("sh")).is_some_and(|file| file.is_absolute()));
        assert_eq!(find(OsStr::new("/no/such/program")), None);
        assert_eq!(find(OsStr::new("no-such-program-anywhere")), None);
    }
}

//! Installing: libraries, headers, pkg-config files, scripts.
//!
//! ```text
//! PREFIX/lib      libjemoxide.so.0.VERSION   <- .so.0 <- .so      libjemoxide.a
//!                 libjemalloc.so.2           <- .so               the same code under jemalloc's name
//!                 libjemalloc.a              -> libjemoxide.a
//!                 pkgconfig/jemoxide.pc, jemalloc.pc
//! PREFIX/include  jemalloc/jemalloc.h, jemoxide.h
//! PREFIX/bin      jemoxide, jemalloc-config, jemalloc.sh
//! ```
//! L1  The two shared libraries differ in their own name (SONAME) alone. Both names have 16 letters, so that one is
//!     written over the other in a copy of the file: one build, one code to trust.
//! L2  Nothing outside the folder is written; a file that is there is replaced, by rename, as processes may use it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use jemoxide_testkit::artifacts;
use object::LittleEndian;
use object::elf::{self, FileHeader64};
use object::read::elf::{Dyn, FileHeader, SectionHeader};

use crate::{Done, headers};

/// The library's own name, and that of the drop-in.
pub const SONAME: &str = "libjemoxide.so.0";
/// The name by which programs that are linked with jemalloc look for it.
pub const DROP_IN: &str = "libjemalloc.so.2";
/// The interface's version, as pkg-config compares it.
const INTERFACE: &str = "5.3.1";

/// Installs into `prefix` below `destdir`, from a finished build in `from` or from a new one.
pub fn run(prefix: &Path, destdir: Option<&Path>, from: Option<PathBuf>) -> Done {
    if !prefix.is_absolute() {
        return Err(format!(
            "--prefix {}: not an absolute path",
            prefix.display()
        ));
    }
    let from = match from {
        Some(folder) => folder,
        None => build()?,
    };
    let place = Place::new(prefix, destdir)?;
    let library = read(&from.join("libjemoxide.so"))?;
    let version = env!("CARGO_PKG_VERSION");
    let full = format!(
        "{SONAME}.{}",
        version.split_once('.').map_or(version, |(_, rest)| rest)
    );
    place.file(&format!("lib/{full}"), &library, 0o755)?;
    place.link("lib/libjemoxide.so.0", &full)?;
    place.link("lib/libjemoxide.so", SONAME)?;
    place.file(&format!("lib/{DROP_IN}"), &renamed(&library)?, 0o755)?;
    place.link("lib/libjemalloc.so", DROP_IN)?;
    place.file(
        "lib/libjemoxide.a",
        &read(&from.join("libjemoxide.a"))?,
        0o644,
    )?;
    place.link("lib/libjemalloc.a", "libjemoxide.a")?;
    for (path, text) in headers::texts()? {
        place.file(&format!("include/{path}"), text.as_bytes(), 0o644)?;
    }
    let of = prefix.display().to_string();
    for (name, library) in [("jemoxide", "jemoxide"), ("jemalloc", "jemalloc")] {
        let text = pkg_config(&of, name, library);
        place.file(&format!("lib/pkgconfig/{name}.pc"), text.as_bytes(), 0o644)?;
    }
    let script = include_str!("jemalloc-config.sh").replace("@prefix@", &of);
    place.file("bin/jemalloc-config", script.as_bytes(), 0o755)?;
    let script = include_str!("jemalloc.sh").replace("@prefix@", &of);
    place.file("bin/jemalloc.sh", script.as_bytes(), 0o755)?;
    // The command is no part of what programs link with: it comes along where it was built.
    let command = from.join("jemoxide");
    if command.is_file() {
        place.file("bin/jemoxide", &read(&command)?, 0o755)?;
    }
    Ok(format!("installed below {}\n", place.root.display()))
}

/// Builds what is installed, as a user would.
fn build() -> Result<PathBuf, String> {
    let root = artifacts::workspace();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "jemoxide-capi",
            "--package",
            "jemoxide-cli",
        ])
        .current_dir(root)
        .status()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    if !status.success() {
        return Err("the build failed".to_owned());
    }
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Ok(root.join(target).join("release"))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// A copy of the shared library under the drop-in's name (L1).
fn renamed(library: &[u8]) -> Result<Vec<u8>, String> {
    let at = soname_at(library).map_err(|error| format!("libjemoxide.so: {error}"))?;
    let mut copy = library.to_vec();
    let place = copy.get_mut(at..at + SONAME.len());
    match place {
        Some(place) if &*place == SONAME.as_bytes() => place.copy_from_slice(DROP_IN.as_bytes()),
        _ => return Err(format!("libjemoxide.so is not named {SONAME}")),
    }
    Ok(copy)
}

const _: () = assert!(SONAME.len() == DROP_IN.len());

/// Where in the file the library's own name stands.
fn soname_at(library: &[u8]) -> Result<usize, object::Error> {
    let header = FileHeader64::<LittleEndian>::parse(library)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, library)?;
    let mut at = 0;
    if let Some((entries, link)) = sections.dynamic(endian, library)? {
        let strings = sections.section(link)?.sh_offset(endian);
        for entry in entries {
            if entry.tag32(endian) == Some(elf::DT_SONAME) {
                at = (strings + entry.d_val(endian)) as usize;
            }
        }
    }
    Ok(at)
}

fn pkg_config(prefix: &str, name: &str, library: &str) -> String {
    format!(
        "prefix={prefix}\nexec_prefix=${{prefix}}\nlibdir=${{exec_prefix}}/lib\nincludedir=${{prefix}}/include\n\n\
         Name: {name}\n\
         Description: General-purpose memory allocator with jemalloc's interface (jemoxide {own})\n\
         Version: {version}\n\
         Cflags: -I${{includedir}}\n\
         Libs: -L${{libdir}} -l{library}\n\
         Libs.private: -lc\n",
        own = env!("CARGO_PKG_VERSION"),
        version = if name == "jemalloc" {
            INTERFACE
        } else {
            env!("CARGO_PKG_VERSION")
        },
    )
}

/// The folder that is written to.
struct Place {
    root: PathBuf,
}

impl Place {
    fn new(prefix: &Path, destdir: Option<&Path>) -> Result<Self, String> {
        let inside = prefix.strip_prefix("/").unwrap_or(prefix);
        let root = destdir.map_or_else(|| prefix.to_owned(), |destdir| destdir.join(inside));
        for folder in ["lib/pkgconfig", "include/jemalloc", "bin"] {
            let folder = root.join(folder);
            fs::create_dir_all(&folder)
                .map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(Self { root })
    }

    /// Puts a file in its place, by rename (L2).
    fn file(&self, path: &str, bytes: &[u8], mode: u32) -> Result<(), String> {
        let path = self.root.join(path);
        let fresh = path.with_extension("fresh");
        let done = fs::write(&fresh, bytes)
            .and_then(|()| fs::set_permissions(&fresh, fs::Permissions::from_mode(mode)))
            .and_then(|()| fs::rename(&fresh, &path));
        done.map_err(|error| format!("{}: {error}", path.display()))
    }

    fn link(&self, path: &str, target: &str) -> Result<(), String> {
        let path = self.root.join(path);
        let fresh = path.with_extension("fresh");
        let _ = fs::remove_file(&fresh);
        let done = symlink(target, &fresh).and_then(|()| fs::rename(&fresh, &path));
        done.map_err(|error| format!("{}: {error}", path.display()))
    }
}

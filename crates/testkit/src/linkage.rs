//! Linkage: the ways a C or C++ program gets its malloc from the library under test.
//!
//! ```text
//!  Preloaded    program | LD_PRELOAD=libjemoxide.so      the program knows nothing of it
//!  Linked       program -> libjemoxide.so (run path)     found by the loader
//!  Static       program + libjemoxide.a -> libc.so       libc calls into the program
//!  FullyStatic  program + libjemoxide.a + libc.a         no loader at all
//! ```
//!
//! In each way but the last the program asserts which file its malloc comes from
//! (`programs/door/check.h`); in the last there is no other.

use std::path::{Path, PathBuf};

use crate::artifacts;
use crate::child::Run;
use crate::compiler;

/// How the program and the library come together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Linkage {
    /// The loader puts the library in front of everything.
    Preloaded,
    /// The program names the shared library as needed.
    Linked,
    /// The archive is inside the program; libc is shared.
    Static,
    /// The archive and libc are both inside.
    FullyStatic,
}

impl Linkage {
    /// Compiles the C `source` (a path below `programs/`) and prepares to run it.
    ///
    /// `None` when something it needs is missing, which has then been announced.
    pub fn c(self, source: &str) -> Option<Run> {
        self.prepare(source, compiler::c)
    }

    /// Compiles the C++ `source` (a path below `programs/`) and prepares to run it.
    ///
    /// `None` when something it needs is missing, which has then been announced.
    pub fn cxx(self, source: &str) -> Option<Run> {
        self.prepare(source, compiler::cxx)
    }

    fn prepare(self, source: &str, compile: Compile) -> Option<Run> {
        let stem = Path::new(source).file_stem()?.to_str()?;
        let name = format!("{stem}-{self:?}").to_lowercase();
        let build = |flags: &[&str]| compile(source, &name, flags);
        let run = match self {
            Self::Preloaded => {
                let library = artifacts::library();
                Run::new(build(&["-ldl"])?)
                    .preload(&library)
                    .env(EXPECT, &library)
            }
            Self::Linked => {
                let library = artifacts::library();
                let flags = link_flags(&library);
                let flags: Vec<_> = flags.iter().map(String::as_str).collect();
                Run::new(build(&flags)?).env(EXPECT, &library)
            }
            Self::Static => {
                let program = build(&["-DSTRONG", &archive()?, "-ldl"])?;
                Run::new(&program).env(EXPECT, &program)
            }
            Self::FullyStatic => Run::new(build(&["-static", "-DSTRONG", &archive()?])?),
        };
        Some(run)
    }
}

/// Compiles `source` to `out_name` with flags.
type Compile = fn(source: &str, out_name: &str, flags: &[&str]) -> Option<PathBuf>;

/// Tells the program which file its malloc must come from.
const EXPECT: &str = "JEMOXIDE_EXPECT";

/// Flags that link against the shared library as an installed one is linked.
fn link_flags(library: &Path) -> [String; 4] {
    let text = |part: Option<&std::ffi::OsStr>| {
        part.and_then(|part| part.to_str())
            .expect("test paths are plain text")
            .to_owned()
    };
    let folder = text(library.parent().map(Path::as_os_str));
    let name = match artifacts::is_stand_in() {
        true => format!("-l:{}", text(library.file_name())),
        false => "-ljemoxide".to_owned(),
    };
    [
        format!("-L{folder}"),
        name,
        format!("-Wl,-rpath,{folder}"),
        "-ldl".to_owned(),
    ]
}

fn archive() -> Option<String> {
    let Some(path) = artifacts::static_library() else {
        compiler::announce_untested("the stand-in has no static library");
        return None;
    };
    Some(path.to_str().expect("test paths are plain text").to_owned())
}

//! Tools: what the builds of peers need from the machine, and which compiler they get.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// A program that a build needs, and the Debian package that has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tool {
    program: &'static str,
    package: &'static str,
}

/// Compiles C, and links everything.
pub(super) const CC: Tool = Tool::new("cc", "gcc");
/// Compiles C++.
pub(super) const CXX: Tool = Tool::new("c++", "g++");
/// Runs the builds of jemalloc and, behind cmake, of snmalloc.
pub(super) const MAKE: Tool = Tool::new("make", "make");
/// Configures snmalloc.
pub(super) const CMAKE: Tool = Tool::new("cmake", "cmake");

impl Tool {
    const fn new(program: &'static str, package: &'static str) -> Self {
        Self { program, package }
    }
}

/// Which C compiler makes the faster peer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Compiler {
    /// The system's.
    System,
    /// clang where it is installed, else the system's.
    Clang,
    /// It holds no C.
    None,
}

/// The compilers of one build.
#[derive(Debug)]
pub(super) struct Chosen {
    /// Family and version, for the tables.
    pub(super) label: String,
    pub(super) c: PathBuf,
    pub(super) cxx: PathBuf,
}

/// Where programs are looked for.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    path: OsString,
}

impl Tools {
    /// Those that a shell would find.
    pub(super) fn of_this_machine() -> Self {
        Self {
            path: std::env::var_os("PATH").unwrap_or_default(),
        }
    }

    /// Those of one folder.
    #[cfg(test)]
    pub(super) fn of(dir: &std::path::Path) -> Self {
        Self { path: dir.into() }
    }

    /// Whether all of `needed` are here; if not, what to install.
    pub(super) fn check(&self, needed: &[Tool]) -> Result<(), String> {
        let missing = |tool: &&Tool| self.find(tool.program).is_none();
        match needed.iter().find(missing) {
            None => Ok(()),
            Some(tool) => Err(format!(
                "its build needs {}: install package {}",
                tool.program, tool.package
            )),
        }
    }

    /// The compilers that `wanted` comes to; `None` if none is wanted, or here.
    pub(super) fn choose(&self, wanted: Compiler) -> Option<Chosen> {
        let clang = || Some((self.find("clang")?, self.find("clang++")?));
        // C++ is not needed by all that need C: its compiler may be absent and is not asked for then.
        let system = || Some((self.find("cc")?, self.find("c++").unwrap_or("c++".into())));
        let (c, cxx) = match wanted {
            Compiler::Clang => clang().or_else(system)?,
            Compiler::System => system()?,
            Compiler::None => return None,
        };
        let output = Command::new(&c).arg("--version").output().ok()?;
        let label = label(&String::from_utf8_lossy(&output.stdout))?;
        Some(Chosen { label, c, cxx })
    }

    fn find(&self, program: &str) -> Option<PathBuf> {
        std::env::split_paths(&self.path)
            .map(|dir| dir.join(program))
            .find(|file| file.is_file())
    }
}

/// Family and version in what `--version` printed. The system's compiler may be clang, too.
fn label(text: &str) -> Option<String> {
    let family = if text.contains("clang") {
        "clang"
    } else {
        "gcc"
    };
    let version = text
        .split(|letter: char| letter != '.' && !letter.is_ascii_digit())
        .find(|word| word.contains('.') && word.len() > 2)?;
    Some(format!("{family} {version}"))
}

#[cfg(test)]
mod tests {
    use super::{CC, CMAKE, Compiler, Tools, label};

    #[test]
    fn versions_of_compilers_are_read() {
        let gcc = "cc (Debian 12.2.0-14+deb12u1) 12.2.0\nCopyright (C) 2022";
        assert_eq!(label(gcc).as_deref(), Some("gcc 12.2.0"));
        let clang = "Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64-pc-linux-gnu";
        assert_eq!(label(clang).as_deref(), Some("clang 19.1.7"));
        assert_eq!(label("no number"), None);
    }

    #[test]
    fn what_is_not_in_the_path_is_to_be_installed() {
        let dir = std::env::temp_dir().join(format!("jemoxide-path-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("cc"), "").unwrap();
        let tools = Tools::of(&dir);
        let (here, missing) = (tools.check(&[CC]), tools.check(&[CC, CMAKE]));
        let chosen = tools.choose(Compiler::Clang);
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(here, Ok(()));
        assert!(missing.unwrap_err().contains("install package cmake"));
        assert!(chosen.is_none(), "a file that does not run is no compiler");
    }
}

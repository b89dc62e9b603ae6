//! Workshop: builds what the distribution does not have, when somebody wants to measure it, and keeps it.
//!
//! ```text
//! peers/preload, peers/rust  --cargo-->  target/bench/peers/build  --copy-->  target/bench/peers/kept
//! workspaces of their own                everybody's target folder            a file for each allocator
//! ```
//! B1  A kept file's name holds version and compiler, so that it is never shown as another version.
//! B2  What cannot be built says what is missing and how to get it, and costs only itself.
//! B3  Flags of the caller's environment do not reach the build: a peer is the same everywhere.

use super::tools::{Chosen, Compiler, Tool, Tools};
use crate::compile::package_dir;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Variables that would change what is built (rule B3), or where.
const NOT_INHERITED: &[&str] = &[
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "CFLAGS",
    "CXXFLAGS",
    "LDFLAGS",
    "LD_PRELOAD",
];

/// Something to build.
#[derive(Debug)]
pub(super) struct Job {
    /// Name of the allocator.
    pub(super) name: &'static str,
    /// Folder below `peers/`: a workspace.
    pub(super) workspace: &'static str,
    /// What cargo is told beyond `build --release`.
    pub(super) arguments: Vec<String>,
    /// What cargo makes, in its folder for release builds.
    pub(super) product: String,
    /// Version for the tables, without the compiler.
    pub(super) version: String,
    /// What it takes.
    pub(super) tools: &'static [Tool],
    /// What compiles its C.
    pub(super) compiler: Compiler,
}

/// Something that is here now.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Product {
    /// The kept file.
    pub(super) file: PathBuf,
    /// Version for the tables.
    pub(super) version: String,
}

/// Where and whether peers are built.
#[derive(Clone, Debug)]
pub(crate) struct Workshop {
    dir: PathBuf,
    may_build: bool,
    tools: Tools,
}

impl Workshop {
    /// Keeps what it builds in `dir/peers`. Without `may_build`, what was built before is all there is.
    pub(crate) fn new(dir: &Path, may_build: bool) -> Self {
        Self {
            dir: dir.join("peers"),
            may_build,
            tools: Tools::of_this_machine(),
        }
    }

    /// One that builds nothing and has nothing.
    #[cfg(test)]
    pub(crate) fn closed() -> Self {
        Self::new(Path::new("/nonexistent"), false)
    }

    /// A workshop whose tools are only those of the folders in `path`.
    #[cfg(test)]
    pub(super) fn with_tools_of(mut self, path: &Path) -> Self {
        self.tools = Tools::of(path);
        self
    }

    /// Builds what `job` describes, or finds it built.
    pub(super) fn provide(&self, job: &Job) -> Result<Product, String> {
        let compiler = self.tools.choose(job.compiler);
        let version = match &compiler {
            Some(compiler) => format!("{}, {}", job.version, compiler.label),
            None => job.version.clone(),
        };
        let kept = self.kept(job, &version);
        let product = Product {
            file: kept.clone(),
            version,
        };
        if !self.may_build {
            return if kept.exists() {
                Ok(product)
            } else {
                Err("not built: build it with `jemoxide-bench peers --build`".to_owned())
            };
        }
        self.tools.check(job.tools)?;
        let built = {
            let _notice = Notice::new(job, kept.exists());
            self.build(job, compiler.as_ref())?
        };
        keep(&built, &kept)
            .map(|()| product)
            .map_err(|error| format!("{}: {error}", kept.display()))
    }

    /// Where a product is kept (rule B1).
    fn kept(&self, job: &Job, version: &str) -> PathBuf {
        let plain = |letter: char| match letter {
            '.' | '+' | '-' | '_' => letter,
            letter if letter.is_ascii_alphanumeric() => letter,
            _ => '-',
        };
        let version: String = version.replace(", ", "-").chars().map(plain).collect();
        // The loader separates libraries by blanks and colons; the name has none.
        let name = format!("{}-{}-{version}", job.workspace, job.name);
        self.dir.join("kept").join(name)
    }

    fn build(&self, job: &Job, compiler: Option<&Chosen>) -> Result<PathBuf, String> {
        let target = self.dir.join("build").join(job.workspace);
        let workspace = package_dir().join("peers").join(job.workspace);
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .args(["build", "--release", "--manifest-path"])
            .arg(workspace.join("Cargo.toml"))
            .arg("--target-dir")
            .arg(&target)
            .args(&job.arguments)
            // Settings of cargo in the folder of the caller are not the peer's either.
            .current_dir(&workspace);
        for name in NOT_INHERITED {
            cargo.env_remove(name);
        }
        if let Some(compiler) = compiler {
            cargo.env("CC", &compiler.c).env("CXX", &compiler.cxx);
        }
        let output = cargo
            .output()
            .map_err(|error| format!("cannot run cargo ({error}): install Rust from rustup.rs"))?;
        if output.status.success() {
            return Ok(target.join("release").join(&job.product));
        }
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors
            .lines()
            .find(|line| line.starts_with("error"))
            .unwrap_or("no error line");
        let log = self.dir.join(format!("{}-{}.log", job.workspace, job.name));
        let told = match std::fs::write(&log, errors.as_bytes()) {
            Ok(()) => log.display().to_string(),
            Err(error) => format!("nowhere, {}: {error}", log.display()),
        };
        Err(format!(
            "does not build ({}); all of it is in {told}",
            first.trim()
        ))
    }
}

/// Copies `built` to `kept` in one step, so that nobody runs half of it.
fn keep(built: &Path, kept: &Path) -> std::io::Result<()> {
    if let Some(dir) = kept.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let new = kept.with_extension(format!("new{}", std::process::id()));
    std::fs::copy(built, &new)?;
    std::fs::rename(new, kept)
}

/// Says what is being built while it lasts.
struct Notice(ProgressBar);

impl Notice {
    fn new(job: &Job, is_kept: bool) -> Self {
        let verb = if is_kept { "checking" } else { "building" };
        let what = format!("{verb} {} ({})", job.name, job.workspace);
        let spinner = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
            spinner.set_style(style);
        }
        spinner.set_message(what.clone());
        spinner.enable_steady_tick(Duration::from_millis(200));
        if !is_kept && !std::io::stderr().is_terminal() {
            eprintln!("{what}");
        }
        Self(spinner)
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::{Compiler, Job, Workshop};
    use crate::peers::tools::CC;

    fn job(workspace: &'static str) -> Job {
        Job {
            name: "nobody",
            workspace,
            arguments: Vec::new(),
            product: "nothing".into(),
            version: "some-crate 1.2.3+x".into(),
            tools: &[CC],
            compiler: Compiler::None,
        }
    }

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("jemoxide-{name}-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("peers/kept")).unwrap();
        dir
    }

    #[test]
    fn without_leave_to_build_only_the_same_version_is_found() {
        let dir = scratch("kept");
        let workshop = Workshop::new(&dir, false);
        let reason = workshop.provide(&job("preload")).unwrap_err();
        assert!(reason.contains("peers --build"), "{reason}");
        let other = dir.join("peers/kept/preload-nobody-some-crate-1.2.4+x");
        std::fs::write(other, "").unwrap();
        assert!(workshop.provide(&job("preload")).is_err());
        let same = dir.join("peers/kept/preload-nobody-some-crate-1.2.3+x");
        std::fs::write(&same, "").unwrap();
        let product = workshop.provide(&job("preload")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            (product.file, product.version.as_str()),
            (same, "some-crate 1.2.3+x")
        );
    }

    #[test]
    fn a_missing_tool_is_told_with_its_package_and_a_failed_build_with_its_log() {
        let dir = scratch("tools");
        let without = Workshop::new(&dir, true).with_tools_of(&dir);
        let reason = without.provide(&job("preload")).unwrap_err();
        assert!(reason.contains("needs cc: install package gcc"), "{reason}");
        let mut fails = job("preload");
        fails.tools = &[];
        fails.arguments = vec!["--no-such-argument".into()];
        let reason = without.provide(&fails).unwrap_err();
        let log = std::fs::read_to_string(dir.join("peers/preload-nobody.log")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        assert!(reason.contains("does not build (error"), "{reason}");
        assert!(log.contains("no-such-argument"), "{log}");
    }
}

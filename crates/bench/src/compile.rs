//! Compile: the small programs that are measured, compiled when they are needed.
//!
//! C programs call the allocator through the PLT, as any program that links the C library does; the
//! compiler may not know what `malloc` means, or it would remove pairs that nothing looks at. The Rust
//! program is a package of its own outside the workspace, so that its profile is its own too.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Flags of every C program.
const C_FLAGS: &[&str] = &[
    "-O2",
    "-fno-builtin",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Werror",
];

/// The folder of this package, where the sources are.
pub(crate) fn package_dir() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A folder for built programs beside the profile folder of this program.
pub(crate) fn build_dir() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    // target/release/jemoxide-bench, or target/debug/deps/jemoxide_bench-hash for a test.
    let target = program
        .ancestors()
        .skip(2)
        .find(|dir| {
            dir.file_name()
                .is_some_and(|name| name != "release" && name != "debug")
        })
        .ok_or("this program has no target folder")?;
    let dir = target.join("bench");
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    Ok(dir)
}

/// Compiles `folder/name.c` of this package into `into` and returns the program.
pub(crate) fn c_program(folder: &str, name: &str, into: &Path) -> Result<PathBuf, String> {
    let source = package_dir().join(folder).join(format!("{name}.c"));
    let program = into.join(name);
    let output = Command::new("cc")
        .args(C_FLAGS)
        .arg(&source)
        .arg("-o")
        .arg(&program)
        .output()
        .map_err(|error| format!("cannot run the C compiler cc: {error}"))?;
    if output.status.success() {
        Ok(program)
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        Err(format!("cc {}: {}", source.display(), errors.trim()))
    }
}

/// Builds the Rust program, on jemoxide or on the system's allocator.
pub(crate) fn rust_program(on_jemoxide: bool, into: &Path) -> Result<PathBuf, String> {
    let variant = if on_jemoxide { "jemoxide" } else { "system" };
    let target = into.join(format!("rust-box-{variant}"));
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .arg("build")
        .arg("--release")
        .arg("--manifest-path")
        .arg(package_dir().join("rust_box/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target);
    if on_jemoxide {
        cargo.args(["--features", "jemoxide"]);
    }
    let output = cargo
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .map_err(|error| format!("cannot run cargo: {error}"))?;
    if output.status.success() {
        Ok(target.join("release/jemoxide-rust-box"))
    } else {
        let errors = String::from_utf8_lossy(&output.stderr);
        let first = errors.lines().find(|line| line.starts_with("error"));
        Err(format!(
            "the Rust program does not build ({})",
            first.unwrap_or("no error line").trim()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::{build_dir, c_program};

    #[test]
    fn a_source_that_is_not_there_is_an_error() {
        assert!(c_program("operations", "nothing", &build_dir().unwrap()).is_err());
    }
}

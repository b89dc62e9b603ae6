//! Artifacts: the shipped libraries, built once per test process, the way a user builds them.
//!
//! Test profiles force unwinding and features of the workspace unify, so the library that a test
//! talks to is built by a nested `cargo build --release` in a target folder of its own. Cargo's own
//! lock there makes several test processes wait for each other instead of building twice.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Environment variable naming a shared library to test in place of `libjemoxide.so`.
pub const STAND_IN: &str = "JEMOXIDE_TEST_LIBRARY";

/// Returns the path of `libjemoxide.so`, building it if need be.
///
/// [`STAND_IN`] in the environment replaces it. Panics with cargo's output if the build fails.
pub fn library() -> PathBuf {
    match env::var_os(STAND_IN) {
        Some(path) => PathBuf::from(path),
        None => built().join("libjemoxide.so"),
    }
}

/// Returns the path of `libjemoxide.a`, building it if need be.
///
/// While [`STAND_IN`] is set it is the archive beside that file, or `None`: no test mixes the two.
pub fn static_library() -> Option<PathBuf> {
    match env::var_os(STAND_IN) {
        Some(path) => Some(PathBuf::from(path).with_extension("a")).filter(|path| path.is_file()),
        None => Some(built().join("libjemoxide.a")),
    }
}

/// Returns whether a stand-in is under test rather than the library built from this tree.
pub fn is_stand_in() -> bool {
    env::var_os(STAND_IN).is_some()
}

/// Returns the root of the workspace.
pub fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("the package lives two folders below the workspace root")
}

/// Returns the folder that everything made by tests goes into.
///
/// `testkit` inside cargo's target folder; a relative `CARGO_TARGET_DIR` counts from the workspace.
pub fn target() -> PathBuf {
    let outer = env::var_os("CARGO_TARGET_DIR")
        .or_else(|| env::var_os("CARGO_BUILD_TARGET_DIR"))
        .map_or_else(|| PathBuf::from("target"), PathBuf::from);
    workspace().join(outer).join("testkit")
}

/// Returns a `cargo` command at the workspace root with a quiet environment.
///
/// What the outer cargo or its caller set (flags, profiles, wrappers for coverage or sanitizers)
/// would change the artifact; what finds the toolchain and its registry stays.
pub fn cargo() -> Command {
    let program = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.current_dir(workspace());
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let confuses = text.starts_with("CARGO_")
            || text.starts_with("RUSTC_")
            || matches!(
                &*text,
                "RUSTFLAGS" | "RUSTDOCFLAGS" | "LD_PRELOAD" | "LD_LIBRARY_PATH"
            )
            || matches!(&*text, "MALLOC_CONF" | "JEMOXIDE_CONF");
        let finds = text == "CARGO_HOME"
            || text.starts_with("CARGO_NET_")
            || text.starts_with("CARGO_HTTP_");
        if confuses && !finds {
            command.env_remove(&name);
        }
    }
    command
}

/// Folder that holds the built libraries.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = target();
        let output = cargo()
            .args(["build", "--release", "-p", "jemoxide-capi", "--target-dir"])
            .arg(&target)
            .output()
            .expect("cargo starts");
        assert!(
            output.status.success(),
            "building the library failed:\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let folder = target.join("release");
        // What is linked with the library looks for it under its own name, as after an installation.
        let name = folder.join("libjemoxide.so.0");
        let _ = std::os::unix::fs::symlink("libjemoxide.so", &name);
        assert!(name.is_file(), "{}", name.display());
        folder
    })
}

//! What `cargo xtask` does, for its command and for the tests.

pub mod compat;
pub mod dependencies;
pub mod headers;
pub mod install;
pub mod metadata;
pub mod misuse;
pub mod sbom;

/// Lines for the user, or one that says what went wrong.
pub type Done = Result<String, String>;

/// Writes a file, naming it in the error.
fn put(path: &std::path::Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

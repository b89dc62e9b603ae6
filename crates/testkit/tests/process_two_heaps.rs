//! A Rust program on the crate's allocator: alone, statically linked, beside C code on the
//! process's own malloc, and under a preloaded library, which makes two heaps of the same make.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jemoxide_testkit::child::{Outcome, Run};
use jemoxide_testkit::{artifacts, compiler};
use object::Object as _;

/// Every part of the program that must have held.
const PARTS: &str = "collections\nboth heaps\nthreads\nhanded over\nforks\nlarge\n";

#[test]
fn alone_beside_the_c_heap() {
    expect_all_parts(&Run::new(dynamic()).run().expect_success(), PARTS);
}

#[test]
fn under_the_preloaded_library() {
    let library = artifacts::library();
    let outcome = Run::new(dynamic())
        .arg("maps")
        .preload(&library)
        .run()
        .expect_success();
    let name = library.file_name().expect("a file").to_string_lossy();
    assert!(
        outcome.stdout.lines().any(|line| line.ends_with(&*name)),
        "the preloaded library is not mapped: {outcome}"
    );
    expect_all_parts(&outcome, PARTS);
}

#[test]
fn statically_linked() {
    let Some(triple) = host() else {
        compiler::announce_untested("rustc does not say which system it is for");
        return;
    };
    if !triple.ends_with("-linux-gnu") {
        compiler::announce_untested("static linking with glibc is tried on linux-gnu only");
        return;
    }
    let folder = artifacts::target().join("two_heaps_static");
    build(
        &folder,
        &["--target", triple],
        Some("-C target-feature=+crt-static"),
    );
    let program = folder.join(triple).join("release/two-heaps");
    let bytes = std::fs::read(&program).expect("the program was built");
    let file = object::File::parse(&*bytes).expect("an executable");
    assert!(
        file.imports().expect("readable").is_empty(),
        "not statically linked"
    );
    expect_all_parts(&Run::new(&program).run().expect_success(), PARTS);
}

fn expect_all_parts(outcome: &Outcome, parts: &str) {
    assert!(outcome.stdout.ends_with(parts), "{outcome}");
}

fn dynamic() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = artifacts::target().join("two_heaps");
        build(&folder, &[], None);
        folder.join("release/two-heaps")
    })
}

fn build(target: &Path, arguments: &[&str], flags: Option<&str>) {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/process/two_heaps");
    let mut cargo = artifacts::cargo();
    cargo
        .current_dir(package)
        .args(["build", "--release", "--target-dir"])
        .arg(target)
        .args(arguments);
    if let Some(flags) = flags {
        cargo.env("RUSTFLAGS", flags);
    }
    let output = cargo.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{cargo:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The triple this toolchain builds for, as rustc says it.
fn host() -> Option<&'static str> {
    static HOST: OnceLock<Option<String>> = OnceLock::new();
    HOST.get_or_init(|| {
        let output = Command::new("rustc").arg("-vV").output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("host: "))?;
        Some(line.to_owned())
    })
    .as_deref()
}

//! The files of `crates/core/src/sync` take their atomics from a checker under `cfg(loom)`: here that one is shuttle.

fn main() {
    println!("cargo:rustc-cfg=loom");
    println!("cargo:rerun-if-changed=build.rs");
}

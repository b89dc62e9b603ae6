//! Passes link arguments, and tells whether nothing is optimised; compiles nothing.

fn main() {
    let dir = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".into());
    println!("cargo::rerun-if-changed=exports.map");
    for argument in [
        // Exactly the public symbols, those defined in assembly included.
        format!("--version-script={dir}/exports.map"),
        // One name for all versions with this interface. `cargo xtask install` writes libjemalloc.so.2 over it in a copy.
        "-soname,libjemoxide.so.0".into(),
        // Threads end after a dlclose, and their exit function is ours.
        "-z,nodelete".into(),
        // What is not found at link time would be found missing in somebody's production.
        "-z,defs".into(),
        "-z,relro,-z,now".into(),
        // What we refer to in ourselves is ours, also an operator that a program replaces: the loader need not look for it.
        "-Bsymbolic-functions".into(),
        "--gc-sections".into(),
        // Each kind of page begins one of its own: what the loader writes to fits into one, and what the first
        // allocation writes to into few.
        "-z,separate-loadable-segments".into(),
    ] {
        println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
    }
    println!("cargo::rustc-check-cfg=cfg(unoptimised)");
    if std::env::var("OPT_LEVEL").is_ok_and(|level| level == "0") {
        println!("cargo::rustc-cfg=unoptimised");
    }
    // The C compiler's start-up objects run constructors and unload handlers that we do not have: calling them would
    // cost every process pages.
    println!("cargo::rustc-cdylib-link-arg=-nostartfiles");
}

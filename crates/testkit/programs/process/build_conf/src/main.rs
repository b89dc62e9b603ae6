//! Tells the options that the build was given, and one that they set.

use std::ffi::CStr;

use jemoxide::mallctl;

#[global_allocator]
static HEAP: jemoxide::Jemoxide = jemoxide::Jemoxide;

fn main() {
    let given: &CStr = mallctl::read("config.malloc_conf").unwrap();
    let arenas: u32 = mallctl::read("opt.narenas").unwrap();
    println!("{} {arenas}", given.to_str().unwrap());
}

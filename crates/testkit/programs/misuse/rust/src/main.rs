//! Rust's part of the misuse suite: what `unsafe` code can do wrong with memory.
//!
//! The words on standard output and the rules are those of `../suite.h`. Rust's own program has them by itself:
//! layouts belong to every call here, and the crate may be the program's allocator without any C beside it.

mod cases;
mod suite;

#[cfg(feature = "jemoxide")]
#[global_allocator]
static HEAP: jemoxide::Jemoxide = jemoxide::Jemoxide;

fn main() {
    let name = std::env::args().nth(1);
    match name {
        None => suite::list(cases::CASES),
        Some(name) => match cases::CASES.iter().find(|case| case.name == name) {
            Some(case) => suite::run(case),
            None => {
                eprintln!("no case {name}");
                std::process::exit(99);
            }
        },
    }
}

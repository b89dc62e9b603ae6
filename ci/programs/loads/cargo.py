"""Cargo and rustc: a small workspace, built with optimisation and run.

Debian's compiler, because the official one carries an allocator in its executable, which comes
before any preloaded one.
"""

import hashlib

PACKAGES = ("cargo", "rustc", "gcc", "libc6-dev")
CARGO, RUSTC = "/usr/bin/cargo", "/usr/bin/rustc"
PROGRAMS = (CARGO, RUSTC, "cc")
# librustc_driver has libstdc++ built in, whose delete calls free, for texts that libLLVM made with new.
OPTIONS = "hardening_families:false"

MANIFEST = '[package]\nname = "{name}"\nversion = "0.1.0"\nedition = "2021"\n[dependencies]\n{dependencies}\n'

SHAPES = """
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Display};
macro_rules! shapes { ($($name:ident $sides:expr),*) => { $(
    #[derive(Debug, Clone, PartialEq, PartialOrd, Default)]
    pub struct $name { pub size: f64, pub label: String, pub parts: Vec<Option<Box<$name>>> }
    impl Display for $name { fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{:.3}:{}", self.label, self.size * $sides as f64, self.parts.len()) } }
    impl $name { pub fn grow(n: u32) -> Self { Self { size: n as f64, label: format!("{}{n}", stringify!($name)),
        parts: (0..n % 4).map(|i| if i % 2 == 0 { Some(Box::new(Self::grow(i))) } else { None }).collect() } } }
)* } }
shapes!(Triangle 3, Square 4, Pentagon 5, Hexagon 6, Heptagon 7, Octagon 8, Nonagon 9, Decagon 10, Circle 1, Line 2);
pub fn index<T: Debug + Clone>(all: &[T]) -> BTreeMap<String, HashMap<usize, T>> {
    let mut map: BTreeMap<String, HashMap<usize, T>> = BTreeMap::new();
    for (i, t) in all.iter().enumerate() { map.entry(format!("{t:?}")).or_default().insert(i, t.clone()); }
    map
}
"""

MAIN = """
use shapes::*;
use std::sync::mpsc;
fn main() {
    let (send, receive) = mpsc::channel();
    let threads: Vec<_> = (0..4u32).map(|t| { let send = send.clone(); std::thread::spawn(move || {
        let squares: Vec<Square> = (0..500).map(|n| Square::grow(n + t)).collect();
        let circles: Vec<Circle> = (0..500).map(|n| Circle::grow(n * t)).collect();
        let text: String = squares.iter().map(|s| s.to_string()).chain(circles.iter().map(|c| c.to_string())).collect();
        send.send((t, text.len(), index(&squares).len() + index(&circles).len())).unwrap(); }) }).collect();
    for thread in threads { thread.join().unwrap(); }
    drop(send);
    let mut found: Vec<_> = receive.iter().collect();
    found.sort();
    println!("{found:?} {} {}", Decagon::grow(7), Line::grow(2));
}
"""


def run(stage):
    for folder in ("work", "work/shapes", "work/shapes/src", "work/app", "work/app/src"):
        stage.make_folder(folder)
    stage.write("work/Cargo.toml", '[workspace]\nmembers = ["shapes", "app"]\n')
    stage.write("work/shapes/Cargo.toml", MANIFEST.format(name="shapes", dependencies=""))
    stage.write("work/shapes/src/lib.rs", SHAPES)
    stage.write("work/app/Cargo.toml", MANIFEST.format(name="app", dependencies='shapes = { path = "../shapes" }'))
    stage.write("work/app/src/main.rs", MAIN)
    environment = {"CARGO_HOME": str(stage.folder / "cargo"), "RUSTC": RUSTC, "CARGO_INCREMENTAL": "1"}
    for profile in (["--release"], []):
        stage.command(CARGO, "build", "--offline", "-q", "-j2", *profile, timeout=180, env=environment,
                      cwd=stage.folder / "work", mapped=["cargo", "rustc"])
    facts = {}
    for profile in ("release", "debug"):
        program = stage.folder / "work" / "target" / profile / "app"
        facts[f"{profile} program"] = hashlib.sha256(program.read_bytes()).hexdigest()
        facts[f"{profile} output"] = stage.command(program)
    return facts

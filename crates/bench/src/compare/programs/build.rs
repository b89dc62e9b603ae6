//! Build: cargo and rustc build a small workspace, with everything they start on the same allocator.
//!
//! Only a rustc that takes its memory from whoever comes first is of use here: the one that rustup installs
//! carries an allocator in its executable, which comes before any preloaded one (rule X3). Distributions
//! build theirs without.

use super::{Real, Work, find, told, tool, whole_life, write};
use crate::process::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

pub(super) const CARGO: Real = Real {
    name: "cargo-build",
    about: "cargo and rustc building a small crate of macros and generics",
    clock: None,
    full: 6,
    lasts: Duration::from_millis(900),
    starts: Duration::from_millis(900),
    prepare,
};

const MANIFEST: &str = "[package]\nname = \"shapes\"\nversion = \"0.1.0\"\nedition = \"2021\"\n";

const HEAD: &str = r#"
use std::collections::{BTreeMap, HashMap};
use std::fmt::{self, Debug, Display};
macro_rules! shapes { ($($name:ident $sides:expr),*) => { $(
    #[derive(Debug, Clone, PartialEq, PartialOrd, Default)]
    pub struct $name { pub size: f64, pub label: String, pub parts: Vec<Option<Box<$name>>> }
    impl Display for $name {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}:{:.3}:{}", self.label, self.size * $sides as f64, self.parts.len())
        }
    }
    impl $name {
        pub fn grow(n: u32) -> Self {
            let parts = (0..n % 4).map(|i| if i % 2 == 0 { Some(Box::new(Self::grow(i))) } else { None });
            Self { size: n as f64, label: format!("{}{n}", stringify!($name)), parts: parts.collect() }
        }
    }
)* } }
pub fn index<T: Debug + Clone>(all: &[T]) -> BTreeMap<String, HashMap<usize, T>> {
    let mut map: BTreeMap<String, HashMap<usize, T>> = BTreeMap::new();
    for (i, t) in all.iter().enumerate() {
        map.entry(format!("{t:?}")).or_default().insert(i, t.clone());
    }
    map
}
"#;

fn prepare(dir: &Path, shapes: u64) -> Result<Work, String> {
    let cargo = find(&["/usr/bin/cargo"])?;
    let rustc = find(&["/usr/bin/rustc"])?;
    if serves_itself(&rustc)? {
        return Err(format!(
            "{} has an allocator of its own, which comes before any preloaded one",
            rustc.display()
        ));
    }
    let source = dir.join("src");
    std::fs::create_dir_all(&source).map_err(|error| told(&source, &error))?;
    write(&dir.join("Cargo.toml"), MANIFEST)?;
    write(
        &source.join("main.rs"),
        text(shapes).map_err(|error| error.to_string())?,
    )?;
    let target = dir.join("target");
    let program = Program::new(cargo)
        .args(["build", "--offline", "-q", "-j2"])
        .env("CARGO_HOME", dir.join("home"))
        .env("CARGO_TARGET_DIR", &target)
        .env("RUSTC", rustc)
        .env("RUSTFLAGS", "")
        .dir(dir);
    Ok(Box::new(move |peer| {
        // A build that finds an earlier one does nothing.
        let _ = std::fs::remove_dir_all(&target);
        let finished = peer.run_on(program.clone()).run()?;
        let result = tool(Program::new(target.join("debug/shapes")))?;
        let mut run = whole_life(&finished, result.trim().to_owned());
        // cargo itself is small beside the compiler that it starts.
        run.peak_rss_kib = finished.largest_rss_kib;
        Ok(run)
    }))
}

/// Whether the program binds `malloc` to itself; the loader is asked.
fn serves_itself(program: &Path) -> Result<bool, String> {
    let asked = Program::new(program)
        .arg("--version")
        .env("LD_DEBUG", "bindings")
        .run()?;
    let itself = format!("to {} [0]: normal symbol `malloc'", program.display());
    Ok(asked.stderr.contains(&itself))
}

fn text(shapes: u64) -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    let names: Vec<String> = (0..shapes.max(2))
        .map(|shape| format!("Shape{shape}"))
        .collect();
    let list: Vec<String> = names
        .iter()
        .enumerate()
        .map(|(sides, name)| format!("{name} {sides}"))
        .collect();
    writeln!(
        text,
        "shapes!({});\nfn main() {{\n    let mut length = 0;",
        list.join(", ")
    )?;
    for (number, name) in names.iter().enumerate() {
        writeln!(
            text,
            "    let all: Vec<{name}> = (0..50).map(|n| {name}::grow(n + {number})).collect();"
        )?;
        writeln!(
            text,
            "    length += index(&all).len() + all.iter().map(|s| s.to_string().len()).sum::<usize>();"
        )?;
    }
    writeln!(text, "    println!(\"{{length}}\");\n}}")?;
    Ok(text)
}

//! Misuse: the programs of the misuse suite, run one case a process, and what became of each.
//!
//! ```text
//!  programs/misuse   *.c ──> misuse-c     *.cpp ──> misuse-cxx     rust/ ──> misuse-rust (crate), misuse-rust (libc's malloc)
//!                                 │ CASE                                │
//!                     preload: library or peer             MALLOC_CONF=hardening:LEVEL
//!                                 └─────── lines, message, end ─────────┘──> Verdict
//! ```
//! V1  Caught is what ends at or after the fault with a message (`name`, `late`), by a signal at the access itself (`trap`), or
//!     is answered as an error (`refusal`). A process that dies later without a word was not caught: memory was wrong until then.
//! V2  A message is a line that starts as the library's do; of a peer, anything on standard error.
//! V3  A case that fails before its misuse is broken: that is an error of the suite, not a verdict.
//!
//! `programs/misuse/suite.h` has the lines that a program prints, `facts/misuse.tsv` what is expected at which level.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use crate::child::{self, Run};
use crate::{artifacts, compiler};

/// What each message of the library starts with.
const PREFIX: &str = "<jemoxide>: ";

/// A case needs some ten milliseconds, at paranoid some hundred; on a loaded machine a hundred times that. Peers may hang for
/// good, as corrupted lists are circles.
const TIMEOUT: Duration = Duration::from_secs(90);
/// See there.
const PEERS_TIMEOUT: Duration = Duration::from_secs(20);

/// The level that holds where no option says otherwise.
pub const DEFAULT_LEVEL: &str = "standard";

/// One language's cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// C.
    C,
    /// C++.
    Cxx,
    /// Rust; on the crate itself, not on a preloaded library.
    Rust,
}

/// One misuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whose program has it.
    pub language: Language,
    /// Kind of misuse.
    pub group: String,
    /// Name; unique among all languages.
    pub name: String,
    /// What is done, in one line.
    pub what: String,
}

/// Which allocator a case runs on.
#[derive(Clone, Debug)]
pub enum Heap {
    /// This one, at a level of hardening.
    Ours(String),
    /// Another one, preloaded; `None`: the C library's own.
    Peer(Option<PathBuf>),
}

/// What became of a case; the better ones come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// A message at the call or access.
    Name,
    /// A message later, before other memory was seen to be wrong.
    Late,
    /// A message later; by then live memory was not as it should be.
    LateDamaged,
    /// A signal at the call or access, without a message.
    Trap,
    /// An answer that does no harm: null, an exception, nothing lent.
    Refusal,
    /// It ran on; a read of freed memory gave nothing of what had been there.
    Wiped,
    /// It ran on; what was live is intact.
    Missed,
    /// It ran on; what was live is not intact, or memory was handed out twice.
    Damaged,
    /// It died later, without a message.
    Crashed,
    /// It did not end.
    Hung,
    /// The call does not exist there.
    Absent,
}

impl Verdict {
    /// All, in the order of tables.
    pub const ALL: [Self; 11] = [
        Self::Name,
        Self::Late,
        Self::LateDamaged,
        Self::Trap,
        Self::Refusal,
        Self::Wiped,
        Self::Missed,
        Self::Damaged,
        Self::Crashed,
        Self::Hung,
        Self::Absent,
    ];

    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Late => "late",
            Self::LateDamaged => "late-damaged",
            Self::Trap => "trap",
            Self::Refusal => "refusal",
            Self::Wiped => "wiped",
            Self::Missed => "missed",
            Self::Damaged => "damaged",
            Self::Crashed => "crashed",
            Self::Hung => "hung",
            Self::Absent => "absent",
        }
    }

    /// The verdict of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.word() == word)
    }

    /// Rule V1.
    pub const fn is_caught(self) -> bool {
        self.is_caught_in_time() || matches!(self, Self::LateDamaged)
    }

    /// Caught before other memory that is live was harmed.
    pub const fn is_caught_in_time(self) -> bool {
        matches!(self, Self::Name | Self::Late | Self::Trap | Self::Refusal)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.word())
    }
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::C, Self::Cxx, Self::Rust];

    /// The word in tables.
    pub const fn word(self) -> &'static str {
        match self {
            Self::C => "C",
            Self::Cxx => "C++",
            Self::Rust => "Rust",
        }
    }

    /// Its program for `heap`, built; `None` where there is no compiler (which has been said).
    fn program(self, heap: &Heap) -> Option<PathBuf> {
        match self {
            Self::C => compiler::c("misuse/suite.c", "misuse-c", &borrowed(&sources("c"))),
            Self::Cxx => compiler::cxx("misuse/suite.c", "misuse-cxx", &borrowed(&sources("cpp"))),
            Self::Rust => Some(rust_program(matches!(heap, Heap::Ours(_)))),
        }
    }
}

/// All cases, in the order of the sources; `None` where a compiler is missing.
pub fn cases() -> Option<Vec<Case>> {
    let heap = Heap::Ours(DEFAULT_LEVEL.to_owned());
    let mut cases = Vec::new();
    for language in Language::ALL {
        let outcome = Run::new(language.program(&heap)?).run().expect_success();
        cases.extend(outcome.stdout.lines().map(|line| {
            let mut parts = line.split('\t').map(str::to_owned);
            let mut part = || parts.next().expect("group, name, text");
            Case {
                language,
                group: part(),
                name: part(),
                what: part(),
            }
        }));
    }
    Some(cases)
}

/// Runs `cases` on `heap`, as many at once as there are processors. Verdicts in the order of the cases, each with all that
/// the process said; `None` where a compiler is missing.
pub fn run_all(cases: &[Case], heap: &Heap) -> Option<Vec<(Verdict, String)>> {
    let programs: Vec<(Language, PathBuf)> = Language::ALL
        .into_iter()
        .map(|language| language.program(heap).map(|program| (language, program)))
        .collect::<Option<_>>()?;
    let library = match heap {
        Heap::Ours(_) => Some(artifacts::library()),
        Heap::Peer(library) => library.clone(),
    };
    let queue: Mutex<VecDeque<usize>> = Mutex::new((0..cases.len()).collect());
    let results = Mutex::new(vec![None; cases.len()]);
    let work = || {
        loop {
            let Some(index) = queue.lock().expect("no panic inside").pop_front() else {
                return;
            };
            let case = &cases[index];
            let (_, program) = programs
                .iter()
                .find(|(language, _)| *language == case.language)
                .expect("every language has its program");
            let outcome = prepare(case, program, heap, library.as_deref()).run();
            let verdict = judge(case, heap, &outcome);
            results.lock().expect("no panic inside")[index] = Some((verdict, outcome.to_string()));
        }
    };
    let at_once = thread::available_parallelism().map_or(2, usize::from);
    thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(work);
        }
    });
    let results = results.into_inner().expect("no panic inside");
    Some(results.into_iter().flatten().collect())
}

fn prepare(case: &Case, program: &Path, heap: &Heap, library: Option<&Path>) -> Run {
    let run = Run::new(program)
        .arg(&case.name)
        .timeout(match heap {
            Heap::Ours(_) => TIMEOUT,
            Heap::Peer(_) => PEERS_TIMEOUT,
        })
        .limit(libc::RLIMIT_CORE, 0);
    let is_linked = case.language == Language::Rust && matches!(heap, Heap::Ours(_));
    let run = match library {
        Some(library) if !is_linked => run.preload(library),
        _ => run,
    };
    match heap {
        Heap::Ours(level) if level != DEFAULT_LEVEL => {
            run.env("MALLOC_CONF", format!("hardening:{level}"))
        }
        Heap::Ours(_) => run,
        // mimalloc keeps what it notices to itself unless it is asked.
        Heap::Peer(_) => run.env("MIMALLOC_SHOW_ERRORS", "1"),
    }
}

/// Rules V1 to V3.
fn judge(case: &Case, heap: &Heap, outcome: &child::Outcome) -> Verdict {
    let said = |word: &str| outcome.stdout.lines().any(|line| line.starts_with(word));
    let is_named = match heap {
        Heap::Ours(_) => outcome.stderr.starts_with(PREFIX),
        Heap::Peer(_) => !outcome.stderr.is_empty(),
    };
    let is_at_fault = outcome.stdout.ends_with("erring\n");
    if outcome.timed_out {
        return Verdict::Hung;
    }
    match (outcome.signal, outcome.status) {
        (None, Some(0)) if said("absent") => Verdict::Absent,
        (None, Some(0)) if said("ran on") && is_named => Verdict::Name,
        (None, Some(0)) if said("ran on") => match () {
            () if said("damaged") => Verdict::Damaged,
            () if said("refused") => Verdict::Refusal,
            () if said("wiped") => Verdict::Wiped,
            () => Verdict::Missed,
        },
        (Some(_), _) if is_at_fault && is_named => Verdict::Name,
        (Some(_), _) if is_at_fault => Verdict::Trap,
        (Some(_), _) if said("erred") && is_named && said("damaged") => Verdict::LateDamaged,
        (Some(_), _) if said("erred") && is_named => Verdict::Late,
        // The program's own expectation failed: an allocation that should have been possible.
        _ if said("erred") => Verdict::Crashed,
        _ => panic!("{} failed before its misuse: {outcome}", case.name),
    }
}

/// Compiler arguments: the sources with this ending, whose entries keep the order in which they are written.
fn sources(ending: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/misuse");
    let mut sources: Vec<String> = fs::read_dir(&folder)
        .expect("the programs are there")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .filter(|path| path.file_stem().is_some_and(|name| name != "suite"))
        .map(|path| path.display().to_string())
        .collect();
    sources.sort();
    sources.push("-fno-toplevel-reorder".to_owned());
    sources
}

fn borrowed(arguments: &[String]) -> Vec<&str> {
    arguments.iter().map(String::as_str).collect()
}

fn rust_program(on_crate: bool) -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs/misuse/rust");
    let (folder, features) = match on_crate {
        true => ("misuse_rust_crate", &["--features", "jemoxide"][..]),
        false => ("misuse_rust_libc", &[][..]),
    };
    let target = artifacts::target().join(folder);
    let mut cargo = artifacts::cargo();
    cargo
        .current_dir(package)
        .args(["build", "--release", "--target-dir"])
        .arg(&target)
        .args(features);
    let output = cargo.output().expect("cargo starts");
    assert!(
        output.status.success(),
        "{cargo:?}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    target.join("release/misuse-rust")
}

//! From a report file to the screen, with a stand-in for the library.
//!
//! The stand-in is a shared object whose constructor copies a prepared report to `DIR/<pid>`: every
//! kind of report, good or broken, meets the whole command. It allocates with the system's malloc.

use std::fs;
use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jemoxide::size::CLASSES;
use jemoxide::stats::report::{LAYOUT, MAGIC, Report, Snapshot};

const STAND_IN: &str = r#"
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = start;

extern "C" fn start() {
    let options = std::env::var("JEMOXIDE_CONF").unwrap_or_default();
    let folder = options.split(',').filter_map(|option| option.strip_prefix("report_dir:")).last();
    if let (Some(folder), Ok(prepared)) = (folder, std::env::var("PREPARED_REPORT")) {
        let _ = std::fs::copy(prepared, format!("{folder}/{}", std::process::id()));
    }
}
"#;

/// The stand-in, built once; `None` where no shared object can be built.
fn stand_in() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (source, library) = (folder.join("stand_in.rs"), folder.join("libstand_in.so"));
        fs::write(&source, STAND_IN).expect("writable");
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let output = Command::new(rustc)
            .args(["--edition", "2024", "--crate-type", "cdylib", "-o"])
            .args([&library, &source])
            .output();
        output
            .is_ok_and(|output| output.status.success())
            .then_some(library)
    });
    if built.is_none() {
        println!("NOT TESTED: rustc cannot build the stand-in library here");
    }
    built.as_deref()
}

/// A report of known figures.
fn prepared() -> Vec<u8> {
    let mut bytes = vec![0; size_of::<Report>()];
    let mut put =
        |offset: usize, number: u64| bytes[offset..][..8].copy_from_slice(&number.to_ne_bytes());
    put(offset_of!(Report, magic), MAGIC);
    put(offset_of!(Report, layout), LAYOUT);
    put(offset_of!(Report, sequence), 4);
    put(offset_of!(Report, exited), 1);
    put(offset_of!(Report, counting), 1);
    let peak = offset_of!(Report, peak);
    put(peak + offset_of!(Snapshot, allocated), 5 << 20);
    put(peak + offset_of!(Snapshot, active), 6 << 20);
    put(peak + offset_of!(Snapshot, class_bytes) + 8 * 4, 64 * 777);
    put(
        peak + offset_of!(Snapshot, class_bytes) + 8 * (CLASSES - 1),
        7 << 60,
    );
    let now = offset_of!(Report, now);
    put(now + offset_of!(Snapshot, allocations), 1234);
    put(now + offset_of!(Snapshot, frees), 1200);
    bytes
}

/// What the command prints on standard error, words a single blank apart.
fn screen(report: &[u8], words: &[&str]) -> Option<String> {
    let library = stand_in()?;
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("report");
    fs::write(&file, report).expect("writable");
    let output = Command::new(env!("CARGO_BIN_EXE_jemoxide"))
        .arg("run")
        .arg("--library")
        .arg(library)
        .args(words)
        .env("PREPARED_REPORT", &file)
        .output()
        .expect("starts");
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stderr).expect("text");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn holds(text: Option<String>, parts: &[&str], absent: &[&str]) {
    let Some(text) = text else { return };
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for part in absent {
        assert!(!text.contains(part), "{part:?} is in:\n{text}");
    }
}

#[test]
fn good_figures_are_shown() {
    holds(
        screen(&prepared(), &["true"]),
        &[
            "allocated 5.0 MiB 0 B",
            "active 6.0 MiB 0 B",
            "1,234 allocations, 1,200 frees (34 not freed)",
            "64 B 777 48.6 KiB",
            "up to 7 EiB about 1 7.0 EiB",
        ],
        &["No allocator figures", "more process"],
    );
}

#[test]
fn other_processes_are_summed() {
    holds(
        screen(&prepared(), &["sh", "-c", "/bin/true; /bin/true; :"]),
        &["and 2 more processes: peaks of 12.0 MiB active together, 2,468 allocations"],
        &["still running"],
    );
}

#[test]
fn a_process_that_stays_is_told() {
    holds(
        screen(
            &{
                let mut running = prepared();
                running[offset_of!(Report, exited)] = 0;
                running
            },
            &["sh", "-c", "sleep 2 >/dev/null 2>&1 & sleep 0.5"],
        ),
        &["1 still running"],
        &[],
    );
}

#[test]
fn broken_reports_are_explained() {
    let cut = prepared()[..1000].to_vec();
    holds(
        screen(&cut, &["true"]),
        &["No allocator figures.", "cut off after 1000 bytes"],
        &["at peak"],
    );
    holds(
        screen(b"", &["true"]),
        &["before its first allocation"],
        &["at peak"],
    );
    let mut other = prepared();
    other[offset_of!(Report, magic)] ^= 1;
    holds(
        screen(&other, &["true"]),
        &["Something else was found"],
        &["at peak"],
    );
    let mut newer = prepared();
    newer[offset_of!(Report, layout)] = 99;
    holds(
        screen(&newer, &["true"]),
        &["report layout 99", "cargo build --release"],
        &["at peak"],
    );
}

#[test]
fn a_report_left_half_written_is_marked() {
    let mut half = prepared();
    half[offset_of!(Report, sequence)] = 5;
    holds(
        screen(&half, &["true"]),
        &["may not fit together", "allocated 5.0 MiB"],
        &[],
    );
}

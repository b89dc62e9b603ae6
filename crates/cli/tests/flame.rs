//! `jemoxide flame` and `jemoxide diff -o`: what is written, and what is refused. The page itself is opened in the tests of
//! `jemoxide-flame`.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn jemoxide(folder: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jemoxide"))
        .args(words)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("starts")
}

fn profiles() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("a.folded", "main;serve;parse 4096\nmain;serve 1024\n"),
        ("b.folded", "main;serve;parse 9000\nmain;log 10\n"),
    ];
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("writable");
    }
    folder
}

#[test]
fn pages_and_pictures_are_written_by_their_suffix() {
    let folder = profiles();
    let text = |name: &str| fs::read_to_string(folder.path().join(name)).expect("written");
    for words in [
        &["flame", "a.folded", "-o", "a.html"][..],
        &[
            "flame",
            "a.folded",
            "b.folded",
            "-o",
            "both.svg",
            "--title",
            "two <files>",
        ],
        &["diff", "a.folded", "b.folded", "-o", "grown.html"],
        &["diff", "a.folded", "b.folded", "-o", "grown.svg"],
    ] {
        let output = jemoxide(folder.path(), words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        assert!(
            output.stdout.is_empty() && output.stderr.is_empty(),
            "{output:?}"
        );
    }
    let page = text("a.html");
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("\"parse\""),
        "{page}"
    );
    assert!(page.contains("<title>a.folded</title>"));
    let picture = text("both.svg");
    assert!(picture.contains("<svg") && picture.contains("two &lt;files&gt;"));
    // Merged: 4096 + 9000.
    assert!(picture.contains("parse (13,096 bytes"), "{picture}");
    assert!(text("grown.html").contains("a.folded to b.folded"));
    assert!(text("grown.svg").contains("parse (9,000 bytes"));
}

#[test]
fn standard_output_gets_a_page_or_what_is_asked_for() {
    let folder = profiles();
    for (words, begins) in [
        (&["flame", "a.folded", "-o", "-"][..], "<!DOCTYPE html>"),
        (&["flame", "a.folded", "-o", "-", "--to", "svg"], "<?xml"),
        (
            &["diff", "a.folded", "b.folded", "-o", "-", "--to", "svg"],
            "<?xml",
        ),
    ] {
        let output = jemoxide(folder.path(), words);
        assert!(output.status.success(), "{words:?}: {output:?}");
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.starts_with(begins), "{words:?}: {text}");
        assert!(output.stderr.is_empty(), "{words:?}");
    }
    assert!(!folder.path().join("-").exists());
}

#[test]
fn a_difference_to_a_program_that_freed_all_is_drawn() {
    let folder = profiles();
    // As a dump, which knows of what was freed.
    let freed =
        "heap_v2/1\n  t*: 0: 0 [2: 100]\n@ 0x10\n  t*: 0: 0 [2: 100]\n\nMAPPED_LIBRARIES:\n";
    fs::write(folder.path().join("freed.heap"), freed).expect("writable");
    let words = ["diff", "a.folded", "freed.heap", "-o", "gone.svg"];
    let output = jemoxide(folder.path(), &words);
    assert!(output.status.success(), "{output:?}");
    let picture = fs::read_to_string(folder.path().join("gone.svg")).expect("written");
    assert!(
        picture.contains("parse (4,096 bytes, 80.00%; -80.00%)"),
        "{picture}"
    );
    // Nothing at either side.
    let words = ["diff", "freed.heap", "freed.heap", "-o", "none.svg"];
    let output = jemoxide(folder.path(), &words);
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("no live bytes") && text.contains("--by cumulative"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_drawn_is_told_with_the_cure() {
    let folder = profiles();
    for (words, told) in [
        (&["flame", "a.folded", "-o", "a.png"][..], ".svg or .html"),
        (
            &["flame", "a.folded", "-o", "w.svg", "--view", "waste"],
            "prof_details:true",
        ),
        (&["flame", "none.heap", "-o", "n.svg"], "none.heap"),
        (
            &["flame", "a.folded", "-o", "no/such/folder/a.svg"],
            "no/such/folder",
        ),
    ] {
        let output = jemoxide(folder.path(), words);
        let text = String::from_utf8(output.stderr).expect("text");
        assert!(
            !output.status.success() && text.contains(told),
            "{words:?}: {text}"
        );
    }
    let left: Vec<_> = fs::read_dir(folder.path()).expect("ours").collect();
    assert_eq!(left.len(), 2, "nothing half written: {left:?}");
}

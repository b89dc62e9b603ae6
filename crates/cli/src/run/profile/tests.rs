//! Profiles of a run get to their places, and the right one is shown.

use jemoxide_testkit::folder::Folder;

use super::*;

fn wanted(file: Option<&str>) -> Wanted {
    Wanted {
        file: file.map(PathBuf::from),
        program: "app".to_owned(),
        sampling: Sampling::AsSet,
    }
}

#[test]
fn places_are_named_after_program_and_process() {
    assert_eq!(wanted(None).place("7"), Path::new("app.7.heap"));
    assert_eq!(wanted(None).place_marked("8"), Path::new("app.8.heap"));
    assert_eq!(wanted(Some("/x/y.heap")).place("7"), Path::new("/x/y.heap"));
    assert_eq!(
        wanted(Some("/x/y.heap")).place_marked("8"),
        Path::new("/x/y.8.heap")
    );
    assert_eq!(
        wanted(Some("y")).place_marked("8.1.m0"),
        Path::new("y.8.1.m0.heap")
    );
}

#[test]
fn the_process_that_held_most_is_shown_and_all_are_kept() {
    let scratch = Scratch::create().expect("a temporary directory");
    let folder = Folder::new();
    let dump = |name: &str, bytes: u64| {
        let text = format!("heap_v2/1\n@ 0x10\n  t*: 1: {bytes} [0: 0]\n");
        fs::write(scratch.path().join(name), text).expect("writable");
    };
    dump("profile.70.0.f.heap", 100);
    dump("profile.71.0.f.heap", 900);
    dump("profile.4026531836.72.1.f.heap", 300);
    dump("profile.70.1.m0.heap", 5);
    dump("70.report", 5);
    let file = folder.join("out.heap");
    let wanted = wanted(file.to_str());
    let left = collect(&wanted, &scratch, 70, HowEnded::Exit(0));
    let Left::Profile(shown) = &left else {
        panic!("{left:?}");
    };
    assert_eq!(shown.other_pid.as_deref(), Some("71"));
    assert_eq!(shown.file, folder.join("out.71.heap"));
    assert_eq!(
        folder.names(),
        ["out.70.1.m0.heap", "out.71.heap", "out.72.heap", "out.heap"]
    );
    let text = anstream::adapter::strip_str(&left.text(Some(80))).to_string();
    assert!(
        text.contains("process 71") && text.contains("3 more profiles"),
        "{text}"
    );
    assert_eq!(left.json()["total"]["bytes"], 900);
}

#[test]
fn without_a_profile_the_cause_is_told() {
    let scratch = Scratch::create().expect("a temporary directory");
    let killed = HowEnded::Signal {
        number: 9,
        dumped_core: false,
    };
    for (how, cause) in [(killed, "Signal 9"), (HowEnded::Exit(0), "_exit")] {
        let left = collect(&wanted(None), &scratch, 1, how);
        assert!(left.text(None).contains(cause), "{left:?}");
    }
    assert!(file::try_place(Path::new("/no/such/folder/x.heap")).is_err());
    assert!(file::try_place(Path::new("/")).is_err());
}

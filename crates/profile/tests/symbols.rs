//! Symbols are right: this very program is symbolised, at addresses whose functions and lines are known.

use std::fmt::Write;
use std::path::PathBuf;

use jemoxide_profile::symbols::{Fold, Found, Options, symbolize};
use jemoxide_profile::{Measure, Profile};

/// Its first instruction is the address looked up.
#[inline(never)]
fn known_function(number: u64) -> u64 {
    std::hint::black_box(number) + 1
}

const KNOWN_LINE: u32 = line!() - 4;

/// A dump with one stack, this process's own maps, and what is wanted of them.
fn dump(addresses: &[usize], maps: &str) -> Profile {
    let mut text = "heap_v2/1\n@".to_owned();
    for address in addresses {
        let _ = write!(text, " {address:#x}");
    }
    let _ = write!(text, "\n  t*: 1: 100 [1: 100]\n\nMAPPED_LIBRARIES:\n{maps}");
    Profile::read(text.as_bytes()).expect("well formed")
}

fn own_maps() -> String {
    std::fs::read_to_string("/proc/self/maps").expect("readable")
}

/// The address that a call in the first instruction would return to.
fn inside(function: fn(u64) -> u64) -> usize {
    function as usize + 1
}

#[test]
fn a_known_function_gets_its_name_and_line() {
    assert_eq!(known_function(1), 2);
    let mut profile = dump(&[inside(known_function)], &own_maps());
    let mut told = 0;
    let reports = symbolize(&mut profile, &Options::default(), &mut |_| told += 1);
    assert_eq!(reports[0].found, Found::Lines, "{reports:?}");
    assert!(told > 0);
    let frame = profile.frames(&profile.stacks()[0]).next().expect("one");
    assert_eq!(frame.name(), "symbols::known_function");
    assert!(
        frame.file().ends_with("tests/symbols.rs"),
        "{}",
        frame.file()
    );
    assert!(frame.line.abs_diff(KNOWN_LINE) <= 1, "{}", frame.line);
    assert_eq!(
        profile.to_collapsed(Measure::Live).expect("short"),
        "symbols::known_function 100\n"
    );
    assert!(
        !profile
            .modules()
            .iter()
            .all(|module| module.build_id.is_empty())
    );
    // What pprof keeps is all that is needed to show it again.
    let again = Profile::read(&profile.to_pprof()).expect("just written");
    let frame = again.frames(&again.stacks()[0]).next().expect("one");
    assert_eq!(frame.name(), "symbols::known_function");
}

#[test]
fn missing_files_are_told_and_leave_places() {
    let maps = own_maps().replace("/symbols-", "/gone-");
    let mut profile = dump(&[inside(known_function)], &maps);
    let reports = symbolize(&mut profile, &Options::default(), &mut |_| {});
    assert!(
        matches!(&reports[0].found, Found::Nothing(why) if why.contains("No such file")),
        "{reports:?}"
    );
    let frame = profile.frames(&profile.stacks()[0]).next().expect("one");
    assert!(frame.name().starts_with("gone-"), "{}", frame.name());

    // A pipe or a device would hold the reader for ever.
    let devices = "1000-7fffffffffff r-xp 00000000 00:00 1 /dev/zero\n";
    let mut profile = dump(&[inside(known_function)], devices);
    let reports = symbolize(&mut profile, &Options::default(), &mut |_| {});
    assert!(
        matches!(&reports[0].found, Found::Nothing(why) if why.contains("no regular file")),
        "{reports:?}"
    );

    let options = Options {
        root: PathBuf::from("/no/such/root"),
        ..Options::default()
    };
    let mut profile = dump(&[inside(known_function)], &own_maps());
    let reports = symbolize(&mut profile, &options, &mut |_| {});
    assert!(matches!(reports[0].found, Found::Nothing(_)));
}

#[test]
fn a_root_stands_before_all_paths() {
    let options = Options {
        root: PathBuf::from(format!("/proc/{}/root", std::process::id())),
        ..Options::default()
    };
    let mut profile = dump(&[inside(known_function)], &own_maps());
    let reports = symbolize(&mut profile, &options, &mut |_| {});
    assert_eq!(reports[0].found, Found::Lines);
}

/// What a debug file shares with others counts as well: a copy of this program that shares debug information with another copy
/// has twice as much.
#[test]
fn shared_debug_information_counts_against_the_bound() {
    let folder = std::env::temp_dir().join(format!("jemoxide-shared-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let (app, shared) = (folder.join("app"), folder.join("shared"));
    let own = std::env::current_exe().expect("known");
    std::fs::copy(&own, &shared).expect("room");
    let looked = |file: &std::path::Path, debug_max: u64| {
        let maps = own_maps().replace(&own.display().to_string(), &file.display().to_string());
        let mut profile = dump(&[inside(known_function)], &maps);
        let options = Options {
            debug_max,
            ..Options::default()
        };
        let reports = symbolize(&mut profile, &options, &mut |_| {});
        let build_id = profile.modules().iter().map(|module| &module.build_id);
        let build_id = build_id.max_by_key(|id| id.len()).cloned();
        (reports[0].found.clone(), build_id.unwrap_or_default())
    };
    let (Found::TooLarge { bytes }, build_id) = looked(&shared, 0) else {
        panic!("0 bytes are not enough");
    };
    let link = folder.join("link");
    std::fs::write(&link, [b"shared\0", &build_id[..]].concat()).expect("room");
    let made = std::process::Command::new("objcopy")
        .arg(format!(
            "--add-section=.gnu_debugaltlink={}",
            link.display()
        ))
        .args([&shared, &app])
        .status();
    match made {
        Ok(status) if status.success() => {
            let (found, _) = looked(&app, bytes);
            assert_eq!(found, Found::TooLarge { bytes: 2 * bytes });
            assert_eq!(looked(&app, 2 * bytes).0, Found::Lines);
        }
        other => eprintln!(
            "\nNOT TESTED: no objcopy (install binutils): shared debug information: {other:?}\n"
        ),
    }
    std::fs::remove_dir_all(&folder).expect("ours");
}

#[test]
fn allocator_frames_are_hidden_from_the_inner_end_only() {
    let shown = |text: &str, fold| {
        let mut profile = Profile::read(text.as_bytes()).expect("collapsed");
        profile.hide_allocator(fold);
        profile.to_collapsed(Measure::Live).expect("short")
    };
    let text = "main;load;<alloc::vec::Vec<T>>::push;alloc::raw_vec::RawVec<T>::grow;alloc::alloc::alloc;malloc 1\n";
    assert_eq!(shown(text, Fold::Nothing), text);
    assert_eq!(
        shown(text, Fold::Allocator),
        "main;load;<alloc::vec::Vec<T>>::push;alloc::raw_vec::RawVec<T>::grow 1\n"
    );
    assert_eq!(shown(text, Fold::StandardLibrary), "main;load 1\n");
    assert_eq!(
        shown("main;malloc;callback 1\n", Fold::StandardLibrary),
        "main;malloc;callback 1\n"
    );
    assert_eq!(
        shown("operator new(unsigned long);malloc 1\n", Fold::Allocator),
        "operator new(unsigned long) 1\n"
    );
}

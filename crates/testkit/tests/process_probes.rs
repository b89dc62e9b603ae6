//! Probes: the notes that tracers read, and what comes when one looks.
//!
//! P1  Each probe has a note: where its instruction is, where its semaphore is, where its arguments are.
//! P2  The semaphores are in the file's writable memory, where a tracer can count them up; notes are not loaded.

use jemoxide_testkit::{artifacts, child, compiler};
use object::{Object, ObjectSection, SectionFlags};
use std::collections::BTreeMap;
use std::{format, fs};

/// The names, and how many arguments each has.
const PROBES: [(&str, usize); 9] = [
    ("jemoxide:extent_alloc", 2),
    ("jemoxide:extent_dalloc", 2),
    ("jemoxide:map", 2),
    ("jemoxide:purge", 3),
    ("jemoxide:slab_gone", 1),
    ("jemoxide:slab_new", 3),
    ("jemoxide:unmap", 2),
    ("otel_memory:alloc", 3),
    ("otel_memory:free", 1),
];

/// What a note says.
struct Note {
    name: String,
    place: u64,
    semaphore: u64,
    registers: Vec<String>,
}

/// The notes of a library; see `sys/linux/probe.rs` for their layout.
fn notes(library: &[u8]) -> Vec<Note> {
    let file = object::File::parse(library).expect("an ELF file");
    let section = file.section_by_name(".note.stapsdt").expect("has probes");
    let SectionFlags::Elf { sh_flags } = section.flags() else {
        panic!("an ELF section");
    };
    let is_loaded = sh_flags & u64::from(object::elf::SHF_ALLOC) != 0;
    assert!(!is_loaded, "notes take memory (P2)");
    let base = file.section_by_name(".stapsdt.base").expect("has a base");
    let data = section.data().expect("readable");
    let word =
        |at: usize| u32::from_le_bytes(data[at..at + 4].try_into().expect("4 bytes")) as usize;
    let address = |at: usize| u64::from_le_bytes(data[at..at + 8].try_into().expect("8 bytes"));
    let mut found = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let (name_len, len, kind) = (word(at), word(at + 4), word(at + 8));
        assert_eq!((name_len, kind), (8, 3));
        assert_eq!(&data[at + 12..at + 20], b"stapsdt\0");
        let start = at + 20;
        assert_eq!(address(start + 8), base.address());
        let texts = String::from_utf8(data[start + 24..start + len].to_vec()).expect("text");
        let texts: Vec<_> = texts.split('\0').collect();
        let register = |place: &str| place.strip_prefix("8@%").expect("a register").to_owned();
        found.push(Note {
            name: format!("{}:{}", texts[0], texts[1]),
            place: address(start),
            semaphore: address(start + 16),
            registers: texts[2].split(' ').map(register).collect(),
        });
        at = start + len.next_multiple_of(4);
    }
    found
}

#[test]
fn every_probe_has_a_note_and_tells_a_tracer_what_happens() {
    if artifacts::is_stand_in() {
        compiler::announce_untested("another library's probes are its own");
        return;
    }
    let path = artifacts::library();
    let library = fs::read(&path).expect("the library is readable");
    let notes = notes(&library);
    let file = object::File::parse(&*library).expect("an ELF file");
    let mut names = BTreeMap::new();
    for note in &notes {
        names.insert(note.name.as_str(), note.registers.len());
        let inside = |name: &str, place: u64| {
            let section = file.section_by_name(name).expect("there");
            (section.address()..section.address() + section.size()).contains(&place)
        };
        assert!(inside(".text", note.place), "{}", note.name);
        assert!(inside(".data", note.semaphore), "{} (P2)", note.name);
    }
    for (name, arguments) in PROBES {
        assert_eq!(names.get(name), Some(&arguments), "{name} in {names:?}");
    }
    let Some(program) = compiler::c("process/probes.c", "probes", &["-ldl"]) else {
        return;
    };
    let probes: Vec<_> = notes
        .iter()
        .map(|note| {
            let (name, registers) = (&note.name, note.registers.join(","));
            format!("{name}@{:x}@{:x}@{registers}", note.place, note.semaphore)
        })
        .collect();
    // The purge thread takes no signals, and so no traps of the program's own.
    let run = |conf: &str| {
        child::Run::new(&program)
            .args(&probes)
            .preload(&path)
            .env("MALLOC_CONF", format!("background_thread:false{conf}"))
    };
    run("").run().expect_success();
    let sampled = run(",prof:true,lg_prof_sample:0").env("SAMPLED", "1");
    sampled.run().expect_success();
}

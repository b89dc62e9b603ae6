//! Large and forged profiles cost what their size is worth: sizes here take a second, and would take minutes or gigabytes
//! where work grows with the square, or memory with what a few bytes name.

use std::fmt::Write;
use std::io::Write as _;

use jemoxide_profile::{Measure, Profile};

fn refused(bytes: &[u8]) -> String {
    Profile::read(bytes).expect_err("too much").to_string()
}

/// So many of each.
const COUNT: u64 = 40_000;

/// A dump with [`COUNT`] modules, threads, stacks and classes; each stack with tags and lifetimes out of order.
fn large_dump(start: u64) -> Vec<u8> {
    let mut text = "heap_v2/524288\n".to_owned();
    for index in 0..COUNT {
        let address = start + 0x2000 * index + 0x10;
        let _ = write!(
            text,
            "@ {address:#x}\n  t*: 1: 64 [1: 64]\n  t{index}: 1: 64 [1: 64]\n"
        );
    }
    text.push_str("\nMAPPED_LIBRARIES:\n");
    for index in 0..COUNT {
        let from = start + 0x2000 * index;
        let to = from + 0x1000;
        let _ = writeln!(
            text,
            "{from:x}-{to:x} r-xp 00000000 fe:00 {index} /opt/lib{index}.so"
        );
    }
    text.push_str("\nJEMOXIDE_DETAILS/1\n");
    for index in 0..COUNT {
        let _ = writeln!(text, "class {} 1 1 4096 64", 64 * (COUNT - index));
    }
    let _ = writeln!(text, "@ {:#x}", start + 0x10);
    for index in 0..COUNT {
        let (lg, tag) = (63 - index % 64, COUNT / 2 - index % (COUNT / 2));
        let _ = write!(text, "  l {lg} 8 64\n  g {tag} 8 64\n");
    }
    text.push_str("end\n");
    text.into_bytes()
}

#[test]
fn tens_of_thousands_of_modules_are_merged() {
    let mut one = Profile::read(&large_dump(0x10_0000)).expect("well formed");
    let other = Profile::read(&large_dump(0x7000_0000_0000)).expect("well formed");
    let stack = &one.stacks()[0];
    assert_eq!(stack.lifetimes.len(), 64);
    assert_eq!(stack.tags.len(), COUNT as usize / 2);
    let cumulative: f64 = stack.tags.iter().map(|share| share.cumulative.bytes).sum();
    assert_eq!(
        cumulative,
        64.0 * COUNT as f64,
        "those of one tag are added"
    );

    let before = one.total(Measure::Live).bytes;
    one.merge(&other);
    assert_eq!(one.modules().len(), 2 * COUNT as usize);
    assert_eq!(
        one.stacks().len(),
        COUNT as usize,
        "same places in the same files"
    );
    assert_eq!(one.classes().len(), COUNT as usize);
    assert_eq!(one.classes()[0].objects, 2);
    assert_eq!(one.stacks()[0].tags.len(), COUNT as usize / 2);
    let after = one.total(Measure::Live).bytes;
    assert!((after - 2.0 * before).abs() < 1e-6 * after);
    // No such files: each is looked for once.
    let reports = jemoxide_profile::symbols::symbolize(
        &mut one,
        &jemoxide_profile::symbols::Options {
            root: "/no/such/root".into(),
            ..Default::default()
        },
        &mut |_| {},
    );
    assert_eq!(reports.len(), COUNT as usize);
}

#[test]
fn tens_of_thousands_of_names_are_merged() {
    let lines = |step: usize| -> String {
        let numbers = (0..40_000).map(|index| index * step);
        numbers.fold(String::new(), |mut text, number| {
            let _ = writeln!(text, "main;work{};leaf{number} 64", number % 1000);
            text
        })
    };
    let mut one = Profile::read(lines(1).as_bytes()).expect("well formed");
    one.merge(&Profile::read(lines(2).as_bytes()).expect("well formed"));
    assert_eq!(one.stacks().len(), 60_000);
}

/// A field of a message: bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// A field of a message: a number.
fn number(field: u8, mut number: u64) -> Vec<u8> {
    let mut bytes = vec![field << 3];
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn packed(content: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packer.write_all(content).expect("memory");
    packer.finish().expect("memory")
}

/// The beginning of a heap profile: one column, and texts 1 to 4; `long` is the last.
fn forged(long: &[u8]) -> Vec<u8> {
    let mut bytes = field(1, &[number(1, 1), number(2, 2)].concat());
    for text in [&b""[..], b"inuse_space", b"bytes", b"file", long] {
        bytes.extend(field(6, text));
    }
    bytes
}

/// A text of 4 MiB, named by 300 functions, three times each: 3.5 GiB where each had its own.
#[test]
fn a_long_name_is_kept_once_and_cut() {
    let mut bytes = forged(&vec![b'x'; 4 << 20]);
    for id in 1..=300 {
        let function = [number(1, id), number(2, 4), number(3, 4), number(4, 4)].concat();
        bytes.extend(field(5, &function));
        let line = field(4, &[number(1, id), number(2, id)].concat());
        bytes.extend(field(4, &[number(1, id), line].concat()));
        bytes.extend(field(2, &[number(1, id), number(2, 8)].concat()));
    }
    let packed = packed(&bytes);
    assert!(packed.len() < 16 << 10, "{}", packed.len());
    let profile = Profile::read(&packed).expect("well formed");
    assert_eq!(profile.stacks().len(), 300);
    let frame = profile.frames(&profile.stacks()[7]).next().expect("one");
    assert_eq!(frame.name().len(), (64 << 10) + 3);
    assert!(
        profile.warnings()[0].contains("64 KiB"),
        "{:?}",
        profile.warnings()
    );
    // Once for each stack, names would fill a disk; all are one here.
    let text = profile.to_collapsed(Measure::Live).expect("one line");
    assert!(text.len() < 70_000);
}

/// Messages of two bytes, of which each would be dozens when it is decoded.
#[test]
fn empty_messages_are_bounded() {
    let many = |bytes: &[u8], count: usize| {
        let mut all = forged(b"");
        all.extend(bytes.repeat(count));
        packed(&all)
    };
    let samples = many(&[0x12, 0], 1 << 20);
    assert!(samples.len() < 8 << 10);
    assert_eq!(
        Profile::read(&samples).expect("well formed").stacks().len(),
        1
    );
    for (message, told) in [
        (&[0x22, 0][..], "1048576 locations"),
        (&[0x32, 0], "1048576 texts"),
        (&[0x1a, 0], "65536 mappings"),
        (&[0x0a, 0], "64 sample types"),
    ] {
        let why = refused(&many(message, (1 << 20) + 1));
        assert!(why.contains(told), "{why}");
    }
}

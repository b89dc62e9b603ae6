//! Every form is read as it was meant, written so that it is read again, and refused with its cure when it is broken.

use jemoxide_profile::{Amount, Form, Measure, Profile, Stack};

const DETAILS: &[u8] = include_bytes!("data/details.heap");

fn read(text: &[u8]) -> Profile {
    Profile::read(text).unwrap_or_else(|why| panic!("{why}"))
}

fn refused(text: &[u8]) -> String {
    Profile::read(text).expect_err("malformed").to_string()
}

fn near(left: f64, right: f64) {
    assert!(
        (left - right).abs() <= 1.0 + 1e-3 * right.abs(),
        "{left} is not near {right}"
    );
}

#[test]
fn a_dump_with_details_is_read_whole() {
    let profile = read(DETAILS);
    assert_eq!((profile.form(), profile.period()), (Form::HeapV2, 65536));
    let known = profile.known();
    assert!(known.objects && known.cumulative && known.peak && known.lifetimes && known.ages);
    assert_eq!(profile.warnings(), [""; 0]);
    let names: Vec<_> = profile
        .threads()
        .iter()
        .map(|thread| &thread.name)
        .collect();
    assert_eq!(names, ["", "worker"]);
    assert_eq!(profile.modules().len(), 1, "only executable parts");
    assert_eq!(profile.classes().len(), 2);
    assert_eq!(profile.peak().map(|peak| peak.bytes), Some(1_000_000));

    let [large, small] = profile.stacks() else {
        panic!("two stacks: {:?}", profile.stacks());
    };
    // 262,496 printed of 65,536 bytes' period: f = 1/(1 - exp(-4.005)).
    near(
        large.live.bytes,
        262_496.0 / (1.0 - (-262_496.0f64 / 65_536.0).exp()),
    );
    assert_eq!(
        large.cumulative.bytes, 262_144.0,
        "the details' sums replace the corrected ones"
    );
    assert_eq!(
        (small.cumulative.objects, small.cumulative.bytes),
        (50.0, 800_000.0)
    );
    assert_eq!(small.lifetimes.len(), 2);
    assert_eq!(small.tags[0].tag, 7);
    assert_eq!(small.objects[1].requested, 33);
    assert_eq!(profile.thread(small.objects[1].thread).uid, 1);
    assert_eq!(small.threads.len(), 2);
    near(
        small.amount(Measure::Temporary { lg_ns: 30 }).bytes,
        200_000.0,
    );
    near(profile.total(Measure::Peak).bytes, 662_144.0);
    let frames: Vec<_> = profile.frames(small).map(|frame| frame.name()).collect();
    assert_eq!(frames, ["app+0x1a54", "app+0x2a0f"]);
}

#[test]
fn a_dump_written_again_says_the_same() {
    let profile = read(DETAILS);
    let again = read(&profile.to_heap_v2().expect("has addresses"));
    assert_eq!(again.period(), profile.period());
    assert_eq!(again.known(), profile.known());
    assert_eq!(again.classes(), profile.classes());
    assert_eq!(again.time(), profile.time());
    assert_eq!(again.peak(), profile.peak());
    assert_eq!(again.modules(), profile.modules());
    assert_eq!(again.stacks().len(), profile.stacks().len());
    for (one, two) in again.stacks().iter().zip(profile.stacks()) {
        same(one, two);
        assert_eq!(one.objects, two.objects);
        assert_eq!(one.lifetimes.len(), two.lifetimes.len());
        assert_eq!(one.tags.len(), two.tags.len());
        assert_eq!(one.threads.len(), two.threads.len());
    }
}

#[test]
fn pprof_keeps_live_cumulative_and_peak() {
    let profile = read(DETAILS);
    let again = read(&profile.to_pprof());
    assert_eq!((again.form(), again.period()), (Form::Pprof, 65536));
    assert!(again.known().peak && again.known().cumulative && !again.known().ages);
    assert_eq!(again.time(), profile.time());
    assert_eq!(&*again.modules()[0].path, "/opt/demo/app");
    for (one, two) in again.stacks().iter().zip(profile.stacks()) {
        same(one, two);
        let addresses = |profile: &Profile, stack: &Stack| -> Vec<u64> {
            let ids = stack.frames().iter();
            ids.map(|&id| profile.location(id).address).collect()
        };
        assert_eq!(addresses(&again, one), addresses(&profile, two));
    }
    // And back: addresses are enough for a dump.
    let dump = read(&again.to_heap_v2().expect("has addresses"));
    near(
        dump.total(Measure::Live).bytes,
        profile.total(Measure::Live).bytes,
    );
}

fn same(one: &Stack, two: &Stack) {
    for measure in [Measure::Live, Measure::Cumulative, Measure::Peak] {
        near(one.amount(measure).bytes, two.amount(measure).bytes);
        near(one.amount(measure).objects, two.amount(measure).objects);
    }
}

#[test]
fn collapsed_stacks_are_read_and_written() {
    let text = "main;run;parse [x.so] 4096\nmain 10\n\nmain;run;parse [x.so] 4\n";
    let profile = read(text.as_bytes());
    assert_eq!(profile.form(), Form::Collapsed);
    assert_eq!(profile.total(Measure::Live).bytes, 4110.0);
    assert!(!profile.known().objects);
    assert_eq!(
        profile.to_collapsed(Measure::Live).expect("short"),
        "main 10\nmain;run;parse [x.so] 4100\n"
    );
    let again = read(&profile.to_pprof());
    assert_eq!(
        again.to_collapsed(Measure::Live).expect("short"),
        profile.to_collapsed(Measure::Live).expect("short")
    );
}

/// Names without addresses become a dump with the names in front.
#[test]
fn names_alone_become_a_dump() {
    let text = "main;a--b;parse [x.so] 4096\nmain 10\n";
    let dump = read(text.as_bytes()).to_heap_v2().expect("has names");
    let shown = String::from_utf8_lossy(&dump);
    assert!(shown.starts_with("--- symbol\n0x"), "{shown}");
    assert!(
        shown.contains("\n---\n--- heap\nheap_v2/1\n  t*: 2: 4106 [0: 0]\n"),
        "{shown}"
    );
    let again = read(&dump);
    assert_eq!(again.form(), Form::HeapV2);
    assert_eq!(again.warnings(), [""; 0]);
    assert_eq!(again.total(Measure::Live).bytes, 4106.0);
    assert_eq!(
        again.to_collapsed(Measure::Live).expect("short"),
        "main 10\nmain;a- -b;parse [x.so] 4096\n"
    );
    // Some with addresses, some without: made up ones lie behind the others.
    let mut mixed = read(DETAILS);
    mixed.merge(&read(text.as_bytes()));
    let mixed = read(&mixed.to_pprof());
    let dump = mixed.to_heap_v2().expect("one process again");
    near(
        read(&dump).total(Measure::Live).bytes,
        mixed.total(Measure::Live).bytes,
    );
    let names = read(&dump).to_collapsed(Measure::Live).expect("short");
    assert!(names.contains("main;a- -b;parse [x.so] "), "{names}");
    assert!(names.contains("app+0x2a0f"), "{names}");
}

/// Labels tell threads, tags and ages apart, and the sums stay.
#[test]
fn pprof_has_labels_for_threads_tags_and_ages() {
    let profile = read(DETAILS);
    let again = read(&profile.to_pprof());
    let small = &again.stacks()[1];
    near(small.live.bytes, profile.stacks()[1].live.bytes);
    let uids: Vec<_> = small
        .threads
        .iter()
        .map(|share| again.thread(share.thread).uid)
        .collect();
    assert_eq!(uids, [0, 1]);
    let names: Vec<_> = again.threads().iter().map(|thread| &*thread.name).collect();
    assert_eq!(names, ["", "worker"]);
    // This dump's objects are fewer than its live bytes: what is left over is nobody's.
    let objects = profile.stacks()[1].objects.iter();
    let known: Amount = objects
        .map(|object| Amount::of_one(object.usable, 65536))
        .sum();
    let shares: f64 = small.threads.iter().map(|share| share.live.bytes).sum();
    near(shares, known.bytes);
    assert_eq!(small.tags.len(), 1);
    assert_eq!(
        (small.tags[0].tag, small.tags[0].cumulative.bytes),
        (7, 65536.0)
    );

    let bytes = profile.to_pprof_unpacked();
    for word in [
        "thread_id",
        "worker",
        "thread 0",
        "tag",
        "age",
        "nanoseconds",
    ] {
        assert!(
            bytes
                .windows(word.len())
                .any(|window| window == word.as_bytes()),
            "{word}"
        );
    }
    assert_eq!(read(&bytes).stacks().len(), again.stacks().len());

    let mut two = read(DETAILS);
    two.merge(&profile);
    let two = read(&two.to_pprof());
    assert_eq!((two.sources(), two.threads().len()), (2, 4));
}

#[test]
fn the_classic_form_is_read() {
    let text = "heap profile:   12:  4096 [  20:  8192] @ heap_v2/524288\n\
                     2:  1024 [     4:  2048] @ 0x4005a0 0x400611\n\
                \nMAPPED_LIBRARIES:\n00400000-00401000 r-xp 00000000 08:01 1 /bin/x\n";
    let profile = read(text.as_bytes());
    assert_eq!(profile.form(), Form::Classic);
    near(
        profile.total(Measure::Live).bytes,
        1024.0 / -(-512.0f64 / 524_288.0).exp_m1(),
    );
    assert_eq!(profile.modules().len(), 1);
    let why = refused(b"heap profile: 1: 2 [3: 4] @ heap/524288\n");
    assert!(
        why.contains("line 1") && why.contains("heap_v2/PERIOD"),
        "{why}"
    );
}

#[test]
fn several_profiles_become_one() {
    let mut one = read(DETAILS);
    one.merge(&read(DETAILS));
    assert_eq!(one.sources(), 2);
    assert_eq!(one.stacks().len(), 2, "same places in the same file");
    let single = read(DETAILS);
    near(
        one.total(Measure::Live).bytes,
        2.0 * single.total(Measure::Live).bytes,
    );
    assert_eq!(one.threads().len(), 4);
    assert_eq!(one.threads()[3].source, 1);
    let objects = &one.stacks()[1].objects;
    assert_eq!(objects.len(), 4);
    assert_eq!(one.thread(objects[3].thread).source, 1);
    assert_eq!(one.stacks()[1].lifetimes.len(), 2);
    near(one.stacks()[1].lifetimes[0].amount.bytes, 400_000.0);
    assert!(one.to_heap_v2().is_err());

    // The same program at other addresses is still the same program.
    let moved = String::from_utf8_lossy(DETAILS).replace("55c0f07d", "55aaaaad");
    let mut other = read(DETAILS);
    other.merge(&read(moved.as_bytes()));
    assert_eq!(other.stacks().len(), 2);

    let mut named = read(b"main;a 1\nmain;b 2\n");
    named.merge(&read(b"main;b 3\nmain;c 4\n"));
    assert_eq!(
        named.to_collapsed(Measure::Live).expect("short"),
        "main;a 1\nmain;b 5\nmain;c 4\n"
    );
}

/// Every prefix of a dump is refused or read, and tells why it is not whole.
#[test]
fn a_dump_cut_anywhere_is_noticed() {
    let text = std::str::from_utf8(DETAILS).expect("text");
    let module = text.find("r-xp").expect("there");
    let maps = module + text[module..].find('\n').expect("there");
    let details = DETAILS
        .windows(6)
        .position(|window| window == b"JEMOXI")
        .expect("there");
    for length in 1..DETAILS.len() {
        let cut = &DETAILS[..length];
        match Profile::read(cut) {
            Ok(profile) if length <= maps => {
                assert!(!profile.warnings().is_empty(), "{length}");
            }
            // Between the maps and the details a dump of jemalloc would end, too.
            Ok(profile) if length < details + "JEMOXIDE_DETAILS/".len() => {
                let is_line = cut.ends_with(b"\n");
                assert_eq!(profile.warnings().is_empty(), is_line, "{length}");
            }
            Ok(_) => panic!(
                "{length} of {} bytes were taken for a whole dump",
                DETAILS.len()
            ),
            Err(why) => assert!(why.to_string().contains("again"), "{length}: {why}"),
        }
    }
    let mut packed = read(DETAILS).to_pprof();
    packed.truncate(packed.len() / 2);
    assert!(refused(&packed).contains("cut off"));
    // Cut between two messages, the texts behind are missing that those before name.
    let plain = read(DETAILS).to_pprof_unpacked();
    let whys: Vec<String> = (20..plain.len())
        .filter_map(|length| Profile::read(&plain[..length]).err())
        .map(|why| why.to_string())
        .collect();
    assert!(whys.len() > plain.len() * 9 / 10, "{}", whys.len());
    let tells = |why: &String| {
        ["damaged or cut off", "that it does not have"]
            .iter()
            .any(|word| why.contains(word))
    };
    assert!(whys.iter().all(tells), "{whys:?}");
    assert!(refused(b"\x12\xff\0\x01").contains("bytes of another form"));
}

#[test]
fn messages_name_the_line_and_the_cure() {
    let cases: [(&str, &str, &str); 12] = [
        ("", "is empty", "disk full"),
        ("heap_v2/0\n", "line 1", "sampling period"),
        ("heap_v2/x\n", "line 1", "sampling period"),
        (
            "heap_v2/1\n  t*: 1: 2 [3: x]\n",
            "line 2",
            "`t*: 1: 2 [3: x]`",
        ),
        ("heap_v2/1\n@ 0x12 zz\n", "line 2", "addresses"),
        ("heap_v2/1\nq*: 1: 2 [3: 4]\n", "line 2", "expected"),
        ("heap_v2/1\n  t*: 1: 2 [3: 4", "line 2", "cut off"),
        ("{\"a\": 1}\n", "JSON", "heap_v2"),
        ("just words\n", "line 1", "main;work;parse 4096"),
        ("\x7fELF\0\0", "program", "heap_v2"),
        (
            "heap_v2/1\n\nMAPPED_LIBRARIES:\n\nJEMOXIDE_DETAILS/1\nx 1\nend\n",
            "line 6",
            "details",
        ),
        (
            "heap_v2/1\n\nMAPPED_LIBRARIES:\n\nJEMOXIDE_DETAILS/1\n@ 0x1\n  l 64 8 8\nend\n",
            "line 7",
            "l 64",
        ),
    ];
    for (text, first, second) in cases {
        let why = refused(text.as_bytes());
        assert!(
            why.contains(first) && why.contains(second),
            "{text:?}: {why}"
        );
    }
    let why = Profile::read_file(std::path::Path::new("/no/such.heap")).expect_err("missing");
    assert!(
        why.to_string().starts_with("/no/such.heap: cannot be read"),
        "{why}"
    );
    let why = Profile::read_file(std::path::Path::new("/")).expect_err("a folder");
    assert!(why.to_string().contains("Name the files in it"), "{why}");
    let cpu = pprof_of_cpu();
    assert!(refused(&cpu).contains("it counts cpu"), "{}", refused(&cpu));
}

/// sample_type { type: 1 unit: 2 }, string_table "", "cpu", "ns".
fn pprof_of_cpu() -> Vec<u8> {
    b"\x0a\x04\x08\x01\x10\x02\x32\x00\x32\x03cpu\x32\x02ns".to_vec()
}

#[test]
fn later_details_are_passed_over_with_a_warning() {
    let text = "heap_v2/1\n\nMAPPED_LIBRARIES:\n\nJEMOXIDE_DETAILS/2\nwhat ever\n";
    let profile = read(text.as_bytes());
    assert!(profile.warnings()[0].contains("version 2"));
}

/// Random damage to every form: an answer or a message, never a panic.
#[test]
fn damage_never_panics() {
    let mut random = fastrand::Rng::with_seed(11);
    let profile = read(DETAILS);
    let packed = profile.to_pprof();
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&packed[..]), &mut plain)
        .expect("just packed");
    let collapsed = profile
        .to_collapsed(Measure::Live)
        .expect("short")
        .into_bytes();
    for form in [DETAILS, &packed, &plain, &collapsed] {
        for _ in 0..3000 {
            let mut bytes = form.to_vec();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes.truncate(at.max(1)),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, b"0 :@t\n"[random.usize(..6)]),
                }
                if bytes.is_empty() {
                    break;
                }
            }
            if let Ok(mut profile) = Profile::read(&bytes) {
                profile.hide_allocator(jemoxide_profile::symbols::Fold::StandardLibrary);
                let _ = (profile.to_heap_v2(), profile.to_pprof());
                let _ = profile.to_collapsed(Measure::Live);
                let again = profile.clone();
                profile.merge(&again);
            }
        }
    }
}

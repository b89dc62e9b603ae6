use super::*;
use crate::sys::simulated::dice::{Dice, rounds};
use std::string::String;
use std::vec::Vec;

fn plain(path: &str) -> String {
    String::from_utf8(unescaped(path.as_bytes()).collect()).unwrap()
}

#[test]
fn a_line_names_the_group_of_the_controllers_that_it_lists() {
    use Controller::{Cpu, Memory};
    let cases = [
        ("0::/pods/a", Memory, Some((Version::Two, "/pods/a"))),
        ("0::/", Cpu, Some((Version::Two, "/"))),
        ("4:memory:/a", Memory, Some((Version::One, "/a"))),
        ("4:memory:/a", Cpu, None),
        ("2:cpu,cpuacct:/a:b", Cpu, Some((Version::One, "/a:b"))),
        ("2:cpuacct:/a", Cpu, None),
        ("2:cpuset:/a", Cpu, None),
        ("9:name=systemd:/", Memory, None),
        ("7::/a", Memory, None),
        ("0::a", Memory, None),
        ("0:", Memory, None),
    ];
    for (line, controller, expected) in cases {
        let expected = expected.map(|(version, path)| (version, path.as_bytes()));
        assert_eq!(group(line.as_bytes(), controller), expected, "{line}");
    }
}

#[test]
fn a_mount_is_taken_apart_whatever_optional_fields_it_has() {
    let one = b"35 31 0:32 /a /sys/fs/cgroup/memory rw,relatime shared:9 master:1 - cgroup cgroup rw,memory";
    let two = b"41 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate";
    let mount_one = mount(one, Controller::Memory).unwrap();
    assert_eq!(
        (mount_one.version, mount_one.root, mount_one.point),
        (Version::One, &b"/a"[..], &b"/sys/fs/cgroup/memory"[..])
    );
    assert_eq!(mount(one, Controller::Cpu), None);
    for controller in [Controller::Memory, Controller::Cpu] {
        assert_eq!(mount(two, controller).unwrap().version, Version::Two);
    }
    for line in [
        "",
        "35 31 0:32 / /x rw",
        "35 31 0:32 / /x rw -",
        "35 31 0:32 / /x rw - cgroup2",
        "35 31 0:32 / /x rw - tmpfs tmpfs rw",
        "35 31 0:32 a /x rw - cgroup2 cgroup2 rw",
    ] {
        assert_eq!(mount(line.as_bytes(), Controller::Memory), None, "{line}");
    }
}

#[test]
fn escapes_are_undone_and_halves_of_them_are_left() {
    assert_eq!(plain(r"/a\040b\134c\011"), "/a b\\c\t");
    assert_eq!(plain(r"/a\04"), r"/a\04");
    assert_eq!(plain(r"/a\"), r"/a\");
    assert_eq!(plain(r"/a\840"), r"/a\840");
}

#[test]
fn numbers_saturate_and_anything_else_is_none() {
    assert_eq!(number(b"0\n"), Some(0));
    assert_eq!(number(b" 12 "), Some(12));
    assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(number(b"99999999999999999999999999"), Some(u64::MAX), "T2");
    for garbage in ["", "\n", "-1", "1x", "x", "1 2", "0x10", "\0", "max"] {
        assert_eq!(number(garbage.as_bytes()), None, "{garbage:?}");
    }
}

#[test]
fn no_limit_has_many_names() {
    assert_eq!(limit(b"536870912\n"), Some(512 << 20));
    assert_eq!(limit(b"0\n"), Some(0));
    for none in [
        "max\n",
        "-1\n",
        "9223372036854771712\n",
        "9223372036854710272\n",
        "18446744073709551615",
        "",
        "garbage",
    ] {
        assert_eq!(limit(none.as_bytes()), None, "{none:?}");
    }
}

#[test]
fn a_quota_is_rounded_up_to_processors() {
    assert_eq!(cpu_max(b"150000 100000\n"), Some(2));
    assert_eq!(cpu_max(b"100000 100000"), Some(1));
    assert_eq!(cpu_max(b"1000 100000"), Some(1));
    assert_eq!(cpu_max(b"6400000 100000"), Some(64));
    for none in ["max 100000\n", "max", "100000", "1 0", "", "a b"] {
        assert_eq!(cpu_max(none.as_bytes()), None, "{none:?}");
    }
}

#[test]
fn lines_of_keys_are_told_apart() {
    assert_eq!(keyed(b"oom 3", b"oom"), Some(3));
    assert_eq!(keyed(b"oom_kill 3", b"oom"), None);
    assert_eq!(keyed(b"oom", b"oom"), None);
    let line = b"some avg10=1.50 avg60=0.00 avg300=0.00 total=1234";
    assert_eq!(stalled_us(line, b"some"), Some(1234));
    assert_eq!(stalled_us(line, b"full"), None);
    assert_eq!(stalled_us(b"some avg10=1.50", b"some"), None);
}

#[test]
fn random_bytes_bound_nothing_by_accident() {
    let mut dice = Dice::new(11);
    let words: [&[u8]; 14] = [
        b"0:",
        b":",
        b"/",
        b"memory",
        b" - ",
        b"cgroup2 ",
        b"cgroup ",
        b"max",
        b"\\0",
        b" ",
        b"9",
        b"some ",
        b"total=",
        b",",
    ];
    for _ in 0..rounds(200_000) {
        let mut text = Vec::new();
        for _ in 0..dice.below(12) {
            match dice.below(3) {
                0 => text.push(dice.next() as u8),
                _ => text.extend_from_slice(words[dice.below(words.len())]),
            }
        }
        for controller in [Controller::Memory, Controller::Cpu] {
            if let Some((_, path)) = group(&text, controller) {
                assert_eq!(path[0], b'/');
            }
            if let Some(mount) = mount(&text, controller) {
                assert_eq!((mount.root[0], mount.point[0]), (b'/', b'/'));
            }
        }
        assert!(unescaped(&text).count() <= text.len());
        assert!(limit(&text).is_none_or(|bytes| bytes < NO_LIMIT));
        assert!(cpu_max(&text).is_none_or(|cpus| cpus >= 1));
        if number(&text).is_some() {
            assert!(text.trim_ascii().iter().all(u8::is_ascii_digit));
        }
        let _ = (keyed(&text, b"max"), stalled_us(&text, b"some"));
    }
}

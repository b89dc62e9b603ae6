//! mallctl as the C door has it: every row of jemalloc's list of names, walked.
//!
//! W1  What `facts/mallctl_absent.txt` lists is not there, and everything else is: whoever adds a key takes its line
//!     out. The list may only become shorter.
//! W2  A key answers by name and by mib alike, and to lengths and pointers as its row says.
//! W3  The same calls put to jemalloc get the same codes and lengths.

use std::collections::BTreeSet;
use std::env;
use std::ffi::{CString, c_char, c_int, c_void};
use std::fmt::Write;
use std::path::Path;
use std::ptr::{null, null_mut};

use jemoxide_testkit::facts::{self, Row};
use jemoxide_testkit::{artifacts, child, compiler, door};

const ENOENT: c_int = libc::ENOENT;
const EINVAL: c_int = libc::EINVAL;
const EPERM: c_int = libc::EPERM;
const EFAULT: c_int = libc::EFAULT;

/// Where Debian's package puts jemalloc; `JEMALLOC` in the environment names another place.
const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";

type ByName =
    unsafe extern "C" fn(*const c_char, *mut c_void, *mut usize, *const c_void, usize) -> c_int;
type ToMib = unsafe extern "C" fn(*const c_char, *mut usize, *mut usize) -> c_int;
type ByMib = unsafe extern "C" fn(
    *const usize,
    usize,
    *mut c_void,
    *mut usize,
    *const c_void,
    usize,
) -> c_int;

/// The three functions of this process.
struct Control {
    by_name: ByName,
    to_mib: ToMib,
    by_mib: ByMib,
}

/// What a call answered.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    code: c_int,
    /// What the length became.
    len: usize,
    bytes: [u8; 64],
}

const UNTOUCHED: u8 = 0xa5;

impl Control {
    fn find() -> Self {
        // SAFETY: the types are those of the C declarations.
        unsafe {
            Self {
                by_name: door::function(c"mallctl"),
                to_mib: door::function(c"mallctlnametomib"),
                by_mib: door::function(c"mallctlbymib"),
            }
        }
    }

    /// The numbers of `name`, as many as `room` allows.
    fn mib(&self, name: &str, room: usize) -> Result<Vec<usize>, c_int> {
        let name = CString::new(name).unwrap();
        let mut mib = [usize::MAX; 16];
        let mut len = room;
        // SAFETY: a C string, and room for so many numbers.
        match unsafe { (self.to_mib)(name.as_ptr(), mib.as_mut_ptr(), &mut len) } {
            0 => {
                assert!(len <= room);
                Ok(mib[..len].to_vec())
            }
            code => Err(code),
        }
    }

    /// Calls `name`, with room for an old value of so many bytes, and with a new value.
    fn call(&self, name: &str, old: Option<usize>, new: Option<&[u8]>) -> Answer {
        let name = CString::new(name).unwrap();
        self.raw(old, new, |old, len, new, new_len| {
            // SAFETY: a C string; room and bytes as the lengths say.
            unsafe { (self.by_name)(name.as_ptr(), old, len, new, new_len) }
        })
    }

    fn call_by_mib(&self, mib: &[usize], old: Option<usize>, new: Option<&[u8]>) -> Answer {
        self.raw(old, new, |old, len, new, new_len| {
            // SAFETY: so many numbers; room and bytes as the lengths say.
            unsafe { (self.by_mib)(mib.as_ptr(), mib.len(), old, len, new, new_len) }
        })
    }

    fn raw(
        &self,
        old: Option<usize>,
        new: Option<&[u8]>,
        call: impl FnOnce(*mut c_void, *mut usize, *const c_void, usize) -> c_int,
    ) -> Answer {
        let mut bytes = [UNTOUCHED; 64];
        let mut len = old.unwrap_or(usize::MAX);
        let (place, len_at) = match old {
            Some(_) => (bytes.as_mut_ptr().cast(), &raw mut len),
            None => (null_mut(), null_mut()),
        };
        let (value, value_len) = new.map_or((null(), 0), |new| (new.as_ptr().cast(), new.len()));
        let code = call(place, len_at, value, value_len);
        Answer { code, len, bytes }
    }

    fn is_on(&self, switch: &str) -> bool {
        let answer = self.call(switch, Some(1), None);
        assert_eq!((answer.code, answer.len), (0, 1), "{switch}");
        answer.bytes[0] == 1
    }
}

fn absent() -> BTreeSet<&'static str> {
    include_str!("../facts/mallctl_absent.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

/// A name with the first of each index.
fn first(name: &str) -> String {
    name.replace("<i>", "0").replace("<j>", "0")
}

/// Bytes of a value; `None`: it has two types, or is followed.
fn size_of_type(kind: &str) -> Option<usize> {
    match kind {
        "bool" => Some(1),
        "unsigned" | "uint32_t" => Some(4),
        "size_t" | "ssize_t" | "uint64_t" | "int64_t" => Some(8),
        kind if kind.ends_with('*') && !kind.starts_with("void") => Some(8),
        _ => None,
    }
}

/// The switch that says whether what the row needs is built in.
fn condition(row: Row<'_>) -> Option<&'static str> {
    let condition = row.get("build_condition");
    [
        ("--enable-prof and run with prof:true", "opt.prof"),
        ("--enable-prof", "config.prof"),
        ("--enable-utrace", "config.utrace"),
        ("--enable-xmalloc", "config.xmalloc"),
        ("--enable-fill", "config.fill"),
        ("--enable-uaf-detection", "config.debug"),
    ]
    .into_iter()
    .find_map(|(text, switch)| condition.starts_with(text).then_some(switch))
}

/// Options of a process that profiles, and takes no sample.
const PROFILES: &str = "prof:true,prof_active:false,prof_stats:true,prof_prefix:";

fn in_child(test: &str, body: impl FnOnce()) {
    in_child_with(test, "", body);
}

fn in_child_with(test: &str, options: &str, body: impl FnOnce()) {
    match child::rerun(test) {
        None => {
            door::assert_provider(&artifacts::library());
            body();
        }
        Some(run) => {
            run.preload(artifacts::library())
                .env("MALLOC_CONF", options)
                .run()
                .expect_success();
        }
    }
}

#[test]
fn every_row_answers_as_it_says() {
    in_child("every_row_answers_as_it_says", walk_all);
}

#[test]
fn every_row_answers_as_it_says_in_a_process_that_profiles() {
    const TEST: &str = "every_row_answers_as_it_says_in_a_process_that_profiles";
    // No prefix: no files.
    in_child_with(TEST, PROFILES, walk_all);
}

fn walk_all() {
    let (control, absent) = (Control::find(), absent());
    let mut seen = BTreeSet::new();
    let table = facts::mallctl();
    for row in table.rows() {
        let name = row.get("name");
        assert!(seen.insert(name), "{name} twice");
        if absent.contains(name) {
            let code = control.call(&first(name), None, None).code;
            assert_eq!(code, ENOENT, "{name} is there: facts/mallctl_absent.txt");
            assert_eq!(
                control.mib(&first(name), 7),
                Err(ENOENT),
                "{name} is there: facts/mallctl_absent.txt"
            );
            continue;
        }
        walk(&control, row);
    }
    let unknown: Vec<_> = absent.difference(&seen).collect();
    assert!(unknown.is_empty(), "no such names: {unknown:?}");
}

fn walk(control: &Control, row: Row<'_>) {
    let name = row.get("name");
    let full = first(name);
    let depth = full.split('.').count();
    let profiles = control.is_on("opt.prof");
    if name.starts_with("prof.stats.") && !profiles {
        // There is no class to count samples of, so already the index is refused.
        let folder = full.split('.').take(3).collect::<Vec<_>>().join(".");
        assert_eq!(control.mib(&folder, 7).map(|mib| mib.len()), Ok(3));
        assert_eq!(control.mib(&full, 7), Err(ENOENT), "{name}");
        assert_eq!(control.call(&full, None, None).code, ENOENT, "{name}");
        return;
    }
    let mib = control
        .mib(&full, 7)
        .unwrap_or_else(|code| panic!("{name}: {code}"));
    assert_eq!(mib.len(), depth, "{name}");
    let both_ways = |old: Option<usize>, new: Option<&[u8]>| {
        let answer = control.call(&full, old, new);
        let again = control.call_by_mib(&mib, old, new);
        assert_eq!((answer.code, answer.len), (again.code, again.len), "{name}");
        answer
    };
    // Folders on the way, and names that go on too far.
    for depth in 1..depth {
        let part: Vec<_> = full.split('.').take(depth).collect();
        let part = part.join(".");
        assert_eq!(
            control.mib(&part, 7).as_deref(),
            Ok(&mib[..depth]),
            "{part}"
        );
        assert_eq!(control.mib(&full, depth).as_deref(), Ok(&mib[..depth]));
        assert_eq!(control.call(&part, Some(8), None).code, ENOENT, "{part}");
        assert_eq!(
            control.call_by_mib(&mib[..depth], Some(8), None).code,
            ENOENT
        );
    }
    let further = format!("{full}.0");
    assert_eq!(control.mib(&further, 7), Err(ENOENT), "{further}");
    assert_eq!(control.call(&further, Some(8), None).code, ENOENT);
    let mut further = mib.clone();
    further.push(0);
    assert_eq!(control.call_by_mib(&further, Some(8), None).code, ENOENT);

    // The text of a source that said nothing.
    let said_nothing = row.get("build_condition").starts_with("ENOENT unless")
        && control.call(&full, None, None).code == ENOENT;
    if said_nothing || condition(row).is_some_and(|switch| !control.is_on(switch)) {
        let size = size_of_type(row.get("type")).unwrap_or(8);
        assert_eq!(both_ways(Some(size), None).code, ENOENT, "{name}");
        return;
    }
    match name {
        "thread.prof.active" | "prof.thread_active_init" | "prof.gdump" if !profiles => {
            let value = readable(name, 1, both_ways);
            assert_eq!(value, [0], "{name}");
            for new in [&[0][..], &[1], &[0, 0]] {
                assert_eq!(both_ways(None, Some(new)).code, ENOENT, "{name}");
            }
            return;
        }
        "thread.prof.name" => {
            let value = readable(name, 8, both_ways);
            check_value(row, &value);
            assert_eq!(both_ways(Some(8), Some(&value)).code, EPERM, "{name}");
            assert_eq!(both_ways(None, Some(&[0; 8])).code, EINVAL, "no text");
            assert_eq!(both_ways(None, Some(&[0; 7])).code, EINVAL, "{name}");
            assert_eq!(both_ways(None, Some(&value)).code, 0, "{name}");
            return;
        }
        "prof.log_stop" => {
            for (old, new) in [(None, None), (Some(8), Some(&[0; 8][..]))] {
                assert_eq!(both_ways(old, new).code, EFAULT, "no log is on");
            }
            return;
        }
        name if name.starts_with("prof.stats.") => {
            let value = readable(name, 16, both_ways);
            assert_eq!(value, [0; 16], "{name}: no sample was taken");
            return;
        }
        name if name.starts_with("experimental.hooks.prof_") => {
            return hook(name, profiles, both_ways);
        }
        "tcache.create" | "arenas.create" | "experimental.arenas_create_ext" => {
            return makes(name, both_ways);
        }
        "experimental.arenas.<i>.pactivep" => {
            for (old, code) in [
                (None, EINVAL),
                (Some(7), EINVAL),
                (Some(8), 0),
                (Some(9), EINVAL),
            ] {
                assert_eq!(both_ways(old, None).code, code, "{name}");
            }
            return;
        }
        "experimental.batch_alloc" => {
            // None of size 1 at no address.
            let none = [[0; 16], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
            let answer = both_ways(Some(8), Some(&none));
            assert_eq!(
                (answer.code, &answer.bytes[..8]),
                (0, &[0; 8][..]),
                "{name}"
            );
            for (old, new) in [
                (None, Some(32)),
                (Some(8), None),
                (Some(7), Some(32)),
                (Some(8), Some(31)),
            ] {
                let code = both_ways(old, new.map(|len| &none[..len])).code;
                assert_eq!(code, EINVAL, "{name}");
            }
            return;
        }
        "arena.<i>.name" => return named(name, both_ways),
        "experimental.thread.activity_callback" => {
            let nobody = [0; 16];
            let before = both_ways(Some(16), Some(&nobody));
            assert_eq!(
                (before.code, &before.bytes[..16]),
                (0, &nobody[..]),
                "{name}"
            );
            for (old, new) in [(Some(15), None), (None, Some(8))] {
                let code = both_ways(old, new.map(|len| &nobody[..len])).code;
                assert_eq!(code, EINVAL, "{name}");
            }
            return;
        }
        "experimental.hooks.thread_event" => {
            // Nobody, never.
            let none = [0; 25];
            for (old, new, code) in [
                (None, None, EINVAL),
                (None, Some(&none[..24]), EINVAL),
                (None, Some(&none[..23]), EINVAL),
                (None, Some(&none[..]), EINVAL),
                (Some(8), None, EPERM),
                (Some(24), Some(&none[..24]), EPERM),
            ] {
                assert_eq!(both_ways(old, new).code, code, "{name}");
            }
            return;
        }
        "thread.tcache.ncached_max.read_sizeclass" => {
            let size = 64usize.to_ne_bytes();
            assert_eq!(both_ways(Some(8), Some(&size)).code, 0, "{name}");
            for (old, new) in [
                (None, None),
                (Some(8), None),
                (Some(7), Some(8)),
                (Some(8), Some(7)),
            ] {
                let code = both_ways(old, new.map(|len| &size[..len])).code;
                assert_eq!(code, EINVAL, "{name}");
            }
            return;
        }
        _ => {}
    }
    match (row.get("access"), size_of_type(row.get("type"))) {
        ("--", _) if name == "stats.mutexes.reset" => {
            for (old, new) in [(None, None), (Some(8), Some(&[0; 8][..]))] {
                assert_eq!(both_ways(old, new).code, 0, "arguments are ignored");
            }
        }
        ("--", _) => {
            // Automatic arenas stay.
            let done = match name {
                "arena.<i>.reset" | "arena.<i>.destroy" => EFAULT,
                _ => 0,
            };
            assert_eq!(both_ways(None, None).code, done, "{name}");
            assert_eq!(both_ways(Some(8), None).code, EPERM, "{name}");
            assert_eq!(both_ways(None, Some(&[0; 8])).code, EPERM, "{name}");
        }
        ("-w", Some(size)) if name.starts_with("tcache.") => {
            assert_eq!(both_ways(None, None).code, EINVAL, "{name}");
            assert_eq!(both_ways(Some(size), None).code, EPERM, "{name}");
            let longer = vec![0xff; size + 1];
            for new in [&longer[..], &longer[..size - 1]] {
                assert_eq!(both_ways(None, Some(new)).code, EINVAL, "{name}");
            }
            // There is no such cache.
            assert_eq!(
                both_ways(None, Some(&longer[..size])).code,
                EFAULT,
                "{name}"
            );
        }
        ("-w", _) => {
            assert_eq!(both_ways(Some(8), None).code, EPERM, "{name}");
            assert_eq!(both_ways(Some(8), Some(&[0; 8])).code, EPERM, "{name}");
        }
        ("r-", Some(size)) => {
            let value = readable(name, size, both_ways);
            check_value(row, &value);
            assert_eq!(both_ways(Some(size), Some(&[0; 8])).code, EPERM, "{name}");
            assert_eq!(both_ways(None, Some(&[0; 8])).code, EPERM, "{name}");
        }
        ("rw", Some(size)) => {
            let value = readable(name, size, both_ways);
            check_value(row, &value);
            let longer = [value.clone(), vec![0]].concat();
            for new in [&longer[..], &value[..size - 1]] {
                assert_eq!(both_ways(None, Some(new)).code, EINVAL, "{name}");
            }
            // What it was.
            let answer = both_ways(Some(size), Some(&value));
            assert_eq!((answer.code, answer.len), (0, size), "{name}");
        }
        ("rw", None) if name.starts_with("experimental.utilization.") => {
            utilization(control, &mib, name.ends_with("batch_query"));
        }
        ("rw", None) => assert_eq!(name, "arenas.lookup", "a row without a check"),
        other => panic!("{name}: {other:?}: a row without a check"),
    }
}

/// A hook of the profiler, which nobody has set.
fn hook(name: &str, profiles: bool, call: impl Fn(Option<usize>, Option<&[u8]>) -> Answer) {
    assert_eq!(call(None, None).code, EINVAL, "{name}");
    let before = call(Some(8), None);
    assert_eq!((before.code, before.len), (0, 8), "{name}");
    assert_eq!(call(Some(7), None).code, EINVAL, "{name}");
    let is_unwinder = name.ends_with("backtrace");
    assert_eq!(before.bytes[..8] != [0; 8], is_unwinder, "{name}");
    if !profiles {
        assert_eq!(call(None, Some(&[1; 8])).code, ENOENT, "{name}");
        return;
    }
    assert_eq!(call(None, Some(&[0; 7])).code, EINVAL, "{name}");
    let none = if is_unwinder { EINVAL } else { 0 };
    assert_eq!(call(None, Some(&[0; 8])).code, none, "{name}");
    // Both ways, what it was.
    let same = call(Some(8), Some(&before.bytes[..8]));
    assert_eq!((same.code, same.bytes), (0, before.bytes), "{name}");
}

/// Whole numbers that are the same in every process.
const CONSTANTS: [(&str, u64); 10] = [
    ("arena.<i>.retain_grow_limit", 7 << 60),
    ("arenas.quantum", 16),
    ("arenas.page", 4096),
    ("arenas.hugepage", 2 << 20),
    ("arenas.tcache_max", 32 << 10),
    ("arenas.nbins", 36),
    ("arenas.nhbins", 41),
    ("arenas.nlextents", 196),
    ("arenas.bin.<i>.size", 8),
    ("arenas.lextent.<i>.size", 16 << 10),
];

/// Numbers of a process that has not run for long stay below this.
const SANE: u64 = 1 << 47;

/// Checks a value: what is constant is known, a switch is 0 or 1, a text is one, and a number is no accident.
fn check_value(row: Row<'_>, value: &[u8]) {
    let name = row.get("name");
    let mut word = [0; 8];
    word[..value.len()].copy_from_slice(value);
    let number = u64::from_ne_bytes(word);
    if let Some((_, constant)) = CONSTANTS.iter().find(|(constant, _)| *constant == name) {
        assert_eq!(number, *constant, "{name}");
        return;
    }
    match row.get("type") {
        "bool" => assert!(number <= 1, "{name}: {number}"),
        "ssize_t" | "int64_t" => assert!(number as i64 >= -1, "{name}: {number}"),
        "const char *" => {
            let text = std::ptr::with_exposed_provenance::<c_char>(number as usize);
            assert!(!text.is_null(), "{name}");
            // SAFETY: the key gives a text that stays.
            let text = unsafe { std::ffi::CStr::from_ptr(text) }.to_str();
            assert!(text.is_ok_and(|text| text.len() < 4096), "{name}");
        }
        // Addresses have tests of their own, and some options are as large as numbers are.
        kind if kind.ends_with('*') || name.starts_with("opt.") => {}
        _ => assert!(number < SANE, "{name}: {number}"),
    }
}

#[test]
fn classes_are_told_one_by_one() {
    in_child("classes_are_told_one_by_one", || {
        let control = Control::find();
        let read = |name: String, len: usize| {
            let answer = control.call(&name, Some(len), None);
            assert_eq!(answer.code, 0, "{name}");
            let mut word = [0; 8];
            word[..len].copy_from_slice(&answer.bytes[..len]);
            usize::from_ne_bytes(word)
        };
        let table = facts::size_classes();
        let (mut bins, mut lextents) = (0, 0);
        for row in table.rows() {
            let size = row.number("size").expect("every class has one");
            if size <= 14_336 {
                assert_eq!(read(format!("arenas.bin.{bins}.size"), 8), size);
                let slab = read(format!("arenas.bin.{bins}.slab_size"), 8);
                let regions = read(format!("arenas.bin.{bins}.nregs"), 4);
                assert_eq!((slab % 4096, slab / size), (0, regions), "{size}");
                assert!(read(format!("arenas.bin.{bins}.nshards"), 4) >= 1);
                bins += 1;
            } else {
                assert_eq!(read(format!("arenas.lextent.{lextents}.size"), 8), size);
                lextents += 1;
            }
        }
        assert_eq!((bins, lextents), (36, 196));
        for beyond in ["arenas.bin.36.size", "arenas.lextent.196.size"] {
            assert_eq!(control.call(beyond, Some(8), None).code, ENOENT);
        }
    });
}

/// Checks a row whose reading makes something: the index must be wanted, with its exact length.
fn makes(name: &str, call: impl Fn(Option<usize>, Option<&[u8]>) -> Answer) {
    assert_eq!(call(None, None).code, EINVAL, "{name}");
    for len in [0, 3, 5, 64] {
        let odd = call(Some(len), None);
        assert_eq!((odd.code, odd.len), (EINVAL, 0), "{name}: {len}");
        assert!(odd.bytes.iter().all(|&byte| byte == UNTOUCHED), "{name}");
    }
    let index = |answer: Answer| {
        assert_eq!((answer.code, answer.len), (0, 4), "{name}");
        u32::from_ne_bytes(answer.bytes[..4].try_into().unwrap())
    };
    let first = index(call(Some(4), None));
    // By name and by mib.
    assert_eq!(index(call(Some(4), None)), first + 2, "{name}");
    let odd = call(Some(4), Some(&[0; 3])).code;
    assert_eq!(
        odd,
        if name == "tcache.create" {
            EPERM
        } else {
            EINVAL
        },
        "{name}"
    );
}

/// Checks the row whose values are in rooms of the caller's.
fn named(name: &str, call: impl Fn(Option<usize>, Option<&[u8]>) -> Answer) {
    let given = c"mine".as_ptr().expose_provenance().to_ne_bytes();
    assert_eq!(call(None, None).code, 0, "{name}");
    assert_eq!(call(None, Some(&given)).code, 0, "{name}");
    assert_eq!(call(None, Some(&given[..7])).code, EINVAL, "{name}");
    assert_eq!(call(Some(7), None).code, EINVAL, "{name}");
}

/// Checks what a slab, a large object and foreign memory are told to be.
fn utilization(control: &Control, mib: &[usize], batch: bool) {
    // Alive to the end of the test; the sizes are those of a small and of a large object.
    let (small, large) = (Box::leak(Box::new([0u8; 100])), vec![0u8; 100_000].leak());
    let foreign = 0u8;
    let addresses = [
        small.as_ptr().expose_provenance(),
        large.as_ptr().expose_provenance(),
        (&raw const foreign).expose_provenance(),
        0,
    ];
    let width = if batch { 3 } else { 6 };
    let of = |count: usize, room: usize| {
        let new: Vec<u8> = (addresses[..count].iter())
            .flat_map(|address| address.to_ne_bytes())
            .collect();
        let mut old = [usize::MAX; 24];
        let mut len = room;
        // SAFETY: room and addresses as the lengths say.
        let code = unsafe {
            (control.by_mib)(
                mib.as_ptr(),
                mib.len(),
                old.as_mut_ptr().cast(),
                &mut len,
                new.as_ptr().cast(),
                new.len(),
            )
        };
        assert_eq!(len, room, "untouched");
        (code, old)
    };
    let (code, told) = of(1, width * 8);
    assert_eq!(code, 0);
    let told = if batch { &told[..3] } else { &told[1..4] };
    assert!(told[0] < told[1] && told[2] >= told[1] * 112, "{told:?}");
    for (count, room) in [
        (1, width * 8 - 1),
        (1, width * 8 + 1),
        (0, 0),
        (2, width * 8),
        (1, 0),
    ] {
        let (code, told) = of(count, room);
        assert_eq!((code, told[0]), (EINVAL, usize::MAX), "{count} {room}");
    }
    let (code, told) = of(4, width * 4 * 8);
    if batch {
        assert_eq!(code, 0);
        assert_eq!(told[3..6], [0, 1, 102_400], "a large object");
        assert_eq!(told[6..12], [0; 6], "none of ours");
    } else {
        assert_eq!(code, EINVAL, "one at a time");
    }
    for (old, new) in [(None, None), (Some(8), None), (None, Some(&[0; 8][..]))] {
        assert_eq!(control.call_by_mib(mib, old, new).code, EINVAL);
    }
}

/// Checks rule 3 of reads; answers the value.
fn readable(
    name: &str,
    size: usize,
    call: impl Fn(Option<usize>, Option<&[u8]>) -> Answer,
) -> Vec<u8> {
    assert_eq!(call(None, None).code, 0, "{name}: is it there?");
    let answer = call(Some(size), None);
    assert_eq!((answer.code, answer.len), (0, size), "{name}");
    assert!(answer.bytes[size..].iter().all(|&byte| byte == UNTOUCHED));
    for len in [0, size - 1, size + 1, 64] {
        let odd = call(Some(len), None);
        let copied = len.min(size);
        assert_eq!((odd.code, odd.len), (EINVAL, copied), "{name}: {len}");
        assert!(odd.bytes[copied..].iter().all(|&byte| byte == UNTOUCHED));
    }
    answer.bytes[..size].to_vec()
}

#[test]
fn names_are_read_as_by_jemalloc() {
    const TEST: &str = "names_are_read_as_by_jemalloc";
    compare(TEST, || {
        let control = Control::find();
        let mut text = String::new();
        for name in [
            "",
            ".",
            "..",
            "version",
            "version.",
            ".version",
            "version..",
            "Version",
            "versio",
            "arenas",
            "arenas.",
            "arenas..page",
            "arenas.page",
            "arenas.page.x",
            "arena",
            "arena.",
            "arena.0",
            "arena. 0",
            "arena.+0",
            "arena.-0",
            "arena.0x",
            "arena.x",
            "arena.-1",
            "arena.00",
            "arena.4096",
            "arena.4097",
            "arena.4098",
            "arena.99999999999999999999",
            "arena.0.purge",
            "arena. \t0.purge",
            "arena.4096.purge",
            "arena.4097.purge",
            "arena.4095.purge",
            "arena.0.nothing",
            "arena.0.initialized",
            "arena.4096.initialized",
            "arena.4097.initialized",
            "arena.4096.dirty_decay_ms",
            "arena.4097.dirty_decay_ms",
            "arenas.bin.35.size",
            "arenas.bin.37.size",
            "arenas.bin.-0.size",
            "arenas.lextent.195.size",
            "arenas.lextent.197.size",
            "stats.arenas.0.pdirty",
            "stats.arenas.4096.pdirty",
            "stats.arenas.4097.pdirty",
            "stats.arenas.4095.pdirty",
            "stats.arenas.0.bins.35.curregs",
            "stats.arenas.0.bins.37.curregs",
            "stats.arenas.0.bins.x.curregs",
            "stats",
            "stats.arenas",
            "stats.arenas.0",
            "stats.arenas.0.bins",
            "stats.arenas.0.bins.0",
        ] {
            for room in [0, 1, 2, 7] {
                let mib = control.mib(name, room).map(|mib| mib.len());
                writeln!(text, "{name:?} mib of {room}: {mib:?}").unwrap();
            }
            let answer = control.call(name, None, None);
            writeln!(text, "{name:?}: {}", answer.code).unwrap();
            if let Ok(mib) = control.mib(name, 7) {
                let answer = control.call_by_mib(&mib, None, None);
                writeln!(text, "{name:?} by mib: {}", answer.code).unwrap();
            }
        }
        writeln!(
            text,
            "no mib: {}",
            control.call_by_mib(&[], None, None).code
        )
        .unwrap();
        writeln!(
            text,
            "far mib: {}",
            control.call_by_mib(&[999], None, None).code
        )
        .unwrap();
        text
    });
}

#[test]
fn the_same_calls_get_the_same_codes() {
    const TEST: &str = "the_same_calls_get_the_same_codes";
    compare(TEST, || {
        let (control, absent) = (Control::find(), absent());
        let table = facts::mallctl();
        let mut text = String::new();
        for row in table.rows() {
            let (name, kind) = (row.get("name"), row.get("type"));
            let is_old = row.get("since") == "5.3.0" && row.get("last_in") != "5.3.0";
            // What Debian's build has and this one has not, and lets a thread without a cache come after it.
            let is_deadly = DEADLY.contains(&name);
            let is_built = condition(row).is_none_or(|switch| switch.ends_with(".prof"));
            if !is_old || is_deadly || absent.contains(name) || !is_built {
                continue;
            }
            let full = first(name);
            let size = size_of_type(kind).unwrap_or(8);
            let new = [0; 16];
            let mut note = |what: &str, answer: &Answer| {
                let line = format!("{name} {what}: {} {}", answer.code, answer.len);
                writeln!(text, "{line}").unwrap();
            };
            note("nothing", &control.call(&full, None, None));
            for len in [0, 1, 4, 7, 8, 9, 64] {
                note(&format!("old {len}"), &control.call(&full, Some(len), None));
            }
            for len in [0, 2, 3, 5, 9, 16] {
                let new = &new[..len];
                note(&format!("new {len}"), &control.call(&full, None, Some(new)));
                let both = control.call(&full, Some(size), Some(new));
                note(&format!("old {size}, new {len}"), &both);
            }
        }
        for (name, values) in [
            (
                "arena.0.dirty_decay_ms",
                &[-2i64, -1, 0, 1000, i64::MAX, 10_000][..],
            ),
            ("arena.0.muzzy_decay_ms", &[-2, -1, 0, 500, i64::MIN, 0]),
            ("arenas.dirty_decay_ms", &[-2, -1, 0, i64::MAX, 10_000]),
            // It divides by 0 there.
            ("max_background_threads", &[1, 2, 4, 5, -1]),
        ] {
            for value in values {
                let answer = control.call(name, Some(8), Some(&value.to_ne_bytes()));
                writeln!(text, "{name} {value}: {answer:?}").unwrap();
                let answer = control.call(name, Some(7), Some(&value.to_ne_bytes()));
                writeln!(text, "{name} {value}, short: {answer:?}").unwrap();
            }
        }
        for (value, old) in [(0, 1), (0, 1), (1, 1), (1, 0), (0, 0), (1, 1)] {
            let name = "thread.tcache.enabled";
            let answer = control.call(name, Some(old), Some(&[value]));
            writeln!(text, "{name} {value}: {answer:?}").unwrap();
            let answer = control.call("thread.tcache.flush", None, None);
            writeln!(text, "flush: {answer:?}").unwrap();
            let answer = control.call("thread.tcache.flush", Some(1), None);
            writeln!(text, "flush, read: {answer:?}").unwrap();
        }
        for value in [u32::MAX, 0, 100_000, 4096] {
            let answer = control.call("thread.arena", Some(4), Some(&value.to_ne_bytes()));
            writeln!(text, "thread.arena {value}: {answer:?}").unwrap();
        }
        for (name, old, new) in [
            ("epoch", 8, 8),
            ("epoch", 7, 8),
            ("epoch", 8, 0),
            ("epoch", 8, 7),
        ] {
            let answer = control.call(name, Some(old), Some(&[0; 8][..new]));
            writeln!(text, "{name} {old} {new}: {answer:?}").unwrap();
        }
        for text_of in [
            c"primary",
            c"secondary",
            c"Primary",
            c"",
            c"disabled",
            c"secondary",
        ] {
            let address = text_of.as_ptr().expose_provenance();
            for name in ["arena.0.dss", "arena.4096.dss"] {
                let answer = control.call(name, Some(8), Some(&address.to_ne_bytes()));
                let old = usize::from_ne_bytes(answer.bytes[..8].try_into().unwrap());
                let old = if answer.code == 0 {
                    let old = std::ptr::with_exposed_provenance::<c_char>(old);
                    // SAFETY: the key gives a text.
                    unsafe { std::ffi::CStr::from_ptr(old) }.to_str().unwrap()
                } else {
                    ""
                };
                writeln!(text, "{name} {text_of:?}: {} {old}", answer.code).unwrap();
            }
        }
        text
    });
}

/// What 5.3.0 dies of: a pointer that is not its own, hooks that are null, a cache that there is not, nothing at all.
const DEADLY: [&str; 8] = [
    "arenas.lookup",
    "arenas.create",
    "experimental.arenas_create_ext",
    "experimental.batch_alloc",
    "arena.<i>.extent_hooks",
    "tcache.create",
    "tcache.flush",
    "tcache.destroy",
];

/// Differences that docs/COMPAT.md has a note for, as beginnings of lines.
const KNOWN: [&str; 1] = [
    // `EFAULT` in Debian's, `EINVAL` from 5.3.1 on.
    "thread.prof.name new 8",
];

/// Where both profile, and nothing is sampled.
#[test]
fn the_same_calls_get_the_same_codes_of_profilers() {
    const TEST: &str = "the_same_calls_get_the_same_codes_of_profilers";
    let options = format!("background_thread:true,narenas:1,{PROFILES}");
    compare_with(TEST, &options, || {
        let control = Control::find();
        let table = facts::mallctl();
        let mut text = String::new();
        for row in table.rows() {
            let name = row.get("name");
            let is_old = row.get("since") == "5.3.0" && row.get("last_in") != "5.3.0";
            // No prefix at all ends a process of Debian's, and logs are files.
            let is_apart = name == "prof.prefix" || name.starts_with("prof.log_");
            if !is_old || !name.contains("prof") || is_apart {
                continue;
            }
            let full = first(name);
            let size = size_of_type(row.get("type")).unwrap_or(16);
            let new = [0; 24];
            let mut note = |what: &str, answer: &Answer| {
                let line = format!("{name} {what}: {} {}", answer.code, answer.len);
                writeln!(text, "{line}").unwrap();
            };
            note("nothing", &control.call(&full, None, None));
            for len in [0, 1, 4, 7, 8, 9, 16, 64] {
                note(&format!("old {len}"), &control.call(&full, Some(len), None));
            }
            // Addresses of functions that are null would be called.
            let is_called = name == "experimental.prof_recent.alloc_dump";
            for len in [0, 1, 2, 7, 8, 9, 16]
                .into_iter()
                .filter(|&len| !is_called || len != 16)
            {
                let new = &new[..len];
                note(&format!("new {len}"), &control.call(&full, None, Some(new)));
                let both = control.call(&full, Some(size), Some(new));
                note(&format!("old {size}, new {len}"), &both);
            }
        }
        text
    });
}

/// Has `transcript` made on jemalloc and on this library, and compares.
fn compare(test: &str, transcript: impl FnOnce() -> String) {
    compare_with(test, "background_thread:true,narenas:1", transcript);
}

/// Has `transcript` made on jemalloc and on this library with these options, and compares.
fn compare_with(test: &str, options: &str, transcript: impl FnOnce() -> String) {
    if child::rerun(test).is_none() {
        for line in transcript().lines() {
            println!("\n> {line}");
        }
        return;
    }
    let original = env::var("JEMALLOC").unwrap_or_else(|_| JEMALLOC.to_owned());
    if !Path::new(&original).is_file() {
        compiler::announce_untested(
            "no jemalloc to compare with (install libjemalloc2, or set JEMALLOC)",
        );
        return;
    }
    let lines = |library: &Path| {
        let run = child::rerun(test).expect("not inside it");
        let stdout = run
            .preload(library)
            .env("MALLOC_CONF", options)
            .run()
            .expect_success()
            .stdout;
        let lines = stdout.lines().filter_map(|line| line.strip_prefix("> "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (theirs, ours) = (lines(original.as_ref()), lines(&artifacts::library()));
    assert!(theirs.len() > 20, "{theirs:?}");
    assert_eq!(theirs.len(), ours.len());
    let differences: Vec<_> = theirs
        .iter()
        .zip(&ours)
        .filter(|(theirs, ours)| theirs != ours)
        .filter(|(_, ours)| !KNOWN.iter().any(|known| ours.starts_with(known)))
        .map(|(theirs, ours)| format!("theirs: {theirs}\n  ours: {ours}"))
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

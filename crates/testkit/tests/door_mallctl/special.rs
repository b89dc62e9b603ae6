//! Rows that answer by rules of their own: they make something, call something, look something up, or take two values at
//! once.

use jemoxide_testkit::control::{Answer, UNTOUCHED};
use jemoxide_testkit::facts::Row;
use libc::{EFAULT, EINVAL, ENOENT, EPERM};

use crate::row::size_of_type;
use crate::rows::Key;
use crate::value;

/// How much of a row was checked.
pub(crate) enum Told {
    All,
    /// Access and type say all.
    Nothing,
}

/// Checks a row that has rules of its own.
pub(crate) fn check(key: &Key<'_>, row: Row<'_>) -> Told {
    match key.name {
        "thread.prof.active" | "prof.thread_active_init" | "prof.gdump" if !key.profiles => {
            assert_eq!(value::readable(key, 1), [0], "{}", key.name);
            for new in [&[0][..], &[1], &[0, 0]] {
                key.gets(&[(None, Some(new), ENOENT)]);
            }
        }
        "thread.prof.name" => {
            let value = value::readable(key, 8);
            value::check(row, &value);
            key.gets(&[
                (Some(8), Some(&value), EPERM),
                // No text.
                (None, Some(&[0; 8]), EINVAL),
                (None, Some(&[0; 7]), EINVAL),
                (None, Some(&value), 0),
            ]);
        }
        // No log is on.
        "prof.log_stop" => key.gets(&[(None, None, EFAULT), (Some(8), Some(&[0; 8]), EFAULT)]),
        // Arguments are ignored.
        "stats.mutexes.reset" => key.gets(&[(None, None, 0), (Some(8), Some(&[0; 8]), 0)]),
        name if name.starts_with("prof.stats.") => {
            assert_eq!(value::readable(key, 16), [0; 16], "no sample was taken");
        }
        name if name.starts_with("experimental.hooks.prof_") => hook(key),
        name if name.starts_with("tcache.") && row.get("access") == "-w" => {
            of_a_cache(key, size_of_type(row.get("type")).expect("an index"));
        }
        "tcache.create" | "arenas.create" | "experimental.arenas_create_ext" => makes(key),
        "experimental.arenas.<i>.pactivep" => key.gets(&[
            (None, None, EINVAL),
            (Some(7), None, EINVAL),
            (Some(8), None, 0),
            (Some(9), None, EINVAL),
        ]),
        "experimental.batch_alloc" => batch(key),
        "arena.<i>.name" => named(key),
        "experimental.thread.activity_callback" => {
            let nobody = [0; 16];
            let before = key.call(Some(16), Some(&nobody));
            assert_eq!((before.code, &before.bytes[..16]), (0, &nobody[..]));
            key.gets(&[(Some(15), None, EINVAL), (None, Some(&nobody[..8]), EINVAL)]);
        }
        "experimental.hooks.thread_event" => {
            // Nobody, never.
            let none = [0; 25];
            key.gets(&[
                (None, None, EINVAL),
                (None, Some(&none[..24]), EINVAL),
                (None, Some(&none[..23]), EINVAL),
                (None, Some(&none), EINVAL),
                (Some(8), None, EPERM),
                (Some(24), Some(&none[..24]), EPERM),
            ]);
        }
        "thread.tcache.ncached_max.read_sizeclass" => {
            let size = 64usize.to_ne_bytes();
            key.gets(&[
                (Some(8), Some(&size), 0),
                (None, None, EINVAL),
                (Some(8), None, EINVAL),
                (Some(7), Some(&size), EINVAL),
                (Some(8), Some(&size[..7]), EINVAL),
            ]);
        }
        "experimental.utilization.query" => utilization(key, false),
        "experimental.utilization.batch_query" => utilization(key, true),
        _ => return Told::Nothing,
    }
    Told::All
}

/// A hook of the profiler, which nobody has set.
fn hook(key: &Key<'_>) {
    let name = key.name;
    key.gets(&[(None, None, EINVAL)]);
    let before = key.call(Some(8), None);
    assert_eq!((before.code, before.len), (0, 8), "{name}");
    key.gets(&[(Some(7), None, EINVAL)]);
    let is_unwinder = name.ends_with("backtrace");
    assert_eq!(before.bytes[..8] != [0; 8], is_unwinder, "{name}");
    if !key.profiles {
        key.gets(&[(None, Some(&[1; 8]), ENOENT)]);
        return;
    }
    let none = if is_unwinder { EINVAL } else { 0 };
    key.gets(&[(None, Some(&[0; 7]), EINVAL), (None, Some(&[0; 8]), none)]);
    // Both ways, what it was.
    let same = key.call(Some(8), Some(&before.bytes[..8]));
    assert_eq!((same.code, same.bytes), (0, before.bytes), "{name}");
}

/// A row that takes the index of an explicit cache, of `size` bytes; there is no cache yet.
fn of_a_cache(key: &Key<'_>, size: usize) {
    let longer = vec![0xff; size + 1];
    key.gets(&[
        (None, None, EINVAL),
        (Some(size), None, EPERM),
        (None, Some(&longer), EINVAL),
        (None, Some(&longer[..size - 1]), EINVAL),
        (None, Some(&longer[..size]), EFAULT),
    ]);
}

/// A row whose reading makes something: the index must be wanted, with its exact length.
fn makes(key: &Key<'_>) {
    let name = key.name;
    key.gets(&[(None, None, EINVAL)]);
    for len in [0, 3, 5, 64] {
        let odd = key.call(Some(len), None);
        assert_eq!((odd.code, odd.len), (EINVAL, 0), "{name}: {len}");
        assert!(odd.bytes.iter().all(|&byte| byte == UNTOUCHED), "{name}");
    }
    let index = |answer: Answer| {
        assert_eq!((answer.code, answer.len), (0, 4), "{name}");
        u32::from_ne_bytes(answer.bytes[..4].try_into().unwrap())
    };
    let first = index(key.call(Some(4), None));
    // By name and by mib.
    assert_eq!(index(key.call(Some(4), None)), first + 2, "{name}");
    let odd = match name {
        "tcache.create" => EPERM,
        _ => EINVAL,
    };
    key.gets(&[(Some(4), Some(&[0; 3]), odd)]);
}

/// A request for objects at an address: here none, of size 1, at no address.
fn batch(key: &Key<'_>) {
    let mut none = [0; 32];
    none[16] = 1;
    let answer = key.call(Some(8), Some(&none));
    assert_eq!((answer.code, &answer.bytes[..8]), (0, &[0; 8][..]));
    key.gets(&[
        (None, Some(&none), EINVAL),
        (Some(8), None, EINVAL),
        (Some(7), Some(&none), EINVAL),
        (Some(8), Some(&none[..31]), EINVAL),
    ]);
}

/// The row whose values are in rooms of the caller's.
fn named(key: &Key<'_>) {
    let given = c"mine".as_ptr().expose_provenance().to_ne_bytes();
    key.gets(&[
        (None, None, 0),
        (None, Some(&given), 0),
        (None, Some(&given[..7]), EINVAL),
        (Some(7), None, EINVAL),
    ]);
}

/// What a slab, a large object and foreign memory are told to be.
fn utilization(key: &Key<'_>, batch: bool) {
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
        let mut old = [usize::MAX; 24];
        let (code, len) = key
            .control
            .query(&key.mib, &addresses[..count], &mut old, room);
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
    key.gets(&[
        (None, None, EINVAL),
        (Some(8), None, EINVAL),
        (None, Some(&[0; 8]), EINVAL),
    ]);
}

//! The walk over all rows: what a key answers follows from its access and its type (rules W1 and W2).

use std::collections::BTreeSet;
use std::ffi::c_int;

use jemoxide_testkit::control::{Answer, Control};
use jemoxide_testkit::facts::{self, Row};
use libc::{EFAULT, EINVAL, ENOENT, EPERM};

use crate::row::{condition, first, size_of_type};
use crate::special::{self, Told};
use crate::value;

/// Room for an old value, a new value, and the code that the call gets.
type Call<'a> = (Option<usize>, Option<&'a [u8]>, c_int);

/// A key that is there, as it is asked.
pub(crate) struct Key<'a> {
    pub(crate) control: &'a Control,
    /// As its row has it, with placeholders.
    pub(crate) name: &'static str,
    /// With the first of each index.
    full: String,
    /// The numbers of `full`.
    pub(crate) mib: Vec<usize>,
    /// Whether the process profiles.
    pub(crate) profiles: bool,
}

impl Key<'_> {
    /// Calls it by name and by numbers, which answer alike (W2); the answer by name.
    pub(crate) fn call(&self, old: Option<usize>, new: Option<&[u8]>) -> Answer {
        let answer = self.control.call(&self.full, old, new);
        let again = self.control.call_by_mib(&self.mib, old, new);
        let name = self.name;
        assert_eq!((answer.code, answer.len), (again.code, again.len), "{name}");
        answer
    }

    /// Asserts what each of the calls gets.
    pub(crate) fn gets(&self, calls: &[Call<'_>]) {
        for &(old, new, code) in calls {
            let answer = self.call(old, new);
            assert_eq!(answer.code, code, "{}: {old:?}, {new:?}", self.name);
        }
    }
}

pub(crate) fn walk_all() {
    let control = Control::find();
    let absent = BTreeSet::from_iter(facts::mallctl_absent());
    let mut seen = BTreeSet::new();
    let table = facts::mallctl();
    for row in table.rows() {
        let name = row.get("name");
        assert!(seen.insert(name), "{name} twice");
        if absent.contains(name) {
            assert_absent(&control, &first(name));
        } else {
            walk(&control, row);
        }
    }
    let unknown: Vec<_> = absent.difference(&seen).collect();
    assert!(unknown.is_empty(), "no such names: {unknown:?}");
}

fn assert_absent(control: &Control, name: &str) {
    let code = control.call(name, None, None).code;
    assert_eq!(code, ENOENT, "{name} is there: facts/mallctl_absent.txt");
    let mib = control.mib(name, 7);
    assert_eq!(
        mib,
        Err(ENOENT),
        "{name} is there: facts/mallctl_absent.txt"
    );
}

fn walk(control: &Control, row: Row<'_>) {
    let name = row.get("name");
    let full = first(name);
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
    check_way(control, &full, &mib);
    let key = Key {
        control,
        name,
        full,
        mib,
        profiles,
    };
    // The text of a source that said nothing.
    let said_nothing = row.get("build_condition").starts_with("ENOENT unless")
        && key.call(None, None).code == ENOENT;
    if said_nothing || condition(row).is_some_and(|switch| !control.is_on(switch)) {
        let size = size_of_type(row.get("type")).unwrap_or(8);
        assert_eq!(key.call(Some(size), None).code, ENOENT, "{name}");
        return;
    }
    match special::check(&key, row) {
        Told::All => {}
        Told::Nothing => by_access(&key, row),
    }
}

/// Folders on the way, and names that go on too far.
fn check_way(control: &Control, full: &str, mib: &[usize]) {
    let parts: Vec<_> = full.split('.').collect();
    assert_eq!(mib.len(), parts.len(), "{full}");
    for depth in 1..parts.len() {
        let (part, numbers) = (parts[..depth].join("."), &mib[..depth]);
        assert_eq!(control.mib(&part, 7).as_deref(), Ok(numbers), "{part}");
        assert_eq!(control.mib(full, depth).as_deref(), Ok(numbers));
        assert_eq!(control.call(&part, Some(8), None).code, ENOENT, "{part}");
        assert_eq!(control.call_by_mib(numbers, Some(8), None).code, ENOENT);
    }
    let further = format!("{full}.0");
    assert_eq!(control.mib(&further, 7), Err(ENOENT), "{further}");
    assert_eq!(control.call(&further, Some(8), None).code, ENOENT);
    let further = [mib, &[0]].concat();
    assert_eq!(control.call_by_mib(&further, Some(8), None).code, ENOENT);
}

/// What follows from access and type alone.
fn by_access(key: &Key<'_>, row: Row<'_>) {
    let name = key.name;
    match (row.get("access"), size_of_type(row.get("type"))) {
        ("--", _) => {
            // Automatic arenas stay.
            let done = match name {
                "arena.<i>.reset" | "arena.<i>.destroy" => EFAULT,
                _ => 0,
            };
            key.gets(&[
                (None, None, done),
                (Some(8), None, EPERM),
                (None, Some(&[0; 8]), EPERM),
            ]);
        }
        ("-w", _) => key.gets(&[(Some(8), None, EPERM), (Some(8), Some(&[0; 8]), EPERM)]),
        ("r-", Some(size)) => {
            value::check(row, &value::readable(key, size));
            key.gets(&[
                (Some(size), Some(&[0; 8]), EPERM),
                (None, Some(&[0; 8]), EPERM),
            ]);
        }
        ("rw", Some(size)) => {
            let value = value::readable(key, size);
            value::check(row, &value);
            let longer = [value.clone(), vec![0]].concat();
            key.gets(&[
                (None, Some(&longer), EINVAL),
                (None, Some(&value[..size - 1]), EINVAL),
            ]);
            // What it was.
            let answer = key.call(Some(size), Some(&value));
            assert_eq!((answer.code, answer.len), (0, size), "{name}");
        }
        ("rw", None) => assert_eq!(name, "arenas.lookup", "a row without a check"),
        other => panic!("{name}: {other:?}: a row without a check"),
    }
}

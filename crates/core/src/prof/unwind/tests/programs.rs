//! Frames of C and C++, compiled in many ways and loaded into the test.

use super::truth::{Comparison, assert_same, compare};
use crate::sys::simulated::dice::Dice;
use core::ffi::{CStr, c_void};
use jemoxide_testkit::compiler;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::vec::Vec;

type Leaf = unsafe extern "C" fn(*mut c_void) -> u64;

#[repr(C)]
pub(super) struct Call {
    pub leaf: Leaf,
    pub argument: *mut c_void,
}

pub(super) type Descend = unsafe extern "C" fn(*mut Call, u32, u64) -> u64;

/// A loaded shared object; unloaded when dropped.
pub(super) struct Loaded(*mut c_void);

impl Loaded {
    pub(super) fn open(path: &Path) -> Self {
        let name = CString::new(path.as_os_str().as_bytes()).unwrap();
        // SAFETY: the objects of these tests run no code when loaded.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{}", path.display());
        Self(handle)
    }

    pub(super) fn symbol(&self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is open.
        let symbol = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        assert!(!symbol.is_null(), "{name:?}");
        symbol
    }

    pub(super) fn descend(&self) -> Descend {
        // SAFETY: the type that the program declares.
        unsafe { core::mem::transmute::<*mut c_void, Descend>(self.symbol(c"descend")) }
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        // SAFETY: nobody is inside, and pointers into it are gone.
        unsafe { libc::dlclose(self.0) };
    }
}

/// The frames' program in every way it is compiled.
pub(super) fn frames() -> Vec<PathBuf> {
    const SHARED: [&str; 3] = ["-shared", "-fPIC", "-Wl,--build-id"];
    let ways: [(&str, &[&str]); 5] = [
        ("omit", &["-O2", "-fomit-frame-pointer"]),
        ("keep", &["-O2", "-fno-omit-frame-pointer"]),
        ("plain", &["-O0"]),
        ("size", &["-Os"]),
        ("wide", &["-O3", "-mavx2", "-Wl,-z,lazy"]),
    ];
    let mut built = Vec::new();
    for (name, flags) in ways {
        let flags = [&SHARED, flags].concat();
        let (c, cxx) = (
            std::format!("unwind-{name}-c.so"),
            std::format!("unwind-{name}-cxx.so"),
        );
        built.extend(compiler::c("unwind/frames.c", &c, &flags));
        built.extend(compiler::cxx("unwind/frames.c", &cxx, &flags));
    }
    built
}

/// Notes a comparison of the stack at the leaf.
pub(super) unsafe extern "C" fn compare_at_leaf(argument: *mut c_void) -> u64 {
    // SAFETY: `descend_and_compare` hands over such a place.
    unsafe { *argument.cast::<Option<Comparison>>() = Some(compare()) };
    1
}

pub(super) fn descend_and_compare(descend: Descend, depth: usize, seed: u64) -> Comparison {
    let mut comparison = None::<Comparison>;
    let mut call = Call {
        leaf: compare_at_leaf,
        argument: (&raw mut comparison).cast(),
    };
    // SAFETY: the program's function, with a call that takes its argument.
    unsafe { descend(&raw mut call, depth as u32, seed) };
    comparison.expect("the leaf was reached")
}

#[test]
fn frames_of_c_and_cxx_in_every_way_they_are_compiled() {
    let mut dice = Dice::new(3);
    for path in frames() {
        let loaded = Loaded::open(&path);
        for _ in 0..300 {
            let depth = dice.below(60);
            let comparison = descend_and_compare(loaded.descend(), depth, dice.next());
            assert_same(&comparison);
        }
    }
}

#[test]
fn libraries_that_come_and_go_at_the_same_place() {
    let mut dice = Dice::new(4);
    for _ in 0..20 {
        for path in frames() {
            let loaded = Loaded::open(&path);
            for _ in 0..3 {
                let comparison = descend_and_compare(loaded.descend(), 20, dice.next());
                assert_same(&comparison);
            }
        }
    }
}

//! What the compiler's unwinder sees, for comparison.

use super::super::capture;
use core::ffi::{c_int, c_void};
use core::hint::black_box;
use std::fmt::Write;
use std::string::String;

/// Frames that are compared.
pub(super) const LONGEST: usize = 300;

unsafe extern "C" {
    fn _Unwind_Backtrace(
        each: unsafe extern "C" fn(*mut c_void, *mut c_void) -> c_int,
        argument: *mut c_void,
    ) -> c_int;
    fn _Unwind_GetIP(context: *mut c_void) -> usize;
}

/// Frames of one stack, innermost first.
pub(super) struct Frames {
    addresses: [usize; LONGEST],
    count: usize,
}

/// One stack as we see it and as the compiler's unwinder does, beginning with who called [`compare`].
pub(super) struct Comparison {
    ours: Frames,
    theirs: Frames,
}

impl Comparison {
    pub(super) fn ours(&self) -> &[usize] {
        &self.ours.addresses[..self.ours.count]
    }

    pub(super) fn theirs(&self) -> &[usize] {
        &self.theirs.addresses[..self.theirs.count]
    }

    pub(super) fn is_same(&self) -> bool {
        self.ours() == self.theirs()
    }
}

/// Looks at the caller's stack both ways.
#[inline(never)]
pub(super) fn compare() -> Comparison {
    let mut all = [0; LONGEST + 1];
    let count = black_box(capture(&mut all));
    let mut ours = empty();
    ours.count = count.saturating_sub(1);
    ours.addresses[..ours.count].copy_from_slice(&all[1..=ours.count]);
    let theirs = theirs();
    black_box(Comparison { ours, theirs })
}

fn empty() -> Frames {
    Frames {
        addresses: [0; LONGEST],
        count: 0,
    }
}

/// Frames of the caller's caller, and up.
#[inline(never)]
fn theirs() -> Frames {
    struct Taken {
        frames: Frames,
        skipped: usize,
    }
    unsafe extern "C" fn each(context: *mut c_void, argument: *mut c_void) -> c_int {
        const STOP: c_int = 4;
        // SAFETY: the argument handed over below; the context of the unwinder that calls.
        let (taken, address) = unsafe { (&mut *argument.cast::<Taken>(), _Unwind_GetIP(context)) };
        // This function's frame, and the caller's.
        if taken.skipped < 2 {
            taken.skipped += 1;
            return 0;
        }
        let frames = &mut taken.frames;
        let Some(place) = frames.addresses.get_mut(frames.count) else {
            return STOP;
        };
        if address == 0 {
            return STOP;
        }
        *place = address;
        frames.count += 1;
        0
    }
    let mut taken = Taken {
        frames: empty(),
        skipped: 0,
    };
    // SAFETY: the function takes what is handed over with it.
    unsafe { _Unwind_Backtrace(each, (&raw mut taken).cast()) };
    black_box(taken.frames)
}

/// Fails unless both see the same.
#[track_caller]
pub(super) fn assert_same(comparison: &Comparison) {
    if !comparison.is_same() {
        let mut text = String::new();
        let (ours, theirs) = (comparison.ours(), comparison.theirs());
        for at in 0..ours.len().max(theirs.len()) {
            let (ours, theirs) = (ours.get(at), theirs.get(at));
            let mark = if ours == theirs { ' ' } else { '*' };
            writeln!(text, "{mark} {at:3} {ours:x?} {theirs:x?}").unwrap();
        }
        panic!(
            "ours, the compiler's:\n{text}{}",
            std::fs::read_to_string("/proc/self/maps").unwrap()
        );
    }
    assert!(comparison.ours().len() > 2);
}

//! Stacks and tables that are spoiled, and code that no table knows: nothing faults, nothing hangs.

use super::super::*;
use super::programs::{self, Loaded, descend_and_compare};
use super::truth::{assert_same, compare};
use crate::sys::memory;
use crate::sys::simulated::dice::Dice;
use core::arch::global_asm;
use core::ffi::c_void;
use core::hint::black_box;
use core::sync::atomic::AtomicBool;
use std::vec::Vec;

type Body = unsafe extern "C" fn(*mut c_void);
type Through = unsafe extern "C" fn(Body, *mut c_void, usize);

// Calls a function with a third argument in the frame pointer, or on a stack that it points at.
global_asm!(
    ".pushsection .text.jemoxide_spoiled,\"ax\",@progbits",
    // As the tables know it.
    "jemoxide_with_frame_pointer:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "pop rbp",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    // The same, unknown to any table.
    "jemoxide_unknown_with_frame_pointer:",
    "push rbp",
    "mov rbp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "pop rbp",
    "ret",
    // Unknown to any table, with a frame as compilers make it; may be copied anywhere.
    "jemoxide_unknown:",
    "push rbp",
    "mov rbp, rsp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "pop rbp",
    "ret",
    "jemoxide_unknown_end:",
    // On another stack, which the tables take for this one.
    "jemoxide_on_stack:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbx, -16",
    "mov rbx, rsp",
    "mov rsp, rdx",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov rsp, rbx",
    "pop rbx",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".cfi_endproc",
    ".popsection",
);

unsafe extern "C" {
    fn jemoxide_with_frame_pointer(body: Body, argument: *mut c_void, value: usize);
    fn jemoxide_unknown_with_frame_pointer(body: Body, argument: *mut c_void, value: usize);
    fn jemoxide_unknown(body: Body, argument: *mut c_void, value: usize);
    static jemoxide_unknown_end: u8;
    fn jemoxide_on_stack(body: Body, argument: *mut c_void, value: usize);
}

/// Calls `body` through one of the above.
fn through<F: FnMut()>(way: Through, value: usize, mut body: F) {
    unsafe extern "C" fn call<F: FnMut()>(body: *mut c_void) {
        // SAFETY: the closure handed over below.
        unsafe { (*body.cast::<F>())() };
    }
    // SAFETY: the functions above give back every register; the closure outlives the call.
    unsafe { way(call::<F>, (&raw mut body).cast(), value) };
}

/// Values that a spoiled word may have: some are addresses of something.
fn any_word(dice: &mut Dice, places: &[usize]) -> usize {
    match dice.below(6) {
        0 => dice.next() as usize,
        1 => (dice.next() << 20 | dice.next()) as usize,
        2 => dice.below(100_000),
        3 => usize::MAX - dice.below(10_000),
        _ => {
            places[dice.below(places.len())].wrapping_add(dice.below(4096))
                & !usize::from(dice.once_in(2))
        }
    }
}

/// Addresses in code, stacks and other memory of the process.
fn places() -> Vec<usize> {
    let landmarks = image::landmarks();
    let local = 0usize;
    let mut places = std::vec![
        landmarks.library,
        landmarks.vdso,
        landmarks.loader,
        landmarks.program,
        places as fn() -> Vec<usize> as usize,
        &raw const local as usize,
        &raw const local as usize + 4096,
    ];
    let mut frames = [0; 32];
    let count = capture(&mut frames);
    places.extend(&frames[..count]);
    places
}

#[test]
fn a_spoiled_frame_pointer_does_no_harm() {
    let (mut dice, places) = (Dice::new(5), places());
    for _ in 0..500 {
        let value = any_word(&mut dice, &places);
        through(jemoxide_with_frame_pointer, value, || {
            assert_same(&compare());
        });
        through(jemoxide_unknown_with_frame_pointer, value, || {
            black_box(capture(&mut [0; 64]));
        });
    }
}

#[test]
fn code_without_tables_is_walked_by_its_frame_pointers() {
    let here = &mut [0; 64];
    let seen_through = |way: Through| {
        let mut frames = [0; 64];
        let mut count = 0;
        through(way, 0, || count = capture(&mut frames));
        frames[..count].to_vec()
    };
    let start = jemoxide_unknown as *const () as usize;
    let len = &raw const jemoxide_unknown_end as usize - start;
    let page = memory::map(4096).unwrap();
    // SAFETY: a page of our own gets the function's bytes, and the right to be executed.
    let copied = unsafe {
        core::ptr::copy_nonoverlapping(
            core::ptr::with_exposed_provenance::<u8>(start),
            page.as_ptr(),
            len,
        );
        let rights = libc::PROT_READ | libc::PROT_EXEC;
        assert_eq!(libc::mprotect(page.as_ptr().cast(), 4096, rights), 0);
        core::mem::transmute::<*mut u8, Through>(page.as_ptr())
    };
    for way in [jemoxide_unknown as Through, copied] {
        let frames = seen_through(way);
        let count = capture(here);
        let start = way as usize;
        let place = frames
            .iter()
            .position(|frame| (start..start + len).contains(frame));
        let place = place.expect("the unknown function's frame is there");
        let above = &frames[frames.len() + 1 - count..];
        assert_eq!(above, &here[1..count], "{frames:x?} {here:x?}");
        assert!(frames.len() + 1 - count > place);
    }
}

#[test]
fn a_stack_of_random_words_does_no_harm() {
    let (mut dice, mut places) = (Dice::new(6), places());
    let len = 64 << 10;
    let block = memory::map(len + 4096).unwrap();
    let start = block.as_ptr().expose_provenance();
    // SAFETY: the last page is our own; behind the stack nothing is readable.
    let refused = unsafe { libc::mprotect(block.as_ptr().add(len).cast(), 4096, libc::PROT_NONE) };
    assert_eq!(refused, 0);
    places.extend([start + len - 64, start + len, start + len / 2, start]);
    let mut longest = 0;
    for _ in 0..3000 {
        // The functions called run below.
        let words = 8 + dice.below(400);
        let top = start + len - words * 8;
        for at in 0..words {
            // SAFETY: words of our own block.
            unsafe {
                block
                    .cast::<usize>()
                    .add(len / 8 - 1 - at)
                    .write(any_word(&mut dice, &places))
            };
        }
        through(jemoxide_on_stack, top & !15, || {
            longest = longest.max(capture(&mut [0; 100]));
        });
    }
    assert!(longest > 5);
}

#[test]
fn random_registers_do_no_harm_and_plain_rules_say_what_the_tables_say() {
    let (mut dice, places) = (Dice::new(7), places());
    // A stack that nobody runs on, longer than any frame.
    let words = (0..256 << 10).map(|_| any_word(&mut dice, &places));
    let block: Vec<usize> = words.collect();
    let middle = block.as_ptr().expose_provenance();
    let (mut plain, mut other) = (0, 0);
    for round in 0..20_000 {
        let mut registers: Registers = Default::default();
        for register in &mut registers {
            *register = any_word(&mut dice, &places);
        }
        registers[STACK] = middle + dice.below(100) * 8;
        if dice.once_in(2) {
            registers[FRAME] = middle + dice.below(100) * 8;
        }
        let code = places[dice.below(places.len())];
        registers[RETURN] = code.wrapping_add(dice.below(1 << 16)).wrapping_sub(1 << 15);
        let pc = registers[RETURN];
        let mut walk = Walk::new(registers);
        let rule = walk.find_rule(pc);
        // Words elsewhere, as on this very stack, change between two looks.
        let is_still = {
            let (base, _) = rule.frame();
            registers[base].wrapping_sub(middle) < 100 * 8
        };
        if rule.kind() == Kind::Plain && is_still {
            let mut twin = Walk::new(registers);
            let (done, twins) = (walk.follow(rule), twin.interpret(pc));
            assert_eq!(done.is_some(), twins.is_some(), "round {round}, pc {pc:x}");
            if done.is_some() {
                assert_eq!(walk.registers, twin.registers, "round {round}, pc {pc:x}");
            }
            plain += 1;
        } else {
            other += 1;
        }
        let mut walk = Walk::new(registers);
        let steps = (0..100).take_while(|_| walk.step());
        black_box(steps.count());
    }
    assert!(plain > 1000 && other > 100, "{plain} {other}");
}

#[test]
fn looking_through_all_descriptions_finds_what_the_list_finds() {
    let mut dice = Dice::new(10);
    let vdso = image::landmarks().vdso;
    let module = Module::at(vdso, &mut Tables::fleeting()).unwrap();
    let behind = Module {
        tables: 0,
        // The descriptions lie behind the list, at the next multiple of 8.
        frames: (module.list + module.functions * 8).next_multiple_of(8),
        frames_end: module.segment_end,
        ..module
    };
    let mut found = 0;
    for _ in 0..300 {
        let pc = module.text + dice.below(module.text_end - module.text);
        let row = |module: &Module| {
            let mut tables = Tables::new(module.segment, module.segment_end);
            let description = frames::find(&mut tables, module, pc)?;
            Row::at(&mut tables, &description, pc)
        };
        let listed = row(&module);
        assert_eq!(row(&behind), listed, "{pc:x}");
        found += u32::from(listed.is_some());
    }
    assert!(found > 10);
}

#[test]
fn spoiled_tables_do_no_harm() {
    let mut dice = Dice::new(8);
    let (_, module) = Walk::new(registers::here())
        .module_of(image::landmarks().library)
        .unwrap();
    let len = module.segment_end - module.segment;
    let mut bytes = std::vec![0u8; len];
    let lasting = &mut Tables::new(module.segment, module.segment_end);
    for (at, chunk) in bytes.chunks_mut(4096).enumerate() {
        let from = module.segment + at * 4096;
        *lasting = Tables::new(module.segment, module.segment_end);
        lasting.read(from, chunk).unwrap();
    }
    let moved = bytes
        .as_ptr()
        .expose_provenance()
        .wrapping_sub(module.segment);
    let there = |place: usize| place.wrapping_add(moved);
    let copy = Module {
        tables: there(module.tables),
        list: there(module.list),
        segment: there(module.segment),
        segment_end: there(module.segment_end),
        ..module
    };
    let mut found = [0; 2];
    for round in 0..20_000 {
        // Once as it is, so that it is known to work.
        let is_spoiled = round >= 1000;
        let spoiled_from = module.tables - module.segment;
        if is_spoiled {
            let at = spoiled_from + dice.below(len - spoiled_from);
            let end = (at + 1 + dice.below(60)).min(len);
            bytes[at..end].fill_with(|| dice.next() as u8);
        }
        let mut tables = Tables::new(copy.segment, copy.segment_end);
        let pc = there(module.text + dice.below(module.text_end - module.text));
        let description = frames::find(&mut tables, &copy, pc);
        let row = description.and_then(|description| Row::at(&mut tables, &description, pc));
        found[usize::from(is_spoiled)] += u32::from(row.is_some());
    }
    assert!(found[0] > 500 && found[1] > 500, "{found:?}");
}

#[test]
fn another_thread_loads_and_unloads_what_a_spoiled_stack_points_into() {
    let paths = programs::frames();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for path in &paths {
                    let loaded = Loaded::open(path);
                    assert_same(&descend_and_compare(loaded.descend(), 10, 1));
                }
            }
        });
        let (mut dice, mut places) = (Dice::new(9), places());
        for _ in 0..200 {
            if let Some(path) = paths.get(dice.below(paths.len().max(1))) {
                let loaded = Loaded::open(path);
                places.push(loaded.descend() as usize);
                assert_same(&descend_and_compare(loaded.descend(), 10, dice.next()));
            }
            for _ in 0..100 {
                let mut registers = registers::here();
                registers[RETURN] = any_word(&mut dice, &places[places.len() / 2..]);
                let mut walk = Walk::new(registers);
                black_box((0..50).take_while(|_| walk.step()).count());
            }
            if places.len() > 200 {
                places.truncate(100);
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
}

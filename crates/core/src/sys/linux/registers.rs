//! The processor's registers, as unwind tables number them, and where the kernel saves them for a signal handler.
//!
//! ```text
//! 0 rax  1 rdx  2 rcx  3 rbx  4 rsi  5 rdi  6 rbp  7 rsp  8..15 r8..r15  16 the address that is returned to
//! ```
//! Source: System V ABI for AMD64, section 3.6.2; `struct rt_sigframe` and `struct sigcontext_64` of Linux.

use core::arch::asm;

/// The values of all registers, by number.
pub(crate) type Registers = [usize; REGISTERS];

/// How many registers unwind tables of this processor name.
pub(crate) const REGISTERS: usize = 17;
/// The frame pointer, where a function has one.
pub(crate) const FRAME: usize = 6;
/// The stack pointer.
pub(crate) const STACK: usize = 7;
/// The instruction pointer; in a caller, the address that is returned to.
pub(crate) const RETURN: usize = 16;
/// What a function gives back as it got it, but for the stack pointer: rbx, rbp, r12 to r15.
pub(crate) const PRESERVED: [usize; 6] = [3, FRAME, 12, 13, 14, 15];

/// The registers at the place of the call that a caller's frame can depend on; the others read 0.
#[inline(always)]
pub(crate) fn here() -> Registers {
    let mut registers = [0; REGISTERS];
    // SAFETY: writes elements of the array only.
    unsafe {
        asm!(
            "mov [{to} + 24], rbx",
            "mov [{to} + 48], rbp",
            "mov [{to} + 56], rsp",
            "mov [{to} + 96], r12",
            "mov [{to} + 104], r13",
            "mov [{to} + 112], r14",
            "mov [{to} + 120], r15",
            "lea {at}, [rip]",
            "mov [{to} + 128], {at}",
            to = in(reg) registers.as_mut_ptr(),
            at = out(reg) _,
            options(nostack, preserves_flags),
        );
    }
    registers
}

/// Bytes from the stack pointer, when a handler has returned, to where the kernel saved each register.
pub(crate) const SAVED_FOR_HANDLER: Registers = {
    // flags, link and the stack's description come first: 40 bytes; then r8 to r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip.
    const ORDER: Registers = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2, 7, 16];
    let mut offsets = [0; REGISTERS];
    let mut place = 0;
    while place < REGISTERS {
        offsets[ORDER[place]] = 40 + 8 * place;
        place += 1;
    }
    offsets
};

/// The instructions that a handler returns to, in every C library: `mov rax, 15; syscall`.
pub(crate) const HANDLER_RETURNS_TO: [u8; 9] =
    [0x48, 0xc7, 0xc0, 0x0f, 0x00, 0x00, 0x00, 0x0f, 0x05];

/// Most bytes of a call instruction.
pub(crate) const CALL_BYTES: usize = 7;

/// Whether `before` ends with a call instruction: what lies before an address that is returned to.
pub(crate) fn ends_with_call(before: &[u8; CALL_BYTES]) -> bool {
    let relative = before[2] == 0xe8;
    // A call by register or memory is the byte ff, then one whose middle bits are 2, then 0, 1, 4 or 5 bytes more.
    let indirect = [5, 4, 3, 1, 0]
        .into_iter()
        .any(|at| before[at] == 0xff && before[at + 1] & 0x38 == 0x10);
    relative || indirect
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registers_are_those_of_the_place() {
        let local = 0u8;
        let registers = here();
        let at = &raw const local as usize;
        assert!(at.wrapping_sub(registers[STACK]) < 64 << 10);
        assert_ne!(registers[RETURN], 0);
    }

    #[test]
    fn calls_are_told_from_other_instructions() {
        let calls: [&[u8]; 8] = [
            &[0xe8, 1, 2, 3, 4],
            &[0xff, 0xd0],
            &[0x41, 0xff, 0xd4],
            &[0xff, 0x53, 0x18],
            &[0xff, 0x54, 0x24, 0x08],
            &[0xff, 0x15, 1, 2, 3, 4],
            &[0xff, 0x94, 0x24, 1, 2, 3, 4],
            &[0x41, 0xff, 0x94, 0x24, 1, 2, 3, 4],
        ];
        for call in calls {
            let mut text = [0x90; 16];
            text[16 - call.len()..].copy_from_slice(call);
            let before = text[9..].try_into().unwrap();
            assert!(ends_with_call(&before), "{call:x?}");
        }
        let other: [[u8; 7]; 2] = [[0x90; 7], [0x48, 0x8b, 0x05, 0xff, 0xe0, 0, 0]];
        assert!(other.iter().all(|text| !ends_with_call(text)));
    }
}

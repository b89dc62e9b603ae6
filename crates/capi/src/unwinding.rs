//! What may throw: the throwing forms of operator new, and the call of a new-handler that must not.
//!
//! A frame of Rust built without unwinding may not be unwound through, so every frame that an exception
//! can meet is assembly with its own unwind rules:
//!
//! ```text
//! new:   Rust allocates -> not null: return
//!        null: has the program a new of its own that this form leads to?  yes: jump there
//!        is there a new-handler?  yes: call it (it may throw, through this frame), again
//!                                       no:  jump to the C++ runtime's thrower of std::bad_alloc
//! ```
//! The C++ runtime is not linked: its symbols are weak, and looked for at run time when the loader had not
//! bound them (a C program that loaded a C++ library later). Without one the process ends with a message.

use crate::operators;
use crate::replaced::{self, Form};
use core::arch::{asm, global_asm};
use core::ffi::{CStr, c_int, c_void};
use core::hint::assert_unchecked;
use core::mem::transmute;
use jemoxide_core::api::{self, Door};

#[cfg(not(target_arch = "x86_64"))]
compile_error!("the stubs of operator new are written for x86-64");

global_asm!(
    ".weak _ZSt17__throw_bad_allocv",
    ".weak _ZSt15get_new_handlerv",
    ".weak _ZSt9terminatev",
    ".weak _ZTISt9bad_alloc",
    ".weak __cxa_begin_catch",
    ".weak __cxa_end_catch",
    ".weak __gxx_personality_v0",
    ".weak __cxa_allocate_exception",
    ".weak __cxa_throw",
    ".weak _ZTVSt9bad_alloc",
    ".weak _ZNSt9bad_allocD1Ev",
    ".weak dlsym",
);

/// A throwing form: the weak function `$symbol`, with a hidden name besides that is always ours. Its lines call what allocates,
/// what asks for the program's own form, for a new-handler, and for the thrower.
macro_rules! throwing {
    ($symbol:literal, $alloc:ident, $other:ident: $($line:literal,)+) => {
        global_asm!(
            concat!(".pushsection .text.jemoxide", $symbol, ",\"ax\",@progbits"),
            concat!(".weak ", $symbol),
            concat!(".type ", $symbol, ", @function"),
            concat!(".globl jemoxide_own", $symbol),
            concat!(".hidden jemoxide_own", $symbol),
            concat!("jemoxide_own", $symbol, ":"),
            concat!($symbol, ":"),
            ".cfi_startproc",
            $($line,)+
            ".cfi_endproc",
            concat!(".size ", $symbol, ", . - ", $symbol),
            ".popsection",
            alloc = sym $alloc,
            other = sym $other,
            handler = sym handler_address,
            thrower = sym thrower_address,
        );
    };
}

// Throwing new: the size waits in rbx.
macro_rules! throwing_new {
    ($symbol:literal, $alloc:ident, $other:ident) => {
        throwing! { $symbol, $alloc, $other:
            "push rbx",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbx, -16",
            "mov rbx, rdi",
            "2:",
            "call {alloc}",
            "test rax, rax",
            "je 3f",
            "pop rbx",
            ".cfi_remember_state",
            ".cfi_def_cfa_offset 8",
            "ret",
            "3:",
            ".cfi_restore_state",
            "call {other}",
            "test rax, rax",
            "jne 5f",
            "call {handler}",
            "test rax, rax",
            "je 4f",
            "call rax",
            "mov rdi, rbx",
            "jmp 2b",
            "5:",
            ".cfi_remember_state",
            "mov rdi, rbx",
            "pop rbx",
            ".cfi_def_cfa_offset 8",
            "jmp rax",
            "4:",
            ".cfi_restore_state",
            "sub rsp, 32",
            ".cfi_def_cfa_offset 48",
            "mov rdi, rsp",
            "call {thrower}",
            "mov rdi, [rsp]",
            "mov rsi, [rsp + 8]",
            "mov rdx, [rsp + 16]",
            "add rsp, 32",
            ".cfi_def_cfa_offset 16",
            "pop rbx",
            ".cfi_def_cfa_offset 8",
            "jmp rax",
        }
    };
}

throwing_new!("_Znwm", alloc, nobody);
throwing_new!("_Znam", alloc_array, thrower);

// Throwing aligned new: the size waits in rbx, the alignment in r12.
macro_rules! throwing_aligned_new {
    ($symbol:literal, $alloc:ident, $other:ident) => {
        throwing! { $symbol, $alloc, $other:
            "push rbx",
            ".cfi_def_cfa_offset 16",
            ".cfi_offset rbx, -16",
            "push r12",
            ".cfi_def_cfa_offset 24",
            ".cfi_offset r12, -24",
            "sub rsp, 8",
            ".cfi_def_cfa_offset 32",
            "mov rbx, rdi",
            "mov r12, rsi",
            "2:",
            "mov rdi, rbx",
            "mov rsi, r12",
            "call {alloc}",
            "test rax, rax",
            "je 3f",
            "add rsp, 8",
            ".cfi_remember_state",
            ".cfi_def_cfa_offset 24",
            "pop r12",
            ".cfi_def_cfa_offset 16",
            "pop rbx",
            ".cfi_def_cfa_offset 8",
            "ret",
            "3:",
            ".cfi_restore_state",
            "call {other}",
            "test rax, rax",
            "jne 5f",
            "call {handler}",
            "test rax, rax",
            "je 4f",
            "call rax",
            "jmp 2b",
            "5:",
            ".cfi_remember_state",
            "mov rdi, rbx",
            "mov rsi, r12",
            "add rsp, 8",
            ".cfi_def_cfa_offset 24",
            "pop r12",
            ".cfi_def_cfa_offset 16",
            "pop rbx",
            ".cfi_def_cfa_offset 8",
            "jmp rax",
            "4:",
            ".cfi_restore_state",
            "sub rsp, 32",
            ".cfi_def_cfa_offset 64",
            "mov rdi, rsp",
            "call {thrower}",
            "mov rdi, [rsp]",
            "mov rsi, [rsp + 8]",
            "mov rdx, [rsp + 16]",
            "add rsp, 40",
            ".cfi_def_cfa_offset 24",
            "pop r12",
            ".cfi_def_cfa_offset 16",
            "pop rbx",
            ".cfi_def_cfa_offset 8",
            "jmp rax",
        }
    };
}

throwing_aligned_new!("_ZnwmSt11align_val_t", alloc_aligned, nobody);
throwing_aligned_new!("_ZnamSt11align_val_t", alloc_aligned_array, thrower_aligned);

// jemoxide_call_handler(handler) -> 1 if it returned, 0 if it threw std::bad_alloc; any other exception ends
// the process by std::terminate, as in a noexcept function. The table below tells the C++ runtime so:
// one call site, whose landing pad takes type 1 (bad_alloc), then type 2 (anything).
global_asm!(
    ".pushsection .text.jemoxide_call_handler,\"ax\",@progbits",
    ".globl jemoxide_call_handler",
    ".hidden jemoxide_call_handler",
    ".type jemoxide_call_handler, @function",
    "jemoxide_call_handler:",
    ".cfi_startproc",
    ".cfi_personality 0x9b, DW.ref.jemoxide_personality",
    ".cfi_lsda 0x1b, .Ljemoxide_exceptions",
    "sub rsp, 8",
    ".cfi_def_cfa_offset 16",
    ".Ljemoxide_call:",
    "call rdi",
    ".Ljemoxide_called:",
    "mov eax, 1",
    "add rsp, 8",
    ".cfi_remember_state",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".Ljemoxide_landing:",
    ".cfi_restore_state",
    "mov rdi, rax",
    "cmp edx, 1",
    "jne 2f",
    "call qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
    "call qword ptr [rip + __cxa_end_catch@GOTPCREL]",
    "xor eax, eax",
    "add rsp, 8",
    ".cfi_remember_state",
    ".cfi_def_cfa_offset 8",
    "ret",
    "2:",
    ".cfi_restore_state",
    "call qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
    "call qword ptr [rip + _ZSt9terminatev@GOTPCREL]",
    "ud2",
    ".Ljemoxide_end:",
    ".cfi_endproc",
    ".size jemoxide_call_handler, . - jemoxide_call_handler",
    ".popsection",
    ".pushsection .gcc_except_table.jemoxide_call_handler,\"a\",@progbits",
    ".p2align 2",
    ".Ljemoxide_exceptions:",
    ".byte 0xff",
    ".byte 0x9b",
    ".uleb128 .Ljemoxide_types - .Ljemoxide_after_types_at",
    ".Ljemoxide_after_types_at:",
    ".byte 0x01",
    ".uleb128 .Ljemoxide_sites_end - .Ljemoxide_sites",
    ".Ljemoxide_sites:",
    ".uleb128 .Ljemoxide_call - jemoxide_call_handler",
    ".uleb128 .Ljemoxide_called - .Ljemoxide_call",
    ".uleb128 .Ljemoxide_landing - jemoxide_call_handler",
    ".uleb128 1",
    ".Ljemoxide_sites_end:",
    ".byte 1, 1",
    ".byte 2, 0",
    ".p2align 2",
    ".long 0",
    ".long DW.ref.jemoxide_bad_alloc - .",
    ".Ljemoxide_types:",
    ".popsection",
    ".pushsection .data.rel.ro.jemoxide_exceptions,\"aw\",@progbits",
    ".p2align 3",
    "DW.ref.jemoxide_personality: .quad __gxx_personality_v0",
    "DW.ref.jemoxide_bad_alloc: .quad _ZTISt9bad_alloc",
    ".popsection",
);

// jemoxide_call_new(new, size, align) -> what it returned, or null if it threw anything at all: as the forms do that do not
// throw.
global_asm!(
    ".pushsection .text.jemoxide_call_new,\"ax\",@progbits",
    ".globl jemoxide_call_new",
    ".hidden jemoxide_call_new",
    ".type jemoxide_call_new, @function",
    "jemoxide_call_new:",
    ".cfi_startproc",
    ".cfi_personality 0x9b, DW.ref.jemoxide_personality",
    ".cfi_lsda 0x1b, .Ljemoxide_new_exceptions",
    "sub rsp, 8",
    ".cfi_def_cfa_offset 16",
    "mov rax, rdi",
    "mov rdi, rsi",
    "mov rsi, rdx",
    ".Ljemoxide_new_call:",
    "call rax",
    ".Ljemoxide_new_called:",
    "add rsp, 8",
    ".cfi_remember_state",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".Ljemoxide_new_landing:",
    ".cfi_restore_state",
    "mov rdi, rax",
    "call qword ptr [rip + __cxa_begin_catch@GOTPCREL]",
    "call qword ptr [rip + __cxa_end_catch@GOTPCREL]",
    "xor eax, eax",
    "add rsp, 8",
    ".cfi_def_cfa_offset 8",
    "ret",
    ".Ljemoxide_new_end:",
    ".cfi_endproc",
    ".size jemoxide_call_new, . - jemoxide_call_new",
    ".popsection",
    ".pushsection .gcc_except_table.jemoxide_call_new,\"a\",@progbits",
    ".p2align 2",
    ".Ljemoxide_new_exceptions:",
    ".byte 0xff",
    ".byte 0x9b",
    ".uleb128 .Ljemoxide_new_types - .Ljemoxide_new_after_types_at",
    ".Ljemoxide_new_after_types_at:",
    ".byte 0x01",
    ".uleb128 .Ljemoxide_new_sites_end - .Ljemoxide_new_sites",
    ".Ljemoxide_new_sites:",
    ".uleb128 .Ljemoxide_new_call - jemoxide_call_new",
    ".uleb128 .Ljemoxide_new_called - .Ljemoxide_new_call",
    ".uleb128 .Ljemoxide_new_landing - jemoxide_call_new",
    ".uleb128 1",
    ".Ljemoxide_new_sites_end:",
    ".byte 1, 0",
    ".p2align 2",
    ".long 0",
    ".Ljemoxide_new_types:",
    ".popsection",
);

unsafe extern "C" {
    fn jemoxide_call_handler(handler: Handler) -> c_int;
    fn jemoxide_call_new(new: *const c_void, size: usize, align: usize) -> *mut c_void;
}

/// Calls a throwing new of the program's. Null: it threw, which is swallowed.
pub(crate) fn call_new(new: *const c_void, size: usize, align: usize) -> *mut c_void {
    // SAFETY: the program's operator; what it throws goes no further than the stub.
    unsafe { jemoxide_call_new(new, size, align) }
}

/// A form that leads to no other.
extern "C" fn nobody() -> *const c_void {
    core::ptr::null()
}

extern "C" fn thrower() -> *const c_void {
    replaced::thrower(&[Form::New])
}

extern "C" fn thrower_aligned() -> *const c_void {
    replaced::thrower(&[Form::NewAligned])
}

/// A new-handler.
pub(crate) type Handler = unsafe extern "C" fn();

extern "C" fn alloc(size: usize) -> *mut u8 {
    api::alloc_by(size, 1, Door::New)
}

extern "C" fn alloc_array(size: usize) -> *mut u8 {
    if size >= replaced::bound() {
        return alloc_array_apart(size);
    }
    // SAFETY: what is below the bound is at most that.
    unsafe { assert_unchecked(size <= api::FAST_MAX) };
    api::alloc_by(size, 1, Door::NewArray)
}

/// The rest of [`alloc_array`]: what is large; null where the program has a function of its own.
#[cold]
#[inline(never)]
extern "C" fn alloc_array_apart(size: usize) -> *mut u8 {
    if replaced::is_none() || thrower().is_null() {
        return api::alloc_by(size, 1, Door::NewArray);
    }
    core::ptr::null_mut()
}

extern "C" fn alloc_aligned(size: usize, align: usize) -> *mut u8 {
    alloc_aligned_by(size, align, Door::NewAligned)
}

extern "C" fn alloc_aligned_array(size: usize, align: usize) -> *mut u8 {
    if !replaced::is_none() && !thrower_aligned().is_null() {
        return core::ptr::null_mut();
    }
    alloc_aligned_by(size, align, Door::NewArrayAligned)
}

#[inline(always)]
fn alloc_aligned_by(size: usize, align: usize, door: Door) -> *mut u8 {
    // An alignment that is no power of two is undefined in C++; nothing can satisfy it.
    if align.is_power_of_two() {
        api::alloc_by(size, align, door)
    } else {
        core::ptr::null_mut()
    }
}

/// Reads the address of a weak symbol, null if the loader found none.
macro_rules! weak {
    ($symbol:literal) => {{
        let address: *const c_void;
        // SAFETY: reads our own table of addresses, which the loader filled.
        unsafe {
            asm!(
                concat!("mov {0}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                out(reg) address,
                options(pure, readonly, nostack, preserves_flags),
            );
        }
        address
    }};
}

/// The address of `name` in whatever C++ runtime the process has by now.
#[cold]
fn find(name: &CStr) -> *const c_void {
    type Open = unsafe extern "C" fn(*const libc::c_char, c_int) -> *mut c_void;
    let find = weak!("dlsym");
    if find.is_null() {
        return core::ptr::null();
    }
    // SAFETY: the C library's functions, not null; a library that is not loaded is not loaded now.
    unsafe {
        let find = transmute::<*const c_void, Find>(find);
        let symbol = find(libc::RTLD_DEFAULT, name.as_ptr());
        let open = find(libc::RTLD_DEFAULT, c"dlopen".as_ptr());
        if !symbol.is_null() || open.is_null() {
            return symbol;
        }
        let open = transmute::<*const c_void, Open>(open);
        let runtime = open(
            c"libstdc++.so.6".as_ptr(),
            libc::RTLD_LAZY | libc::RTLD_NOLOAD,
        );
        if runtime.is_null() {
            core::ptr::null()
        } else {
            find(runtime, name.as_ptr())
        }
    }
}

/// The forms as the linker, or the loader, has bound our references to them, by their numbers.
pub(crate) fn linked_forms() -> [*const c_void; 8] {
    [
        weak!("_Znwm"),
        weak!("_Znam"),
        weak!("_ZnwmSt11align_val_t"),
        weak!("_ZnamSt11align_val_t"),
        weak!("_ZdlPv"),
        weak!("_ZdaPv"),
        weak!("_ZdlPvSt11align_val_t"),
        weak!("_ZdaPvSt11align_val_t"),
    ]
}

/// Our own forms, by their numbers.
pub(crate) fn own_forms() -> [*const c_void; 8] {
    [
        weak!("jemoxide_own_Znwm"),
        weak!("jemoxide_own_Znam"),
        weak!("jemoxide_own_ZnwmSt11align_val_t"),
        weak!("jemoxide_own_ZnamSt11align_val_t"),
        operators::delete as *const c_void,
        operators::delete_array as *const c_void,
        operators::delete_aligned as *const c_void,
        operators::delete_array_aligned as *const c_void,
    ]
}

type Find = unsafe extern "C" fn(*mut c_void, *const libc::c_char) -> *const c_void;

/// The function that the loader gives for `name` to whoever asks; null where it knows none, there is no loader, or a program
/// that is not moved has only an entry of its own by which it calls it. Waits for the loader's lock; `errno` stays.
#[cold]
pub(crate) fn find_first(name: &CStr) -> *const c_void {
    let find = weak!("dlsym");
    if find.is_null() {
        return core::ptr::null();
    }
    // SAFETY: the C library's function, not null; the calling thread's own number.
    unsafe {
        let find = transmute::<*const c_void, Find>(find);
        let errno = *libc::__errno_location();
        let found = find(libc::RTLD_DEFAULT, name.as_ptr());
        let is_function = !found.is_null() && !is_reference(find, found);
        *libc::__errno_location() = errno;
        if is_function {
            found
        } else {
            core::ptr::null()
        }
    }
}

/// Whether the symbol at `address` is one that its module does not define: where a program that is not moved takes a
/// function's address, its own entry for that function has the name, too.
#[cold]
fn is_reference(find: Find, address: *const c_void) -> bool {
    type About = unsafe extern "C" fn(
        *const c_void,
        *mut libc::Dl_info,
        *mut *const libc::Elf64_Sym,
        c_int,
    ) -> c_int;
    const SYMBOL: c_int = 1;
    const UNDEFINED: u16 = 0;
    // SAFETY: the C library's functions; it writes both places, the symbol's with an address in a table that stays.
    unsafe {
        let about = find(libc::RTLD_DEFAULT, c"dladdr1".as_ptr());
        if about.is_null() {
            return false;
        }
        let mut info: libc::Dl_info = core::mem::zeroed();
        let mut symbol = core::ptr::null();
        let known = transmute::<*const c_void, About>(about)(
            address,
            &raw mut info,
            &raw mut symbol,
            SYMBOL,
        );
        known != 0 && !symbol.is_null() && (*symbol).st_shndx == UNDEFINED
    }
}

/// The new-handler in force.
pub(crate) fn new_handler() -> Option<Handler> {
    let mut get = weak!("_ZSt15get_new_handlerv");
    if get.is_null() {
        get = find(c"_ZSt15get_new_handlerv");
    }
    if get.is_null() {
        return None;
    }
    // SAFETY: std::get_new_handler, not null: takes nothing, returns a function or null, does not throw.
    unsafe { transmute::<*const c_void, unsafe extern "C" fn() -> Option<Handler>>(get)() }
}

/// Calls the new-handler. `false`: it threw std::bad_alloc, which is swallowed.
pub(crate) fn call_handler(handler: Handler) -> bool {
    // SAFETY: the application's function; what it throws goes no further than the stub.
    unsafe { jemoxide_call_handler(handler) != 0 }
}

/// The first thing that is asked when memory is short.
extern "C" fn handler_address() -> Option<Handler> {
    api::refuse_new();
    new_handler()
}

/// What the thrower is called with.
#[repr(C)]
struct Arguments([*const c_void; 3]);

/// The C++ runtime's function that throws std::bad_alloc, and what it takes; without a runtime the process ends here.
///
/// Usually that is one function that takes nothing. A statically linked program may not contain it: then the exception
/// is put together here, and the function is the general thrower.
extern "C" fn thrower_address(arguments: &mut Arguments) -> *const c_void {
    type Allocate = unsafe extern "C" fn(usize) -> *mut *const c_void;
    let thrower = weak!("_ZSt17__throw_bad_allocv");
    if !thrower.is_null() {
        return thrower;
    }
    let (allocate, thrower) = (weak!("__cxa_allocate_exception"), weak!("__cxa_throw"));
    let (table, kind) = (weak!("_ZTVSt9bad_alloc"), weak!("_ZTISt9bad_alloc"));
    if ![allocate, thrower, table, kind]
        .iter()
        .any(|address| address.is_null())
    {
        // SAFETY: __cxa_allocate_exception ends the process rather than answer null.
        let exception =
            unsafe { transmute::<*const c_void, Allocate>(allocate)(size_of::<usize>()) };
        // SAFETY: std::bad_alloc is an object with nothing but its table, which begins two words in.
        unsafe { exception.write(table.cast::<*const c_void>().add(2).cast()) };
        arguments.0 = [exception.cast(), kind, weak!("_ZNSt9bad_allocD1Ev")];
        return thrower;
    }
    let thrower = find(c"_ZSt17__throw_bad_allocv");
    if thrower.is_null() {
        let line = b"<jemoxide>: operator new: out of memory, and the process has no C++ runtime to throw std::bad_alloc (use the nothrow form, or link libstdc++)\n";
        // SAFETY: plain calls.
        unsafe {
            libc::write(2, line.as_ptr().cast(), line.len());
            libc::abort()
        }
    }
    thrower
}

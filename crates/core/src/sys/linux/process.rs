//! The process: its environment, its messages, its files, its end.

use super::call::{auxiliary, ok, syscall};
use super::{bare, futex, memory};
use core::arch::asm;
use core::ffi::{CStr, c_char, c_void};
use core::ptr::{self, NonNull};
use core::slice;

unsafe extern "C" {
    static environ: *const *const c_char;
}

/// Whether the process was started with more rights than who started it (setuid, setgid, capabilities).
pub(crate) fn has_raised_rights() -> bool {
    auxiliary(libc::AT_SECURE) != 0
}

/// Whether the calling thread may do something that the process's first thread may not: the kernel keeps rights by
/// thread, and those of a thread that the C library does not know stay as they were when the process drops its own.
pub(crate) fn exceeds_process_rights() -> bool {
    let (own, first) = (capabilities(0), capabilities(id() as usize));
    match (own, first) {
        (Some(own), Some(first)) => own.iter().zip(first).any(|(own, first)| own & !first != 0),
        _ => false,
    }
}

/// Capabilities in force and permitted of thread `id` (0: the calling one), two words each. `None`: not told.
fn capabilities(id: usize) -> Option<[u32; 4]> {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, id as u32];
    // Twice: in force, permitted, inheritable.
    let mut sets = [[0u32; 3]; 2];
    let (header, data) = (header.as_mut_ptr(), sets.as_mut_ptr());
    let arguments = [
        header.expose_provenance(),
        data.expose_provenance(),
        0,
        0,
        0,
        0,
    ];
    // SAFETY: the kernel reads and writes the header and writes both sets.
    ok(unsafe { syscall(libc::SYS_capget, arguments) })?;
    Some([sets[0][0], sets[0][1], sets[1][0], sets[1][1]])
}

/// The value of an environment variable, with a zero byte behind it; `None` also in a process with raised rights.
pub(crate) fn environment(name: &[u8]) -> Option<&'static [u8]> {
    if has_raised_rights() {
        return None;
    }
    // SAFETY: the C library's list, ended by null. We read it once, at the first allocation, when a
    // program that changes it in another thread would be in error itself.
    unsafe {
        let mut entry = environ;
        if entry.is_null() {
            return None;
        }
        while !(*entry).is_null() {
            let text = CStr::from_ptr(*entry).to_bytes();
            if let Some(value) = text
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(b"="))
            {
                return Some(value);
            }
            entry = entry.add(1);
        }
    }
    None
}

/// The value of a program's variable, by the names it may have: null unless the program defines one of them, and sets
/// it before the first allocation.
macro_rules! linked {
    ($($name:literal),*) => {{
        let mut text: *const c_char = ptr::null();
        // Miri knows no weak symbols.
        #[cfg(not(all(test, miri)))]
        $(if text.is_null() {
            let variable: *const *const c_char;
            // SAFETY: loads the address of a weak symbol, zero where nobody defines it.
            unsafe {
                asm!(
                    concat!(".weak ", $name),
                    concat!("mov {0}, qword ptr [rip + ", $name, "@GOTPCREL]"),
                    out(reg) variable,
                    options(pure, readonly, nostack, preserves_flags),
                );
            }
            if !variable.is_null() {
                // SAFETY: whoever defines a variable of that name means jemalloc's: a pointer to a C string, or null.
                text = unsafe { *variable };
            }
        })*
        text
    }};
}

/// The texts of the variables `malloc_conf` and `malloc_conf_2_conf_harder`, with a zero byte behind each.
pub(crate) fn linked_options() -> [Option<&'static [u8]>; 2] {
    let text = |text: *const c_char| {
        // SAFETY: a C string by the variable's contract, which lives as long as the program.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
    };
    [
        text(linked!("malloc_conf", "_rjem_malloc_conf")),
        text(linked!(
            "malloc_conf_2_conf_harder",
            "_rjem_malloc_conf_2_conf_harder"
        )),
    ]
}

/// The text of the symbolic link at `path`, up to 4 KiB of it, with a zero byte behind it in memory that is kept for
/// good; `None` where there is no link, which takes no memory.
pub(crate) fn link_text(path: &CStr) -> Option<&'static [u8]> {
    const ROOM: usize = 4096;
    const LONGEST: usize = ROOM - 1;
    let read = |buffer: *mut u8, len: usize| {
        let (at, path) = (libc::AT_FDCWD as usize, path.as_ptr().expose_provenance());
        let arguments = [at, path, buffer.expose_provenance(), len, 0, 0];
        // SAFETY: the kernel reads the path and writes at most `len` bytes: both callers lend as many.
        ok(unsafe { syscall(libc::SYS_readlinkat, arguments) })
    };
    let mut first = 0;
    read(&raw mut first, 1)?;
    let page = memory::map(ROOM)?.as_ptr();
    let len = read(page, LONGEST)?;
    // SAFETY: `len` bytes of a mapping of our own, which nobody writes or unmaps.
    Some(unsafe { slice::from_raw_parts(page, len.min(LONGEST)) })
}

/// What a program may define to get messages: a pointer to a function, which is given null and a C string.
type MessageFunction = unsafe extern "C" fn(*mut c_void, *const c_char);

/// What the program defines as `malloc_message`.
fn message_function() -> Option<MessageFunction> {
    let message = linked!("malloc_message", "_rjem_malloc_message");
    // SAFETY: whoever defines a variable of that name means jemalloc's: a pointer to such a function, or null.
    unsafe { core::mem::transmute::<*const c_char, Option<MessageFunction>>(message) }
}

/// Whether the program takes messages itself.
pub(crate) fn has_message_function() -> bool {
    message_function().is_some()
}

/// Gives `text` to the program's function `malloc_message`, or else to standard error: so does the bare thread, which runs no
/// code of the program's.
pub(crate) fn write_error(text: &[u8]) {
    match message_function().filter(|_| !bare::is_current()) {
        None => write_to_error(text),
        Some(message) => {
            const PIECE: usize = 512;
            for part in text.chunks(PIECE - 1) {
                let mut piece = [0; PIECE];
                piece[..part.len()].copy_from_slice(part);
                // SAFETY: the program's function takes C strings.
                keep_errno(|| unsafe { message(ptr::null_mut(), piece.as_ptr().cast()) });
            }
        }
    }
}

/// Writes all of `text` to standard error, as far as it goes. May be called in a signal handler: `errno` stays.
pub(crate) fn write_to_error(mut text: &[u8]) {
    while !text.is_empty() {
        // SAFETY: the kernel reads the slice.
        let written = unsafe {
            syscall(
                libc::SYS_write,
                [2, text.as_ptr().expose_provenance(), text.len(), 0, 0, 0],
            )
        };
        match ok(written) {
            Some(count) if count > 0 => text = &text[count.min(text.len())..],
            _ if written == -(libc::EINTR as isize) => {}
            _ => return,
        }
    }
}

/// Ends the process by SIGABRT.
pub(crate) fn abort() -> ! {
    if bare::is_current() {
        // The C library takes the caller for a thread of its own, and so does a handler of the program's: another
        // thread may take the signal.
        let mut signal = libc::SIGABRT;
        loop {
            // SAFETY: plain calls.
            unsafe { syscall(libc::SYS_kill, [id() as usize, signal as usize, 0, 0, 0, 0]) };
            futex::pause(1_000_000_000);
            // Ignored, or blocked by all threads: what nobody can ignore.
            signal = libc::SIGKILL;
        }
    }
    // SAFETY: plain call.
    unsafe { libc::abort() }
}

/// Ends the process at once, with nothing of what was to be done at its end.
pub(crate) fn exit_now(status: i32) -> ! {
    loop {
        // SAFETY: plain call, which does not return.
        unsafe { syscall(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]) };
    }
}

/// Has `body` called when the process leaves through `exit`, after what is registered later. May allocate from us.
/// `false`: refused.
pub(crate) fn at_exit(body: extern "C" fn()) -> bool {
    // SAFETY: plain call; the function lives as long as the program.
    unsafe { libc::atexit(body) == 0 }
}

/// Number of this process.
pub(crate) fn id() -> u32 {
    // SAFETY: plain call.
    unsafe { syscall(libc::SYS_getpid, [0; 6]) as u32 }
}

/// Bytes of addresses that the process may have mapped. `None`: the system sets no bound.
pub(crate) fn address_space_limit() -> Option<usize> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: a limit to fill in.
    let told = unsafe { libc::getrlimit(libc::RLIMIT_AS, &mut limit) } == 0;
    (told && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur as usize)
}

/// Whether there is a process of that number, as far as this one can see. One that has ended and that its parent has not
/// heard of yet is there.
pub(crate) fn is_there(process: u32) -> bool {
    let gone = -(libc::ESRCH as isize);
    // SAFETY: signal 0 is sent to nobody.
    i32::try_from(process).is_ok_and(|process| unsafe {
        syscall(libc::SYS_kill, [process as usize, 0, 0, 0, 0, 0]) != gone
    })
}

/// The current folder, put into `place`. `None`: its path is longer, or it has none.
pub(crate) fn folder(place: &mut [u8]) -> Option<&[u8]> {
    let (at, len) = (place.as_mut_ptr().expose_provenance(), place.len());
    // SAFETY: the kernel writes at most as many bytes.
    let filled = ok(unsafe { syscall(libc::SYS_getcwd, [at, len, 0, 0, 0, 0]) })?;
    let folder = place.get(..filled)?.strip_suffix(b"\0")?;
    // One that is not below the root is told otherwise.
    folder.starts_with(b"/").then_some(folder)
}

/// Writes the calling thread's name, as the system has it, and a zero byte.
pub(crate) fn thread_name(name: &mut [u8; 16]) {
    let place = name.as_mut_ptr().expose_provenance();
    // SAFETY: the kernel writes at most 16 bytes.
    unsafe {
        syscall(
            libc::SYS_prctl,
            [libc::PR_GET_NAME as usize, place, 0, 0, 0, 0],
        )
    };
}

/// A number that nobody can foresee, the same all the life of a process and in its forked children.
pub(crate) fn random_word() -> u64 {
    let place = ptr::with_exposed_provenance::<u64>(auxiliary(libc::AT_RANDOM));
    if place.is_null() {
        return 0;
    }
    // SAFETY: the kernel puts 16 bytes there, for good.
    unsafe { place.read_unaligned() }
}

/// Whether this is the thread that the process began with.
pub(crate) fn is_first_thread() -> bool {
    thread_id() == id() as usize
}

/// Number of the calling thread, as the system counts.
pub(super) fn thread_id() -> usize {
    // SAFETY: plain call.
    unsafe { syscall(libc::SYS_gettid, [0; 6]) as usize }
}

/// Puts a new file of `len` zero bytes at `path`, in place of what was there, and maps it shared. `None`: refused.
///
/// The bytes are reserved: a file system that fills up later cannot make a store to the mapping fail.
pub(crate) fn map_new_file(path: &CStr, len: usize) -> Option<NonNull<u8>> {
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    let access = (libc::PROT_READ | libc::PROT_WRITE) as usize;
    let path = path.as_ptr().expose_provenance();
    // SAFETY: the path is a C string; the descriptor is closed before return; the mapping is new.
    unsafe {
        let at = libc::AT_FDCWD as usize;
        syscall(libc::SYS_unlinkat, [at, path, 0, 0, 0, 0]);
        let create = [at, path, flags as usize, 0o600, 0, 0];
        let file = ok(syscall(libc::SYS_openat, create))?;
        let reserved = ok(syscall(libc::SYS_fallocate, [file, 0, 0, len, 0, 0]));
        let mapped = reserved.and_then(|_| {
            let shared = libc::MAP_SHARED as usize;
            ok(syscall(libc::SYS_mmap, [0, len, access, shared, file, 0]))
        });
        syscall(libc::SYS_close, [file, 0, 0, 0, 0, 0]);
        NonNull::new(ptr::with_exposed_provenance_mut(mapped?))
    }
}

/// 64 bits that nobody can foretell, as far as the system has them: a kernel that has none yet, or refuses, gives way to what
/// differs from process to process.
pub(crate) fn random() -> u64 {
    const NOT_BLOCKING: usize = 1;
    let mut bytes = [0u8; 8];
    let place = bytes.as_mut_ptr().expose_provenance();
    let arguments = [place, bytes.len(), NOT_BLOCKING, 0, 0, 0];
    // SAFETY: the kernel writes at most the array.
    let given = ok(unsafe { syscall(libc::SYS_getrandom, arguments) });
    if given == Some(bytes.len()) {
        return u64::from_le_bytes(bytes);
    }
    random_word() ^ u64::from(id()).rotate_left(32) ^ (place as u64).rotate_left(8)
}

/// Runs `body` and puts `errno` back as it was.
pub(crate) fn keep_errno<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: the C library's own per-thread word.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let before = unsafe { *errno };
    let result = body();
    // SAFETY: as above; same thread.
    unsafe { *errno = before };
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::CString;
    use std::{env, format, fs};

    #[test]
    fn a_links_text_is_read_and_anything_else_is_none() {
        let path = env::temp_dir().join(format!("jemoxide-link-{}", id()));
        let name = CString::new(path.to_str().unwrap()).unwrap();
        assert_eq!(link_text(&name), None);
        std::os::unix::fs::symlink("narenas:2,thp:never", &path).unwrap();
        let text = link_text(&name);
        fs::remove_file(&path).unwrap();
        assert_eq!(text, Some(&b"narenas:2,thp:never"[..]));
        assert_eq!(link_text(c"/"), None);
    }
}

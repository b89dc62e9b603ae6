//! Any text as the files of control groups.
#![no_main]

use std::ffi::CString;
use std::io::{Seek, Write};
use std::os::fd::AsRawFd;
use std::sync::LazyLock;
use std::{fs, io};

/// A file without a name, and a path to it.
static FILE: LazyLock<(fs::File, CString)> = LazyLock::new(|| {
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_TMPFILE)
        .open(std::env::temp_dir())
        .expect("a file in the folder for such");
    let path = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()));
    (file, path.expect("without zeros"))
});

fn fill(mut file: &fs::File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (file, path) = &*FILE;
    fill(file, bytes).expect("there is room");
    jemoxide::container_text(bytes, path);
});

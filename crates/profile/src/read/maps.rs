//! Maps: which file lies where, from the copy of `/proc/PID/maps` that a dump ends with.
//!
//! Only executable parts are kept: return addresses lie nowhere else. A line that is none is passed over, as every
//! reader of these files does: the kernel may add to them.

use crate::model::Module;

use super::lines::{hexadecimal, words};

/// The heading before the maps, as jemalloc writes it.
pub(super) const HEADING: &[u8] = b"MAPPED_LIBRARIES:";
/// The same, as older profilers write it.
pub(super) const OTHER_HEADING: &[u8] = b"--- Memory map:";

/// The module of a line `start-end perms offset device inode path`, or of the short form `start-end: path`.
pub(super) fn module(text: &[u8]) -> Option<Module> {
    let mut rest = words(text);
    let range = rest.next()?;
    if let Some(range) = range.strip_suffix(b":") {
        return Some(Module {
            addresses: addresses(range)?,
            path: path_after(text, 1).into(),
            ..Module::default()
        });
    }
    let addresses = addresses(range)?;
    let permissions = rest.next()?;
    let offset = hexadecimal(rest.next()?)?;
    let _device = rest.next()?;
    let inode = super::lines::decimal(rest.next()?)?;
    if !permissions.contains(&b'x') {
        return None;
    }
    let path = path_after(text, 5);
    Some(Module {
        addresses,
        offset,
        inode,
        path: if path.is_empty() {
            "[anonymous]".into()
        } else {
            path.into()
        },
        build_id: Vec::new(),
    })
}

fn addresses(range: &[u8]) -> Option<std::ops::Range<u64>> {
    let dash = range.iter().position(|&byte| byte == b'-')?;
    let (start, end) = (
        hexadecimal(&range[..dash])?,
        hexadecimal(&range[dash + 1..])?,
    );
    (start < end).then_some(start..end)
}

/// What follows the first `count` words, blanks inside it kept: a path may have some.
fn path_after(mut text: &[u8], count: usize) -> String {
    for _ in 0..count {
        let end = text
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(text.len());
        text = text[end..].trim_ascii_start();
    }
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executable_lines_become_modules() {
        let line =
            b"55c0f07d2000-55c0f07d3000 r-xp 00001000 fe:00 18504    /opt/my app/x (deleted)";
        let found = module(line).expect("a module");
        assert_eq!(found.addresses, 0x55c0_f07d_2000..0x55c0_f07d_3000);
        assert_eq!((found.offset, found.inode), (0x1000, 18504));
        assert_eq!(&*found.path, "/opt/my app/x (deleted)");
        assert_eq!(module(b"1000-2000 r--p 00000000 fe:00 1 /x"), None);
        assert_eq!(module(b"2000-1000 r-xp 00000000 fe:00 1 /x"), None);
        assert_eq!(module(b"whatever this is"), None);
        assert_eq!(
            module(b"1000-2000 rwxp 00000000 00:00 0").map(|module| module.path),
            Some("[anonymous]".into())
        );
        assert_eq!(
            module(b"1000-2000: /usr/lib/x.so").map(|module| module.path),
            Some("/usr/lib/x.so".into())
        );
    }
}

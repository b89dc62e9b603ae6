//! Text: what the files of control groups say, as values. Pure: bytes in, numbers out.
//!
//! ```text
//! /proc/self/cgroup      4:memory:/pods/a          0::/pods/a
//! /proc/self/mountinfo   35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
//! memory.max             536870912 | max           cpu.max     150000 100000 | max 100000
//! memory.stat, .events   key number                 .pressure   some avg10=0.00 ... total=123
//! ```
//! T1  What is not understood is no limit: garbage never bounds anything.
//! T2  A number too large for 64 bits is the largest there is.
//! Source: the kernel's Documentation/admin-guide/cgroup-v1, cgroup-v2.rst; proc(5).
#![deny(unsafe_code)]

/// Limits from here on mean that there is none: version 1 writes 2^63 rounded down to a page.
const NO_LIMIT: u64 = 1 << 60;

/// The kernel's two ways to lay groups out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    /// A tree for each controller, or a few of them. From one on: zero is none.
    One = 1,
    /// One tree for all.
    Two,
}

/// What limits hang on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Controller {
    Memory,
    Cpu,
}

impl Controller {
    const fn name(self) -> &'static [u8] {
        match self {
            Self::Memory => b"memory",
            Self::Cpu => b"cpu",
        }
    }

    fn is_in(self, list: &[u8]) -> bool {
        list.split(|&byte| byte == b',')
            .any(|word| word == self.name())
    }
}

/// The group that a line of `/proc/self/cgroup` names, if it is one that `controller` could go by.
pub(super) fn group(line: &[u8], controller: Controller) -> Option<(Version, &[u8])> {
    let mut parts = line.splitn(3, |&byte| byte == b':');
    let (number, list, path) = (parts.next()?, parts.next()?, parts.next()?);
    if path.first() != Some(&b'/') {
        return None;
    }
    match list {
        b"" if number == b"0" => Some((Version::Two, path)),
        list if controller.is_in(list) => Some((Version::One, path)),
        _ => None,
    }
}

/// A line of `/proc/self/mountinfo` that is about groups; both paths are escaped, see [`unescaped`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Mount<'a> {
    pub(super) version: Version,
    /// The group that is seen at `point`.
    pub(super) root: &'a [u8],
    pub(super) point: &'a [u8],
}

/// The mount that a line is about, if `controller` goes by it.
pub(super) fn mount(line: &[u8], controller: Controller) -> Option<Mount<'_>> {
    let mut fields = line.split(|&byte| byte == b' ');
    let (root, point) = (fields.nth(3)?, fields.next()?);
    // Options, and any number of optional fields before the dash.
    fields.find(|&field| field == b"-")?;
    let (kind, options) = (fields.next()?, fields.nth(1)?);
    let version = match kind {
        b"cgroup2" => Version::Two,
        b"cgroup" if controller.is_in(options) => Version::One,
        _ => return None,
    };
    (root.first() == Some(&b'/') && point.first() == Some(&b'/')).then_some(Mount {
        version,
        root,
        point,
    })
}

/// The bytes of a path that stands escaped in mountinfo: `\040` is a space.
pub(super) fn unescaped(path: &[u8]) -> impl Iterator<Item = u8> + Clone + '_ {
    let mut rest = path;
    core::iter::from_fn(move || {
        let (&first, behind) = rest.split_first()?;
        if let [
            b'\\',
            a @ b'0'..=b'3',
            b @ b'0'..=b'7',
            c @ b'0'..=b'7',
            behind @ ..,
        ] = rest
        {
            rest = behind;
            return Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
        }
        rest = behind;
        Some(first)
    })
}

/// A number that stands alone (T2).
pub(super) fn number(text: &[u8]) -> Option<u64> {
    let digits = text.trim_ascii();
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |sum, &digit| {
        digit.is_ascii_digit().then(|| {
            sum.saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

/// A limit in bytes; `max`, the numbers that version 1 means by it, and garbage are none.
pub(super) fn limit(text: &[u8]) -> Option<u64> {
    number(text).filter(|&bytes| bytes < NO_LIMIT)
}

/// Processors that `quota` microseconds in each period of `period` are, rounded up, at least one.
pub(super) fn processors(quota: u64, period: u64) -> Option<usize> {
    (period > 0).then(|| usize::try_from(quota.div_ceil(period).max(1)).unwrap_or(usize::MAX))
}

/// Processors by a line of `cpu.max`: quota and period.
pub(super) fn cpu_max(text: &[u8]) -> Option<usize> {
    let mut words = text.trim_ascii().split(|&byte| byte == b' ');
    processors(number(words.next()?)?, number(words.next()?)?)
}

/// The number of a line `key number`.
pub(super) fn keyed(line: &[u8], key: &[u8]) -> Option<u64> {
    number(line.strip_prefix(key)?.strip_prefix(b" ")?)
}

/// Microseconds that tasks were stalled, by a line `some avg10=... total=number`; `kind` is `some` or `full`.
pub(super) fn stalled_us(line: &[u8], kind: &[u8]) -> Option<u64> {
    let fields = line.strip_prefix(kind)?.strip_prefix(b" ")?;
    fields
        .split(|&byte| byte == b' ')
        .find_map(|field| number(field.strip_prefix(b"total=")?))
}

#[cfg(test)]
#[path = "tests/text.rs"]
mod tests;

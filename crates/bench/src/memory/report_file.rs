//! Report file: what an allocator tells about itself, read from the file that the option `report_dir`
//! makes it keep. Its layout is that of `stats::report` in the crate: 64-bit words, six of a head, then
//! the snapshot at the peak, then the latest one. Only the first words of the peak are read here.

use std::path::Path;

/// First word of the file.
const MAGIC: u64 = u64::from_le_bytes(*b"JEMOXRPT");

/// The layout that is known here.
const LAYOUT: u64 = 2;

/// Words before the snapshot at the peak.
const HEAD_WORDS: usize = 6;

/// How often to try when the file is being written at that moment.
const TRIES: usize = 100;

/// The allocator's books at the peak of `active`, in bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Books {
    /// Pages of live objects.
    pub(crate) active: u64,
    /// Idle pages that are still there.
    pub(crate) dirty: u64,
    /// Idle pages that the system may take.
    pub(crate) muzzy: u64,
    /// The allocator's own records.
    pub(crate) metadata: u64,
}

impl Books {
    /// Own records in percent of all mapped bytes (without the address range kept without memory).
    pub(crate) fn metadata_percent(&self) -> f64 {
        let mapped = self.active + self.dirty + self.muzzy + self.metadata;
        self.metadata as f64 / mapped.max(1) as f64 * 100.0
    }
}

/// Reads `file`; `None` if it isn't there, is of another layout, or never holds still.
pub(crate) fn read(file: &Path) -> Option<Books> {
    (0..TRIES).find_map(|_| parse(&std::fs::read(file).ok()?))
}

fn parse(bytes: &[u8]) -> Option<Books> {
    let words: Vec<u64> = bytes
        .chunks_exact(8)
        .map(|chunk| chunk.try_into().map(u64::from_ne_bytes))
        .collect::<Result<_, _>>()
        .ok()?;
    let [magic, layout, sequence] = *words.first_chunk::<3>()?;
    if magic != MAGIC || layout != LAYOUT || sequence % 2 == 1 {
        return None;
    }
    // allocated, active, dirty, muzzy, retained, metadata
    let peak = words.get(HEAD_WORDS..HEAD_WORDS + 6)?;
    Some(Books {
        active: peak[1],
        dirty: peak[2],
        muzzy: peak[3],
        metadata: peak[5],
    })
}

#[cfg(test)]
mod tests {
    use super::{Books, LAYOUT, MAGIC, parse};

    fn file(sequence: u64) -> Vec<u8> {
        let words = [MAGIC, LAYOUT, sequence, 7, 0, 0, 50, 90, 4, 1, 1000, 5, 0];
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn the_peak_is_read_and_a_file_in_motion_is_not() {
        let books = parse(&file(2)).unwrap();
        let expected = Books {
            active: 90,
            dirty: 4,
            muzzy: 1,
            metadata: 5,
        };
        assert_eq!(books, expected);
        assert_eq!(books.metadata_percent(), 5.0);
        assert_eq!(parse(&file(3)), None);
        assert_eq!(parse(&file(2)[8..]), None);
    }
}

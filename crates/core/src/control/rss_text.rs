//! RSS text: the report of where the memory is, as JSON for a C program, in memory of our own.
//!
//! X1  There is one text, ended by zero. Who asks anew, in any thread, puts the new one in its place; a program that
//!     asks from several threads copies it, or asks from one.
//! X2  The system is asked before the lock is taken.

use crate::stats::accounts;
use crate::stats::rss::RssReport;
use crate::sync::Mutex;
use core::ffi::c_char;
use core::fmt;

/// Bytes of the text: every field at its longest fits.
const CAPACITY: usize = 1024;

struct Text {
    bytes: [u8; CAPACITY],
    len: usize,
}

static TEXT: Mutex<Text, 0> = Mutex::new(Text {
    bytes: [0; CAPACITY],
    len: 0,
});

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // The last byte stays zero.
        let room = self.bytes.len() - 1 - self.len;
        let text = text.as_bytes();
        let rest = self
            .bytes
            .get_mut(self.len..self.len + text.len().min(room));
        let place = rest.ok_or(fmt::Error)?;
        if place.len() < text.len() {
            return Err(fmt::Error);
        }
        place.copy_from_slice(text);
        self.len += text.len();
        Ok(())
    }
}

/// Puts the report of this moment into the text; answers where that is. Called inside a passage, no lock held.
pub(super) fn render() -> *const c_char {
    let mut report = RssReport::default();
    accounts::take(&mut report);
    let mut text = TEXT.lock();
    text.bytes.fill(0);
    text.len = 0;
    // It fits: see the test.
    let _ = report.write_json(&mut *text);
    text.bytes.as_ptr().cast()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_report_fits() {
        let longest = u64::MAX;
        let report = RssReport {
            rss: longest,
            live: longest,
            internal_slack: longest,
            free_slots: longest,
            thread_caches: longest,
            depot: longest,
            run_cache: longest,
            dirty: longest,
            muzzy: longest,
            huge_rounding: longest,
            arenas: longest,
            metadata: longest,
            stacks: longest,
            files: longest,
            other: longest,
            unexplained: i64::MIN,
            live_untouched: longest,
            slots_untouched: longest,
            retained: longest,
            swapped: longest,
            is_measured: 0,
            is_divided: 0,
        };
        let mut text = Text {
            bytes: [0; CAPACITY],
            len: 0,
        };
        report.write_json(&mut text).unwrap();
        assert!(text.bytes[..text.len].ends_with(b"}"));
        assert_eq!(text.bytes[CAPACITY - 1], 0);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let mut text = Text {
            bytes: [0; CAPACITY],
            len: CAPACITY - 4,
        };
        assert!(fmt::Write::write_str(&mut text, "123").is_ok());
        assert!(fmt::Write::write_str(&mut text, "4").is_err());
        assert_eq!(text.bytes[CAPACITY - 1], 0);
    }
}

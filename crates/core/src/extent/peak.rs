//! Peak: the most pages that were active lately.
//!
//! A program that needed so much a moment ago is likely to need it again, and its process is no larger for
//! keeping it than it just was. What may idle by amount is therefore measured by the peak.
//!
//! ```text
//! active   /\  /\    /\
//!         /  \/  \  /  \___________      peak: the highest of this window and the last,
//!                                        so for one to two seconds what the waves need,
//! peak    ----------------------\____    then what is left
//! ```
//! P1  Between two windows the peak does not fall.
//! P2  Two windows after the last wave the peak is what is active.
//! Units: nanoseconds since boot, pages. Lock: the caller holds the page heap's lock. Pure arithmetic.

/// Length of a window.
const WINDOW_NS: u64 = 1_000_000_000;

/// The highest number of active pages of this window and the last.
pub(super) struct Peak {
    this: usize,
    last: usize,
    /// When this window began.
    begin_ns: u64,
}

impl Peak {
    pub(super) const fn new() -> Self {
        Self {
            this: 0,
            last: 0,
            begin_ns: 0,
        }
    }

    /// Pages of the peak, as far as [`Peak::note`] was told.
    #[inline]
    pub(super) const fn pages(&self) -> usize {
        if self.this > self.last {
            self.this
        } else {
            self.last
        }
    }

    /// Notes that `active` pages are active. To be called before the number falls.
    #[inline(always)]
    pub(super) fn note(&mut self, active: usize) {
        if active > self.this {
            self.this = active;
        }
    }

    /// Passes the windows that ended by `now_ns`, `active` pages being active.
    pub(super) fn advance(&mut self, now_ns: u64, active: usize) {
        self.note(active);
        let windows = now_ns.saturating_sub(self.begin_ns) / WINDOW_NS;
        if windows > 0 {
            self.begin_ns += windows * WINDOW_NS;
            self.last = if windows == 1 { self.this } else { active };
            self.this = active;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::simulated::dice::rounds;

    #[test]
    fn the_peak_is_the_highest_of_this_window_and_the_last() {
        // The naive twin keeps every number of every window.
        let mut windows = std::vec![std::vec![0]];
        let (mut peak, mut now, mut seed) = (Peak::new(), 0, 5u64);
        let mut random = move |below: u64| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) % below
        };
        let mut active = 0;
        for _ in 0..rounds(20_000) {
            peak.note(active);
            active = random(1000) as usize;
            now += match random(20) {
                0 => random(3) * WINDOW_NS,
                _ => random(WINDOW_NS / 10),
            };
            let last = windows.len() - 1;
            windows[last].push(active);
            peak.advance(now, active);
            while windows.len() <= (now / WINDOW_NS) as usize {
                windows.push(std::vec![active]);
            }
            let expected = windows.iter().rev().take(2).flatten().max();
            assert_eq!(Some(&peak.pages()), expected);
        }
    }
}

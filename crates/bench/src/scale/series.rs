//! Series: what grows, in which steps, and which figures each step tells.

/// One series.
#[derive(Debug)]
pub(super) struct Series {
    /// Name on the command line and in the tables.
    pub(super) name: &'static str,
    /// What the sizes count.
    pub(super) counts: &'static str,
    full: &'static [u64],
    quick: &'static [u64],
    /// A size for a test.
    #[cfg(test)]
    pub(super) tiny: u64,
    /// What a step tells.
    pub(super) figures: &'static [Figure],
}

/// One figure of a step.
#[derive(Debug)]
pub(super) struct Figure {
    /// Name in what the step tells.
    pub(super) name: &'static str,
    /// Key of the row that says how much it grew.
    pub(super) key: &'static str,
    /// What it is.
    pub(super) about: &'static str,
    pub(super) unit: Unit,
}

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Unit {
    Nanoseconds,
    Kibibytes,
}

impl Unit {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nanoseconds => "ns",
            Self::Kibibytes => "KiB",
        }
    }
}

const fn ns(name: &'static str, key: &'static str, about: &'static str) -> Figure {
    Figure {
        name,
        key,
        about,
        unit: Unit::Nanoseconds,
    }
}

/// All series, in table order.
pub(super) const SERIES: &[Series] = &[
    Series {
        name: "threads",
        counts: "threads at work",
        full: &[1, 2, 4, 8, 16, 32, 64],
        quick: &[1, 8, 64],
        #[cfg(test)]
        tiny: 3,
        figures: &[
            ns("own", "scale-threads-own", "malloc and free on one thread"),
            ns(
                "handed",
                "scale-threads-handed",
                "malloc, hand-over in batches and free by another thread",
            ),
        ],
    },
    Series {
        name: "live-objects",
        counts: "live objects of 16 to 240 bytes",
        full: &[10_000, 100_000, 1_000_000, 10_000_000],
        quick: &[10_000, 1_000_000],
        #[cfg(test)]
        tiny: 1000,
        figures: &[
            ns(
                "allocate",
                "scale-live-allocate",
                "one more object, in fresh memory",
            ),
            ns(
                "replace",
                "scale-live-replace",
                "replacing a random object, less touching it",
            ),
            ns(
                "free",
                "scale-live-free",
                "freeing all in random order, less touching them",
            ),
        ],
    },
    Series {
        name: "idle-threads",
        counts: "threads alive and idle, which used 64 sizes each",
        full: &[100, 1000, 10_000],
        quick: &[100, 1000],
        #[cfg(test)]
        tiny: 5,
        figures: &[
            ns(
                "start",
                "scale-idle-start",
                "start of a thread and its first use of 64 sizes",
            ),
            ns(
                "one_more",
                "scale-idle-one-more",
                "one more thread beside them, started, used and ended",
            ),
            ns("end", "scale-idle-end", "end of a thread"),
            Figure {
                name: "rss",
                key: "scale-idle-rss",
                about: "resident memory a thread, stack included",
                unit: Unit::Kibibytes,
            },
        ],
    },
    Series {
        name: "mapped",
        counts: "GiB mapped in blocks of 64 MiB, not touched",
        full: &[1, 4, 16, 64, 100],
        quick: &[1, 16, 100],
        #[cfg(test)]
        tiny: 1,
        figures: &[
            ns("map", "scale-mapped-map", "one more block of 64 MiB"),
            ns(
                "small",
                "scale-mapped-small",
                "bursts of 1000 objects of 16 to 1024 bytes, a pair",
            ),
            ns("middle", "scale-mapped-middle", "100 to 340 KB, a pair"),
            ns("large", "scale-mapped-large", "10 to 20 MiB, a pair"),
            ns("unmap", "scale-mapped-unmap", "freeing one of the blocks"),
        ],
    },
];

/// The series `name`.
pub(super) fn find(name: &str) -> Option<&'static Series> {
    SERIES.iter().find(|series| series.name == name)
}

impl Series {
    /// The sizes of its steps, smallest first.
    pub(super) fn sizes(&self, quick: bool) -> &'static [u64] {
        if quick { self.quick } else { self.full }
    }

    /// A size as it stands in a table.
    pub(super) fn size_title(&self, size: u64) -> String {
        let digits = size.to_string();
        let mut title = String::new();
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index) % 3 == 0 {
                title.push(' ');
            }
            title.push(digit);
        }
        title
    }
}

#[cfg(test)]
mod tests {
    use super::SERIES;

    #[test]
    fn steps_grow_and_quick_ones_are_among_them() {
        for series in SERIES {
            assert!(series.full.windows(2).all(|pair| pair[0] < pair[1]));
            assert!(series.quick.iter().all(|size| series.full.contains(size)));
            assert!(series.quick.len() > 1, "no growth without two sizes");
        }
    }

    #[test]
    fn long_numbers_are_readable() {
        assert_eq!(SERIES[0].size_title(10_000_000), "10 000 000");
        assert_eq!(SERIES[0].size_title(999), "999");
    }
}

//! Flags: the one place where the flag word of the extended calls is taken apart.
//!
//! ```text
//! bits 0..6   base-2 logarithm of the alignment, 0 for none      MALLOCX_LG_ALIGN
//! bit  6      zero                                               MALLOCX_ZERO
//! bits 8..20  explicit cache + 2; 1 is "none"                    MALLOCX_TCACHE
//! bits 20..32 arena + 1                                          MALLOCX_ARENA
//! ```
//! Source: jemalloc(3) "Non-standard API"; the installed header's macros.
#![deny(unsafe_code)]

/// A flag word, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flags {
    /// Alignment in bytes, a power of two; 1 for none.
    pub align: usize,
    /// Whether the memory is to read zero.
    pub zero: bool,
    /// Whether thread caches are to be passed by.
    pub uncached: bool,
    /// The explicit cache asked for.
    pub cache: Option<u32>,
    /// The arena asked for.
    pub arena: Option<u32>,
}

impl Flags {
    /// Takes `word` apart.
    #[inline(always)]
    pub const fn new(word: i32) -> Self {
        let word = word as u32;
        let cache = word >> 8 & 0xfff;
        let arena = word >> 20;
        Self {
            align: 1 << (word & 0x3f),
            zero: word & 0x40 != 0,
            uncached: cache == 1,
            cache: if cache >= 2 { Some(cache - 2) } else { None },
            arena: if arena >= 1 { Some(arena - 1) } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_out_as_the_macros_put_it_in() {
        let plain = Flags {
            align: 1,
            zero: false,
            uncached: false,
            cache: None,
            arena: None,
        };
        assert_eq!(Flags::new(0), plain);
        for lg in 0..63 {
            assert_eq!(
                Flags::new(lg),
                Flags {
                    align: 1 << lg,
                    ..plain
                }
            );
        }
        assert_eq!(
            Flags::new(0x40),
            Flags {
                zero: true,
                ..plain
            }
        );
        assert_eq!(
            Flags::new((-1 + 2) << 8),
            Flags {
                uncached: true,
                ..plain
            }
        );
        assert_eq!(
            Flags::new((4093 + 2) << 8),
            Flags {
                cache: Some(4093),
                ..plain
            }
        );
        assert_eq!(
            Flags::new(((4094u32 + 1) << 20) as i32),
            Flags {
                arena: Some(4094),
                ..plain
            }
        );
        let all = Flags {
            align: 64,
            zero: true,
            uncached: false,
            cache: Some(0),
            arena: Some(0),
        };
        assert_eq!(Flags::new(6 | 0x40 | 2 << 8 | 1 << 20), all);
    }
}

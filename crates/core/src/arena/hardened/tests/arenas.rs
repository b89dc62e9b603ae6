//! Objects of arenas made by request, beside a list of them: figures, resets, samples, messages.

use super::*;
use crate::arena::hardened::figures::{HardFigures, pages_of};
use std::collections::BTreeSet;
use std::format;

/// Indexes of arenas: automatic, and made by request.
const ARENAS: [usize; 3] = [0, 5, 4094];

/// What the arenas hold.
struct List {
    live: Vec<(usize, *mut u8, usize)>,
    /// Those of arenas made by request that were freed or discarded, of each.
    gone: [u64; 3],
    dice: Dice,
    samples: u32,
}

impl List {
    fn step(&mut self) {
        if self.dice.below(5) < 3 || self.live.is_empty() {
            let (at, bytes) = (self.dice.below(3), self.dice.bytes());
            let object = alloc(&ask(bytes, self.dice.align()).of_arena(ARENAS[at])).unwrap();
            assert_eq!(arena_of(object), Some(ARENAS[at]));
            self.live.push((at, object, bytes));
        } else {
            let (at, object, bytes) = self.live.swap_remove(self.dice.below(self.live.len()));
            let now = bytes * (3 + self.dice.below(3)) / 4;
            if self.dice.below(4) == 0 && resize(object, now, None) {
                self.gone[at] += 1;
                assert_eq!(arena_of(object), Some(ARENAS[at]));
                return self.live.push((at, object, now));
            }
            assert_eq!(dealloc(object, &FREE), Some(Ok(bytes)));
            self.gone[at] += 1;
        }
    }

    /// Makes some of the live objects of an arena samples; their numbers.
    fn attach_some(&mut self, at: usize) -> BTreeSet<u32> {
        let (samples, dice) = (&mut self.samples, &mut self.dice);
        let own = self.live.iter().filter(|object| object.0 == at);
        let mut chosen = BTreeSet::new();
        for &(_, object, _) in own.filter(|_| dice.below(3) == 0) {
            *samples += 1;
            assert!(attach(object, Sample::from_number(*samples).unwrap()));
            chosen.insert(*samples);
        }
        chosen
    }

    fn discard(&mut self, at: usize) {
        let chosen = self.attach_some(at);
        let mut ended = BTreeSet::new();
        discard(ARENAS[at], |sample| {
            assert!(ended.insert(sample.number()), "once");
        });
        assert_eq!(ended, chosen);
        let (own, others) = core::mem::take(&mut self.live)
            .into_iter()
            .partition(|object| object.0 == at);
        self.live = others;
        let own: Vec<(usize, *mut u8, usize)> = own;
        self.gone[at] += own.len() as u64;
        for (_, object, _) in own {
            let again = inspect(object);
            assert!(
                matches!(
                    again,
                    None | Some(Err(Misuse::DoubleFree | Misuse::Foreign))
                ),
                "{again:?}"
            );
        }
    }

    fn check(&self) {
        check();
        for (at, &arena) in ARENAS.iter().enumerate() {
            let own = || self.live.iter().filter(|object| object.0 == at);
            let sums = (0..crate::size::CLASSES).fold((0, 0, 0), |sums, class| {
                let of_class = match at {
                    0 => figures(class),
                    _ => figures_of(arena, class),
                };
                let HardFigures {
                    nmalloc,
                    ndalloc,
                    bytes,
                } = of_class;
                (sums.0 + nmalloc, sums.1 + ndalloc, sums.2 + bytes)
            });
            let bytes: usize = own().map(|object| counted(object.2)).sum();
            let came = own().count() as u64 + self.gone[at];
            assert_eq!(sums, (came, self.gone[at], bytes), "arena {arena}");
            let sized = own().filter(|object| object.2 > 0);
            let bytes: usize = sized.map(|object| counted(object.2)).sum();
            assert!(at == 0 || pages_of(arena) == bytes.div_ceil(PAGE), "F4");
        }
        for &(_, object, bytes) in &self.live {
            assert_eq!(inspect(object), Some(Ok(bytes)));
        }
    }
}

fn share(level: Hardening) {
    prepare(level, 128 << 10, 0);
    let mut list = List {
        live: Vec::new(),
        gone: [0; 3],
        dice: Dice(8),
        samples: 0,
    };
    for step in 1..=rounds(4000) {
        list.step();
        if step % 500 == 0 {
            list.check();
            let at = 1 + list.dice.below(2);
            list.discard(at);
            list.check();
        }
    }
    assert!(!misuse::is_any());
    for at in [1, 2] {
        list.discard(at);
    }
    assert_eq!(by_request_bytes(), 0);
    forget(ARENAS[1]);
    list.gone[1] = 0;
    list.check();
}

#[test]
fn arenas_share_slabs_and_a_reset_finds_its_own() {
    alone(|| share(Hardening::Strong));
}

#[test]
fn arenas_share_pages_and_a_reset_finds_its_own() {
    alone(|| share(Hardening::Paranoid));
}

#[test]
fn messages_name_the_arena_and_a_reset_tells_what_was_overrun() {
    alone(|| {
        prepare(Hardening::Strong, 1 << 20, 0);
        for arena in ARENAS {
            for bytes in [40, 20_000] {
                let object = alloc(&ask(bytes, 1).of_arena(arena)).unwrap();
                let line = told(|| free_wrong(object, &Told::of(Door::New)));
                assert!(line.contains(&format!(" of arena {arena} ")), "{line}");
                // SAFETY: the canary, or what lies before the object in its page.
                unsafe {
                    let place = if bytes < PAGE {
                        object.add(bytes)
                    } else {
                        object.sub(1)
                    };
                    place.write(place.read() ^ 1);
                }
                let line = told(|| discard(arena, |_| ()));
                assert!(line.contains("flow: bytes "), "{line}");
                let line = told(|| free_wrong(object, &FREE));
                assert!(line.contains("double free") && line.contains(&format!("arena {arena} ")));
            }
        }
    });
}

#[test]
fn an_arena_without_memory_for_its_books_has_no_object() {
    alone(|| {
        prepare(Hardening::Strong, 0, 0);
        malloc(100);
        limit::set_hard(limit::used());
        let object = |arena| alloc(&ask(100, 1).of_arena(arena));
        let refused = (100..4000).find(|&arena| object(arena).is_none());
        let refused = refused.expect("books take memory");
        assert!(figures_of(refused, 7).nmalloc == 0);
        limit::set_hard(usize::MAX);
        assert_eq!(
            object(refused).and_then(|object| arena_of(object)),
            Some(refused)
        );
        assert!(figures_of(refused, 7).bytes == 112 && serves(refused));
        check();
    });
}

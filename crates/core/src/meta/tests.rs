use super::*;
use crate::sys::simulated::dice::{are_rounds_fewer, rounds};
use crate::sys::simulated::memory as gate;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::vec::Vec;

/// Sizes that are in use somewhere, those that fill a page badly, and one that is never recycled.
const SIZES: [usize; 9] = [1, 2, 3, 5, 16, 17, 30, 32, 40];

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % bound
    }
}

/// Fills a record with its number.
fn stamp(record: MetaRef, units: usize) {
    for word in 0..units * UNIT / 4 {
        // SAFETY: a record of that many units, ours; atomic, as a stale reader may look at its first word.
        unsafe { record.resolve::<AtomicU32>().add(word).as_ref() }
            .store(record.number(), Ordering::Relaxed);
    }
}

fn assert_stamped(record: MetaRef, units: usize) {
    for word in 0..units * UNIT / 4 {
        // SAFETY: as above.
        let word = unsafe { record.resolve::<AtomicU32>().add(word).as_ref() };
        assert_eq!(word.load(Ordering::Relaxed), record.number());
    }
}

fn pages_of(set: &book::PageSet, segment: usize) -> BTreeSet<(usize, usize)> {
    (0..SEGMENT_PAGES)
        .filter(|&page| set.contains(page))
        .map(|page| (segment, page))
        .collect()
}

/// Metadata and what a naive reading says of it.
struct Twin {
    metadata: Metadata,
    first_segment: usize,
    /// Units by number.
    live: BTreeMap<u32, usize>,
}

impl Twin {
    fn new(first_segment: usize) -> Self {
        Self {
            metadata: Metadata::new(first_segment),
            first_segment,
            live: BTreeMap::new(),
        }
    }

    fn allocate(&mut self, units: usize) -> bool {
        let Some(record) = self.metadata.allocate(units) else {
            return false;
        };
        let (start, end) = (record.number(), record.number() + units as u32);
        let before = self.live.range(..end).next_back();
        assert!(
            before.is_none_or(|(&at, &units)| at + units as u32 <= start),
            "overlap"
        );
        if units <= RECYCLED_UNITS {
            assert_eq!(
                record.unit() / PAGE_UNITS,
                (record.unit() + units - 1) / PAGE_UNITS
            );
        }
        stamp(record, units);
        self.live.insert(start, units);
        true
    }

    fn recycle(&mut self, pick: usize) {
        let Some((&number, &units)) = self.live.iter().nth(pick % self.live.len().max(1)) else {
            return;
        };
        if units <= RECYCLED_UNITS {
            self.live.remove(&number);
            let record = MetaRef::from_number(number).unwrap();
            assert_stamped(record, units);
            self.metadata.recycle(record, record, units);
        }
    }

    /// Recycled records with their units.
    fn recycled(&self) -> BTreeMap<u32, usize> {
        let base = self.metadata.base.lock();
        let mut found = BTreeMap::new();
        for units in 1..=RECYCLED_UNITS {
            let mut link = base.recycled[units];
            while let Some(record) = MetaRef::from_number(link) {
                assert!(found.insert(link, units).is_none(), "twice in the lists");
                link = record.next();
            }
        }
        found
    }

    fn segments(&self) -> core::ops::RangeInclusive<usize> {
        self.first_segment..=self.metadata.base.lock().segment
    }

    fn idle(&self) -> BTreeSet<(usize, usize)> {
        let segments = self.segments();
        let base = self.metadata.base.lock();
        let listed = base.idle.listed();
        let mut pages = BTreeSet::new();
        for segment in segments {
            let idle = pages_of(base.idle.of_segment(segment), segment);
            assert!(idle.is_empty() || listed.contains(&segment), "K2");
            pages.extend(idle);
        }
        pages
    }

    /// Every page that was ever handed out is idle, or its records are live, in the lists, or not cut yet.
    fn check(&self) {
        let recycled = self.recycled();
        let mut taken: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (&number, &units) in self.live.iter().chain(&recycled) {
            let record = MetaRef::from_number(number).unwrap();
            let (first, last) = (
                record.unit() / PAGE_UNITS,
                (record.unit() + units - 1) / PAGE_UNITS,
            );
            for page in first..=last {
                *taken.entry((record.segment(), page)).or_default() += units.min(PAGE_UNITS);
            }
        }
        assert!(
            recycled
                .keys()
                .all(|number| !self.live.contains_key(number))
        );
        let idle = self.idle();
        assert!(
            idle.iter().all(|page| !taken.contains_key(page)),
            "K1: idle and used"
        );
        let sum = |records: &BTreeMap<u32, usize>| records.values().sum::<usize>();
        let resident = self.metadata.resident_units.load(Ordering::Relaxed);
        assert_eq!(resident, sum(&self.live) + sum(&recycled));
        let base = self.metadata.base.lock();
        for units in 1..=RECYCLED_UNITS {
            if let Some(open) = MetaRef::from_number(base.open[units]) {
                taken
                    .entry((open.segment(), open.unit() / PAGE_UNITS))
                    .or_default();
            }
        }
        let books = if base.end == 0 {
            0
        } else {
            base.segment - self.first_segment + 1
        };
        assert_eq!(base.counted, taken.len() + books, "M4");
        // Nothing is lost: all pages but the books, up to where the last segment is cut.
        for segment in self.first_segment..=base.segment {
            let cut = if segment == base.segment {
                base.next
            } else {
                0
            };
            for page in 1..cut.div_ceil(PAGE_UNITS) {
                let place = (segment, page);
                assert!(
                    taken.contains_key(&place) || idle.contains(&place),
                    "lost: {place:?}"
                );
            }
        }
        for segment in self.first_segment..=base.segment {
            // SAFETY: no purge is in progress.
            let notes = unsafe { book::notes(segment).as_ref() };
            assert!(pages_of(&notes.going, segment).is_empty() && notes.is_listed == 0);
            assert!(notes.free.iter().all(|&free| free == 0));
        }
    }

    /// The pages that a purge is to find.
    fn complete(&self) -> BTreeSet<(usize, usize)> {
        let mut pages: BTreeMap<(usize, usize), (usize, usize)> = BTreeMap::new();
        for (number, units) in self.recycled() {
            let record = MetaRef::from_number(number).unwrap();
            let place = (record.segment(), record.unit() / PAGE_UNITS);
            pages.entry(place).or_insert((units, 0)).1 += 1;
        }
        let complete = pages
            .into_iter()
            .filter(|&(_, (units, free))| free == PAGE_UNITS / units);
        complete.map(|(place, _)| place).collect()
    }

    fn purge(&mut self) -> usize {
        let (mut idle, complete) = (self.idle(), self.complete());
        let before = gate::purged_bytes();
        let bytes = self.metadata.purge();
        assert_eq!(bytes, complete.len() * PAGE);
        assert_eq!(bytes as u64, gate::purged_bytes() - before);
        idle.extend(complete);
        assert_eq!(idle, self.idle());
        bytes
    }

    fn step(&mut self, random: &mut Random, wanted: usize) {
        if random.below(self.live.len() + wanted) < wanted {
            self.allocate(SIZES[random.below(SIZES.len())]);
        } else {
            self.recycle(random.below(1 << 20));
        }
    }

    fn verify(&self) {
        for (&number, &units) in &self.live {
            assert_stamped(MetaRef::from_number(number).unwrap(), units);
        }
    }
}

#[test]
fn random_records_and_purges_agree_with_a_naive_reading() {
    let mut twin = Twin::new(43_000);
    let mut random = Random(3);
    let mut purged = 0;
    for round in 0..60 {
        // Few and many records in turn.
        let wanted = if round % 2 == 0 { 2000 } else { 20 };
        for _ in 0..rounds(1500) {
            twin.step(&mut random, wanted);
        }
        twin.check();
        if round % 3 != 0 {
            purged += twin.purge();
            twin.check();
            twin.verify();
        }
    }
    assert!(are_rounds_fewer() || purged > 1 << 20, "{purged}");
    while twin.live.values().any(|&units| units <= RECYCLED_UNITS) {
        twin.recycle(random.below(1 << 20));
    }
    twin.purge();
    twin.check();
    let open = twin.recycled().len();
    assert!(open < RECYCLED_UNITS * PAGE_UNITS, "{open}");
}

#[test]
fn pages_go_whatever_their_order_and_serve_other_sizes() {
    let mut twin = Twin::new(43_100);
    for _ in 0..640 {
        assert!(twin.allocate(1));
    }
    while !twin.live.is_empty() {
        twin.recycle(7919);
    }
    assert_eq!(twin.purge(), 10 * PAGE);
    assert_eq!(twin.purge(), 0);
    let end = twin.metadata.base.lock().next;
    for _ in 0..40 {
        assert!(twin.allocate(16));
    }
    assert_eq!(
        twin.metadata.base.lock().next,
        end,
        "idle pages were there to be used"
    );
    twin.check();
    twin.verify();
}

/// Records in neighbouring pages go by one call.
#[test]
fn neighbours_are_purged_by_one_call() {
    let mut twin = Twin::new(43_200);
    for _ in 0..400 {
        assert!(twin.allocate(16));
    }
    let kept: Vec<u32> = twin.live.keys().copied().step_by(200).collect();
    while twin.live.len() > kept.len() {
        let at = twin.live.keys().position(|number| !kept.contains(number));
        twin.recycle(at.unwrap());
    }
    let calls = gate::calls();
    assert_eq!(twin.purge(), 98 * PAGE);
    assert_eq!(gate::calls() - calls, 2);
    twin.check();
    twin.verify();
}

#[test]
fn refused_advice_loses_nothing() {
    let mut twin = Twin::new(43_300);
    let mut random = Random(11);
    for round in 0..40 {
        for _ in 0..rounds(1000) {
            twin.step(&mut random, if round % 2 == 0 { 1500 } else { 10 });
        }
        let complete = twin.complete();
        gate::refuse(random.below(3) as u64, random.below(4) as u64);
        let bytes = twin.metadata.purge();
        gate::refuse(u64::MAX, 0);
        assert!(bytes <= complete.len() * PAGE);
        twin.check();
        twin.verify();
        // What was refused is found again.
        let still = twin.complete();
        assert_eq!(bytes + still.len() * PAGE, complete.len() * PAGE);
        assert!(still.is_subset(&complete));
        if round % 4 == 3 {
            twin.purge();
            twin.check();
        }
    }
}

#[test]
fn a_purge_beside_users_changes_nothing_of_theirs() {
    static METADATA: Metadata = Metadata::new(43_400);
    let users: Vec<_> = (0..3u64)
        .map(|user| {
            std::thread::spawn(move || {
                let mut random = Random(user);
                let mut live: Vec<(MetaRef, usize)> = Vec::new();
                for step in 0..rounds(60_000) {
                    let wanted = if step / 3000 % 2 == 0 { 400 } else { 5 };
                    if random.below(live.len() + wanted) < wanted {
                        let units = SIZES[random.below(SIZES.len() - 1)];
                        let record = METADATA.allocate(units).unwrap();
                        stamp(record, units);
                        live.push((record, units));
                    } else {
                        let (record, units) = live.swap_remove(random.below(live.len()));
                        assert_stamped(record, units);
                        METADATA.recycle(record, record, units);
                    }
                }
                for &(record, units) in &live {
                    assert_stamped(record, units);
                }
                live
            })
        })
        .collect();
    let mut purged = 0;
    while users.iter().any(|user| !user.is_finished()) {
        purged += METADATA.purge();
    }
    assert!(are_rounds_fewer() || purged > 0);
    let mut twin = Twin {
        metadata: Metadata::new(0),
        first_segment: 43_400,
        live: BTreeMap::new(),
    };
    for (record, units) in users.into_iter().flat_map(|user| user.join().unwrap()) {
        assert!(twin.live.insert(record.number(), units).is_none());
    }
    let base = core::mem::replace(&mut *METADATA.base.lock(), Base::new(0));
    *twin.metadata.base.lock() = base;
    let resident = METADATA.resident_units.load(Ordering::Relaxed);
    twin.metadata
        .resident_units
        .store(resident, Ordering::Relaxed);
    twin.check();
    twin.purge();
    twin.check();
    twin.verify();
}

#[test]
fn records_do_not_overlap_and_keep_their_contents() {
    let mut live: HashMap<u32, usize> = HashMap::new();
    let mut random = Random(7);
    for _ in 0..rounds(20_000) {
        if random.below(live.len() + 200) < 200 {
            let units = 1 + random.below(20);
            let record = allocate(units).unwrap();
            stamp(record, units);
            assert!(live.insert(record.number(), units).is_none());
        } else {
            let number = *live.keys().next().unwrap();
            let units = live.remove(&number).unwrap();
            let record = MetaRef::from_number(number).unwrap();
            assert_stamped(record, units);
            // SAFETY: taken out of the list of live ones.
            unsafe { recycle(record, units) };
        }
    }
}

/// The first segment: as they come, then in pages.
#[test]
fn a_small_process_has_its_records_side_by_side() {
    let mut base = Base::new(0);
    base.next = PAGE_UNITS;
    base.end = SEGMENT_UNITS;
    let mut expected = PAGE_UNITS;
    for round in 0.. {
        let units = SIZES[round % 8];
        if expected + units > MIXED_UNITS {
            break;
        }
        assert_eq!(base.take(units), Some((MetaRef::at(0, expected), true)));
        expected += units;
    }
    let page = base.take(16).unwrap().0;
    assert_eq!(page, MetaRef::at(0, MIXED_UNITS));
    assert_eq!(
        base.take(17).unwrap().0,
        MetaRef::at(0, MIXED_UNITS + PAGE_UNITS)
    );
    assert_eq!(base.take(16).unwrap().0, MetaRef::at(0, MIXED_UNITS + 16));
}

#[test]
fn a_refusal_is_none_and_later_requests_succeed() {
    let mut base = Base::new(40_000);
    gate::refuse(0, 1000);
    assert!(base.take(3).is_none());
    gate::refuse(u64::MAX, 0);
    let records: Vec<_> = (0..10).map(|_| base.take(3).unwrap().0.number()).collect();
    assert!(records.windows(2).all(|pair| pair[1] == pair[0] + 3));
}

#[test]
fn a_short_system_gets_a_smaller_segment() {
    let mut base = Base::new(41_000);
    gate::refuse(0, 3);
    assert!(base.take(2).is_some());
    assert_eq!(base.end * UNIT, MAPPED_SEGMENT / 8);
    gate::refuse(u64::MAX, 0);
}

#[test]
fn the_data_segment_serves_when_mappings_are_refused() {
    let mut base = Base::new(42_000);
    gate::refuse_maps(true);
    assert!(
        base.take(2).is_none() && table(10_000).is_none(),
        "not allowed"
    );
    source::ALLOWED_HERE.set(true);
    let units = BREAK_SEGMENT / UNIT + 10;
    let records = [2, units].map(|units| (base.take(units).unwrap().0, units));
    let table = table(10_000).unwrap();
    gate::refuse_maps(false);
    assert_eq!(table.addr().get() % memory::page_size(), 0);
    let ranges = records.map(|(record, units)| (record.resolve::<u8>(), units * UNIT));
    for (addr, bytes) in [ranges[0], ranges[1], (table, 10_000)] {
        // SAFETY: fresh memory of that many bytes, ours alone.
        let bytes = unsafe { core::slice::from_raw_parts_mut(addr.as_ptr(), bytes) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes.fill(0xa5);
    }
}

//! An arena as text: its decay, memory, bins, large objects, and extents, a table each.

use crate::size::{PAGE, size_of_class, size_of_page_class};
use crate::stats::print::output::Output;
use crate::stats::print::table::{Gap, LOCK, Row, headings, titles};
use crate::stats::print::{
    ARENA_LOCKS, ARENA_NAME, Arenas, Figures, Letters, Name, Sink, Source, Value,
};

const ALLOCATIONS: &str = "_=21 allocated=16 nmalloc=16 (#/sec)=10 ndalloc=16 (#/sec)=10 nrequests=16 (#/sec)=10 \
    nfill=16 (#/sec)=10 nflush=16 (#/sec)=10";
const DECAY: &str = "_=9 time=6 npages=13 sweeps=13 madvises=13 purged=13";
const BINS: &str =
    "size=20 ind=4 allocated=13 nmalloc=13 (#/sec)=8 ndalloc=13 (#/sec)=8 nrequests=13 (#/sec)=10";
/// Behind those, where samples are counted by class.
const SAMPLED: &str =
    "prof_live_requested=21 prof_live_count=17 prof_accum_requested=21 prof_accum_count=17";
const MORE_OF_BINS: &str = "nshards=9 curregs=13 curslabs=13 nonfull_slabs=15 regs=5 pgs=4 util=7 nfills=13 (#/sec)=8 nflushes=13 (#/sec)=8 \
    nslabs=13 nreslabs=13 (#/sec)=8";
const LARGE: &str = "size=20 ind=4 allocated=13 nmalloc=13 (#/sec)=8 ndalloc=13 (#/sec)=8 nrequests=13 (#/sec)=8 \
    curlextents=13";
const EXTENTS: &str = "size=20 ind=4 ndirty=13 dirty=13 nmuzzy=13 muzzy=13 nretained=13 retained=13 npinned=13 \
    pinned=13 ntotal=13 total=13";

/// Lines of an arena's memory.
const MEMORY: &str = "active mapped retained pinned base internal metadata_edata metadata_rtree metadata_thp \
    tcache_bytes tcache_stashed_bytes resident abandoned_vm extent_avail";

impl<S: Source> Figures<'_, S> {
    pub(super) fn print_arena<K: Sink>(
        &self,
        out: &mut Output<'_, K>,
        arenas: Arenas,
        letters: Letters,
    ) {
        let prefix = arenas.name("");
        let number = |figure: &str| self.number(&prefix.then(figure));
        let uptime_ns = number("uptime");
        if let Arenas::One(index) = arenas {
            let mut text = [0; ARENA_NAME];
            let len = self.0.arena_name(index, &mut text).min(ARENA_NAME);
            out.text("name: ");
            out.bytes(text.split_at(len).0);
            out.byte(b'\n');
        }
        self.line(out, "assigned threads", &prefix.then("nthreads"));
        self.line(out, "uptime", &prefix.then("uptime"));
        self.line(out, "dss allocation precedence", &prefix.then("dss"));
        self.print_decay(out, prefix);
        headings(out, "", ALLOCATIONS);
        let counts = ["nmalloc", "ndalloc", "nrequests", "nfills", "nflushes"];
        for part in ["small", "large", "total"] {
            let of = |figure: &str| match part {
                "total" => {
                    let part = |part: &str| self.number(&prefix.then(part).then(figure));
                    part("small.") + part("large.")
                }
                part => self.number(&prefix.then(part).then(".").then(figure)),
            };
            let label = Name::of(part).then(":");
            let mut row = Row::of(out, ALLOCATIONS);
            row.label(label.as_bytes()).number(of("allocated"));
            for figure in counts {
                row.rated(of(figure), uptime_ns);
            }
            row.end();
        }
        out.byte(b'\n');
        for figure in MEMORY.split(' ') {
            let value = match figure {
                "active" => number("pactive") * PAGE as u64,
                _ => number(figure),
            };
            let label = Name::of(figure).then(":");
            Row::of(out, "_=21 _=16")
                .label(label.as_bytes())
                .number(value)
                .end();
        }
        if !letters.omit(b'x') {
            self.print_locks(out, prefix.then("mutexes."), ARENA_LOCKS, uptime_ns);
        }
        if !letters.omit(b'b') {
            self.print_bins(out, arenas, letters, uptime_ns);
        }
        if !letters.omit(b'l') {
            self.print_large(out, arenas, uptime_ns);
        }
        if !letters.omit(b'e') {
            self.print_extents(out, prefix);
        }
        if !letters.omit(b'h') {
            self.print_huge(out, prefix, uptime_ns);
        }
    }

    fn print_decay<K: Sink>(&self, out: &mut Output<'_, K>, prefix: Name) {
        headings(out, "decaying:", DECAY);
        for kind in ["dirty", "muzzy"] {
            let name = |before: &str, after: &str| prefix.then(before).then(kind).then(after);
            let mut row = Row::of(out, DECAY);
            row.text(Name::of(kind).then(":").as_bytes());
            match self.value(&name("", "_decay_ms")) {
                Some(Value::Signed(ms @ 0..)) => row.number(ms as u64),
                _ => row.text(b"N/A"),
            };
            row.number(self.number(&name("p", "")));
            for figure in ["_npurge", "_nmadvise", "_purged"] {
                row.number(self.number(&name("", figure)));
            }
            row.end();
        }
    }

    fn print_bins<K: Sink>(
        &self,
        out: &mut Output<'_, K>,
        arenas: Arenas,
        letters: Letters,
        uptime_ns: u64,
    ) {
        let prefix = arenas.name("");
        let with_locks = !letters.omit(b'x');
        titles(out, "bins:", BINS);
        let is_sampled = self.samples(arenas, "bins", 0).is_some();
        if is_sampled {
            titles(out, "", SAMPLED);
        }
        titles(out, "", MORE_OF_BINS);
        if with_locks {
            titles(out, "", LOCK);
        }
        out.byte(b'\n');
        let mut gap = Gap::NONE;
        for class in 0..self.small() {
            let bin = prefix.then("bins.").index(class).then(".");
            let number = |figure: &str| self.number(&bin.then(figure));
            // Samples lie in slabs of their own.
            if number("nslabs") == 0 && number("nmalloc") == 0 {
                gap.open();
                continue;
            }
            gap.close(out);
            let of = Name::of("arenas.bin.").index(class).then(".");
            let constant = |figure: &str| self.number(&of.then(figure));
            let (size, regs, used) = (constant("size"), constant("nregs"), number("curregs"));
            let mut row = Row::of(out, BINS);
            row.number(size).number(class as u64).number(used * size);
            for figure in ["nmalloc", "ndalloc", "nrequests"] {
                row.rated(number(figure), uptime_ns);
            }
            self.print_samples(out, self.samples(arenas, "bins", class));
            let mut row = Row::of(out, MORE_OF_BINS);
            row.number(constant("nshards")).number(used);
            row.number(number("curslabs"))
                .number(number("nonfull_slabs"));
            row.number(regs).number(constant("slab_size") / PAGE as u64);
            row.text(Utilisation::of(used, regs * number("curslabs")).as_bytes());
            row.rated(number("nfills"), uptime_ns);
            row.rated(number("nflushes"), uptime_ns);
            row.number(number("nslabs"));
            row.rated(number("nreslabs"), uptime_ns);
            if with_locks {
                self.lock(&mut Row::of(out, LOCK), bin.then("mutex"), uptime_ns);
            }
            out.byte(b'\n');
        }
        gap.close(out);
    }

    /// The columns of samples, where there are any.
    fn print_samples<K: Sink>(&self, out: &mut Output<'_, K>, samples: Option<[u64; 4]>) {
        if let Some(samples) = samples {
            let mut row = Row::of(out, SAMPLED);
            for number in samples {
                row.number(number);
            }
        }
    }

    fn print_large<K: Sink>(&self, out: &mut Output<'_, K>, arenas: Arenas, uptime_ns: u64) {
        let prefix = arenas.name("");
        titles(out, "large:", LARGE);
        if self.samples(arenas, "lextents", 0).is_some() {
            titles(out, "", SAMPLED);
        }
        out.byte(b'\n');
        let (small, mut gap) = (self.small(), Gap::NONE);
        for class in 0..self.large() {
            let name = prefix.then("lextents.").index(class).then(".");
            let number = |figure: &str| self.number(&name.then(figure));
            if number("nmalloc") == 0 {
                gap.open();
                continue;
            }
            gap.close(out);
            let (index, live) = (small + class, number("curlextents"));
            let size = size_of_class(index) as u64;
            let mut row = Row::of(out, LARGE);
            row.number(size).number(index as u64).number(live * size);
            for figure in ["nmalloc", "ndalloc", "nrequests"] {
                row.rated(number(figure), uptime_ns);
            }
            row.number(live);
            self.print_samples(out, self.samples(arenas, "lextents", class));
            out.byte(b'\n');
        }
        gap.close(out);
    }

    fn print_extents<K: Sink>(&self, out: &mut Output<'_, K>, prefix: Name) {
        headings(out, "extents:", EXTENTS);
        let mut gap = Gap::NONE;
        for class in 0..self.page_classes() {
            let name = prefix.then("extents.").index(class).then(".");
            let states = ["dirty", "muzzy", "retained", "pinned"].map(|state| {
                let count = self.number(&name.then("n").then(state));
                (count, self.number(&name.then(state).then("_bytes")))
            });
            let sums = states
                .iter()
                .fold((0, 0), |sum, state| (sum.0 + state.0, sum.1 + state.1));
            if sums.0 == 0 {
                gap.open();
                continue;
            }
            gap.close(out);
            let mut row = Row::of(out, EXTENTS);
            row.number(size_of_page_class(class) as u64)
                .number(class as u64);
            for (count, bytes) in states.into_iter().chain([sums]) {
                row.number(count).number(bytes);
            }
            row.end();
        }
        gap.close(out);
    }
}

/// A share, in thousandths.
struct Utilisation([u8; 5], usize);

impl Utilisation {
    fn of(used: u64, all: u64) -> Self {
        let milli = used.saturating_mul(1000).checked_div(all).unwrap_or(1000);
        match milli {
            // A slab came or went between the two looks.
            1001.. => Self(*b"race ", 4),
            1000 => Self(*b"1    ", 1),
            _ => {
                let digit = |value: u64| b'0' + (value % 10) as u8;
                let text = [
                    b'0',
                    b'.',
                    digit(milli / 100),
                    digit(milli / 10),
                    digit(milli),
                ];
                Self(text, 5)
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        let (text, _) = self.0.split_at(self.1);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_three_digits() {
        for (used, all, text) in [
            (1, 2, "0.500"),
            (0, 9, "0.000"),
            (7, 7, "1"),
            (1, 1000, "0.001"),
            (8, 7, "race"),
            (0, 0, "1"),
        ] {
            assert_eq!(Utilisation::of(used, all).as_bytes(), text.as_bytes());
        }
    }
}

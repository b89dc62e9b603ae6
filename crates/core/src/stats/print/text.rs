//! Text: sections and tables for people.

use super::output::Output;
use super::table::{Gap, LOCK, Row, headings, per_second, titles};
use super::{
    ARENA_LOCKS, ARENA_NAME, Arenas, CONFIG, DIRTY_MULT, DIRTY_MULT_NEVER, Figures, Letters, Name,
    OPTIONS, PROCESS_LOCKS, Sink, Source, Value,
};
use crate::size::{PAGE, size_of_class, size_of_page_class};

const LOCKS: &str = "_=21";
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
const BATCHES: &str = "index=20 min_extents=12 max_extents=12 extents=12 ps=12 pages_per_ps=14 extents_per_ps=15 \
    total_elapsed_ns_per_ps=24 elapsed_ns_per_ps=18";
const PARTIAL: &str = "size=20 ind=4 npageslabs_huge=16 nactive_huge=16 ndirty_huge=16 npageslabs_nonhuge=20 \
    nactive_nonhuge=20 ndirty_nonhuge=20 nretained_nonhuge=20";

pub(super) fn print<S: Source, K: Sink>(
    figures: &Figures<'_, S>,
    out: &mut Output<'_, K>,
    letters: Letters,
) {
    out.text("___ Begin jemalloc statistics ___\n");
    if !letters.omit(b'g') {
        figures.print_general(out);
    }
    figures.print_process(out, letters);
    figures.each_arenas(letters, |arenas| {
        match arenas {
            Arenas::Merged => out.text("Merged arenas stats:\n"),
            Arenas::Destroyed => out.text("Destroyed arenas stats:\n"),
            Arenas::One(index) => {
                out.text("arenas[");
                out.number(index as u64);
                out.text("]:\n");
            }
        }
        figures.print_arena(out, arenas, letters);
    });
    out.text("--- End jemalloc statistics ---\n");
}

impl<S: Source> Figures<'_, S> {
    fn print_value<K: Sink>(&self, out: &mut Output<'_, K>, value: Value) {
        match value {
            Value::Switch(true) => out.text("true"),
            Value::Switch(false) => out.text("false"),
            Value::Unsigned(number) => out.number(number),
            Value::Signed(number) => out.signed(number),
            Value::Text(text) => {
                out.byte(b'"');
                out.bytes(text);
                out.byte(b'"');
            }
        }
    }

    /// A line with the value of `name`, where there is one.
    fn line<K: Sink>(&self, out: &mut Output<'_, K>, label: &str, name: &Name) {
        if let Some(value) = self.value(name) {
            out.text(label);
            out.text(": ");
            self.print_value(out, value);
            out.byte(b'\n');
        }
    }

    /// Indented lines of `names`, in full.
    fn lines<K: Sink>(&self, out: &mut Output<'_, K>, prefix: &str, names: &str) {
        for name in names.split(' ') {
            if let Some(value) = self.value(&Name::of(prefix).then(name)) {
                out.text("  ");
                out.text(prefix);
                out.text(name);
                out.text(": ");
                match value {
                    Value::Unsigned(DIRTY_MULT_NEVER) if name == DIRTY_MULT => out.text("\"-1\""),
                    Value::Unsigned(parts) if name == DIRTY_MULT => {
                        out.byte(b'"');
                        out.fraction(parts);
                        out.byte(b'"');
                    }
                    _ => self.print_value(out, value),
                }
                self.print_current(out, prefix, name);
                out.byte(b'\n');
            }
        }
    }

    /// What an option that can be changed is now.
    fn print_current<K: Sink>(&self, out: &mut Output<'_, K>, prefix: &str, name: &str) {
        let current = match name {
            _ if prefix != "opt." => return,
            "background_thread" => "background_thread",
            "dirty_decay_ms" => "arenas.dirty_decay_ms",
            "muzzy_decay_ms" => "arenas.muzzy_decay_ms",
            "prof_active" => "prof.active",
            "prof_thread_active_init" => "prof.thread_active_init",
            "lg_prof_sample" => "prof.lg_sample",
            _ => return,
        };
        if let Some(value) = self.value(&Name::of(current)) {
            out.text(" (");
            out.text(current);
            out.text(": ");
            self.print_value(out, value);
            out.byte(b')');
        }
    }

    fn print_general<K: Sink>(&self, out: &mut Output<'_, K>) {
        self.line(out, "Version", &Name::of("version"));
        out.text("Build-time option settings\n");
        self.lines(out, "config.", CONFIG);
        out.text("System configuration\n");
        self.lines(out, "system.", "thp_mode");
        out.text("Run-time option settings\n");
        self.lines(out, "opt.", OPTIONS);
        if self.is_on(&Name::of("config.prof")) {
            out.text("Profiling settings\n");
            self.lines(
                out,
                "prof.",
                "thread_active_init active gdump interval lg_sample",
            );
        }
        let arenas = Name::of("arenas.");
        self.line(out, "Arenas", &arenas.then("narenas"));
        self.line(out, "Quantum size", &arenas.then("quantum"));
        self.line(out, "Page size", &arenas.then("page"));
        self.line(out, "Hugepage size", &arenas.then("hugepage"));
        self.line(
            out,
            "Maximum thread-cached size class",
            &arenas.then("tcache_max"),
        );
        self.line(out, "Number of bin size classes", &arenas.then("nbins"));
        self.line(
            out,
            "Number of thread-cache bin size classes",
            &arenas.then("nhbins"),
        );
        self.line(
            out,
            "Number of large size classes",
            &arenas.then("nlextents"),
        );
    }

    fn print_process<K: Sink>(&self, out: &mut Output<'_, K>, letters: Letters) {
        let stats = Name::of("stats.");
        let number = |figure: &str| self.number(&stats.then(figure));
        out.text("Allocated: ");
        out.number(number("allocated"));
        out.text(", active: ");
        out.number(number("active"));
        out.text(", metadata: ");
        out.number(number("metadata"));
        out.text(" (n_thp ");
        out.number(number("metadata_thp"));
        out.text(", edata ");
        out.number(number("metadata_edata"));
        out.text(", rtree ");
        out.number(number("metadata_rtree"));
        out.text("), resident: ");
        out.number(number("resident"));
        out.text(", mapped: ");
        out.number(number("mapped"));
        out.text(", retained: ");
        out.number(number("retained"));
        out.text(", pinned: ");
        out.number(number("pinned"));
        out.text("\nCount of realloc(non-null-ptr, 0) calls: ");
        out.number(number("zero_reallocs"));
        out.text("\nBackground threads: ");
        out.number(number("background_thread.num_threads"));
        out.text(", num_runs: ");
        out.number(number("background_thread.num_runs"));
        out.text(", run_interval: ");
        out.number(number("background_thread.run_interval"));
        out.text(" ns\n");
        if !letters.omit(b'x') {
            // As long as the process: that of its first arena.
            let uptime_ns = self.number(&Arenas::One(0).name("uptime"));
            self.print_locks(out, stats.then("mutexes."), PROCESS_LOCKS, uptime_ns);
        }
    }

    fn print_locks<K: Sink>(
        &self,
        out: &mut Output<'_, K>,
        prefix: Name,
        locks: &str,
        uptime_ns: u64,
    ) {
        titles(out, "", LOCKS);
        headings(out, "", LOCK);
        for lock in locks.split(' ') {
            Row::of(out, LOCKS).label(lock.as_bytes());
            let mut row = Row::of(out, LOCK);
            self.lock(&mut row, prefix.then(lock), uptime_ns);
            row.end();
        }
    }

    fn print_arena<K: Sink>(&self, out: &mut Output<'_, K>, arenas: Arenas, letters: Letters) {
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

    fn print_huge<K: Sink>(&self, out: &mut Output<'_, K>, prefix: Name, uptime_ns: u64) {
        let cache = |figure: &str| self.number(&prefix.then("hpa_sec_").then(figure));
        out.text("Bytes in small extent cache: ");
        out.number(cache("bytes"));
        out.text("\nSmall extent cache hits: ");
        out.number(cache("hits"));
        out.text(", misses: ");
        out.number(cache("misses"));
        out.text(", dalloc without flush: ");
        out.number(cache("dalloc_noflush"));
        out.text(", dalloc with flush: ");
        out.number(cache("dalloc_flush"));
        out.text(", overfills: ");
        out.number(cache("overfills"));
        out.text("\nHPA shard stats:\n");
        let shard = prefix.then("hpa_shard.");
        let mut pair = |label: &str, huge: u64, plain: u64| {
            out.text(label);
            out.number(huge + plain);
            out.text(" (");
            out.number(huge);
            out.text(" huge, ");
            out.number(plain);
            out.text(" nonhuge)\n");
        };
        let slabs = shard.then("slabs.");
        let of = |figure: &str| self.number(&slabs.then(figure));
        pair(
            "  Pageslabs: ",
            of("npageslabs_huge"),
            of("npageslabs_nonhuge"),
        );
        pair(
            "  Active pages: ",
            of("nactive_huge"),
            of("nactive_nonhuge"),
        );
        pair("  Dirty pages: ", of("ndirty_huge"), of("ndirty_nonhuge"));
        pair("  Retained pages: ", 0, self.retained_pages(slabs));
        let mut rated = |label: &str, figure: &str| {
            let count = self.number(&shard.then(figure));
            out.text(label);
            out.number(count);
            out.text(" (");
            out.number(per_second(count, uptime_ns));
            out.text(" / sec)\n");
        };
        rated("  Purge passes: ", "npurge_passes");
        rated("  Purges: ", "npurges");
        rated("  Hugeifies: ", "nhugifies");
        rated("  Hugify failures: ", "nhugify_failures");
        rated("  Dehugifies: ", "ndehugifies");
        out.text("\nextent allocation distribution:\n");
        self.print_batches(out, shard);
        for (label, part) in [("full", "full_slabs."), ("empty", "empty_slabs.")] {
            out.text("  In ");
            out.text(label);
            out.text(" slabs:\n");
            let slabs = shard.then(part);
            for figure in ["npageslabs", "nactive", "ndirty", "nretained"] {
                let (huge, plain) = match figure {
                    "nretained" => (0, self.retained_pages(slabs)),
                    _ => (
                        self.number(&slabs.then(figure).then("_huge")),
                        self.number(&slabs.then(figure).then("_nonhuge")),
                    ),
                };
                out.text("      ");
                out.text(figure);
                out.text(": ");
                out.number(huge);
                out.text(" huge, ");
                out.number(plain);
                out.text(" nonhuge\n");
            }
        }
        out.text("\n  In nonfull slabs:\n");
        headings(out, "", PARTIAL);
        let mut gap = Gap::NONE;
        for class in 0..64 {
            let slabs = shard.then("nonfull_slabs.").index(class).then(".");
            let number = |figure: &str| self.number(&slabs.then(figure));
            if number("npageslabs_huge") + number("npageslabs_nonhuge") == 0 {
                gap.open();
                continue;
            }
            gap.close(out);
            let mut row = Row::of(out, PARTIAL);
            row.number(size_of_page_class(class) as u64)
                .number(class as u64);
            for kind in ["_huge", "_nonhuge"] {
                for figure in ["npageslabs", "nactive", "ndirty"] {
                    row.number(self.number(&slabs.then(figure).then(kind)));
                }
            }
            row.number(self.retained_pages(slabs)).end();
        }
        gap.close(out);
    }

    fn print_batches<K: Sink>(&self, out: &mut Output<'_, K>, shard: Name) {
        headings(out, "", BATCHES);
        for count in 0..9 {
            let name = shard.then("alloc.").index(count).then(".");
            let number = |figure: &str| self.number(&name.then(figure));
            let mut row = Row::of(out, BATCHES);
            row.number(count as u64);
            for figure in [
                "min_extents",
                "max_extents",
                "extents",
                "ps",
                "pages_per_ps",
            ] {
                row.number(number(figure));
            }
            let (slabs, ns) = (number("extents_per_ps"), number("total_elapsed_ns_per_ps"));
            row.number(slabs).number(ns);
            row.number(ns.checked_div(slabs).unwrap_or(0)).end();
        }
    }
}

/// Lines of an arena's memory.
const MEMORY: &str = "active mapped retained pinned base internal metadata_edata metadata_rtree metadata_thp \
    tcache_bytes tcache_stashed_bytes resident abandoned_vm extent_avail";

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

//! Text: sections and tables for people.

use super::output::Output;
use super::table::{LOCK, Row, headings, titles};
use super::{
    Arenas, CONFIG, DIRTY_MULT, DIRTY_MULT_NEVER, Figures, Letters, Name, OPTIONS, PROCESS_LOCKS,
    Sink, Source, Value,
};

mod arena;
mod huge;

const LOCKS: &str = "_=21";

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
}

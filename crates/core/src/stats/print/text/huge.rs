//! Huge pages of an arena as text: sums, batches, and pages by how full they are.

use crate::size::size_of_page_class;
use crate::stats::print::output::Output;
use crate::stats::print::table::{Gap, Row, headings, per_second};
use crate::stats::print::{Figures, Name, Sink, Source};

const BATCHES: &str = "index=20 min_extents=12 max_extents=12 extents=12 ps=12 pages_per_ps=14 extents_per_ps=15 \
    total_elapsed_ns_per_ps=24 elapsed_ns_per_ps=18";
const PARTIAL: &str = "size=20 ind=4 npageslabs_huge=16 nactive_huge=16 ndirty_huge=16 npageslabs_nonhuge=20 \
    nactive_nonhuge=20 ndirty_nonhuge=20 nretained_nonhuge=20";

impl<S: Source> Figures<'_, S> {
    pub(super) fn print_huge<K: Sink>(
        &self,
        out: &mut Output<'_, K>,
        prefix: Name,
        uptime_ns: u64,
    ) {
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

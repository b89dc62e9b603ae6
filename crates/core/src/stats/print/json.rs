//! JSON: one object, compact, in jemalloc's schema.

use super::output::Output;
use super::{
    ARENA_LOCKS, ARENA_NAME, Arenas, CONF_SOURCES, CONFIG, DIRTY_MULT, DIRTY_MULT_NEVER, Figures,
    LOCK_COUNTS, Letters, Name, OPTIONS, PROCESS_LOCKS, SAMPLES, Sink, Source, Value,
};

/// Text that nests.
struct Json<'a, 'b, S> {
    out: &'a mut Output<'b, S>,
    /// Something precedes in this object or array.
    follows: bool,
}

impl<S: Sink> Json<'_, '_, S> {
    fn separate(&mut self) {
        if self.follows {
            self.out.byte(b',');
        }
        self.follows = true;
    }

    fn key(&mut self, key: &[u8]) {
        self.separate();
        self.quoted(key);
        self.out.byte(b':');
    }

    fn quoted(&mut self, text: &[u8]) {
        self.out.byte(b'"');
        for &byte in text {
            match byte {
                b'"' | b'\\' => {
                    self.out.byte(b'\\');
                    self.out.byte(byte);
                }
                0..0x20 => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.out.text("\\u00");
                    self.out.byte(HEX[usize::from(byte >> 4)]);
                    self.out.byte(HEX[usize::from(byte & 15)]);
                }
                _ => self.out.byte(byte),
            }
        }
        self.out.byte(b'"');
    }

    fn value(&mut self, value: Value) {
        match value {
            Value::Switch(true) => self.out.text("true"),
            Value::Switch(false) => self.out.text("false"),
            Value::Unsigned(number) => self.out.number(number),
            Value::Signed(number) => self.out.signed(number),
            Value::Text(text) => self.quoted(text),
        }
    }

    fn nested(&mut self, open: u8, close: u8, body: impl FnOnce(&mut Self)) {
        self.out.byte(open);
        self.follows = false;
        body(self);
        self.out.byte(close);
        self.follows = true;
    }

    /// An object called `key`.
    fn object(&mut self, key: &[u8], body: impl FnOnce(&mut Self)) {
        self.key(key);
        self.nested(b'{', b'}', body);
    }

    /// An array called `key`, of `count` objects.
    fn array(&mut self, key: &[u8], count: usize, mut body: impl FnMut(&mut Self, usize)) {
        self.key(key);
        self.nested(b'[', b']', |json| {
            for index in 0..count {
                json.separate();
                json.nested(b'{', b'}', |json| body(json, index));
            }
        });
    }
}

pub(super) fn print<S: Source, K: Sink>(
    figures: &Figures<'_, S>,
    out: &mut Output<'_, K>,
    letters: Letters,
) {
    let mut json = Json {
        out,
        follows: false,
    };
    json.nested(b'{', b'}', |json| {
        json.object(b"jemalloc", |json| {
            if !letters.omit(b'g') {
                figures.general(json);
            }
            json.object(b"stats", |json| figures.process(json, letters));
            if !(letters.omit(b'm') && letters.omit(b'd') && letters.omit(b'a')) {
                json.object(b"stats.arenas", |json| {
                    figures.each_arenas(letters, |arenas| {
                        let index = Name::of("").index(arenas.index());
                        let key = match arenas {
                            Arenas::Merged => b"merged",
                            Arenas::Destroyed => &b"destroyed"[..],
                            Arenas::One(_) => index.as_bytes(),
                        };
                        json.object(key, |json| figures.arena(json, arenas, letters));
                    });
                });
            }
        });
    });
}

impl<S: Source> Figures<'_, S> {
    /// `key` with the value of `name`, where there is one.
    fn json<K: Sink>(&self, json: &mut Json<'_, '_, K>, key: &str, name: &Name) {
        if let Some(value) = self.value(name) {
            json.key(key.as_bytes());
            json.value(value);
        }
    }

    /// Each of `keys`, called by the same names behind `prefix`.
    fn all<K: Sink>(&self, json: &mut Json<'_, '_, K>, prefix: Name, keys: &str) {
        for key in keys.split(' ') {
            self.json(json, key, &prefix.then(key));
        }
    }

    fn general<K: Sink>(&self, json: &mut Json<'_, '_, K>) {
        self.json(json, "version", &Name::of("version"));
        json.object(b"config", |json| {
            self.all(json, Name::of("config."), CONFIG)
        });
        json.object(b"system", |json| {
            self.json(json, "thp_mode", &Name::of("system.thp_mode"));
        });
        json.object(b"opt", |json| {
            for key in CONF_SOURCES.split(' ') {
                let found = self.value(&Name::of("opt.malloc_conf.").then(key));
                if let Some(value) =
                    found.or((!key.ends_with("harder")).then_some(Value::Text(b"")))
                {
                    json.key(key.as_bytes());
                    json.value(value);
                }
            }
            for key in OPTIONS.split(' ') {
                let name = Name::of("opt.").then(key);
                match self.value(&name) {
                    Some(Value::Unsigned(parts)) if key == DIRTY_MULT => {
                        json.key(key.as_bytes());
                        json.out.byte(b'"');
                        match parts {
                            DIRTY_MULT_NEVER => json.out.text("-1"),
                            _ => json.out.fraction(parts),
                        }
                        json.out.byte(b'"');
                    }
                    _ => self.json(json, key, &name),
                }
            }
        });
        if self.is_on(&Name::of("config.prof")) {
            json.object(b"prof", |json| {
                let keys = "thread_active_init active gdump interval lg_sample";
                self.all(json, Name::of("prof."), keys);
            });
        }
        json.object(b"arenas", |json| {
            let arenas = Name::of("arenas.");
            let keys = "narenas dirty_decay_ms muzzy_decay_ms quantum page hugepage tcache_max nbins nhbins";
            self.all(json, arenas, keys);
            json.array(b"bin", self.small(), |json, class| {
                let bin = arenas.then("bin.").index(class).then(".");
                self.all(json, bin, "size nregs slab_size nshards");
            });
            self.all(json, arenas, "nlextents");
            json.array(b"lextent", self.large(), |json, class| {
                self.all(json, arenas.then("lextent.").index(class).then("."), "size");
            });
        });
    }

    fn process<K: Sink>(&self, json: &mut Json<'_, '_, K>, letters: Letters) {
        let stats = Name::of("stats.");
        let keys = "allocated active metadata metadata_edata metadata_rtree metadata_thp resident mapped retained \
            pinned zero_reallocs";
        self.all(json, stats, keys);
        json.object(b"background_thread", |json| {
            let keys = "num_threads num_runs run_interval";
            self.all(json, stats.then("background_thread."), keys);
        });
        if !letters.omit(b'x') {
            self.locks(json, stats.then("mutexes."), PROCESS_LOCKS);
        }
    }

    fn locks<K: Sink>(&self, json: &mut Json<'_, '_, K>, prefix: Name, locks: &str) {
        json.object(b"mutexes", |json| {
            for lock in locks.split(' ') {
                json.object(lock.as_bytes(), |json| {
                    self.all(json, prefix.then(lock).then("."), LOCK_COUNTS);
                });
            }
        });
    }

    fn arena<K: Sink>(&self, json: &mut Json<'_, '_, K>, arenas: Arenas, letters: Letters) {
        let prefix = arenas.name("");
        if let Arenas::One(index) = arenas {
            let mut text = [0; ARENA_NAME];
            let len = self.0.arena_name(index, &mut text).min(ARENA_NAME);
            json.key(b"name");
            json.quoted(text.split_at(len).0);
        }
        self.all(json, prefix, "nthreads");
        self.json(json, "uptime_ns", &prefix.then("uptime"));
        let keys = "dss dirty_decay_ms muzzy_decay_ms pactive pdirty pmuzzy dirty_npurge dirty_nmadvise dirty_purged \
            muzzy_npurge muzzy_nmadvise muzzy_purged";
        self.all(json, prefix, keys);
        for part in ["small", "large"] {
            json.object(part.as_bytes(), |json| {
                let keys = "allocated nmalloc ndalloc nrequests nfills nflushes";
                self.all(json, prefix.then(part).then("."), keys);
            });
        }
        let keys = "mapped retained pinned base internal metadata_edata metadata_rtree metadata_thp tcache_bytes \
            tcache_stashed_bytes resident abandoned_vm extent_avail";
        self.all(json, prefix, keys);
        if !letters.omit(b'x') {
            self.locks(json, prefix.then("mutexes."), ARENA_LOCKS);
        }
        if !letters.omit(b'b') {
            self.bins(json, arenas, letters);
        }
        if !letters.omit(b'l') {
            json.array(b"lextents", self.large(), |json, at| {
                let class = prefix.then("lextents.").index(at).then(".");
                self.all(json, class, "curlextents");
                self.sampled(json, self.samples(arenas, "lextents", at));
            });
        }
        if !letters.omit(b'e') {
            json.array(b"extents", self.page_classes(), |json, class| {
                let keys = "ndirty nmuzzy nretained npinned dirty_bytes muzzy_bytes retained_bytes pinned_bytes";
                let class = prefix.then("extents.").index(class).then(".");
                self.all(json, class, keys);
            });
        }
        if !letters.omit(b'h') {
            self.huge(json, prefix);
        }
    }

    fn sampled<K: Sink>(&self, json: &mut Json<'_, '_, K>, samples: Option<[u64; 4]>) {
        for (key, number) in SAMPLES.split(' ').zip(samples.into_iter().flatten()) {
            json.key(key.as_bytes());
            json.value(Value::Unsigned(number));
        }
    }

    fn bins<K: Sink>(&self, json: &mut Json<'_, '_, K>, arenas: Arenas, letters: Letters) {
        json.array(b"bins", self.small(), |json, class| {
            let bin = arenas.name("bins.").index(class).then(".");
            self.all(json, bin, "nmalloc ndalloc curregs nrequests");
            self.sampled(json, self.samples(arenas, "bins", class));
            self.all(json, bin, "nfills nflushes nreslabs curslabs nonfull_slabs");
            if !letters.omit(b'x') {
                json.object(b"mutex", |json| {
                    self.all(json, bin.then("mutex."), LOCK_COUNTS);
                });
            }
        });
    }

    fn huge<K: Sink>(&self, json: &mut Json<'_, '_, K>, prefix: Name) {
        let shard = prefix.then("hpa_shard.");
        json.object(b"hpa_shard", |json| {
            for key in "sec_bytes sec_hits sec_misses sec_dalloc_noflush sec_dalloc_flush sec_overfills".split(' ') {
                self.json(json, key, &prefix.then("hpa_").then(key));
            }
            let keys = "npageslabs nactive ndirty npurge_passes npurges nhugifies nhugify_failures ndehugifies";
            self.all(json, shard, keys);
            json.object(b"slabs", |json| {
                let slabs = shard.then("slabs.");
                self.all(json, slabs, "npageslabs_nonhuge nactive_nonhuge ndirty_nonhuge");
                self.retained(json, slabs);
                self.all(json, slabs, "npageslabs_huge nactive_huge ndirty_huge");
            });
            json.array(b"extent_allocation_distribution", 9, |json, count| {
                let keys = "min_extents max_extents extents ps pages_per_ps extents_per_ps total_elapsed_ns_per_ps";
                self.all(json, shard.then("alloc.").index(count).then("."), keys);
            });
            for part in ["full_slabs", "empty_slabs"] {
                json.object(part.as_bytes(), |json| {
                    self.kinds(json, shard.then(part).then("."));
                });
            }
            json.array(b"nonfull_slabs", 64, |json, class| {
                self.kinds(json, shard.then("nonfull_slabs.").index(class).then("."));
            });
        });
    }

    fn kinds<K: Sink>(&self, json: &mut Json<'_, '_, K>, prefix: Name) {
        let keys = "npageslabs_huge nactive_huge ndirty_huge npageslabs_nonhuge nactive_nonhuge ndirty_nonhuge";
        self.all(json, prefix, keys);
        self.retained(json, prefix);
    }

    fn retained<K: Sink>(&self, json: &mut Json<'_, '_, K>, prefix: Name) {
        json.key(b"nretained_nonhuge");
        json.value(Value::Unsigned(self.retained_pages(prefix)));
    }
}

//! The example's service, asked over HTTP: profiles are read back, metrics by a strict reader.

#[path = "../examples/service.rs"]
#[allow(dead_code, reason = "the example's main is not ours")]
mod service;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use jemoxide_pprof::{Handlers, Percent, dump_at};
use jemoxide_profile::{Measure, Profile, Stack};

/// The service, started once.
fn address() -> SocketAddr {
    static ADDRESS: OnceLock<SocketAddr> = OnceLock::new();
    *ADDRESS.get_or_init(|| {
        let (teller, told) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_io()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
                    .await
                    .expect("a port");
                teller
                    .send(listener.local_addr().expect("bound"))
                    .expect("heard");
                let router = service::diagnostics(Handlers::new()).merge(service::service());
                axum::serve(listener, router).await.expect("serves");
            });
        });
        told.recv().expect("started")
    })
}

struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

/// Asks for `path`, as any client does.
fn get(path: &str) -> Answer {
    let mut stream = TcpStream::connect(address()).expect("listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("sent");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answered");
    let end = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .expect("headers");
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let mut lines = head.lines();
    let status = lines
        .next()
        .expect("a status")
        .split(' ')
        .nth(1)
        .expect("a number");
    let headers: HashMap<_, _> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = bytes[end + 4..].to_vec();
    assert_eq!(
        headers.get("content-length").map(String::as_str),
        Some(body.len().to_string().as_str())
    );
    Answer {
        status: status.parse().expect("a number"),
        headers,
        body,
    }
}

fn text(answer: &Answer) -> String {
    String::from_utf8(answer.body.clone()).expect("text")
}

/// Bytes that [`hold_on`] holds.
const HELD: f64 = (640 << 16) as f64;

#[inline(never)]
fn hold_on() -> Vec<Vec<u8>> {
    // 40 MiB in objects of 64 KiB: some eighty samples.
    (0..640).map(|at| vec![at as u8; 64 << 10]).collect()
}

/// Live bytes of call paths through [`hold_on`]: other tests of this process allocate as well.
fn live_of_hold_on(profile: &Profile) -> f64 {
    let has_it = |stack: &&Stack| {
        let mut frames = profile.frames(stack);
        frames.any(|frame| frame.name().contains("hold_on"))
    };
    let stacks = profile.stacks().iter().filter(has_it);
    stacks.map(|stack| stack.live.bytes).sum()
}

/// Tests that switch profiling take turns: it is the process's.
fn turn() -> std::sync::MutexGuard<'static, ()> {
    static TURN: std::sync::Mutex<()> = std::sync::Mutex::new(());
    TURN.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn a_program_that_profiles_shows_it_at_once() {
    let _turn = turn();
    let off = get("/debug/pprof/heap");
    assert_eq!(off.status, 409, "{}", text(&off));
    assert!(text(&off).contains("?seconds=30"), "{}", text(&off));

    jemoxide::profile::start();
    let held = hold_on();
    let answer = get("/debug/pprof/heap");
    jemoxide::profile::stop();
    assert_eq!(
        answer.status,
        200,
        "{}",
        String::from_utf8_lossy(&answer.body)
    );
    assert_eq!(&answer.body[..2], b"\x1f\x8b", "gzip");
    let profile = Profile::read(&answer.body).expect("pprof");
    // Samples of 512 KiB: an object of 64 KiB is seen with p = 0.1175, and stands for 1/p. The standard error of 640 of them
    // is 11 %; five of them are too much for one run in a million.
    let live = live_of_hold_on(&profile);
    assert!((live - HELD).abs() < 0.55 * HELD, "{live}");
    let with_threads = |stack: &Stack| !stack.threads.is_empty();
    assert!(profile.stacks().iter().any(with_threads), "labels");
    drop(held);
}

#[test]
fn a_profile_is_taken_on_request_and_profiling_is_off_again() {
    let _turn = turn();
    let enough = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut held = Vec::new();
            while !enough.load(Ordering::Relaxed) {
                drop(held);
                held = hold_on();
            }
        });
        // Whatever else runs on this machine: what is sampled in a second may be nothing, but not again and again.
        let seen = (0..60).any(|_| {
            let answer = get("/debug/pprof/heap?seconds=1");
            assert_eq!(
                answer.status,
                200,
                "{}",
                String::from_utf8_lossy(&answer.body)
            );
            let profile = Profile::read(&answer.body).expect("pprof");
            assert!(!jemoxide::profile::is_active(), "N1");
            live_of_hold_on(&profile) > 0.0
        });
        enough.store(true, Ordering::Relaxed);
        assert!(seen, "no sample of what is allocated all the time");
    });
}

/// Requests that sample hold nobody up, and the last of them switches off what the first switched on.
#[test]
fn requests_sample_side_by_side() {
    let _turn = turn();
    let ask = |seconds: u32| {
        thread::spawn(move || get(&format!("/debug/pprof/heap?seconds={seconds}")).status)
    };
    let two = [ask(1), ask(2)];
    while !jemoxide::profile::is_active() {
        thread::yield_now();
    }
    // On for these requests alone: for others, profiling is off, and they learn it at once.
    assert_eq!(get("/debug/pprof/heap").status, 409);
    for asked in two {
        assert_eq!(asked.join().expect("answered"), 200);
    }
    assert!(!jemoxide::profile::is_active(), "N1");

    // What the program switches on meanwhile stays on.
    let asked = ask(1);
    while !jemoxide::profile::is_active() {
        thread::yield_now();
    }
    jemoxide::profile::start();
    assert_eq!(get("/debug/pprof/heap").status, 200, "the program's now");
    assert_eq!(asked.join().expect("answered"), 200);
    assert!(jemoxide::profile::is_active(), "N1");
    jemoxide::profile::stop();
}

#[test]
fn the_flamegraph_is_a_page_and_bounds_are_kept() {
    let _turn = turn();
    let page = get("/debug/pprof/heap/flamegraph?seconds=1");
    assert_eq!(page.status, 200, "{}", text(&page));
    assert!(page.headers["content-type"].starts_with("text/html"));
    assert!(text(&page).starts_with("<!DOCTYPE html>"));
    for wrong in ["seconds=100000", "seconds=x", "seconds=-1"] {
        assert_eq!(get(&format!("/debug/pprof/heap?{wrong}")).status, 400);
    }
    assert_eq!(get("/debug/pprof/other").status, 404);
    let small = Handlers::new().dump_max(10).heap("seconds=1");
    assert_eq!(
        small.status,
        507,
        "{}",
        String::from_utf8_lossy(&small.body)
    );
    // Functions are named, lines are not, and the profile says why.
    jemoxide::profile::start();
    let held = hold_on();
    let bare = Handlers::new().debug_max(16 << 20).heap("");
    jemoxide::profile::stop();
    assert_eq!(bare.status, 200);
    let profile = Profile::read(&bare.body).expect("pprof");
    let frames = profile
        .stacks()
        .iter()
        .flat_map(|stack| profile.frames(stack));
    let mut own = frames.filter(|frame| frame.name().contains("hold_on"));
    assert!(own.all(|frame| frame.line == 0));
    assert!(live_of_hold_on(&profile) > 0.0);
    assert!(
        profile
            .warnings()
            .iter()
            .any(|told| told.starts_with("No lines for")),
        "{:?}",
        profile.warnings()
    );
    drop(held);
}

#[test]
fn metrics_are_open_metrics_and_add_up() {
    let held = vec![1u8; 30 << 20];
    let answer = get("/metrics");
    assert_eq!(answer.status, 200);
    assert!(
        answer.headers["content-type"].starts_with("application/openmetrics-text; version=1.0.0")
    );
    let metrics = read_open_metrics(&text(&answer));
    let one = |name: &str| {
        let found: Vec<_> = metrics.iter().filter(|(key, _)| key.0 == name).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        *found[0].1
    };
    let allocated = one("jemoxide_allocated_bytes");
    assert!(allocated >= 30.0 * 1048576.0, "{allocated}");
    assert!(one("jemoxide_active_bytes") >= allocated);
    assert!(one("jemoxide_mapped_bytes") >= one("jemoxide_active_bytes"));
    let parts: f64 = metrics
        .iter()
        .filter(|(key, _)| key.0 == "jemoxide_rss_bytes")
        .map(|(_, value)| value)
        .sum();
    assert!((30e6..2e9).contains(&parts), "{parts}");
    let live = ("jemoxide_rss_bytes".to_owned(), "part=\"live\"".to_owned());
    assert!(metrics[&live] >= 30.0 * 1048576.0, "{}", metrics[&live]);
    assert!(metrics.contains_key(&(
        "jemoxide_purges_total".to_owned(),
        "kind=\"dirty\"".to_owned()
    )));
    // Counters never fall.
    jemoxide::purge();
    let later = read_open_metrics(&text(&get("/metrics")));
    for (key, value) in metrics.iter().filter(|(key, _)| key.0.ends_with("_total")) {
        assert!(later[key] >= *value, "{key:?}");
    }
    drop(held);
}

/// Reads the text as strictly as the specification says, sample by sample: name and labels to value.
fn read_open_metrics(text: &str) -> HashMap<(String, String), f64> {
    let body = text
        .strip_suffix("# EOF\n")
        .expect("ends so, and with a line's end");
    let mut families: HashMap<String, String> = HashMap::new();
    let mut current = String::new();
    let mut samples = HashMap::new();
    let is_name = |name: &str| {
        let mut letters = name.chars();
        letters
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && letters.all(|each| each.is_ascii_alphanumeric() || each == '_')
    };
    for line in body.lines() {
        assert!(!line.is_empty() && line.trim() == line, "{line:?}");
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (kind, name, value) = (words.next(), words.next(), words.next());
            let (Some(kind), Some(name), Some(value)) = (kind, name, value) else {
                panic!("{line}");
            };
            assert!(is_name(name), "{line}");
            match kind {
                "TYPE" => {
                    assert!(["gauge", "counter"].contains(&value), "{line}");
                    let before = families.insert(name.to_owned(), value.to_owned());
                    assert!(before.is_none(), "a family stands together, once: {line}");
                    current = name.to_owned();
                }
                "UNIT" => assert!(
                    name == current && name.ends_with(&format!("_{value}")),
                    "{line}"
                ),
                "HELP" => assert!(name == current && value.ends_with('.'), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let value: f64 = value.parse().expect("a number");
        let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
        let labels = labels.strip_suffix('}').expect("closed");
        if !labels.is_empty() {
            let (key, value) = labels.split_once('=').expect("a label");
            assert!(
                is_name(key) && value.starts_with('"') && value.ends_with('"'),
                "{line}"
            );
        }
        assert!(is_name(name), "{line}");
        let family = match families[&current].as_str() {
            "counter" => name.strip_suffix("_total").expect("counters end so"),
            _ => name,
        };
        assert_eq!(family, current, "{line}");
        assert!(families[&current] != "counter" || value >= 0.0, "{line}");
        let before = samples.insert((name.to_owned(), labels.to_owned()), value);
        assert!(before.is_none(), "twice: {line}");
    }
    samples
}

#[test]
fn a_dump_is_written_when_memory_passes_the_threshold() {
    let _turn = turn();
    jemoxide::profile::start();
    let held: Vec<_> = (0..3).map(|_| hold_on()).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let (teller, told) = std::sync::mpsc::channel();
    // The watch begins above its threshold, so that nothing depends on when it looks, or on what other tests hold.
    let used = jemoxide::limits().used;
    jemoxide::set_heap_limit_soft(used * 2);
    let percent = Percent::new(1).expect("a share");
    let watch = dump_at(percent, folder.path(), 1, move |told| {
        let _ = teller.send(told);
    });
    // It looks twice a second; a minute and more is for machines that are at their end.
    let file = told
        .recv_timeout(Duration::from_secs(300))
        .expect("a dump")
        .expect("written");
    let profile = Profile::read_file(&file).expect("heap_v2");
    assert!(profile.total(Measure::Live).bytes > HELD, "three of them");
    jemoxide::set_heap_limit_soft(0);
    drop((held, watch));
    jemoxide::profile::stop();
}

//! The page in a real browser, and the SVG: what a person sees and can do.
//!
//! With `JEMOXIDE_PICTURES=DIR` pictures of the page are left in DIR, for the eye.

mod browser;

use std::fs;
use std::path::{Path, PathBuf};

use browser::Browser;
use jemoxide_flame::{Graph, View, Waste};
use jemoxide_profile::Profile;

/// Sampled byte by byte, so that every number is exact. Places in `app` stand for functions:
/// 4000 = main, 3000 = serve, 2000 = cache, 1000 = log.
const DETAILED: &str = "heap_v2/1
  t*: 4: 448 [10: 1408]
  t0: 4: 448 [10: 1408]
@ 0x2001 0x3001 0x4001
  t*: 3: 192 [3: 192]
  t0: 3: 192 [3: 192]
@ 0x1001 0x4001
  t*: 1: 256 [7: 1216]
  t0: 1: 256 [7: 1216]

MAPPED_LIBRARIES:
00001000-00009000 r-xp 00001000 08:01 77                         /opt/app

JEMOXIDE_DETAILS/1
time 9000000000 1700000000
peak 1024 5000000000
thread 0 main
class 64 3 2 8192 8000
class 256 1 1 4096 3840
class 1024 0 1 4096 500
@ 0x2001 0x3001 0x4001
  p 16 128
  c 24 192
  o 64 60 1000 0 0 0
  o 64 60 2000 0 0 0
  o 64 60 3000 0 0 0
@ 0x1001 0x4001
  p 32 896
  c 56 1216
  o 256 250 1000 0 0 0
end
";

fn detailed() -> Profile {
    Profile::read(DETAILED.as_bytes()).expect("good")
}

fn collapsed(text: &str) -> Profile {
    Profile::read(text.as_bytes()).expect("good")
}

/// Many stacks with the names of a service.
fn service(scale: u64) -> Profile {
    let mut text = String::new();
    for (path, bytes) in [
        (
            "main;tokio::run;server::handle;cache::insert;Vec::push",
            52_000_000 / scale,
        ),
        (
            "main;tokio::run;server::handle;cache::insert;Key::new",
            9_000_000,
        ),
        (
            "main;tokio::run;server::handle;json::parse;String::from",
            14_000_000,
        ),
        ("main;tokio::run;server::handle;json::parse", 3_000_000),
        ("main;tokio::run;log::write;Buffer::grow", 2_500_000 * scale),
        (
            "main;config::load;toml::parse<std::collections::HashMap<String, Value>>",
            1_200_000,
        ),
        ("main;metrics::start", 400_000),
    ] {
        text.push_str(&format!("{path} {bytes}\n"));
    }
    collapsed(&text)
}

fn page(folder: &Path, name: &str, graph: &Graph, title: &str) -> PathBuf {
    let file = folder.join(name);
    fs::write(&file, graph.page(title)).expect("writable");
    file
}

fn picture(browser: &mut Browser, name: &str) {
    if let Some(folder) = std::env::var_os("JEMOXIDE_PICTURES") {
        browser.picture(&Path::new(&folder).join(name));
    }
}

/// The frames of that name.
fn frame(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.frame')].find(each => each.title.startsWith({name:?} + ':'))"
    )
}

#[test]
fn waste_is_charged_to_who_pins_it_and_nothing_is_lost() {
    let profile = detailed();
    let waste = Waste::of(&profile);
    assert_eq!(waste.by_stack, [8000.0, 3840.0]);
    assert_eq!(waste.of_nobody, 500.0);
    let free: u64 = profile.classes().iter().map(|class| class.free_bytes).sum();
    let charged: f64 = waste.by_stack.iter().sum();
    assert_eq!(charged + waste.of_nobody, free as f64, "W1");
}

#[test]
fn what_a_profile_does_not_tell_is_refused_with_the_cure() {
    let graph = Graph::of(&collapsed("main;a 10\n"));
    assert_eq!(graph.why_not(View::Live), None);
    for view in [View::Peak, View::Cumulative, View::Waste] {
        let why = graph.svg(view, "x").expect_err("not known").to_string();
        assert!(why.contains("jemoxide run --profile"), "{why}");
    }
    let empty = Graph::of(&detailed());
    assert!(View::ALL.iter().all(|&view| empty.why_not(view).is_none()));
    assert_eq!(empty.total(View::Live), 448.0);
    assert_eq!(empty.total(View::Peak), 1024.0);
}

#[test]
fn svg_has_the_functions_and_hostile_names_are_text() {
    let graph = Graph::of(&collapsed(
        "main;<script>alert(1)</script> 10\nmain;b&c 20\n",
    ));
    let svg = graph.svg(View::Live, "a title").expect("drawn");
    for part in ["<svg", "a title", "main", "b&amp;c", "&lt;script&gt;alert"] {
        assert!(svg.contains(part), "{part:?}");
    }
    let difference = Graph::difference(
        &collapsed("main;a 10\n"),
        &collapsed("main;a 30\nmain;b 5\n"),
    );
    let svg = difference.svg(View::Live, "what changed").expect("drawn");
    assert!(
        svg.contains("Red grew, blue shrank, by live bytes"),
        "{svg}"
    );
    assert!(svg.contains("main") && svg.contains('%'), "{svg}");
    let page = graph.page("<b>title</b>");
    assert!(
        !page.contains("<script>alert") && page.contains("\\u003cscript>alert"),
        "G2"
    );
    assert!(page.contains("<title>&lt;b&gt;title"), "G2");
    assert!(
        !page.contains("http://") && !page.contains("https://"),
        "G1: nothing is fetched"
    );
}

#[test]
fn the_page_opens_searches_zooms_and_switches() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = page(
        folder.path(),
        "page.html",
        &Graph::of(&detailed()),
        "service 4711",
    );
    browser.open(&file, 1200, 600);
    assert_eq!(browser.text("h1"), "service 4711");
    assert!(
        browser.text("#status").starts_with("448 B live"),
        "{}",
        browser.text("#status")
    );
    let frames =
        |browser: &mut Browser| browser.value("document.querySelectorAll('.frame').length");
    // all, main, serve, cache, log.
    assert_eq!(frames(&mut browser), 5);

    // Search: the share of what fits is told, and it is marked.
    browser.click("document.getElementById('search')");
    browser.type_text("app\\+0x(2|3)000");
    assert_eq!(
        browser.value("document.querySelectorAll('.frame.found').length"),
        2
    );
    let status = browser.text("#status");
    assert!(status.contains("found: 192 B, 42.9 %"), "{status}");
    // What is no expression marks the field and finds nothing.
    browser.value("document.getElementById('search').value = ''");
    browser.type_text("(");
    assert_eq!(
        browser.value("document.getElementById('search').className"),
        "bad"
    );
    browser.value(
        "(() => { const search = document.getElementById('search');
           search.value = ''; search.dispatchEvent(new Event('input')); })()",
    );

    // Zoom: the frame is as wide as the page, those around it stay, others go.
    browser.click(&frame("app+0x3000"));
    browser.until(
        "the zoom",
        "document.getElementById('status').textContent.includes('shown: 192 B')",
    );
    let width = browser.value(&format!("{}.offsetWidth > 1100", frame("app+0x2000")));
    assert_eq!(width, true);
    assert_eq!(
        browser.value(&format!("!{}", frame("app+0x1000"))),
        true,
        "log is out of sight"
    );
    assert_eq!(
        browser.value("document.querySelectorAll('.frame.above').length"),
        2
    );
    // The address keeps it: the same is shown when it is opened anew.
    let kept = browser.value("location.hash");
    assert!(
        kept.as_str().is_some_and(|hash| hash.contains("zoom=")),
        "{kept}"
    );
    browser.call("Page.reload", serde_json::json!({}));
    browser.until("the same again", "document.readyState === 'complete' && document.getElementById('status').textContent.includes('shown: 192 B')");
    browser.click("document.getElementById('reset')");
    browser.until(
        "the whole graph",
        "document.querySelectorAll('.frame').length === 5",
    );
    browser.click(&frame("app+0x1000"));
    browser.until(
        "the zoom",
        "document.querySelectorAll('.frame.above').length === 2",
    );
    browser.press("Escape");
    browser.press("Escape");
    browser.until(
        "the whole graph",
        "document.querySelectorAll('.frame').length === 5",
    );

    // Switch: each view has its bytes, and says what they are.
    for (view, told, meaning) in [
        ("peak", "1.0 KiB peak", "when most was live"),
        ("cumulative", "1.4 KiB cumulative", "freed or not"),
        (
            "waste",
            "11.6 KiB waste; charged to nobody: 500 B",
            "in proportion",
        ),
        ("live", "448 B live", "not freed"),
    ] {
        browser.click(&format!("document.querySelector('[data-view={view}]')"));
        let status = browser.text("#status");
        assert!(status.starts_with(told), "{view}: {status}");
        let text = browser.text("#meaning");
        assert!(text.contains(meaning), "{view}: {text}");
        let pressed = browser.value("document.querySelector('[aria-pressed=true]').textContent");
        assert_eq!(pressed, view);
    }
    browser.click("document.querySelector('[data-view=waste]')");
    let widths = browser.value(&format!(
        "{}.offsetWidth / {}.offsetWidth",
        frame("app+0x2000"),
        frame("app+0x1000")
    ));
    let ratio = widths.as_f64().expect("a number");
    assert!((ratio - 8000.0 / 3840.0).abs() < 0.05, "{ratio}");
    picture(&mut browser, "waste.png");
}

#[test]
fn the_page_fits_a_narrow_window_and_names_stay_text() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = page(
        folder.path(),
        "page.html",
        &Graph::of(&service(1)),
        "service 4711",
    );
    browser.open(&file, 1200, 500);
    picture(&mut browser, "wide.png");
    for width in [1200, 800, 360] {
        browser.resize(width, 640);
        browser.until(
            "the new width",
            &format!("document.documentElement.scrollWidth <= {width} && document.querySelector('.frame').offsetWidth < {width}"),
        );
    }
    picture(&mut browser, "narrow.png");
    let disabled = browser.value("[...document.querySelectorAll('#views button:disabled')].map(each => each.textContent).join()");
    assert_eq!(disabled, "peak,cumulative,waste");
    let reason = browser.value("document.querySelector('[data-view=peak]').title");
    assert!(
        reason
            .as_str()
            .is_some_and(|text| text.contains("jemoxide run")),
        "{reason}"
    );

    let hostile = Graph::of(&collapsed(
        "main;</script><img src=x onerror=document.title='taken'> 100\n",
    ));
    let file = page(
        folder.path(),
        "hostile.html",
        &hostile,
        "</title><script>document.title='taken'</script>",
    );
    browser.open(&file, 800, 600);
    assert_ne!(browser.value("document.title"), "taken");
    assert_eq!(browser.value("document.querySelectorAll('img').length"), 0);
    assert_eq!(
        browser.value(&format!(
            "!!{}",
            frame("</script><img src=x onerror=document.title='taken'>")
        )),
        true
    );
}

#[test]
fn a_difference_shows_what_grew_and_what_shrank() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let graph = Graph::difference(&service(1), &service(4));
    let file = page(folder.path(), "difference.html", &graph, "before and after");
    browser.open(&file, 1000, 500);
    let status = browser.text("#status");
    assert!(
        status.contains("before,") && status.contains("as wide as after"),
        "{status}"
    );
    let hue = |browser: &mut Browser, name: &str| {
        let color = browser.value(&format!(
            "getComputedStyle({}).backgroundColor",
            frame(name)
        ));
        let color = color.as_str().expect("a color").to_owned();
        let numbers: Vec<f64> = color
            .split(|each: char| !each.is_ascii_digit() && each != '.')
            .filter_map(|part| part.parse().ok())
            .collect();
        numbers[0] - numbers[2]
    };
    assert!(hue(&mut browser, "Buffer::grow") > 0.0, "grew: red");
    assert!(hue(&mut browser, "Vec::push") < 0.0, "shrank: blue");
    let after = browser.value(&format!("{}.offsetWidth", frame("Vec::push")));
    browser.click("document.getElementById('side')");
    browser.until(
        "the other side",
        "document.getElementById('status').textContent.includes('as wide as before')",
    );
    let before = browser.value(&format!("{}.offsetWidth", frame("Vec::push")));
    assert!(before.as_f64() > after.as_f64(), "{before} {after}");
    picture(&mut browser, "difference.png");
}

#[test]
fn a_name_with_a_semicolon_is_zoomed_linked_and_drawn_as_it_is() {
    let text = DETAILED.replace("/opt/app", "/opt/[u8; 4]");
    let graph = Graph::of(&Profile::read(text.as_bytes()).expect("good"));
    let svg = graph.svg(View::Live, "arrays").expect("drawn");
    assert!(svg.contains("<title>[u8; 4]+0x2000 (192 bytes"), "{svg}");
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = page(folder.path(), "page.html", &graph, "arrays");
    browser.open(&file, 1200, 600);
    let zoomed = "document.getElementById('status').textContent.includes('shown: 192 B')";
    browser.click(&frame("[u8; 4]+0x2000"));
    browser.until("the zoom", zoomed);
    assert_eq!(
        browser.value("history.length"),
        browser.value("(document.querySelector('[data-view=live]').click(), history.length)"),
        "what is looked at is no step of the browser's history"
    );
    let kept = browser.value("location.hash");
    browser.call("Page.reload", serde_json::json!({}));
    browser.until(
        "the same again",
        &format!("document.readyState === 'complete' && {zoomed}"),
    );
    // A link typed into the address bar is heard, also right after a change of one's own.
    browser.click("document.getElementById('reset')");
    browser.value(&format!("location.hash = {kept}"));
    browser.until("the link", zoomed);
    // That of another page, where the number is another frame, leads nowhere.
    browser.value("location.hash = '#view=live&zoom=2.nonsense'");
    browser.until(
        "the whole graph",
        "document.getElementById('status').textContent === '448 B live'",
    );
}

#[test]
fn a_stack_of_thousands_of_frames_is_drawn_scrolled_and_zoomed() {
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let frames: Vec<_> = (0..5000).map(|depth| format!("f{depth}")).collect();
    let graph = Graph::of(&collapsed(&format!(
        "{} 4096\nf0;other 100\n",
        frames.join(";")
    )));
    let file = page(folder.path(), "deep.html", &graph, "deep");
    browser.open(&file, 1000, 700);
    let status = browser.text("#status");
    assert!(status.contains("5,001 rows: scroll"), "{status}");
    let drawn = browser.value("document.querySelectorAll('.frame').length");
    assert!(
        drawn
            .as_u64()
            .is_some_and(|drawn| (40..400).contains(&drawn)),
        "what is in sight: {drawn}"
    );
    picture(&mut browser, "deep-top.png");
    browser.value("scrollTo(0, document.body.scrollHeight)");
    browser.until("the innermost frame", &format!("!!{}", frame("f4999")));
    let is_clear = "document.elementFromPoint(300, document.getElementById('detail').getBoundingClientRect().top - 30)";
    let there = browser.value(&format!("{is_clear}.className"));
    assert_eq!(there, "frame", "the bars above and below cover no frame");
    picture(&mut browser, "deep-end.png");
    browser.click(&frame("f4990"));
    browser.until(
        "the zoom",
        "document.querySelectorAll('.frame.above').length === 9",
    );
    let folded = browser.value("document.querySelectorAll('.frame.above')[1].textContent");
    let folded = folded.as_str().expect("text").to_owned();
    assert!(folded.contains("4,983 frames"), "{folded}");
    assert_eq!(browser.value("scrollY"), 0);
    let link = browser.value("location.hash.length");
    assert!(link.as_u64().is_some_and(|length| length < 60), "{link}");
    browser.call(
        "Input.dispatchMouseEvent",
        serde_json::json!({ "type": "mouseMoved", "x": 500, "y": 330 }),
    );
    browser.until(
        "the path",
        "document.getElementById('detail').textContent.includes(' more) \u{203a} ')",
    );
    picture(&mut browser, "deep-zoom.png");
    // Search goes all the way down.
    browser.click("document.getElementById('reset')");
    browser.click("document.getElementById('search')");
    browser.type_text("^f4321$");
    browser.until(
        "what was found",
        "document.getElementById('status').textContent.includes('found: 4.0 KiB, 97.6 %')",
    );
}

#[test]
fn where_all_was_freed_a_difference_shows_what_was_there() {
    let graph = Graph::difference(
        &collapsed("main;cache::fill 4000\nmain;log 100\n"),
        &Profile::default(),
    );
    let svg = graph.svg(View::Live, "freed").expect("drawn");
    assert!(svg.contains("No live bytes are left"), "{svg}");
    assert!(
        svg.contains("cache::fill (4,000 bytes, 97.56%; -97.56%)"),
        "{svg}"
    );
    let blue = svg
        .split("cache::fill (")
        .nth(1)
        .and_then(|rest| rest.split("rgb(").nth(1)?.split(')').next())
        .map(|numbers| {
            let numbers: Vec<u8> = numbers.split(',').flat_map(str::parse).collect();
            numbers[2] > numbers[0]
        });
    assert_eq!(blue, Some(true), "what shrank is blue");
    let Some(mut browser) = Browser::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let file = page(folder.path(), "freed.html", &graph, "freed");
    browser.open(&file, 1000, 500);
    let status = browser.text("#status");
    assert!(
        status.contains("4.0 KiB before, 0 B after; as wide as before"),
        "{status}"
    );
    assert_eq!(
        browser.value(&format!("{}.offsetWidth > 900", frame("cache::fill"))),
        true
    );
    picture(&mut browser, "freed.png");
}

//! Any text as options: nothing breaks, every complaint is one line, and what is shown reads back as it is.

use jemoxide::settings::{Origin, explain};

/// Key and value of each option after `text`, and what was complained of.
fn read(text: &[u8]) -> (Vec<(String, String)>, Vec<String>) {
    let text: &'static [u8] = text.to_vec().leak();
    let (mut values, mut lines) = (Vec::new(), Vec::new());
    explain(
        &[(Origin::MallocConf, text)],
        &mut |it| values.push((it.name.to_owned(), it.value.to_owned())),
        &mut |line| lines.push(line.to_owned()),
    );
    (values, lines)
}

/// Reads `text`, and what it was shown as.
pub fn run(text: &[u8]) {
    let (values, lines) = read(text);
    for line in &lines {
        assert!(line.starts_with("<jemoxide>: "), "{line}");
    }
    // Long and odd paths are shown as far as they are text; and a logarithm has no way to say that a size is 0.
    let not_again = ["report_dir", "preset", "lg_tcache_max"];
    let shown: Vec<String> = values
        .iter()
        .filter(|(name, value)| !value.is_empty() && !not_again.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}:{value}"))
        .collect();
    let (again, lines) = read(shown.join(",").as_bytes());
    let is_repeated =
        |line: &String| line.contains("without effect") || line.contains("honoured in part");
    assert!(lines.iter().all(is_repeated), "{lines:?}");
    for ((name, value), (_, back)) in values.iter().zip(&again) {
        let is_text =
            ["report_dir", "control", "preset", "log", "prof_prefix"].contains(&name.as_str());
        assert!(
            is_text || value == back,
            "{name}: {value} reads back as {back}"
        );
    }
}

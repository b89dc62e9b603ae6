//! Output: where tables, progress and raw figures go.
//!
//! Tables go to standard output, progress to standard error (and nowhere if that is no terminal), raw
//! figures to one JSON file a command, with the machine and the exact versions they belong to.

use crate::peers::Peer;
use crate::table::Table;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Where and how wide to print.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    width: usize,
    dir: PathBuf,
}

/// The machine that the figures belong to.
#[derive(Debug, Serialize)]
struct Machine {
    system: String,
    processor: String,
    processors: usize,
    memory_kib: u64,
}

#[derive(Serialize)]
struct Saved<'a, T> {
    machine: Machine,
    peers: &'a [Peer],
    figures: &'a T,
}

impl Output {
    /// Prints at most `width` columns; saves into `dir`.
    pub(crate) fn new(width: usize, dir: PathBuf) -> Self {
        Self { width, dir }
    }

    /// Prints a table and an empty line.
    pub(crate) fn print(&self, table: &Table) {
        println!("{}", table.render(self.width));
    }

    /// Prints lines, if there are any, and an empty line.
    pub(crate) fn print_lines(&self, lines: &[String]) {
        if !lines.is_empty() {
            println!("{}\n", lines.join("\n"));
        }
    }

    /// A file of the folder for raw figures.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf, String> {
        let told = |error| format!("{}: {error}", self.dir.display());
        std::fs::create_dir_all(&self.dir).map_err(told)?;
        Ok(self.dir.join(name))
    }

    /// Writes `name.json` and says where it is.
    pub(crate) fn save(
        &self,
        name: &str,
        peers: &[Peer],
        figures: &impl Serialize,
    ) -> Result<(), String> {
        let file = self.file(&format!("{name}.json"))?;
        let saved = Saved {
            machine: machine(),
            peers,
            figures,
        };
        let text = serde_json::to_string_pretty(&saved).map_err(|error| error.to_string())?;
        std::fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        println!("raw figures: {}", display(&file));
        Ok(())
    }
}

/// `path`, shortened to what follows the current folder.
pub(crate) fn display(path: &Path) -> String {
    let short = std::env::current_dir()
        .ok()
        .and_then(|here| path.strip_prefix(here).ok().map(Path::to_owned));
    short
        .unwrap_or_else(|| path.to_owned())
        .display()
        .to_string()
}

/// One line that names the machine.
pub(crate) fn machine_line() -> String {
    let machine = machine();
    format!(
        "{} x {}, {} MiB, {}",
        machine.processors,
        machine.processor,
        machine.memory_kib / 1024,
        machine.system
    )
}

fn machine() -> Machine {
    let read = |file| std::fs::read_to_string(file).unwrap_or_default();
    let field = |text: &str, name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_once(':'))
            .map(|(_, value)| value.trim().to_owned())
    };
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    Machine {
        system: format!("Linux {}", read("/proc/sys/kernel/osrelease").trim()),
        processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown".into()),
        processors: std::thread::available_parallelism().map_or(1, usize::from),
        memory_kib: memory
            .and_then(|text| text.split(' ').next()?.parse().ok())
            .unwrap_or(0),
    }
}

/// A line that moves while a long run goes on.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A run of `steps` steps.
    pub(crate) fn new(output: &Output, steps: u64, what: &str) -> Self {
        let bar = ProgressBar::new(steps);
        let cells = (output.width / 3).clamp(10, 40);
        let template = format!("{what} {{bar:{cells}}} {{pos}}/{{len}} {{eta}} {{msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self { bar }
    }

    /// One step is done; `about` names it.
    pub(crate) fn step(&self, about: &str) {
        self.bar.set_message(about.to_owned());
        self.bar.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::Output;

    #[test]
    fn raw_figures_come_with_machine_and_peers() {
        let dir = std::env::temp_dir().join(format!("jemoxide-bench-{}", std::process::id()));
        let output = Output::new(80, dir.clone());
        output.save("figures", &[], &vec![1.5]).unwrap();
        let text = std::fs::read_to_string(dir.join("figures.json")).unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["figures"][0], 1.5);
        assert!(value["machine"]["processors"].as_u64() >= Some(1));
        assert!(value["peers"].is_array());
    }
}

//! Compiler: GCC's C++ compiler proper, without its driver, on source full of templates.

use super::{Real, Work, digest, find, read, tool, whole_life, write};
use crate::process::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

pub(super) const CXX: Real = Real {
    name: "c++-compile",
    about: "cc1plus compiling templates of the standard library",
    clock: None,
    full: 3,
    lasts: Duration::from_millis(500),
    starts: Duration::from_millis(600),
    prepare,
};

const HEAD: &str = "\
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>
template <int N> struct Shape {
  std::string name; std::vector<std::unique_ptr<Shape>> parts; long numbers[N];
  long sum() const { long s = N; for (auto &part : parts) s += part->sum(); for (long n : numbers) s += n; return s; }
};
";

fn prepare(dir: &Path, units: u64) -> Result<Work, String> {
    let driver = find(&["/usr/bin/g++"])?;
    let source = dir.join("shapes.cc");
    write(&source, text(units).map_err(|error| error.to_string())?)?;
    // Preprocessed once, so that include paths, which the driver knows, are not needed later.
    let unit = dir.join("shapes.ii");
    tool(
        Program::new(&driver)
            .arg("-E")
            .arg(&source)
            .arg("-o")
            .arg(&unit),
    )?;
    let proper = tool(Program::new(&driver).arg("-print-prog-name=cc1plus"))?;
    let assembly = dir.join("shapes.s");
    let program = Program::new(proper.trim())
        .args(["-fpreprocessed", "-quiet", "-O1"])
        .arg(unit)
        .arg("-o")
        .arg(&assembly);
    Ok(Box::new(move |peer| {
        // What an earlier run left must not count as this one's.
        let _ = std::fs::remove_file(&assembly);
        let finished = peer.run_on(program.clone()).run()?;
        Ok(whole_life(&finished, digest(&read(&assembly)?)))
    }))
}

fn text(units: u64) -> Result<String, std::fmt::Error> {
    let mut text = HEAD.to_owned();
    for unit in 0..units {
        let size = unit + 2;
        writeln!(
            text,
            "long unit{unit}(std::vector<Shape<{size}>> &shapes, long limit) {{
  std::map<std::pair<int, std::string>, std::vector<long>> found;
  std::sort(shapes.begin(), shapes.end(), [](auto &a, auto &b) {{ return a.sum() < b.sum(); }});
  for (auto &shape : shapes) if (shape.sum() % {size} < limit)
    found[{{int(shape.parts.size()), shape.name + \"{unit}\"}}].push_back(shape.sum());
  long sum = 0; for (auto &[key, list] : found) sum += key.first * list.size();
  return sum;
}}"
        )?;
    }
    Ok(text)
}

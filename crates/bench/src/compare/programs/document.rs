//! Document: Ghostscript renders generated pages into pictures.

use super::{Real, Work, digest, find, read, whole_life, write};
use crate::process::Program;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

pub(super) const GHOSTSCRIPT: Real = Real {
    name: "ghostscript",
    about: "Ghostscript rendering pages of curves, text, dictionaries and pictures",
    clock: None,
    full: 24,
    lasts: Duration::from_millis(800),
    starts: Duration::from_millis(100),
    prepare,
};

/// One page: curves, text in a few fonts, many small arrays, a picture. The dice are the document's own.
const PAGE: &str = r"%!PS-Adobe-3.0
/seed 7 def
/dice { seed 171 mul 30269 mod /seed exch def seed exch mod } bind def
/curves {
  newpath 595 dice 842 dice moveto
  6 { 595 dice 842 dice 595 dice 842 dice 595 dice 842 dice curveto } repeat
} bind def
/page {
  60 {
    6 dice 6 div 5 dice 5 div 7 dice 7 div setrgbcolor
    curves 2 dice 0 eq { fill } { 9 dice setlinewidth stroke } ifelse
  } repeat
  0 setgray
  [/Helvetica /Times-Roman /Courier-Bold] 3 dice get findfont 6 12 dice add scalefont setfont
  80 { 500 dice 820 dice moveto (Sphinx of black quartz, judge my vow 0123456789) show } repeat
  /table 1000 dict def
  0 1 999 { table exch 1 40 dice add array put } for
  0 1 999 { 12 string cvs table exch 1 index length string put } for
  gsave 100 100 translate 200 200 scale
  64 64 8 [64 0 0 -64 0 64] { 64 string 0 1 63 { 1 index exch 256 dice put } for } image
  grestore
  showpage
} bind def
";

fn prepare(dir: &Path, pages: u64) -> Result<Work, String> {
    let file = find(&["/usr/bin/gs", "/usr/local/bin/gs"])?;
    let mut text = PAGE.to_owned();
    writeln!(text, "{pages} {{ page }} repeat").map_err(|error| error.to_string())?;
    let document = dir.join("document.ps");
    write(&document, text)?;
    let pictures = dir.join("pages.pgm");
    let program = Program::new(file)
        .args([
            "-q",
            "-dNOPAUSE",
            "-dBATCH",
            "-dSAFER",
            "-sDEVICE=pgmraw",
            "-r50",
        ])
        .arg(format!("-sOutputFile={}", pictures.display()))
        .arg(document);
    Ok(Box::new(move |peer| {
        // What an earlier run left must not count as this one's.
        let _ = std::fs::remove_file(&pictures);
        let finished = peer.run_on(program.clone()).run()?;
        Ok(whole_life(&finished, digest(&read(&pictures)?)))
    }))
}

"""Ghostscript: a generated document becomes PNG, PDF, and the PDF becomes PNG again.

The PDF holds its date, so what is compared is how it renders.
"""

import hashlib

from harness.stage import Failure

PACKAGES = ("ghostscript",)
PROGRAMS = ("gs",)

DOCUMENT = r"""%!PS-Adobe-3.0
/seed 7 def
/dice { seed 171 mul 30269 mod /seed exch def seed exch mod } bind def
/page {
  200 { 6 dice 6 div 5 dice 5 div 7 dice 7 div setrgbcolor
    newpath 595 dice 842 dice moveto
    8 { 595 dice 842 dice 595 dice 842 dice 595 dice 842 dice curveto } repeat
    2 dice 0 eq { fill } { 9 dice setlinewidth stroke } ifelse } repeat
  0 setgray
  [/Helvetica /Times-Roman /Courier-Bold /Symbol] 4 dice get findfont 6 12 dice add scalefont setfont
  200 { 500 dice 820 dice moveto (The quick brown fox jumps over the lazy dog 0123456789) show } repeat
  gsave 100 100 translate 300 300 scale
  128 128 8 [128 0 0 -128 0 128] { 128 string 0 1 127 { 1 index exch 256 dice put } for } image
  grestore
  gsave 50 400 translate << /ShadingType 2 /ColorSpace /DeviceRGB /Coords [0 0 400 0]
    /Function << /FunctionType 2 /Domain [0 1] /C0 [1 0 0] /C1 [0 0 1] /N 1 >> >> shfill grestore
  /table 2000 dict def 0 1 1999 { table exch 100 array put } for
  vmreclaim_now
  showpage
} bind def
/vmreclaim_now { 2 vmreclaim } def
3 { page } repeat
"""


def run(stage):
    document = stage.write("document.ps", DOCUMENT)
    gs = ("gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER")
    stage.command(*gs, "-sDEVICE=png16m", "-r72", "-dTextAlphaBits=4", "-dGraphicsAlphaBits=4",
                  "-sOutputFile=page%d.png", document, timeout=120, mapped=["gs"])
    stage.command(*gs, "-sDEVICE=pdfwrite", "-sOutputFile=document.pdf", document, timeout=120, mapped=["gs"])
    stage.command(*gs, "-sDEVICE=pnggray", "-r72", "-dNumRenderingThreads=2", "-dBandBufferSpace=500000",
                  "-sOutputFile=again%d.png", "document.pdf", timeout=120, mapped=["gs"])
    pictures = sorted(stage.folder.glob("*.png"))
    if len(pictures) != 6:
        raise Failure(f"6 pictures expected, got {[p.name for p in pictures]}")
    return {p.name: f"{p.stat().st_size} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in pictures}

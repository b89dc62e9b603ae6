//! Arguments of the commands that look at heap profiles.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::screen::numbers::duration_ns;

/// How names of functions are found and shown.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Names")]
pub(crate) struct NameArguments {
    /// Find the program's files below DIR, such as /proc/PID/root of a container
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub(crate) root: PathBuf,

    /// Look up no names: show places in files
    #[arg(long)]
    pub(crate) no_symbols: bool,

    /// Charge the standard library's containers and strings to their callers
    #[arg(long, conflicts_with = "all_frames")]
    pub(crate) fold_std: bool,

    /// Show the allocator's own frames, too
    #[arg(long)]
    pub(crate) all_frames: bool,
}

impl Default for NameArguments {
    fn default() -> Self {
        Self {
            root: PathBuf::from("/"),
            no_symbols: false,
            fold_std: false,
            all_frames: false,
        }
    }
}

/// `jemoxide report`.
#[derive(Args, Debug)]
#[command(
    long_about = "\
Show what heap profiles say: dumps of jemoxide or jemalloc (heap_v2), pprof
(.pb.gz) or collapsed stacks. Several files, of several processes, are merged.

A profile is a sample: every number is an estimate, and the column `error` is
its standard error: two in three estimates are no further off.",
    after_help = "Views:
  top        functions by what they allocate themselves (own) and with all
             that they call (total)
  tree       the call tree, from main to whoever allocates
  paths      call paths, heaviest first
  peak       call paths when most was live
  leaks      call paths of what is still alive, and how old it is
  temporary  call paths of what was freed soon
  classes    size classes: slabs, and bytes lost to free slots and rounding
  threads    what each thread allocated
  tags       what was allocated under each tag

Examples:
  jemoxide report app.4711.heap
  jemoxide report app.4711.heap --view leaks --older-than 10m
  jemoxide report *.heap --view tree,threads --by cumulative
  jemoxide report app.4711.heap --json | jq '.functions[0]'

Exit status: 0; 2 if a file is no profile, or does not tell what is asked for."
)]
pub(crate) struct ReportArguments {
    /// Heap profiles
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// What to show; several with commas
    #[arg(
        long,
        value_name = "VIEW",
        value_delimiter = ',',
        default_value = "top",
        hide_possible_values = true
    )]
    pub(crate) view: Vec<View>,

    /// Which bytes count in top, tree and paths
    #[arg(long, value_name = "WHAT", default_value = "live")]
    pub(crate) by: By,

    /// Rows of a table, or call paths, or lines of the tree, at most [default: 15, of the tree 120]
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,

    /// Functions of a call path at most, the innermost; 0: all
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) frames: usize,

    /// Leaks: only objects older than that (90s, 10m, 2h)
    #[arg(long, value_name = "AGE", value_parser = duration_ns)]
    pub(crate) older_than: Option<u64>,

    /// Leaks: only objects allocated before this generation
    #[arg(long, value_name = "N")]
    pub(crate) before_generation: Option<u64>,

    /// Temporary: what lived shorter than that, rounded to a power of two
    #[arg(long, value_name = "TIME", default_value = "1ms", value_parser = duration_ns)]
    pub(crate) within: u64,

    /// Everything as JSON, for other programs
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) names: NameArguments,
}

impl ReportArguments {
    /// Rows of a table, and call paths, at most.
    pub(crate) fn rows(&self) -> usize {
        self.limit.unwrap_or(15)
    }

    /// Lines of the tree at most.
    pub(crate) fn tree_lines(&self) -> usize {
        self.limit.unwrap_or(120)
    }
}

/// A part of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum View {
    Top,
    Tree,
    Paths,
    Peak,
    Leaks,
    Temporary,
    Classes,
    Threads,
    Tags,
}

/// Which of a stack's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Allocated and not freed
    #[default]
    Live,
    /// Live when most was live
    Peak,
    /// Allocated since the beginning
    Cumulative,
}

/// `jemoxide diff`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jemoxide diff monday.heap friday.heap
  jemoxide diff before.heap after.heap --paths --by cumulative
  jemoxide diff before.heap after.heap -o grown.html   red grew, blue shrank

A change within twice its standard error may be chance: it is marked `?`.

Exit status: 0, whether something changed or not; 1 if nothing can be drawn or
written; 2 if a file is no profile, or does not tell what is asked for.")]
pub(crate) struct DiffArguments {
    /// The profile before
    #[arg(value_name = "BEFORE")]
    pub(crate) before: PathBuf,

    /// The profile after
    #[arg(value_name = "AFTER")]
    pub(crate) after: PathBuf,

    /// Changes by call path instead of by function
    #[arg(long)]
    pub(crate) paths: bool,

    /// Which bytes are compared
    #[arg(long, value_name = "WHAT", default_value = "live")]
    pub(crate) by: By,

    /// Rows at most
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub(crate) limit: usize,

    /// Functions of a call path at most, the innermost; 0: all
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub(crate) frames: usize,

    /// Everything as JSON, for other programs
    #[arg(long)]
    pub(crate) json: bool,

    /// Draw it instead: NAME.html is a page, NAME.svg a picture, `-` standard output
    #[arg(short, long, value_name = "OUT", conflicts_with_all = ["json", "paths"])]
    pub(crate) output: Option<PathBuf>,

    /// With -o: page or picture, whatever the name [default: what the name says; a page on standard output]
    #[arg(long, value_name = "FORM", requires = "output")]
    pub(crate) to: Option<Drawing>,

    #[command(flatten)]
    pub(crate) names: NameArguments,
}

/// `jemoxide flame`.
#[derive(Args, Debug)]
#[command(after_help = "\
A page is one file with everything in it: search, zoom, and a switch between
live, peak, cumulative and waste, as far as the profile knows them.

Waste is free slots in slabs that live objects keep from going back to the
system, charged to the stacks of sampled objects of the same size class.

Examples:
  jemoxide flame app.4711.heap -o app.html
  jemoxide flame app.4711.heap -o peak.svg --view peak
  jemoxide flame app.4711.heap -o - --to svg | ssh desk 'cat > app.svg'
  jemoxide diff monday.heap friday.heap -o grown.html   what changed, drawn

Exit status: 0; 1 if there is nothing to draw, or it cannot be written; 2 if a
file is no profile, or does not tell what is asked for.")]
pub(crate) struct FlameArguments {
    /// Heap profiles; several are merged
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,

    /// Where it goes: NAME.html is a page, NAME.svg a picture, `-` standard output
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// Page or picture, whatever the name [default: what the name says; a page on standard output]
    #[arg(long, value_name = "FORM")]
    pub(crate) to: Option<Drawing>,

    /// Which bytes a picture shows; a page has all of them
    #[arg(long, value_name = "WHAT", default_value = "live")]
    pub(crate) view: FlameView,

    /// What stands above it [default: the names of the files]
    #[arg(long, value_name = "TEXT")]
    pub(crate) title: Option<String>,

    #[command(flatten)]
    pub(crate) names: NameArguments,
}

/// What a flamegraph is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// An interactive page
    Html,
    /// A picture
    Svg,
}

/// Which bytes make a frame wide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FlameView {
    /// Allocated and not freed
    #[default]
    Live,
    /// Live when most was live
    Peak,
    /// Allocated since the beginning
    Cumulative,
    /// Free slots in slabs that live objects pin
    Waste,
}

/// `jemoxide convert`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  jemoxide convert app.4711.heap -o app.pb.gz        for `go tool pprof`
  jemoxide convert app.4711.heap -o app.folded       for flamegraph programs
  jemoxide convert app.pb.gz --to heap -o app.heap   for jeprof

Suffixes: .heap; .pb.gz and .pprof, packed, and .pb, as it is; .folded,
.collapsed, .stacks and .txt.

pprof tells threads, tags and ages as labels: `go tool pprof -tags`.
Collapsed stacks become a dump with made up addresses and the names in front,
as jeprof reads it.")]
pub(crate) struct ConvertArguments {
    /// A heap profile of any form
    #[arg(value_name = "IN")]
    pub(crate) from: PathBuf,

    /// Where it goes; `-` is standard output
    #[arg(short, long, value_name = "OUT")]
    pub(crate) output: PathBuf,

    /// The form [default: what the suffix of OUT says]
    #[arg(long, value_name = "FORM")]
    pub(crate) to: Option<To>,

    /// Which bytes collapsed stacks count
    #[arg(long, value_name = "WHAT", default_value = "live")]
    pub(crate) by: By,

    #[command(flatten)]
    pub(crate) names: NameArguments,
}

/// A form to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum To {
    /// Heap dump, as jeprof reads it
    Heap,
    /// Protobuf, packed unless OUT ends in .pb
    Pprof,
    /// A line a stack
    Collapsed,
}

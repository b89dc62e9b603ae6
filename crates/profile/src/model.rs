//! Model: a profile as every reader makes it and every view and writer uses it.
//!
//! ```text
//! Profile -- stacks ---> Stack { frames: [LocationId], live, peak, cumulative, threads, lifetimes, tags, objects }
//!         |                                  |
//!         |- locations -> Location { address, module, calls }       one a return address
//!         |                           |         `-> Call { function, line }   several where one was inlined
//!         |- functions -> Function { name, symbol, file }   <----------'
//!         |- modules ---> Module { start..end, offset, path, build_id }
//!         `- threads, classes, time, peak
//! ```
//! M1  Ids point into this profile's own tables: only the builder makes them.
//! M2  No two stacks have the same frames; frames stand innermost first.
//! M3  A stack's amounts are estimates ([`Amount`]), whatever the file held.
//! M4  A stack's shares of threads and tags, and its lifetimes, are in order, one each; so are the classes.
//! M5  `hidden_locations <= frames.len()`, and `hidden_calls` is less than the calls of the first location shown (or 0).
//!
//! Units: bytes, nanoseconds.

use std::ops::Range;
use std::sync::Arc;

use crate::amount::Amount;

/// Which of a profile's locations; see rule M1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocationId(pub(crate) u32);

/// Which of a profile's functions; see rule M1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub(crate) u32);

/// Which of a profile's modules; see rule M1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ModuleId(pub(crate) u32);

/// Which of a profile's threads; see rule M1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ThreadId(pub(crate) u32);

/// A heap profile of one process, or of several merged.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub(crate) form: Form,
    pub(crate) period: u64,
    pub(crate) known: Known,
    pub(crate) stacks: Vec<Stack>,
    pub(crate) locations: Vec<Location>,
    pub(crate) functions: Vec<Function>,
    pub(crate) modules: Vec<Module>,
    pub(crate) threads: Vec<Thread>,
    pub(crate) classes: Vec<ClassUse>,
    pub(crate) time: Option<Time>,
    pub(crate) peak: Option<Peak>,
    pub(crate) sources: u32,
    pub(crate) warnings: Vec<String>,
}

/// The form that a profile was read from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `heap_v2/PERIOD`, as jemalloc and jemoxide write it.
    #[default]
    HeapV2,
    /// `heap profile: ...`, as gperftools writes it.
    Classic,
    /// pprof's protobuf.
    Pprof,
    /// A line a stack: `main;work;alloc 4096`.
    Collapsed,
}

/// What a profile can tell at all: a number that is not known is 0 everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Numbers of objects, not only bytes.
    pub objects: bool,
    /// What was allocated since the beginning, freed or not.
    pub cumulative: bool,
    /// What was live when most was.
    pub peak: bool,
    /// How long freed objects had lived.
    pub lifetimes: bool,
    /// Each live object that was sampled, with its age.
    pub ages: bool,
}

/// One call stack and what was allocated there.
#[derive(Clone, Debug, Default)]
pub struct Stack {
    pub(crate) frames: Box<[LocationId]>,
    pub(crate) hidden_locations: u32,
    pub(crate) hidden_calls: u32,
    /// Allocated and not freed.
    pub live: Amount,
    /// Live at the moment when most was live in the whole process.
    pub peak: Amount,
    /// Allocated since the beginning.
    pub cumulative: Amount,
    /// The same by thread, where the profile tells.
    pub threads: Vec<ThreadShare>,
    /// What was freed, by how long it had lived.
    pub lifetimes: Vec<Lifetime>,
    /// Allocated since the beginning under a tag other than 0.
    pub tags: Vec<TagShare>,
    /// Live objects that were sampled.
    pub objects: Vec<Object>,
}

/// What one thread allocated with a stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThreadShare {
    /// Whose share.
    pub thread: ThreadId,
    /// Of it, not freed (by whomever).
    pub live: Amount,
    /// All of it.
    pub cumulative: Amount,
}

/// Objects that lived for about the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lifetime {
    /// They lived from `2^lg_ns` to twice as many nanoseconds; at most 63.
    pub lg_ns: u8,
    /// How much they were.
    pub amount: Amount,
}

/// What was allocated under a tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TagShare {
    /// The number that the program had set.
    pub tag: u16,
    /// How much, since the beginning.
    pub cumulative: Amount,
}

/// A live object that was sampled; it stands for [`Amount::of_one`] of its usable size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// Bytes that the allocator gave.
    pub usable: u64,
    /// Bytes that the program asked for.
    pub requested: u64,
    /// How long it has lived.
    pub age_ns: u64,
    /// The thread that allocated it.
    pub thread: ThreadId,
    /// The tag in force then; 0: none.
    pub tag: u16,
    /// The program's generation then (`jemoxide.prof.generation`).
    pub generation: u64,
}

/// A return address, and what the code there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Location {
    /// The address after the call; 0: not known.
    pub address: u64,
    /// The file that was mapped there.
    pub module: Option<ModuleId>,
    /// The functions there, innermost first: several where the compiler put one into another. None: not (yet) known.
    pub calls: Vec<Call>,
}

/// A function, and the line of it that made the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which function.
    pub function: FunctionId,
    /// Line in the function's file; 0: not known.
    pub line: u32,
}

/// A function of the program. Texts are shared: many functions are of one file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Function {
    /// As people write it.
    pub name: Arc<str>,
    /// As the linker writes it.
    pub symbol: Arc<str>,
    /// Its source file; empty: not known.
    pub file: Arc<str>,
}

/// A file's executable part in the address space.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Module {
    /// Where it lies.
    pub addresses: Range<u64>,
    /// Offset in the file of the first address.
    pub offset: u64,
    /// The file's inode; 0: not known.
    pub inode: u64,
    /// The file; in brackets for what is none, such as `[vdso]`.
    pub path: Arc<str>,
    /// The linker's mark of the file's content; empty: not known.
    pub build_id: Vec<u8>,
}

/// A thread of the program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Thread {
    /// The profiler's number: the first thread it met is 0.
    pub uid: u64,
    /// Its name when it was last set; often empty.
    pub name: String,
    /// Which of several merged profiles it comes from, from 0.
    pub source: u32,
    /// What it allocated and nobody has freed.
    pub live: Amount,
    /// What it allocated since the beginning.
    pub cumulative: Amount,
}

/// How the slabs of one size class are used, over the whole process: counted, not sampled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassUse {
    /// Usable size of its objects, bytes.
    pub size: u64,
    /// Objects that the program holds.
    pub objects: u64,
    /// Slabs that hold them.
    pub slabs: u64,
    /// Bytes of these slabs.
    pub slab_bytes: u64,
    /// Bytes of free slots in them.
    pub free_bytes: u64,
}

/// When a profile was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time {
    /// Since the profiler began.
    pub since_start_ns: u64,
    /// By the wall clock.
    pub unix_seconds: u64,
}

/// When most was live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peak {
    /// Estimated live bytes then.
    pub bytes: u64,
    /// Since the profiler began.
    pub at_ns: u64,
}

impl Profile {
    /// The form that it was read from.
    pub fn form(&self) -> Form {
        self.form
    }

    /// Mean number of bytes from one sample to the next; 0: not known.
    pub fn period(&self) -> u64 {
        self.period
    }

    /// What it can tell.
    pub fn known(&self) -> Known {
        self.known
    }

    /// All stacks, as the file had them in order.
    pub fn stacks(&self) -> &[Stack] {
        &self.stacks
    }

    /// All return addresses.
    pub fn locations(&self) -> &[Location] {
        &self.locations
    }

    /// All files mapped executable.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// All threads known to the profiler.
    pub fn threads(&self) -> &[Thread] {
        &self.threads
    }

    /// The ids of [`Profile::threads`], in the same order.
    pub fn thread_ids(&self) -> impl Iterator<Item = ThreadId> + use<> {
        (0..self.threads.len() as u32).map(ThreadId)
    }

    /// Small size classes in use, in order of size.
    pub fn classes(&self) -> &[ClassUse] {
        &self.classes
    }

    /// When it was taken.
    pub fn time(&self) -> Option<Time> {
        self.time
    }

    /// When most was live.
    pub fn peak(&self) -> Option<Peak> {
        self.peak
    }

    /// How many files it was made from: 1, or more after [`Profile::merge`].
    pub fn sources(&self) -> u32 {
        self.sources
    }

    /// What is odd about the input and does not keep it from being read, in whole sentences.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// A location of this profile.
    pub fn location(&self, id: LocationId) -> &Location {
        &self.locations[id.0 as usize]
    }

    /// A function of this profile.
    pub fn function(&self, id: FunctionId) -> &Function {
        &self.functions[id.0 as usize]
    }

    /// A module of this profile.
    pub fn module(&self, id: ModuleId) -> &Module {
        &self.modules[id.0 as usize]
    }

    /// A thread of this profile.
    pub fn thread(&self, id: ThreadId) -> &Thread {
        &self.threads[id.0 as usize]
    }

    /// Sum over all stacks.
    pub fn total(&self, measure: Measure) -> Amount {
        self.stacks.iter().map(|stack| stack.amount(measure)).sum()
    }

    /// Whether any location has a function.
    pub fn has_symbols(&self) -> bool {
        self.locations
            .iter()
            .any(|location| !location.calls.is_empty())
    }
}

/// Which of a stack's amounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// Allocated and not freed.
    #[default]
    Live,
    /// Live when most was live.
    Peak,
    /// Allocated since the beginning.
    Cumulative,
    /// Allocated and freed within `2^lg_ns` nanoseconds.
    Temporary {
        /// Shorter lives than `2^lg_ns` count.
        lg_ns: u8,
    },
}

impl Measure {
    /// Whether a profile that knows `known` has it.
    pub fn is_known(self, known: Known) -> bool {
        match self {
            Self::Live => true,
            Self::Peak => known.peak,
            Self::Cumulative => known.cumulative,
            Self::Temporary { .. } => known.lifetimes,
        }
    }
}

impl Stack {
    /// Adds to the share of a thread; M4 holds again after [`Stack::tidy`].
    pub(crate) fn add_share(&mut self, share: ThreadShare) {
        // Those of one thread mostly follow each other.
        match self.threads.last_mut() {
            Some(last) if last.thread == share.thread => last.add(&share),
            _ => self.threads.push(share),
        }
    }

    /// Makes rule M4 true.
    pub(crate) fn tidy(&mut self) {
        fold(&mut self.threads, |share| share.thread, ThreadShare::add);
        fold(
            &mut self.lifetimes,
            |lifetime| lifetime.lg_ns,
            |into, other| into.amount += other.amount,
        );
        fold(
            &mut self.tags,
            |share| share.tag,
            |into, other| into.cumulative += other.cumulative,
        );
    }

    /// All return addresses, innermost first, the allocator's own included.
    pub fn frames(&self) -> &[LocationId] {
        &self.frames
    }

    /// How much, by `measure`.
    pub fn amount(&self, measure: Measure) -> Amount {
        match measure {
            Measure::Live => self.live,
            Measure::Peak => self.peak,
            Measure::Cumulative => self.cumulative,
            Measure::Temporary { lg_ns } => self
                .lifetimes
                .iter()
                .filter(|lifetime| lifetime.lg_ns < lg_ns)
                .map(|lifetime| lifetime.amount)
                .sum(),
        }
    }
}

impl ThreadShare {
    fn add(&mut self, other: &Self) {
        self.live += other.live;
        self.cumulative += other.cumulative;
    }
}

impl ClassUse {
    /// Makes rule M4 true of `classes`.
    pub(crate) fn tidy(classes: &mut Vec<Self>) {
        fold(
            classes,
            |class| class.size,
            |into, other| {
                into.objects = into.objects.saturating_add(other.objects);
                into.slabs = into.slabs.saturating_add(other.slabs);
                into.slab_bytes = into.slab_bytes.saturating_add(other.slab_bytes);
                into.free_bytes = into.free_bytes.saturating_add(other.free_bytes);
            },
        );
    }
}

/// Sorts `list` by key, and adds those of one key to the first of them: `n log n` steps, however many there are of one.
fn fold<T, K: Ord>(list: &mut Vec<T>, key: impl Fn(&T) -> K, add: impl Fn(&mut T, &T)) {
    if list.is_sorted_by(|one, two| key(one) < key(two)) {
        return;
    }
    list.sort_by_key(&key);
    list.dedup_by(|later, first| {
        let is_same = key(later) == key(first);
        if is_same {
            add(first, later);
        }
        is_same
    });
}

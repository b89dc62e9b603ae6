"""Words in a log or on standard error that no healthy run writes.

Everything a program writes there is read: its own log files too, because servers report the death
of a worker there and carry on.
"""

import re

# What an allocator or the dynamic loader says when something is wrong.
ALLOCATOR = r"jemoxide|<jemalloc>|\bld\.so\b|LD_PRELOAD|double free|invalid pointer|malloc\(\)|free\(\)"

# How programs tell that one of their processes died or got no memory.
DEATH = (
    r"segmentation fault|bus error|core dumped|\baborted\b|terminated by signal|exited on signal"
    r"|exit signal|crashed by signal|got signal \d|fatal signal|stack trace:|\bPANIC\b"
    r"|out of memory|cannot allocate memory|bad_alloc|assertion .*failed|heap corruption"
)

PATTERN = re.compile(f"{ALLOCATOR}|{DEATH}", re.IGNORECASE)


def complaints(text, harmless=None):
    """The lines of `text` that complain; `harmless` (a pattern) excuses lines of a known kind."""
    return [
        line.strip()
        for line in text.splitlines()
        if PATTERN.search(line) and not (harmless and re.search(harmless, line))
    ]


def tail(text, lines=25):
    """The last lines of a text, indented, for a report."""
    return "\n".join("    | " + line for line in text.splitlines()[-lines:])

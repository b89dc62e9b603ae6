"""Where the dynamic loader finds the malloc family for a program.

A library that is mapped but comes too late in the lookup order serves nothing (Debian's Redis
brings libjemalloc along, official Rust compilers carry an allocator inside). The loader itself
tells which file each symbol was bound to, with LD_DEBUG=bindings.
"""

import re
import struct
from functools import lru_cache

# libc's reallocarray is not among them: it calls the realloc that everybody else does.
MALLOC_FAMILY = frozenset(
    "malloc calloc realloc free posix_memalign aligned_alloc memalign valloc pvalloc "
    "malloc_usable_size".split()
)
BINDING = re.compile(r"binding file (\S+) \[\d+\] to (\S+) \[\d+\]: \w+ symbol `(\w+)'")


def strangers(loader_text, library):
    """Bindings of the malloc family that went elsewhere, as sentences; and how many came here."""
    elsewhere, here = set(), 0
    for user, provider, symbol in BINDING.findall(loader_text):
        if symbol not in MALLOC_FAMILY:
            continue
        if provider == library:
            here += 1
        elif symbol in defined_in(provider):
            elsewhere.add(f"{user} takes {symbol} from {provider}")
    return sorted(elsewhere), here


@lru_cache
def defined_in(file):
    """The dynamic symbols an ELF file (64-bit, little-endian) defines itself.

    An executable at a fixed address lends its own jump slot as the address of a function it only
    imports; the loader then names the executable, though the function is found further on.
    """
    with open(file, "rb") as source:
        image = source.read()
    sections_at, = struct.unpack_from("<Q", image, 40)
    size, count = struct.unpack_from("<HH", image, 58)
    # type, offset, length and linked section of each section header
    sections = [struct.unpack_from("<4xI16xQQI", image, sections_at + i * size) for i in range(count)]
    found = set()
    for kind, offset, length, link in sections:
        if kind != 11:  # SHT_DYNSYM
            continue
        names_at = sections[link][1]
        for at in range(offset, offset + length, 24):
            name, section = struct.unpack_from("<I2xH", image, at)
            if section != 0:  # SHN_UNDEF
                end = image.index(0, names_at + name)
                found.add(image[names_at + name:end].decode(errors="replace"))
    return frozenset(found)

"""Builds a nested document, writes it as JSON and reads it back, as often as the first argument says.

Prints a digest of all texts; a reading that differs from what was written ends the program.
"""

import hashlib
import json
import sys


def document(seed):
    """A list of records with text, numbers and nested lists, the same for the same seed."""
    return [
        {
            "id": seed * 1000 + index,
            "name": "record %d of %d" % (index, seed),
            "text": "lorem ipsum " * (index % 97),
            "values": [index * step / 7 for step in range(index % 31)],
            "tags": {"tag%d" % tag: "x" * (tag * index % 700) for tag in range(5)},
        }
        for index in range(1000)
    ]


def main():
    digest = hashlib.sha256()
    for seed in range(int(sys.argv[1])):
        written = document(seed)
        text = json.dumps(written)
        if json.loads(text) != written:
            sys.exit("the document changed")
        digest.update(text.encode())
    print(digest.hexdigest())


main()

"""Checks that what is exported, what is declared and what is listed are the same.

    symbols.py NM SHARED STATIC LIST HEADERS

LIST names each public function, one per line, sorted. The shared library exports those and nothing else, each with the
version node KOLK_0.1; the headers in HEADERS declare those and nothing else as KOLK_API. The static library defines them too,
and no other name that a program could collide with: everything else is ours by its C++ name or begins with kolk_.
"""
import pathlib
import re
import subprocess
import sys

NODE = "KOLK_0.1"


def names_in_list(path):
    lines = path.read_text().splitlines()
    if lines != sorted(set(lines)):
        yield f"{path.name} is not sorted, or names something twice"


def declared(headers):
    names = set()
    for path in sorted(headers.glob("*.h")):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.DOTALL)
        declarations = re.findall(r"^KOLK_API\b([^;]*);", text, flags=re.MULTILINE)
        for declaration in declarations:
            names.add(re.search(r"(\w+)\s*\(", declaration)[1])
    return names


def defined(nm, path, *options):
    """Yields (kind, name) of each defined symbol."""
    text = subprocess.run([nm, "--defined-only", "--format=posix", *options, path], check=True, capture_output=True, text=True)
    for line in text.stdout.splitlines():
        words = line.split()
        if len(words) >= 2 and len(words[1]) == 1:
            yield words[1], words[0]


def difference(what, actual, listed):
    for name in sorted(actual - listed):
        yield f"{what}, but not listed: {name}"
    for name in sorted(listed - actual):
        yield f"listed, but not {what}: {name}"


def check_shared(nm, path, listed):
    exported = set()
    for kind, symbol in defined(nm, path, "--dynamic", "--with-symbol-versions"):
        name, _, version = symbol.partition("@@")
        if kind == "A" and name.startswith(NODE):
            continue
        exported.add(name)
        if version != NODE:
            yield f"{symbol} has no version node {NODE}"
    yield from difference("exported", exported, listed)


def check_static(nm, path, listed):
    names = {name: kind for kind, name in defined(nm, path, "--extern-only")}
    for name in sorted(listed - set(names)):
        yield f"listed, but not in the static library: {name}"
    for name, kind in sorted(names.items()):
        ours = name.startswith("kolk_") or re.match(r"_Z\w*\d+kolk", name)
        if kind in "TDBRC" and not ours:
            yield f"the static library defines {name}"


def main():
    nm, shared, static, listing, headers = sys.argv[1:]
    listing, headers = pathlib.Path(listing), pathlib.Path(headers)
    listed = set(listing.read_text().split())
    complaints = list(names_in_list(listing))
    complaints += difference("declared", declared(headers), listed)
    complaints += check_shared(nm, shared, listed)
    complaints += check_static(nm, static, listed)
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())

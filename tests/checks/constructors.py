"""Checks that no object file of a static library runs code before main or after it.

    constructors.py READELF ARCHIVE

Programs pay for such code even when they never use the library, in an order that nobody chose.
"""
import re
import subprocess
import sys

SECTIONS = r"\.(?:preinit_array|init_array|fini_array|ctors|dtors)"
# Destructors of objects with static storage are registered through these.
FUNCTIONS = r"__cxa_atexit|atexit|__cxa_guard_acquire"


def read(readelf, option, archive):
    return subprocess.run([readelf, option, archive], check=True, capture_output=True, text=True).stdout


def main():
    readelf, archive = sys.argv[1:]
    complaints = []
    member = None
    members = set()
    for line in read(readelf, "-SW", archive).splitlines():
        if line.startswith("File: "):
            member = line[6:]
            members.add(member)
        match = re.search(rf"\]\s+({SECTIONS}\S*)\s+\S+\s+\S+\s+\S+\s+([0-9a-f]+)", line)
        if match and int(match[2], 16) > 0:
            complaints.append(f"{member} has a section {match[1]}")
    for line in read(readelf, "-sW", archive).splitlines():
        if line.startswith("File: "):
            member = line[6:]
        match = re.search(rf"\bUND\s+({FUNCTIONS})$", line)
        if match:
            complaints.append(f"{member} calls {match[1]}")
    if not members:
        complaints.append(f"{archive} has no members")
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())

"""Checks what a shared object needs at run time.

    needed.py READELF FILE [NAME...]

FILE may need the C library, and libraries whose file name begins with one of the NAMEs; a program in C must not have to bring
the run time of C++ because of us. With names given, at least one of them must really be needed. Nor may FILE need an executable
stack, as one line forgotten in an assembly file makes it.
"""
import re
import subprocess
import sys

# The loader belongs to the C library; it is named where thread-local variables are.
C_LIBRARY = ("libc.so", "ld-linux", "ld-musl", "ld64.so")


def main():
    readelf, path, *allowed = sys.argv[1:]
    text = subprocess.run([readelf, "-dW", path], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
    if not needed:
        print(f"{path} needs nothing, not even the C library: is it a shared object?")
        return 1
    foreign = [name for name in needed if not name.startswith(C_LIBRARY + tuple(allowed))]
    for name in foreign:
        print(f"{path} needs {name}")
    if allowed and not any(name.startswith(tuple(allowed)) for name in needed):
        print(f"{path} does not need {' or '.join(allowed)} any more: correct the test")
        return 1
    headers = subprocess.run([readelf, "-lW", path], check=True, capture_output=True, text=True).stdout
    stack = re.search(r"GNU_STACK.*\bRWE?\b", headers)
    if not stack or stack[0].endswith("RWE"):
        print(f"{path} needs an executable stack")
        return 1
    return 1 if foreign else 0


sys.exit(main())

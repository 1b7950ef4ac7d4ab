"""Compiles files one by one, each for itself, without a word from the compiler.

    compile_alone.py INCLUDE FILE... -- COMPILER ARGUMENT...

A header that compiles alone can be included first, or only.
"""
import subprocess
import sys


def main():
    separator = sys.argv.index("--")
    include, *files = sys.argv[1:separator]
    compiler = sys.argv[separator + 1 :]
    language = "c++" if any("c++" in word for word in compiler[1:]) else "c"
    failed = False
    for path in files:
        command = [*compiler, "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", "-I", include, "-x", language, "-"]
        # Included, not compiled as the main file, where compilers keep silent about some things and warn about others.
        result = subprocess.run(command, input=f'#include "{path}"\n', capture_output=True, text=True)
        if result.returncode != 0 or result.stderr:
            print(result.stderr)
            failed = True
    return 1 if failed else 0


sys.exit(main())

"""Checks which way the arrows between the folders point.

    includes.py ROOT

- Public headers include <kolk/...> and two headers of C, and can therefore be used anywhere.
- Reactors include <kolk/reactor.h> and nothing else of ours.
- The core knows neither the C functions over it nor any reactor; the C functions know the core and nothing below.
- Headers of the platform stay in the few files of the core that a port has to rewrite.
- A source file includes its own header first, which proves that the header stands alone.
"""
import pathlib
import re
import sys

# Where a port begins.
PLATFORM_FILES = {
    "core/coroutine/stack_pool.cc",
    "core/coroutine/switch_ucontext.cc",
    "core/reactor/module.cc",
    "core/reactor/registry.cc",
}
PLATFORM_FOLDER = "core/platform/"

# What C and C++ promise everywhere.
STANDARD_C = {"assert.h", "errno.h", "float.h", "limits.h", "stdarg.h", "stdbool.h", "stddef.h", "stdint.h", "stdio.h",
              "stdlib.h", "string.h", "time.h", "inttypes.h"}

# What tells valgrind and the sanitizers about fibers; the same on every platform.
TOOL_FOLDERS = ("valgrind/", "sanitizer/")


# What a reactor may know of us.
REACTOR_HEADERS = ("<kolk/reactor.h>", "<kolk/sim.h>")


def includes(path):
    """Yields each included name with its quotes or brackets."""
    return re.findall(r'^\s*#\s*include\s+(<[^>]+>|"[^"]+")', path.read_text(), flags=re.MULTILINE)


def is_standard(name):
    return name in STANDARD_C or name.startswith(TOOL_FOLDERS) or re.fullmatch(r"[a-z_]+", name) is not None


def check_public_header(path, name):
    for include in includes(path):
        if not re.fullmatch(r"<kolk/\w+\.h>|<stddef\.h>|<stdint\.h>", include):
            yield f"{name} includes {include}"


def check_reactor(path, name):
    for include in includes(path):
        if include.startswith('"') or (include.startswith("<kolk/") and include not in REACTOR_HEADERS):
            yield f"{name} includes {include}"


def check_core(path, name):
    platform = name in PLATFORM_FILES or name.startswith(PLATFORM_FOLDER)
    for include in includes(path):
        inner = include[1:-1]
        if include.startswith('"'):
            if not inner.startswith("core/"):
                yield f"{name} includes {include}"
        elif not inner.startswith("kolk/") and not is_standard(inner) and not platform:
            yield f"{name} includes {include}, which belongs in {PLATFORM_FOLDER}"


def check_c_function(path, name):
    for include in includes(path):
        inner = include[1:-1]
        if not inner.startswith(("capi/", "core/", "kolk/")) and not is_standard(inner):
            yield f"{name} includes {include}"


def check_own_header(path, name):
    header = path.with_suffix(".hh")
    found = includes(path)
    if header.exists() and found[:1] != [f'"{name[:-3]}.hh"']:
        yield f"{name} does not include its own header first"


def main():
    root = pathlib.Path(sys.argv[1])
    rules = [
        ("capi/include/kolk/*.h", check_public_header),
        ("reactors/**/*.cc", check_reactor),
        ("reactors/**/*.hh", check_reactor),
        ("core/**/*.cc", check_core),
        ("core/**/*.hh", check_core),
        ("core/**/*.cc", check_own_header),
        ("capi/*.cc", check_c_function),
    ]
    complaints = []
    for pattern, check in rules:
        paths = sorted(root.glob(pattern))
        if not paths and not pattern.startswith("reactors/**/*.hh"):
            complaints.append(f"there is no {pattern}")
        for path in paths:
            complaints += check(path, path.relative_to(root).as_posix())
    missing = [name for name in sorted(PLATFORM_FILES) if not (root / name).exists()]
    complaints += [f"{name} does not exist any more: correct the list" for name in missing]
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())

"""Checks an adapter to a host: what it exports, and that it is usable from the installed tree.

    adapter.py exports NM LIBRARY HEADER
    adapter.py installed MESON BUILD NAME=PROGRAM... -- C_COMPILER CXX_COMPILER

`exports`: LIBRARY exports just the functions that HEADER declares. `installed`: each PROGRAM compiles with what `pkg-config
kolk-NAME` says of a tree that was installed, and needs the adapter's library then.
"""
import pathlib
import re
import subprocess
import sys
import tempfile


def run(command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def check_exports(nm, library, header):
    declared = set(re.findall(r"KOLK_API[^;]*?\b(kolk_\w+)\(", pathlib.Path(header).read_text()))
    lines = run([nm, "-D", "--defined-only", library]).splitlines()
    exported = {words[2].split("@")[0] for words in map(str.split, lines) if words[1] != "A"}
    exported -= {"__bss_start", "_edata", "_end"}  # of the linker
    if not declared:
        sys.exit(f"{header} declares nothing")
    if exported != declared:
        sys.exit(f"{library} exports {sorted(exported)}, {header} declares {sorted(declared)}")


def check_installed(meson, build, words):
    split = words.index("--")
    c_compiler, cxx_compiler = words[split + 1:]
    with tempfile.TemporaryDirectory(prefix="kolk-adapters-") as folder:
        folder = pathlib.Path(folder)
        run([meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", folder / "root"])
        configs = {config.stem: config for config in (folder / "root").rglob("*.pc")}
        prefix = re.search(r"^prefix=(.+)$", configs["kolk"].read_text(), flags=re.MULTILINE)[1]
        # The tree is not where it says it is, and pkg-config can move a tree only together with the system's.
        for config in configs.values():
            text = config.read_text()
            config.write_text(text.replace(f"prefix={prefix}\n", f"prefix={folder}/root{prefix}\n", 1))
        places = ":".join(sorted({str(config.parent) for config in configs.values()}))
        for word in words[:split]:
            name, program = word.split("=")
            environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PKG_CONFIG_PATH": places}
            flags = run(["pkg-config", "--cflags", "--libs", f"kolk-{name}"], env=environment).split()
            compiler = [cxx_compiler, "-std=c++17", "-fPIC"] if program.endswith(".cc") else [c_compiler]
            target = folder / f"in-{name}"
            run([*compiler, program, "-o", target, "-Wl,--no-as-needed", *flags])
            if f"libkolk-{name}.so.0" not in run(["readelf", "-dW", target]):
                sys.exit(f"{target.name} does not need libkolk-{name}.so.0")


def main():
    what, *words = sys.argv[1:]
    if what == "exports":
        check_exports(*words)
    else:
        check_installed(words[0], words[1], words[2:])


main()

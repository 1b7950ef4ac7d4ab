"""Checks the installed tree as its first user: pkg-config, the headers, the libraries, and the program of the README.

    installed.py MESON BUILD SOURCE COMPILER...

Installs the build into a folder of its own. Then, with each COMPILER and the words that the README gives, compiles a
program that uses every public function, against the shared and against the static library, and runs it; no C++ compiler has
a part in that. The program in the README must be the one in docs/examples, which the tests run, and must compile as well.
"""
import os
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


def only(paths, what):
    paths = list(paths)
    if len(paths) != 1:
        sys.exit(f"expected one {what} in the installed tree, found {len(paths)}")
    return paths[0]


def readme_program(source):
    blocks = re.findall(r"^```c\n(.*?)^```$", (source / "README.md").read_text(), flags=re.DOTALL | re.MULTILINE)
    example = (source / "docs/examples/fetch.c").read_text()
    if not blocks:
        sys.exit("README.md has no program in C")
    if blocks[0] != example:
        sys.exit("the program in README.md is not docs/examples/fetch.c")
    return example


def public_functions(source):
    names = (source / "capi/symbols.txt").read_text().split()
    return "".join(f"FUNCTION({name})\n" for name in names)


class Tree:
    """An installed tree, and how to compile against it."""

    def __init__(self, root):
        config = only(root.rglob("kolk.pc"), "kolk.pc")
        self.shared = only(root.rglob("libkolk.so.0"), "libkolk.so.0")
        self.static = only(root.rglob("libkolk.a"), "libkolk.a")
        only(root.rglob("kolk/kolk.h"), "kolk/kolk.h")
        self.environment = dict(os.environ, PKG_CONFIG_LIBDIR=str(config.parent), PKG_CONFIG_SYSROOT_DIR=str(root),
                                LD_LIBRARY_PATH=str(self.shared.parent))

    def flags(self, *options):
        return run(["pkg-config", *options, "kolk"], env=self.environment).split()

    def compile(self, compiler, program, target, flags):
        run([compiler, "-Wall", "-Wextra", "-Werror", program, "-o", target, *flags], env=self.environment)

    def check(self, compiler, program, folder, arguments=None):
        """Compiles against both libraries, and runs the results if there are arguments for that."""
        shared = self.flags("--cflags", "--libs")
        static = [str(self.static) if word == "-lkolk" else word for word in self.flags("--cflags", "--libs", "--static")]
        for name, flags in (("shared", shared), ("static", static)):
            target = folder / f"{program.stem}-{pathlib.Path(compiler).name}-{name}"
            self.compile(compiler, program, target, flags)
            needed = run(["readelf", "-dW", target])
            if ("libkolk" in needed) != (name == "shared") or "libstdc++" in needed:
                sys.exit(f"{target.name} needs the wrong libraries:\n{needed}")
            if arguments is not None:
                run([target, *arguments], env=self.environment)


def main():
    meson, build, source, *compilers = sys.argv[1:]
    source = pathlib.Path(source)
    with tempfile.TemporaryDirectory(prefix="kolk-installed-") as folder:
        folder = pathlib.Path(folder)
        root = folder / "root"
        run([meson, "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", root])
        tree = Tree(root)

        program = folder / "all_functions.c"
        program.write_text((source / "tests/checks/all_functions.c").read_text())
        (folder / "public_functions.h").write_text(public_functions(source))
        readme = folder / "readme.c"
        readme.write_text(readme_program(source))
        for compiler in compilers:
            tree.check(compiler, program, folder, [])
            tree.check(compiler, readme, folder)


main()

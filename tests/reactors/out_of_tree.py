"""Checks that a reactor can be built and used by somebody who has only what is installed.

    out_of_tree.py MESON BUILD SOURCE TEST_CONTRACT

Installs the build into a folder of its own, builds the example reactor there with its Makefile and pkg-config, installs it beside
ours, and puts it through the contract suite. What it exports must be the entry function alone.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


def run(command, **options):
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}: status {result.returncode}\n{result.stdout}")
    return result.stdout


def main():
    meson, build, source, test_contract = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="kolk-out-of-tree-") as folder:
        root = pathlib.Path(folder, "installed")
        run([meson, "install", "-C", build, "--no-rebuild", "--destdir", root])
        example = pathlib.Path(folder, "example")
        shutil.copytree(pathlib.Path(source, "docs/examples/reactor"), example)

        config = list(root.rglob("kolk.pc"))
        if len(config) != 1:
            sys.exit(f"expected one kolk.pc in the installed tree, found {len(config)}")
        environment = dict(os.environ, PKG_CONFIG_LIBDIR=str(config[0].parent), PKG_CONFIG_SYSROOT_DIR=str(root))
        flags = run(["pkg-config", "--cflags", "kolk"], env=environment)
        if str(root) not in flags:
            sys.exit(f"pkg-config does not lead to the installed headers: {flags}")
        run(["make", "-C", example, "CFLAGS=-O2 -Wall -Wextra -Werror"], env=environment)
        environment.pop("PKG_CONFIG_SYSROOT_DIR")  # it would be in front of the directory of the modules as DESTDIR is
        run(["make", "-C", example, "install", f"DESTDIR={root}"], env=environment)

        modules = sorted(path.name for path in root.rglob("kolk-reactor-sweep.so"))
        if modules != ["kolk-reactor-sweep.so"]:
            sys.exit(f"the example was installed as {modules}")
        module = next(root.rglob("kolk-reactor-sweep.so"))
        beside = sorted(path.name for path in module.parent.iterdir())
        if beside == ["kolk-reactor-sweep.so"]:
            sys.exit("the example was not installed where the other modules are")
        exported = run(["nm", "-D", "--defined-only", module]).split()[2::3]
        if exported != ["kolk_reactor_entry_v1"]:
            sys.exit(f"the example exports {exported}")
        print(run([test_contract, module]))
    return 0


sys.exit(main())

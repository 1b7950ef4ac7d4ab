"""Prints what the tests of a suite need, as targets of ninja.

    suite_targets.py BUILD SUITE

That is what they run and what they are given; and every module, which tests may load by name. For a build in which only one suite
is run, the rest need not be built.
"""
import json
import os
import subprocess
import sys


def introspect(build, what):
    return json.loads(subprocess.run(["meson", "introspect", what, build], check=True, capture_output=True).stdout)


def main():
    build, suite = sys.argv[1:]
    targets = {target["id"]: target for target in introspect(build, "--targets")}
    tests = [test for test in introspect(build, "--tests") if suite in [name.split(":")[-1] for name in test["suite"]]]
    needed = {name for test in tests for name in test["depends"]}
    needed |= {name for name, target in targets.items() if target["type"] == "shared module"}
    if not tests:
        sys.exit(f"{build} has no tests in the suite {suite}")
    for name in sorted(needed):
        for file in targets[name]["filename"]:
            print(os.path.relpath(file, build))


main()

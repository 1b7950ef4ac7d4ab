"""Checks that a program ends well and prints what a file says, byte for byte.

    prints.py EXPECTED PROGRAM ARGUMENT...
"""
import subprocess
import sys


def main():
    expected, *command = sys.argv[1:]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    with open(expected, "rb") as file:
        text = file.read()
    if result.returncode == 0 and result.stdout == text and not result.stderr:
        return 0
    print(f"status {result.returncode}\nexpected {text!r}\nprinted  {result.stdout!r}\nstderr   {result.stderr!r}")
    return 1


sys.exit(main())

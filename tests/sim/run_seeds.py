"""Checks suites under the reactor "sim" with many seeds.

    run_seeds.py SEEDS PROGRAM...

Each program is run once and tries the seeds 1 to SEEDS on each of its rules; as many programs run at a time as there are
processors. Every rule that fails is printed with its first failing seed and the command that replays it.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

TIMEOUT_S = 600


def run(seeds, program):
    """What a program printed, and whether it failed. One that checked nothing has failed too."""
    environment = dict(os.environ, KOLK_TEST_SEEDS=str(seeds), KOLK_TEST_REACTORS="sim")
    environment.pop("KOLK_SIM_SEED", None)
    try:
        result = subprocess.run([os.path.abspath(program)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                errors="replace", timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace") + f"not there after {TIMEOUT_S} s\n", True
    passed = re.findall(r"^\[       OK \] ", result.stdout, re.MULTILINE)
    if result.returncode == 0 and not passed:
        return result.stdout + "no rule was checked\n", True
    return result.stdout, result.returncode != 0


def main():
    seeds, programs = int(sys.argv[1]), sys.argv[2:]
    failed = False
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for program, (text, bad) in zip(programs, pool.map(lambda program: run(seeds, program), programs)):
            failed |= bad
            name = os.path.basename(program)
            print(f"{name}: {len(re.findall('^.       OK . ', text, re.MULTILINE))} rules hold")
            for line in re.findall(r"^.*: only \d+ of \d+ seeds.*$", text, re.MULTILINE):
                print(f"    {line}")
            if bad:
                print(text)
    return 1 if failed or not programs else 0


sys.exit(main())

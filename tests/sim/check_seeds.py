"""Checks the campaign itself with a suite that has a mistake which only some seeds find.

    check_seeds.py RUN_SEEDS PLANTED

The campaign must fail, name the rule, and print a seed and a command; the command must fail again, every time, and with seeds
below the printed one it must not. The rule beside it, which is right, must pass.
"""
import os
import re
import subprocess
import sys

SEEDS = 50


def campaign(run_seeds, planted, seeds):
    return subprocess.run([sys.executable, "-B", run_seeds, str(seeds), planted], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)


def replay(command):
    return subprocess.run(["sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def complaints(run_seeds, planted):
    result = campaign(run_seeds, planted, SEEDS)
    if result.returncode == 0:
        yield "the campaign did not notice"
    found = re.findall(r"seed (\d+) fails; replay it with\n\s+(KOLK_TEST_MODULES=.*)\n", result.stdout)
    if len(found) != 2:  # own and thirds
        yield f"{len(found)} seeds were printed"
    if "4 test(s) run" not in result.stdout or "[       OK ] sim/own: each is told once" not in result.stdout:
        yield "not all rules were checked"
    for seed, command in found:
        if int(seed) < 2:
            yield f"{command}: no seed before this one, so nothing shows that it depends on the seed"
        if "the last is never first" not in command or f"KOLK_SIM_SEED={seed} " not in command:
            yield f"not a replay of seed {seed}: {command}"
            continue
        for attempt in range(3):
            again = replay(command)
            if again.returncode != 1 or "1 FAILED TEST(S)" not in again.stdout:
                yield f"seed {seed} did not fail again: {command}\n{again.stdout}"
        other = replay(command.replace(f"KOLK_SIM_SEED={seed} ", f"KOLK_SIM_SEED={int(seed) - 1} "))
        if other.returncode != 0 or "[       OK ]" not in other.stdout:
            yield f"seed {int(seed) - 1} failed, though it had passed:\n{other.stdout}"
    if found:
        fewer = campaign(run_seeds, planted, min(int(seed) for seed, _ in found) - 1)
        if fewer.returncode != 0:
            yield f"fewer seeds fail too:\n{fewer.stdout}"


def main():
    run_seeds, planted = sys.argv[1:]
    found = list(complaints(run_seeds, planted))
    for complaint in found:
        print(complaint)
    return 1 if found else 0


sys.exit(main())

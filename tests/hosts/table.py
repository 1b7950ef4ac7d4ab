"""Runs the host programs and prints which rules hold where, as a table for docs/explanation/embedding.md.

    table.py PROGRAM...

A row is a host and a way, a column a reactor; a cell says how many rules passed, of how many. Ends with status 1 when one failed.
"""
import collections
import re
import subprocess
import sys

WAYS = ["frame", "handle", "thread", "reactor", "all"]
COLUMNS = ["epoll", "poll", "select", "libevent", "host"]
LINE = re.compile(r"\[\s*(OK|FAILED|ERROR|SKIPPED)\s*\] ([\w-]+)/(\w+)(?:/([\w-]+))?: (.+)")


def results_of(program):
    """(host, way, reactor) -> names of rules -> outcome. The summary repeats those that failed."""
    output = subprocess.run([program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    found = collections.defaultdict(dict)
    for line in output.stdout.splitlines():
        match = LINE.match(line)
        if match:
            outcome, host, way, reactor, rule = match.groups()
            found[host, way, reactor or "all"][rule] = outcome
    ended_well = output.returncode == 0 or any(o in ("FAILED", "ERROR") for rules in found.values() for o in rules.values())
    if not found or not ended_well:
        print(f"{program} ended with status {output.returncode}:\n{output.stdout[-2000:]}", file=sys.stderr)
        sys.exit(2)
    return found


def cell(rules):
    if not rules:
        return "–"
    tried = [outcome for outcome in rules.values() if outcome != "SKIPPED"]
    passed = sum(outcome == "OK" for outcome in tried)
    return f"{passed}" if passed == len(tried) else f"**{passed} of {len(tried)}**"


def main():
    found = {}
    for program in sys.argv[1:]:
        found.update(results_of(program))
    print("| host | way | " + " | ".join(COLUMNS) + " |")
    print("|---" * (len(COLUMNS) + 2) + "|")
    for host in dict.fromkeys(key[0] for key in found):
        for way in WAYS:
            # What is checked once for the host, with all its ways side by side, has a cell of its own.
            columns = ["all"] if way == "all" else COLUMNS
            cells = [cell(found.get((host, way, column), {})) for column in columns]
            if any(text != "–" for text in cells):
                cells += [""] * (len(COLUMNS) - len(cells))
                print(f"| {host} | {'all at once' if way == 'all' else way} | " + " | ".join(cells) + " |")
    rules = [outcome for result in found.values() for outcome in result.values()]
    failed = sum(outcome in ("FAILED", "ERROR") for outcome in rules)
    print(f"\n{len(rules) - rules.count('SKIPPED')} rules were tried, {failed} failed, {rules.count('SKIPPED')} do not apply.")
    return failed != 0


sys.exit(main())

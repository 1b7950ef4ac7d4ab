"""Lets one allocation of a crawl fail, then another, and so on: it ends in order each time, with a word about it.

    crawl_memory.py NO_MEMORY.so CRAWL
"""
import collections
import concurrent.futures
import os
import random
import re
import sys
import unittest

import crawl_run

PRELOAD, CRAWL = sys.argv[1:]


def crawl(**variables):
    # The slow page of the embedded site is given up, to save time.
    return crawl_run.crawl(CRAWL, "--timeout", "0.2", timeout=60, env={**os.environ, "LD_PRELOAD": PRELOAD, **variables})


class OutOfMemory(unittest.TestCase):
    def test_every_failure_is_survived_or_told(self):
        total = int(re.search(r"(\d+) allocations", crawl().stderr).group(1))
        self.assertGreater(total, 1000)
        # All of the beginning, where each allocation is another one, and some of the rest, where they repeat themselves.
        chosen = list(range(1, 120)) + random.Random(1).sample(range(120, total), 120)
        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            results = list(threads.map(lambda number: crawl(NO_MEMORY_AT=str(number)), chosen))
        for number, result in zip(chosen, results):
            with self.subTest(allocation=number):
                self.assertIn(result.status, (0, 1, 2), result)
                if result.status != 0:
                    self.assertRegex(result.stderr, "^crawl: ", result)
        statuses = collections.Counter(result.status for result in results)
        self.assertGreater(statuses[1], 100, statuses)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

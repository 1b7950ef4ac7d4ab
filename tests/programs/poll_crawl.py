"""Two loops in one program: a crawl under poll().

    poll_crawl.py POLL_CRAWL
"""
import os
import re
import subprocess
import sys
import unittest

from odd_server import OddServer, links

POLL_CRAWL = sys.argv[1]


def run(*arguments, **more):
    more.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([POLL_CRAWL, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                          **more)


class PollCrawl(unittest.TestCase):
    def test_it_crawls_its_own_site_and_tells_how_far_it_is(self):
        result = run()
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        lines = [re.fullmatch(r" *[\d.]+ s: (\d+) of (\d+) pages, (\d+) failed, (\d+) in flight", line)
                 for line in result.stdout.splitlines()[:-2]]
        self.assertTrue(all(lines), result.stdout)
        done = [int(line[1]) for line in lines]
        self.assertEqual(done, sorted(done))
        self.assertGreater(len(set(done)), 3, "nothing of the crawl is seen while it runs")
        self.assertEqual(lines[-1].groups(), ("60", "60", "1", "0"))
        self.assertEqual(result.stdout.splitlines()[-2:], ["", "done"])

    def test_it_crawls_what_it_is_told_to(self):
        server = OddServer({"/": links("/a", "/b")})
        self.addCleanup(server.stop)
        result = run(server.url())
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("3 of 3 pages, 0 failed, 0 in flight", result.stdout)

    def test_pages_that_failed_are_counted(self):
        server = OddServer({})
        url = server.url()
        server.stop()
        self.assertIn("1 of 1 pages, 1 failed, 0 in flight", run(url).stdout)

    def test_it_says_what_is_wrong(self):
        result = run("gopher://x/")
        self.assertEqual(result.returncode, 1)
        self.assertIn("gopher://x/: a URL looks like http://host:port/path", result.stderr)

    def test_a_reactor_without_a_descriptor_is_told(self):
        result = run(env={**os.environ, "KOLK_REACTOR": "poll"})
        self.assertEqual(result.returncode, 1)
        self.assertIn("not supported here", result.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

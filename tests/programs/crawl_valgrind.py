"""Crawls under valgrind: no error, nothing lost, also when interrupted.

    crawl_valgrind.py VALGRIND CRAWL
"""
import os
import signal
import sys
import tempfile
import time
import unittest

from crawl_run import Running, crawl
from generated_site import Site
from nginx import Nginx
from upstream import Upstream

VALGRIND, CRAWL = sys.argv[1:]
COMMAND = [VALGRIND, "-q", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible", "--error-exitcode=9",
           CRAWL]


class UnderValgrind(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="crawl-valgrind-")
        os.chmod(self.folder.name, 0o755)
        pages = {}
        self.upstream = Upstream(pages, 0.5)
        self.site = Site(self.folder.name, 140, pages)
        self.server = Nginx(self.folder.name, self.site.configuration(self.upstream.port))

    def tearDown(self):
        self.server.stop()
        self.upstream.stop()
        self.folder.cleanup()

    def test_whole_crawl_is_clean(self):
        result = crawl(*COMMAND, "--timeout", 60, self.server.url(), timeout=200)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.stderr.count("=="), 0, result)
        self.assertEqual(result.outcomes(), self.site.outcomes())

    def test_pages_given_up_are_clean(self):
        result = crawl(*COMMAND, "--timeout", 0.1, self.server.url("/slow/1"), timeout=200)
        self.assertEqual(result.status, 1, result)
        self.assertIn("not complete within 0.1 s", result.stderr)
        self.assertEqual(result.stderr.count("=="), 0, result)

    def test_interrupted_crawl_is_clean(self):
        running = Running([*COMMAND, "--timeout", "60", self.server.url()])
        while self.upstream.most_active == 0:
            self.assertIsNone(running.process.poll())
            time.sleep(0.005)
        running.process.send_signal(signal.SIGINT)
        result = running.finish(200)
        self.assertEqual(result.status, 130, result)
        self.assertEqual(result.stderr.count("=="), 0, result)

    def test_embedded_site_is_clean(self):
        result = crawl(*COMMAND, timeout=200)
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.stderr.count("=="), 0, result)
        self.assertEqual(len(result.json["pages"]), 60)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

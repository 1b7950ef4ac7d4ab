"""Crawls a generated site of 300 addresses that a real nginx serves, on each reactor, and compares with what was generated.

    crawl_nginx.py CRAWL MODULE...

Each MODULE is a file kolk-reactor-NAME.so. The reactors of the library are asked for by name, the others loaded.
"""
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from crawl_run import Running, crawl
from generated_site import Site, tally
from nginx import Nginx, most_at_once
from upstream import Upstream

CRAWL, *MODULES = sys.argv[1:]
SLOW = 0.5


def reactor_options():
    """Reactor to the options that choose it."""
    listed = subprocess.run([CRAWL, "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    built_in = re.search("^reactors here: (.*)$", listed, re.MULTILINE).group(1).split()
    options = {name: ["--reactor", name] for name in built_in}
    for module in MODULES:
        name = re.fullmatch("kolk-reactor-(.*)\\.so", os.path.basename(module)).group(1)
        options.setdefault(name, ["--module", module, "--reactor", name])
    return options


def setUpModule():
    global folder, site, upstream, server
    folder = tempfile.TemporaryDirectory(prefix="crawl-nginx-")
    os.chmod(folder.name, 0o755)
    pages = {}
    upstream = Upstream(pages, SLOW)
    site = Site(folder.name, 300, pages)
    server = Nginx(folder.name, site.configuration(upstream.port))


def tearDownModule():
    server.stop()
    upstream.stop()
    folder.cleanup()


class SiteCase(unittest.TestCase):
    """Every case begins with an empty log."""

    maxDiff = None

    def setUp(self):
        server.forget()
        upstream.forget()

    def crawl(self, *options):
        result = crawl(CRAWL, *options, server.url())
        self.assertEqual(result.status, 0, result)
        return result


class TheSite(unittest.TestCase):
    """The generator is right about itself."""

    def test_every_address_can_be_reached(self):
        self.assertEqual(set(site.depths()), set(site.entries))
        self.assertEqual(len(site.entries), 300)

    def test_it_has_everything_a_crawl_can_meet(self):
        statuses = tally(site.outcomes(), int)
        self.assertLessEqual({"200", "301", "302", "307", "403", "404", "410", "500"}, set(statuses))
        self.assertEqual(tally(site.outcomes(), str), {"truncated": 1})


class OnOneReactor:
    """The contract of the crawl, for each reactor once: see the classes made of it below."""

    jobs = 8

    @classmethod
    def setUpClass(cls):
        server.forget()
        upstream.forget()
        cls.result = crawl(CRAWL, *cls.options, "--jobs", cls.jobs, server.url())
        cls.requests = server.requests()
        cls.most_upstream = upstream.most_active

    def test_exit_status_is_0(self):
        self.assertEqual(self.result.status, 0, self.result)

    def test_it_ran_on_that_reactor(self):
        self.assertIn(f"(reactor {self.reactor}, {self.jobs} jobs)", self.result.stdout)

    def test_page_set_and_outcomes_are_exactly_those_of_the_site(self):
        self.assertEqual(self.result.outcomes(), site.outcomes())

    def test_json_lists_no_page_twice(self):
        self.assertEqual(len(self.result.urls()), len(set(self.result.urls())))

    def test_tallies_are_exactly_those_of_the_site(self):
        self.assertEqual(self.result.json["statuses"], tally(site.outcomes(), int))
        self.assertEqual(self.result.json["errors"], tally(site.outcomes(), str))

    def test_depths_are_the_shortest_ways(self):
        self.assertEqual(self.result.depths(), site.depths())

    def test_bytes_are_those_of_the_bodies(self):
        sizes = self.result.sizes()
        self.assertEqual({target: sizes[target] for target in site.sizes()}, site.sizes())

    def test_truncated_page_counts_what_came(self):
        self.assertEqual(self.result.sizes()["/truncated/1"], site.entries["/truncated/1"].size)

    def test_table_says_the_same_as_json(self):
        self.assertEqual(self.result.row("pages"), "300")
        self.assertEqual(self.result.row("bytes"), str(sum(self.result.sizes().values())))
        for status, count in self.result.json["statuses"].items():
            self.assertRegex(self.result.stdout, rf"\b{status} +{count}\n")
        self.assertTrue(self.result.row("errors").startswith("truncated: 1, such as /truncated/1: "), self.result)
        self.assertTrue(self.result.row("elapsed").endswith(" s"))
        self.assertRegex(self.result.row("rate"), r"^\d+ pages/s$")
        self.assertRegex(self.result.row("fetch time"), r"^p50 [\d.]+ ms, p99 [\d.]+ ms$")

    def test_nginx_was_asked_for_each_page_once(self):
        self.assertEqual(sorted(request.target for request in self.requests), sorted(site.entries))

    def test_never_more_connections_than_jobs(self):
        self.assertLessEqual(max(request.active for request in self.requests), self.jobs)
        self.assertLessEqual(most_at_once(self.requests), self.jobs)
        self.assertLessEqual(self.most_upstream, self.jobs)

    def test_pages_were_fetched_at_once(self):
        self.assertGreater(most_at_once(self.requests), self.jobs // 2)

    def test_redirects_to_another_host_are_not_followed(self):
        self.assertEqual(self.result.outcomes()["/moved/away"], 302)
        self.assertNotIn("/away.html", [request.target for request in self.requests])


for name, chosen in reactor_options().items():
    title = f"On_{name}"
    globals()[title] = type(title, (OnOneReactor, unittest.TestCase),
                            {"reactor": name, "options": chosen, "maxDiff": None, "__doc__": OnOneReactor.__doc__})


class Reactors(unittest.TestCase):
    def test_all_modules_were_tried(self):
        for module in MODULES:
            name = re.fullmatch("kolk-reactor-(.*)\\.so", os.path.basename(module)).group(1)
            self.assertIn(f"On_{name}", globals())


class Limits(SiteCase):
    # One job fetches one page after another.
    def test_one_job_never_meets_itself(self):
        result = self.crawl("--jobs", 1)
        self.assertEqual(result.outcomes(), site.outcomes())
        self.assertEqual(max(request.active for request in server.requests()), 1)

    # With more jobs than pages nothing waits for a slot.
    def test_many_jobs_find_the_same(self):
        self.assertEqual(self.crawl("--jobs", 200).outcomes(), site.outcomes())

    def test_depth_counts_links_from_the_start(self):
        for depth in (0, 1, 2, 3, 5):
            with self.subTest(depth=depth):
                result = self.crawl("--depth", depth)
                self.assertEqual(result.outcomes(), site.outcomes(depth))
                self.assertEqual(result.depths(), site.depths(depth))

    def test_max_pages_counts_requests(self):
        for most in (1, 7, 120):
            with self.subTest(most=most):
                server.forget()
                result = self.crawl("--max-pages", most)
                self.assertEqual(len(result.json["pages"]), most)
                self.assertEqual(len(server.requests()), most)

    def test_max_pages_beyond_the_site_change_nothing(self):
        self.assertEqual(self.crawl("--max-pages", 301).outcomes(), site.outcomes())

    # Slow pages take longer than allowed here; everything else is found as ever.
    def test_timeout_gives_up_slow_pages_only(self):
        result = self.crawl("--timeout", SLOW / 2)
        timed_out = {target for target, outcome in result.outcomes().items() if outcome == "timeout"}
        self.assertEqual(timed_out, {target for target in site.entries if target.startswith("/slow/")})
        behind = {target for target in site.entries if target.startswith("/after/slow/")}
        self.assertEqual(set(result.outcomes()), set(site.entries) - behind)
        self.assertIn(f"not complete within {SLOW / 2:g} s", result.row("errors"))

    def test_start_page_can_be_any_page(self):
        result = crawl(CRAWL, "--depth", 0, server.url("/folder/page.html?x=1&y=2"))
        self.assertEqual(result.outcomes(), {"/folder/page.html?x=1&y=2": 200})

    # A start page that answers is a crawl, whatever it answers.
    def test_missing_start_page_is_a_result(self):
        result = crawl(CRAWL, server.url("/missing/1"))
        self.assertEqual((result.status, result.outcomes()), (0, {"/missing/1": 404}))


class Interrupt(SiteCase):
    # Ctrl-C while pages are in flight: what was answered is told, what was not is left out.
    def test_ctrl_c_ends_with_the_partial_table(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                server.forget()
                upstream.forget()
                running = Running([CRAWL, "--jobs", "4", server.url()])
                while upstream.most_active == 0:
                    self.assertIsNone(running.process.poll())
                    time.sleep(0.001)
                begin = time.monotonic()
                running.process.send_signal(number)
                result = running.finish()
                self.assertEqual(result.status, 130, result)
                self.assertLess(time.monotonic() - begin, 2)
                self.assertTrue(result.stdout.startswith("interrupted while crawling"), result)
                self.assertEqual(result.row("pages"), str(len(result.json["pages"])))
                self.assertLess(len(result.json["pages"]), 300)
                expected = site.outcomes()
                for target, outcome in result.outcomes().items():
                    self.assertEqual(outcome, expected[target])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

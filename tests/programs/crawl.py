"""What crawl does with its arguments, with a terminal, with strange answers and without a URL.

    crawl.py CRAWL
"""
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
import unittest

import crawl_run
from crawl_run import Running
from odd_server import RESET, SILENCE, OddServer, html, links

CRAWL = sys.argv[1]


def crawl(*arguments, **more):
    return crawl_run.crawl(CRAWL, *arguments, **more)


def run(*arguments, environment=None):
    """Without JSON, for what ends before anything is crawled."""
    return subprocess.run([CRAWL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, timeout=60, env={**os.environ, **(environment or {})})


class WithServer(unittest.TestCase):
    maxDiff = None

    def serve(self, answers, address="127.0.0.1"):
        server = OddServer(answers, address)
        self.addCleanup(server.stop)
        return server

    def crawl(self, answers, *options):
        self.server = self.serve(answers)
        result = crawl(*options, self.server.url())
        self.assertEqual(result.status, 0, result)
        return result


class Arguments(unittest.TestCase):
    def test_help_tells_all_options_and_reactors(self):
        result = run("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for option in ("--jobs", "--max-pages", "--depth", "--reactor", "--timeout", "--json", "--module"):
            self.assertIn(option, result.stdout)
        self.assertRegex(result.stdout, "reactors here: .*epoll.*")

    def test_bad_arguments_are_named_and_end_with_2(self):
        for arguments, complaint in (
                (["--jobs", "0"], '--jobs takes a number from 1 to 10000, not "0"'),
                (["--jobs", "10001"], 'not "10001"'),
                (["--jobs", "eight"], 'not "eight"'),
                (["--jobs", "8x"], 'not "8x"'),
                (["--jobs", "-1"], 'not "-1"'),
                (["--jobs", ""], 'not ""'),
                (["--jobs"], "requires an argument"),
                (["--max-pages", "0"], "--max-pages takes a number from 1"),
                (["--depth", "99999999999999999999"], "--depth takes a number from 0"),
                (["--timeout", "0"], '--timeout takes seconds from 0.001 to 1000000, not "0"'),
                (["--timeout", "nan"], 'not "nan"'),
                (["--timeout", "1s"], 'not "1s"'),
                (["--frobnicate"], "unrecognized option"),
                (["http://127.0.0.1/", "http://127.0.0.2/"], 'there is also "http://127.0.0.2/"'),
                (["127.0.0.1:80"], "a URL looks like http://host:port/path"),
                (["https://127.0.0.1/"], "https is not supported, only http"),
                (["ftp://127.0.0.1/"], "a URL looks like http://host:port/path"),
                (["http://"], "host name is empty"),
                (["http://:80/"], "host name is empty"),
                (["http://a:0/"], "ports go from 1 to 65535"),
                (["http://a:65536/"], "ports go from 1 to 65535"),
                (["http://a:b/"], "a URL looks like http://host:port/path"),
                (["http://[::1/"], "a URL looks like http://host:port/path"),
                (["http://user@a/"], "user names in URLs are not supported"),
                (["http://" + "a" * 300 + "/"], "empty or too long"),
                (["--reactor", "nonesuch"], "nonesuch"),
                (["--reactor", "../epoll"], "../epoll"),
                (["--module", "/nonesuch.so"], "No such file"),
                (["--module", CRAWL, "--reactor", "x"], os.path.basename(CRAWL))):
            with self.subTest(arguments=arguments):
                result = run(*arguments)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn(complaint, result.stderr)

    def test_unwritable_json_file_is_told_before_crawling(self):
        result = run("--json", "/nonesuch/crawl.json")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("/nonesuch/crawl.json: No such file or directory", result.stderr)

    def test_full_disk_is_told(self):
        result = run("--json", "/dev/full")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/dev/full", result.stderr)

    def test_environment_chooses_the_reactor(self):
        self.assertIn("(reactor poll, 8 jobs)", run("--max-pages", "3", environment={"KOLK_REACTOR": "poll"}).stdout)


class Unreachable(unittest.TestCase):
    def check(self, url, *words, **more):
        result = crawl("--timeout", 5, url, **more)
        self.assertEqual((result.status, result.stdout), (1, ""), result)
        for word in words:
            self.assertIn(word, result.stderr)
        return result

    def test_refused_connection_names_address_and_port(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            result = self.check(f"http://127.0.0.1:{port}/", "127.0.0.1", str(port), "refused")
            self.assertEqual(result.json["errors"], {"refused": 1})

    # Where name servers do not answer, the resolver gives up before the crawl does, and says so.
    def test_unknown_host_is_named(self):
        impatient = {**os.environ, "RES_OPTIONS": "timeout:1 attempts:1"}
        result = self.check("http://nonesuch.invalid/", "nonesuch.invalid", env=impatient)
        self.assertIn(result.json["errors"], ({"host not found": 1}, {"unreachable": 1}))


class Answers(WithServer):
    """One page per kind of answer, and what the crawl makes of it."""

    good = {
        "/chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;name=value\r\n world\r\n0\r\n\r\n",
        "/trailers": b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n"
                     b"A\r\n0123456789\r\n0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n",
        "/pieces": [b"HTTP/1.1 200 OK\r", 0.02, b"\nContent-Le", 0.02, b"ngth: 5\r\n\r", 0.02, b"\nhe", 0.02, b"llo"],
        "/chunk-pieces": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 0.02, b"5", 0.02, b"\r\nhe", 0.02,
                          b"llo\r", 0.02, b"\n0\r\n", 0.02, b"\r\n"],
        "/to-the-end": [b"HTTP/1.1 200 OK\r\n\r\nuntil", 0.02, b" closed"],
        "/old": b"HTTP/1.0 200 OK\r\n\r\nold",
        "/no-reason": b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
        "/interim": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"
                    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        "/no-content": [b"HTTP/1.1 204 No Content\r\n\r\n", SILENCE],
        "/not-modified": [b"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", SILENCE],
        "/kept-open": [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", SILENCE],
        "/chunked-kept-open": [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", SILENCE],
        "/more-than-said": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokay",
        "/same-length-twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
        "/chunked-and-length": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n"
                               b"2\r\nok\r\n0\r\n\r\n",
        "/spaces": b"HTTP/1.1 200 OK\r\nContent-Length:   2  \r\n\r\nok",
        "/teapot": b"HTTP/1.1 418 Short and stout\r\nContent-Length: 0\r\n\r\n",
        "/unknown-status": b"HTTP/1.1 999 ?\r\nContent-Length: 0\r\n\r\n",
        "/largest": b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (16 << 20),
    }
    good_outcomes = {target: (200, size) for target, size in {
        "/chunked": 11, "/trailers": 10, "/pieces": 5, "/chunk-pieces": 5, "/to-the-end": 12, "/old": 3, "/no-reason": 2,
        "/interim": 2, "/kept-open": 2, "/chunked-kept-open": 2, "/more-than-said": 2, "/same-length-twice": 2,
        "/chunked-and-length": 2, "/spaces": 2, "/largest": 16 << 20}.items()}
    good_outcomes.update({"/no-content": (204, 0), "/not-modified": (304, 0), "/teapot": (418, 0), "/unknown-status": (999, 0)})

    bad = {
        "truncated": {
            "/short": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
            "/half-a-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf",
            "/no-last-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
            "/no-end-of-trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n",
            "/half-a-head": b"HTTP/1.1 200 OK\r\nContent-Le",
            "/nothing": b"",
        },
        "malformed": {
            "/garbage": b"\x16\x03\x01\x00\x2a\x02\r\n\r\n",
            "/empty-line": b"\r\n\r\n",
            "/no-status": b"HTTP/1.1 OK\r\n\r\n",
            "/two-digits": b"HTTP/1.1 20 OK\r\n\r\n",
            "/four-digits": b"HTTP/1.1 2000 OK\r\n\r\n",
            "/small-status": b"HTTP/1.1 099 ?\r\n\r\n",
            "/http2": b"HTTP/2 200 OK\r\n\r\n",
            "/no-colon": b"HTTP/1.1 200 OK\r\nContent-Length 5\r\n\r\nhello",
            "/no-name": b"HTTP/1.1 200 OK\r\n: 5\r\n\r\nhello",
            "/negative": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
            "/no-number": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nhello",
            "/two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
            "/unknown-coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "/no-chunk-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\nok\r\n0\r\n\r\n",
            "/bad-chunk-size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n",
            "/long-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n0\r\n\r\n",
        },
        "too large": {
            "/long-head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70000 + b"\r\n\r\n",
            "/long-body": b"HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n",
            "/endless-number": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n",
            "/long-chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                            b"100000\r\n" + b"x" * 1048576 + b"\r\n1000000\r\n",
            "/endless-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffff\r\n",
            "/endless-body": [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * (1 << 20)] + [b"x" * (1 << 20)] * 20,
            "/endless-trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20000,
        },
        "reset": {
            "/reset": [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", 0.1, RESET],
        },
        "timeout": {
            "/silent": [SILENCE],
            "/silent-body": [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello", SILENCE],
        },
    }

    def test_what_http_allows_is_read(self):
        result = self.crawl({"/": links(*self.good), **self.good})
        self.assertEqual({page["url"]: (page.get("status", page.get("error")), page["bytes"])
                          for page in result.json["pages"] if page["url"] != "/"}, self.good_outcomes)

    def test_what_is_wrong_is_an_error_of_its_kind(self):
        answers = {target: answer for kind in self.bad.values() for target, answer in kind.items()}
        result = self.crawl({"/": links(*answers), **answers}, "--timeout", 2)
        expected = {target: kind for kind, targets in self.bad.items() for target in targets}
        self.assertEqual(result.outcomes(), {"/": 200, **expected})
        self.assertEqual(result.json["errors"], {kind: len(targets) for kind, targets in self.bad.items()})

    # One after the other, so that each answer is seen to be given up by itself.
    def test_connection_is_dropped_as_soon_as_the_answer_is_complete(self):
        self.crawl({"/": links("/kept-open"), **self.good}, "--jobs", 1, "--timeout", 30)
        self.assertTrue(self.server.hung_up.wait(5))

    def test_timed_out_page_gives_its_connection_back(self):
        self.crawl({"/": links("/silent"), "/silent": [SILENCE]}, "--timeout", 0.3)
        self.assertTrue(self.server.hung_up.wait(5))

    def test_request_is_one_a_server_understands(self):
        self.crawl({"/": html("")})
        head = self.server.heads[0]
        self.assertTrue(head.startswith("GET / HTTP/1.1\r\n"))
        self.assertIn(f"\r\nHost: 127.0.0.1:{self.server.port}\r\n", head)
        self.assertIn("\r\nConnection: close\r\n", head)

    def test_ipv6_host_is_crawled_or_there_is_no_ipv6(self):
        try:
            server = self.serve({"/a": html("")}, "::1")
        except OSError:
            result = crawl("http://[::1]:9/")
            self.assertEqual((result.status, result.stdout), (1, ""), result)
            self.assertIn("connect to ::1 port 9", result.stderr)
            return
        server.answers["/"] = links("/a", f"http://[0:0::1]:{server.port}/b")
        result = crawl(server.url())
        self.assertEqual(result.outcomes(), {"/": 200, "/a": 200, "/b": 404})
        self.assertIn(f"\r\nHost: [::1]:{server.port}\r\n", server.heads[0])


class Links(WithServer):
    def targets(self, text):
        """What is asked for, in the order of the page, when one with this text is found at /folder/page."""
        self.crawl({"/": links("/folder/page"), "/folder/page": html(text)}, "--jobs", 1)
        return self.server.targets[2:]

    def test_every_way_to_write_a_link_leads_where_a_browser_would_go(self):
        for written, target in (
                ("plain", "/folder/plain"), ("./dot", "/folder/dot"), ("../up", "/up"), ("../../../far/up", "/far/up"),
                ("/root", "/root"), ("a/b/../c", "/folder/a/c"), ("?query=1", "/folder/page?query=1"), ("x?y#z", "/folder/x?y"),
                ("  spaces  ", "/folder/spaces"), ("in side", "/folder/in%20side"), ("one\ntwo", "/folder/onetwo"),
                ("ä", "/folder/%C3%A4"), ("a&amp;b", "/folder/a&b"), ("a&b=c", "/folder/a&b=c"), ("100%", "/folder/100%25"),
                ("%zz", "/folder/%25zz"), ("%7euser", "/folder/~user"), ("x[1]", "/folder/x%5B1%5D"),
                ("a%2Fb", "/folder/a%2Fb"), ("a:b/c", None), ("./a:b", "/folder/a:b"), ("//other.example/x", None), ("//127.0.0.1:1/x", None),
                ("https://127.0.0.1/", None), ("mailto:a@b", None), ("javascript:go()", None), ("data:text/html,x", None),
                ("http://[bad/", None), ("http:///x", None), ("#here", None), ("", None)):
            with self.subTest(written=written):
                self.assertEqual(self.targets(f"<a href=\"{written}\">x</a>"), [target] if target else [])

    def test_absolute_links_to_the_same_host_count_in_any_spelling(self):
        server = self.serve({})
        host = f"127.0.0.1:{server.port}"
        server.answers["/"] = links(f"http://{host}/a", f"HTTP://{host}/b", f"//{host}/c")
        self.assertEqual(set(crawl(server.url()).outcomes()), {"/", "/a", "/b", "/c"})

    def test_other_host_on_the_same_port_is_another_site(self):
        server = self.serve({})
        server.answers["/"] = links(f"http://localhost:{server.port}/a", f"http://127.0.0.2:{server.port}/b")
        self.assertEqual(set(crawl(server.url()).outcomes()), {"/"})

    def test_elements_that_lead_to_pages_are_followed(self):
        targets = self.targets("<A HREF=a></A><map><area href='b'></map><iframe src=c></iframe><img src=d><link href=e>"
                               "<script src=f></script><a name=g><a data-href=h>")
        self.assertEqual(targets, ["/folder/a", "/folder/b", "/folder/c"])

    def test_what_is_no_element_is_no_link(self):
        text = "<!-- <a href=a> --><script>'<a href=b>'</script><style><a href=c></style>&lt;a href=d&gt;"
        self.assertEqual(self.targets(text), [])

    def test_broken_html_is_read_as_far_as_it_goes(self):
        self.assertEqual(self.targets("<p><table><b><a href=a></p></i><a href='b'<a href=c"), ["/folder/a", "/folder/b"])

    def test_base_moves_relative_links(self):
        text = "<base href=/other/><base href=/third/><a href=a></a><a href=/b></a>"
        self.assertEqual(self.targets(text), ["/other/a", "/b"])

    def test_base_on_another_host_takes_links_away(self):
        self.assertEqual(self.targets("<base href=http://other.example/><a href=a></a>"), [])

    # A tree parser would overflow its stack, or need hours.
    def test_deeply_nested_page_is_read(self):
        self.assertEqual(self.targets("<div>" * 1000000 + "<a href=deep>"), ["/folder/deep"])

    def test_only_pages_that_are_there_are_searched(self):
        result = self.crawl({"/": links("/missing", "/text", "/xhtml"),
                             "/missing": links("/a").replace(b"200 OK", b"404 Not Found"),
                             "/text": links("/b").replace(b"text/html", b"text/plain"),
                             "/xhtml": links("/c").replace(b"text/html", b"application/xhtml+xml; charset=utf-8")})
        self.assertEqual(set(result.outcomes()), {"/", "/missing", "/text", "/xhtml", "/c"})

    def test_redirects_in_a_row_end_after_20(self):
        def redirect(target):
            return f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\n\r\n".encode()
        chain = {f"/{number}": redirect(f"/{number + 1}") for number in range(1, 50)}
        result = self.crawl({"/": redirect("/1"), **chain}, "--depth", 0)
        self.assertEqual(set(result.outcomes()), {"/"} | {f"/{number}" for number in range(1, 21)})
        self.assertEqual(set(result.depths().values()), {0})

    # The long way to /far is quick and the short one slow, so the long one is known first.
    def test_depth_is_that_of_the_shortest_way_whichever_comes_first(self):
        answers = {"/": links("/slow", "/1"), "/1": links("/2"), "/2": links("/far"), "/far": links("/behind"),
                   "/behind": links("/end"), "/slow": [0.5, links("/far")]}
        result = self.crawl(answers, "--depth", 4)
        self.assertEqual(result.depths(), {"/": 0, "/slow": 1, "/1": 1, "/2": 2, "/far": 2, "/behind": 3, "/end": 4})
        self.assertEqual(len(self.server.targets), 7)


class Concurrency(WithServer):
    # Twenty pages of half a second: ten seconds one after the other.
    def test_pages_wait_together(self):
        pages = [f"/{number}" for number in range(20)]
        begin = time.monotonic()
        self.crawl({"/": links(*pages), **{page: [0.5, html("")] for page in pages}}, "--jobs", 20)
        self.assertLess(time.monotonic() - begin, 5)


class FetchTimes(WithServer):
    # 21 pages, one of them slow: the median knows nothing of it, and the 99th percentile is that page.
    def test_percentiles_are_times_that_so_many_pages_kept(self):
        pages = [f"/{number}" for number in range(19)]
        result = self.crawl({"/": links("/slow", *pages), "/slow": [0.6, html("")]})
        median, largest = re.fullmatch(r"p50 ([\d.]+) ms, p99 ([\d.]+) ms", result.row("fetch time")).groups()
        self.assertLess(float(median), 300)
        self.assertGreaterEqual(float(largest), 600)


class Progress(WithServer):
    slow = {"/": links(*"abcdef"), **{f"/{letter}": [0.4, html("")] for letter in "abcdef"}}

    def test_piped_progress_is_a_plain_line_a_second(self):
        result = self.crawl(self.slow, "--jobs", 1)
        lines = result.stderr.splitlines()
        self.assertGreaterEqual(len(lines), 2, result)
        for line in lines:
            self.assertRegex(line, r"^\d+\.\d s: \d+ pages, [\d.]+ k?B, 1 in flight, \d to do, 0 errors, \d+ pages/s$")

    def test_short_crawls_print_no_progress_into_pipes(self):
        self.assertEqual(self.crawl({"/": html("")}).stderr, "")

    def test_terminal_progress_is_one_line_that_changes_and_goes(self):
        server = self.serve(self.slow)
        terminal, other_end = pty.openpty()
        running = Running([CRAWL, "--jobs", "2", server.url()], stderr=other_end)
        os.close(other_end)
        shown = b""
        try:
            while data := os.read(terminal, 4096):
                shown += data
        except OSError:  # How Linux says that nobody holds the other end any more.
            pass
        os.close(terminal)
        result = running.finish()
        self.assertEqual(result.status, 0)
        self.assertGreaterEqual(len(re.findall(rb"\r\x1b\[\?7l\d+\.\d s: \d+ pages, [^\r\n]*\x1b\[K\x1b\[\?7h", shown)), 5, shown)
        self.assertNotIn(b"\n", shown)
        self.assertTrue(shown.endswith(b"\r\x1b[K"), shown)
        self.assertTrue(result.stdout.startswith("crawled "))


class Interrupt(WithServer):
    def interrupt(self, answers, requests, *options):
        server = self.serve(answers)
        running = Running([CRAWL, *options, server.url()])
        while len(server.targets) < requests:
            self.assertIsNone(running.process.poll())
            time.sleep(0.005)
        begin = time.monotonic()
        running.process.send_signal(signal.SIGINT)
        result = running.finish()
        self.assertLess(time.monotonic() - begin, 5)
        self.assertEqual(result.status, 130, result)
        return result

    def test_nothing_answered_yet(self):
        result = self.interrupt({"/": [SILENCE]}, 1)
        self.assertEqual(result.json["pages"], [])
        self.assertEqual(result.row("pages"), "0")

    def test_pages_in_flight_are_left_out(self):
        pages = [f"/{number}" for number in range(50)]
        result = self.interrupt({"/": links(*pages), **{page: [SILENCE] for page in pages}}, 33, "--jobs", "32")
        self.assertEqual(result.outcomes(), {"/": 200})


class OwnSite(unittest.TestCase):
    """Without a URL."""

    def test_embedded_site_is_crawled_to_the_last_page(self):
        result = crawl()
        self.assertEqual(result.status, 0, result)
        self.assertEqual(result.json["statuses"], {"200": 54, "302": 3, "404": 1, "410": 1})
        self.assertEqual(result.json["errors"], {"truncated": 1})
        pages = {"/", "/latest", "/about", "/slow", "/loop/a", "/loop/b", "/gone", "/broken", "/numbers.txt"}
        self.assertEqual(set(result.outcomes()), pages | {f"/number/{number}" for number in range(1, 52)})
        self.assertEqual(result.stderr, "")

    def test_it_can_be_limited(self):
        self.assertEqual(len(crawl("--max-pages", 10).json["pages"]), 10)
        self.assertEqual(set(crawl("--depth", 0).outcomes()), {"/"})

    def test_ctrl_c_ends_it_with_the_partial_table(self):
        running = Running([CRAWL, "--jobs", "1"], stderr=subprocess.DEVNULL)
        time.sleep(0.2)  # The slow page alone takes half a second.
        running.process.send_signal(signal.SIGINT)
        result = running.finish()
        self.assertEqual(result.status, 130, result)
        self.assertTrue(result.stdout.startswith("interrupted while crawling http://127.0.0.1:"), result)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

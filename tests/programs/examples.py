"""Runs the small example programs the way a reader would.

    examples.py FETCH ECHO_SERVER MINI_LOOP FOREIGN_POLL
"""
import pathlib
import re
import signal
import socket
import subprocess
import sys
import unittest

from odd_server import OddServer, html

FETCH, ECHO_SERVER, MINI_LOOP, FOREIGN_POLL = sys.argv[1:]


def run(*command, **more):
    more.setdefault("input", "")
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60, **more)


class Fetch(unittest.TestCase):
    def test_it_is_the_program_in_the_readme(self):
        project = pathlib.Path(__file__).parents[2]
        program = re.search("```c\n(.*?)```", (project / "README.md").read_text(), re.DOTALL).group(1)
        self.assertEqual(program, (project / "docs/examples/fetch.c").read_text())

    def test_it_prints_the_page(self):
        page = html("<h1>hello</h1>")
        server = OddServer({"/": page})
        self.addCleanup(server.stop)
        result = run(FETCH, "127.0.0.1", server.port)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, page.decode().replace("\r\n", "\n"), ""))

    def test_it_says_why_it_cannot(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            port = bound.getsockname()[1]
            result = run(FETCH, "127.0.0.1", port)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertRegex(result.stderr, f"^fetch: .*127.0.0.1.*{port}.*refused")

    def test_it_asks_for_a_host(self):
        self.assertEqual((run(FETCH).returncode, run(FETCH).stderr), (1, "fetch: which host?\n"))


class EchoServer(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([ECHO_SERVER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.addCleanup(self.end)
        greeting = self.process.stdout.readline()
        self.port = int(re.fullmatch(r"listening on 127\.0\.0\.1 port (\d+)\n", greeting).group(1))

    def end(self):
        """Also after a failed case."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        self.process.stdout.close()
        self.process.stderr.close()

    def stop(self, number):
        self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=30)
        self.assertEqual((self.process.returncode, stdout, stderr), (0, "", ""))

    def connect(self):
        connection = socket.create_connection(("127.0.0.1", self.port), 30)
        self.addCleanup(connection.close)
        return connection

    def test_many_connections_get_their_own_bytes_back(self):
        connections = [self.connect() for _ in range(50)]
        for number, connection in enumerate(connections):
            connection.sendall(b"number %d" % number)
        for number, connection in enumerate(connections):
            self.assertEqual(connection.makefile("rb").read(len(b"number %d" % number)), b"number %d" % number)
        self.stop(signal.SIGINT)

    def test_end_of_input_ends_the_connection(self):
        connection = self.connect()
        connection.sendall(b"x" * 100000)
        connection.shutdown(socket.SHUT_WR)
        self.assertEqual(connection.makefile("rb").read(), b"x" * 100000)
        self.stop(signal.SIGTERM)

    def test_connections_may_still_be_open_when_it_ends(self):
        connection = self.connect()
        connection.sendall(b"x")
        self.assertEqual(connection.recv(1), b"x")
        self.stop(signal.SIGTERM)
        self.assertEqual(connection.recv(1), b"")


class MiniLoop(unittest.TestCase):
    def test_it_connects(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            result = run(MINI_LOOP, "127.0.0.1", server.getsockname()[1])
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "connected!\n", ""))

    def test_it_notices_a_refusal(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            result = run(MINI_LOOP, "127.0.0.1", bound.getsockname()[1])
        self.assertEqual(result.stdout, "refused!\n")


class ForeignPoll(unittest.TestCase):
    def test_both_loops_move(self):
        result = run(FOREIGN_POLL, input="anybody home?\n")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(sorted(result.stdout.splitlines()), ["host: ANYBODY HOME?", "kolk: 1", "kolk: 2", "kolk: 3"])


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

"""A server on libuv whose answers are tasks of kolk.

    uv_server.py UV_SERVER
"""
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

from odd_server import SILENCE, OddServer, links

UV_SERVER = sys.argv[1]


class UvServer(unittest.TestCase):
    def setUp(self):
        self.process = subprocess.Popen([UV_SERVER], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True)
        self.addCleanup(self.end)
        self.site = re.fullmatch(r"a site to crawl is (http://\S+)\n", self.process.stdout.readline()).group(1)
        self.port = int(re.fullmatch(r"listening on 127\.0\.0\.1 port (\d+)\n", self.process.stdout.readline()).group(1))

    def end(self):
        """Also after a failed case."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        self.addCleanup(client.close)
        return client, client.makefile("r")

    def ask(self, url):
        client, answers = self.connect()
        client.sendall(url.encode() + b"\n")
        return answers.readline()

    def interrupt(self):
        self.process.send_signal(signal.SIGINT)
        stdout, stderr = self.process.communicate(timeout=30)
        self.assertEqual((self.process.returncode, stdout, stderr), (0, "ended in order\n", ""))

    def test_it_ends_in_order(self):
        self.interrupt()

    def test_it_crawls_for_a_client(self):
        self.assertRegex(self.ask(self.site), r"^60 of 60 pages, 15\d\d\d bytes, 1 failed, 0\.\d+ s\n$")
        self.interrupt()

    def test_clients_are_served_side_by_side(self):
        answers = []
        begin = time.monotonic()
        clients = [threading.Thread(target=lambda: answers.append(self.ask(self.site))) for _ in range(8)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        self.assertEqual([answer.split(",")[0] for answer in answers], ["60 of 60 pages"] * 8)
        # The slow page of the site alone takes half a second. One after the other they would need four.
        self.assertLess(time.monotonic() - begin, 4)
        self.interrupt()

    def test_lines_are_answered_in_order_however_they_arrive(self):
        client, answers = self.connect()
        client.sendall(b"nonsense\r\nft")
        self.assertEqual(answers.readline(), "a URL looks like http://host:port/path\n")
        client.sendall(b"p://x/\n" + self.site.encode() + b"\nnonsense\n")
        self.assertEqual(answers.readline(), "a URL looks like http://host:port/path\n")
        self.assertRegex(answers.readline(), "^60 of 60 pages")
        self.assertEqual(answers.readline(), "a URL looks like http://host:port/path\n")
        client.shutdown(socket.SHUT_WR)
        self.assertEqual(answers.readline(), "")
        self.interrupt()

    def test_a_line_that_does_not_end_ends_the_connection(self):
        client, answers = self.connect()
        client.sendall(b"x" * 1024)
        self.assertEqual(answers.readline(), "")
        self.interrupt()

    def test_clients_that_wait_are_told_of_the_end(self):
        server = OddServer({"/": links("/silent"), "/silent": [SILENCE]})
        self.addCleanup(server.stop)
        idle, idle_answers = self.connect()
        idle.sendall(b"nonsense\n")
        idle_answers.readline()
        waiting, waiting_answers = self.connect()
        waiting.sendall(server.url().encode() + b"\n")
        while "/silent" not in server.targets:
            time.sleep(0.01)
        self.interrupt()
        self.assertEqual(idle_answers.read(), "the server ends\n")
        self.assertEqual(waiting_answers.read(), "the server ends\n")

    def test_a_client_may_leave_before_its_answer(self):
        client, _ = self.connect()
        client.sendall(self.site.encode() + b"\n")
        client.close()
        self.assertRegex(self.ask(self.site), "^60 of 60 pages")
        self.interrupt()


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

"""A small server that does what nginx alone cannot: be slow on purpose, leave the length open, break off."""
import socketserver
import threading
import time


class Upstream:
    """Answers /slow/…, /chunked/…, /close/… with pages, and /truncated/… with less than it promises."""

    def __init__(self, pages, delay):
        self.pages = pages
        self.delay = delay
        self.lock = threading.Lock()
        self.active = self.most_active = 0
        upstream = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                head = self.rfile.readline().split()
                while self.rfile.readline().strip():
                    pass
                if head:  # nginx may connect and then have nobody left to ask for.
                    upstream.answer(head[1].decode(), self.wfile)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def forget(self):
        """Waits until pages that somebody gave up are through, and counts anew."""
        while self.active:
            time.sleep(0.01)
        self.most_active = 0

    def answer(self, target, out):
        with self.lock:
            self.active += 1
            self.most_active = max(self.most_active, self.active)
        body = self.pages[target]
        if target.startswith("/slow"):
            time.sleep(self.delay)
        with self.lock:
            self.active -= 1
        if target.startswith("/truncated"):
            out.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % (len(body) + 4000) + body)
        elif target.startswith("/slow"):
            out.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        else:
            out.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + body)

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

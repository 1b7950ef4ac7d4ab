"""A server that answers with exactly the bytes a test wants, right or wrong."""
import socket
import socketserver
import struct
import threading
import time

RESET = object()
"""At the end of an answer: break the connection off instead of closing it."""

SILENCE = object()
"""In an answer: nothing more comes, and the connection stays open until the other side closes it."""


def html(text, head=""):
    body = text.encode()
    return f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def links(*targets):
    return html("".join(f"<a href='{target}'>x</a>" for target in targets))


class OddServer:
    """answers: target to bytes, or to a list of bytes, numbers (seconds to wait), RESET and SILENCE. Others get a 404."""

    def __init__(self, answers, address="127.0.0.1"):
        self.answers = answers
        self.targets = []
        self.heads = []
        self.hung_up = threading.Event()
        odd = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    line = self.rfile.readline()
                    if not line:
                        return
                    head += line
                odd.heads.append(head.decode())
                target = head.split()[1].decode()
                odd.targets.append(target)
                odd.serve(target, self.connection)

        class Server(socketserver.ThreadingTCPServer):
            address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                """Clients that went away are part of the tests."""

        self.server = Server((address, 0), Handler)
        self.port = self.server.server_address[1]
        self.origin = f"http://[{address}]:{self.port}" if ":" in address else f"http://{address}:{self.port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def serve(self, target, connection):
        answer = self.answers.get(target, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        for part in answer if isinstance(answer, list) else [answer]:
            if part is RESET:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.close()
            elif part is SILENCE:
                connection.settimeout(60)
                connection.recv(1)
                self.hung_up.set()
            elif isinstance(part, bytes):
                connection.sendall(part)
            else:
                time.sleep(part)

    def url(self, target="/"):
        return self.origin + target

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

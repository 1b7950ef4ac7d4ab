"""The distribution's nginx, with a configuration and a folder of its own, on a free port of loopback."""
import collections
import os
import shutil
import socket
import subprocess
import time

Request = collections.namedtuple("Request", "connection target status begin end active")

CONFIGURATION = """
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    scgi_temp_path {folder}/scgi;
    uwsgi_temp_path {folder}/uwsgi;
    types {{ text/html html; text/plain txt; image/png png; }}
    default_type application/octet-stream;
    log_format crawl '$connection $request_uri $status $msec $request_time $connections_active';
    access_log {folder}/access.log crawl;
    server {{
        listen 127.0.0.1:{port};
        root {folder}/root;
        {locations}
    }}
}}
"""


def find_nginx():
    return shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    except OSError:
        return False


class Nginx:
    """Serves folder/root until stopped. Another program may take the free port first, so starting is tried a few times."""

    def __init__(self, folder, locations):
        self.folder = folder
        self.log_path = os.path.join(folder, "access.log")
        program = find_nginx()
        if not program:
            raise RuntimeError("nginx is not installed: apt-get install nginx-light")
        for _ in range(5):
            self.port = free_port()
            with open(os.path.join(folder, "nginx.conf"), "w") as file:
                locations_here = locations.replace("PORT", str(self.port))
                file.write(CONFIGURATION.format(folder=folder, port=self.port, locations=locations_here))
            self.process = subprocess.Popen([program, "-p", folder, "-e", os.path.join(folder, "error.log"),
                                             "-c", os.path.join(folder, "nginx.conf")], stdin=subprocess.DEVNULL)
            if self.wait_until_ready():
                return
            self.stop()
        with open(os.path.join(folder, "error.log")) as file:
            raise RuntimeError("nginx does not start: " + file.read())

    def wait_until_ready(self):
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self.process.poll() is None:
            if answers(self.port):
                return True
            time.sleep(0.01)
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()

    def url(self, target="/"):
        return f"http://127.0.0.1:{self.port}{target}"

    def forget(self):
        """Empties the log. nginx appends, so it goes on at the beginning."""
        os.truncate(self.log_path, 0)

    def requests(self):
        """What was asked for since the log was emptied."""
        found = []
        with open(self.log_path) as file:
            for line in file:
                connection, target, status, end, duration, active = line.split()
                begin = float(end) - float(duration)
                found.append(Request(int(connection), target, int(status), begin, float(end), int(active)))
        return found


def most_at_once(requests):
    """The largest number of requests under way at one moment. One that ends when another begins does not meet it."""
    changes = sorted([(round(request.begin, 3), 1) for request in requests] + [(request.end, -1) for request in requests])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most

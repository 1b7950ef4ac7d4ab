"""Runs a benchmark program with small counts and checks what it prints.

    check_output.py WORKLOAD PROGRAM [HOST]

Every command line must end with status 0 and print each metric of its workload exactly once, as a number that makes sense; an
argument that means nothing to the program is ignored, one that cannot be right is refused. The echo server must echo.
"""
import math
import re
import signal
import socket
import subprocess
import sys

TIMEOUT_S = 60

# Microseconds, and a histogram: the percentage of longer frames.
LONGER_FRAMES = [f"over_{ms}ms_pct" for ms in range(2, 17, 2)]
FRAME_TIMES = ["cpu_us", "p50_us", "p99_us", "max_us", *LONGER_FRAMES]

# Command line -> the metrics it must print. Times must be above zero; memory and the like may be nothing at all.
COMMANDS = {
    "call_soon": [
        ("width=1 n=1000", "ns_per_cb"),
        ("width=100 n=1000", "ns_per_cb"),
    ],
    "embed": [
        ("socks=0 n=100 max_ms=1000", "ns_per_tick"),
        ("socks=100 n=100 max_ms=1000", "ns_per_tick"),
    ],
    "frames": [
        ("n=40 conns=50 hz=200 budget_us=2000",
         " ".join(f"{kind}_{what}" for kind in ("idle", "busy") for what in FRAME_TIMES)
         + " growth_us busy_allocations echoes_per_frame"),
    ],
    "startup": [("n=20 max_ms=1000", "create_destroy_us rss_b")],
    "tasks": [
        ("mode=spawn n=2000 window=1", "ns_per_op"),
        ("mode=spawn n=2000 window=100", "ns_per_op"),
        ("mode=yield k=2 n=2000", "ns_per_op"),
        ("mode=yield k=100 n=2000", "ns_per_op"),
        ("mode=ready n=2000", "ns_per_op"),
        ("mode=call n=2000 depth=100", "ns_per_op"),
        ("mode=call n=4000 depth=2000", "ns_per_op"),
        ("mode=chain n=2000 depth=100", "ns_per_op"),
        ("mode=parked n=500", "ns_per_op rss_b"),
    ],
    "timers": [
        ("mode=insert n=2000", "insert_ns cancel_ns"),
        ("mode=expire n=2000", "insert_ns expire_ns wall_ms"),
        ("mode=churn n=200 ops=5000", "insert_ns churn_ns"),
    ],
    "wakeup": [
        ("mode=pingpong cpus=split n=200", "rtt_ns p99_ns callbacks"),
        ("mode=pingpong cpus=same n=200", "rtt_ns p99_ns callbacks"),
        ("mode=coalesce n=2000", "ns_per_wake callbacks"),
        ("mode=queue n=2000", "ns_per_post producer_ns"),
    ],
}

# In each way that the host of the program serves.
WITH_HOST = {
    "host_wake": ("n=200 rounds=3", "native_ns wake_ns ratio allocations"),
    "idle": ("ms=300 conns=100", "cpu_ns switches"),
}
WAYS = {"sdl": ["thread"], "epoll-edge": ["handle"], "libevent": ["handle", "thread", "reactor", "plugin"]}
ALL_WAYS = ["handle", "thread", "reactor"]

MAY_BE_ZERO = {"rss_b", "allocations", "busy_allocations", "switches",
               *(f"{kind}_{longer}" for kind in ("idle", "busy") for longer in LONGER_FRAMES)}

# A wake-up allocates nothing, and who has nothing to do uses no processor.
AT_MOST = {"allocations": 0, "busy_allocations": 0, "cpu_ns": 5_000_000}

# One frame in a hundred belongs to whatever else the machine does: without load it may be the longer one.
MAY_BE_NEGATIVE = {"growth_us"}


def run(program, words):
    return subprocess.run([program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT_S)


def complaints_about(text, metrics):
    """What is wrong with the lines that a program printed."""
    seen = {}
    for line in text.splitlines():
        match = re.fullmatch(r"(\w+) ([-+0-9.e]+)", line)
        if not match:
            yield f"not a result: {line!r}"
        elif match[1] in seen:
            yield f"{match[1]} twice"
        else:
            seen[match[1]] = float(match[2])
    if sorted(seen) != sorted(metrics):
        yield f"printed {sorted(seen)}, expected {sorted(metrics)}"
    for metric, value in seen.items():
        if metric in MAY_BE_NEGATIVE:
            wrong = not math.isfinite(value)
        else:
            wrong = not math.isfinite(value) or value < 0 or (value == 0 and metric not in MAY_BE_ZERO)
        if wrong:
            yield f"{metric} is {value}"
        if value > AT_MOST.get(metric, math.inf):
            yield f"{metric} is {value}, more than {AT_MOST[metric]}"


def commands(workload, host):
    if workload not in WITH_HOST:
        return COMMANDS[workload]
    words, metrics = WITH_HOST[workload]
    return [(f"way={way} {words}", metrics) for way in WAYS.get(host, ALL_WAYS)]


def check_commands(workload, program, host):
    for command, metrics in commands(workload, host):
        result = run(program, command.split() + ["unknown=word"])
        if result.returncode != 0:
            yield f"{command}: status {result.returncode}: {result.stderr.strip()}"
            continue
        for complaint in complaints_about(result.stdout, metrics.split()):
            yield f"{command}: {complaint}"
        # Every program takes an n; nothing can be measured zero or "many" times.
        for bad in ("n=0", "n=many"):
            words = [word for word in command.split() if not word.startswith("n=")] + [bad]
            result = run(program, words)
            if result.returncode == 0 or result.stdout or not result.stderr:
                yield f"{' '.join(words)}: not refused"


def receive(connection, length):
    data = b""
    while len(data) < length:
        chunk = connection.recv(65536)
        if not chunk:
            raise RuntimeError(f"the server closed a connection after {len(data)} of {length} bytes")
        data += chunk
    return data


def check_echo(program):
    """Twenty connections at once, short and long messages, and one client that leaves without reading."""
    server = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    try:
        match = re.fullmatch(r"port (\d+)\n", server.stdout.readline())
        if not match:
            yield "no port was printed"
            return
        address = ("127.0.0.1", int(match[1]))
        connections = [socket.create_connection(address, timeout=TIMEOUT_S) for _ in range(20)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%d" % number)
        for number, connection in enumerate(connections):
            if receive(connection, len(b"%d" % number)) != b"%d" % number:
                yield f"connection {number} got something else back"

        rude = socket.create_connection(address, timeout=TIMEOUT_S)
        rude.sendall(bytes(100000))
        rude.close()

        message = bytes(i * 7 % 256 for i in range(16384)) * 4
        for connection in connections:
            connection.sendall(message)
            if receive(connection, len(message)) != message:
                yield "64 KiB did not come back unchanged"
            connection.close()
        if server.poll() is not None:
            yield f"the server ended with status {server.returncode}"
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        server.stdout.close()


def main():
    workload, program, *host = sys.argv[1:]
    complaints = list(check_echo(program) if workload == "tcp_echo" else check_commands(workload, program, *(host or [None])))
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0


sys.exit(main())

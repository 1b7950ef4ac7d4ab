"""Python's asyncio as the host: kolk lives in an event loop that is written in another language and knows nothing of it.

    asyncio_host.py LIBKOLK

Everything goes through ctypes and the public functions. Each rule is checked with asyncio over epoll and over poll, and with uvloop
where it is installed; and in each way to live in a host. The way "descriptor" needs no more than add_reader(); the others fill in
the table that every adapter fills in, with methods of the Python loop.
"""
import asyncio
import contextlib
import ctypes
import selectors
import socket
import sys
import threading
import time
import unittest

try:
    import uvloop
except ImportError:
    uvloop = None

NEVER = 2**63 - 1
MS = 1_000_000
READ, WRITE = 1, 2
WAYS = {"handle": 2, "thread": 3, "reactor": 4}

POINTER = ctypes.c_void_p
CALLBACK = ctypes.CFUNCTYPE(None, POINTER)
WATCH = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_int, ctypes.c_uint32)
SET_DEADLINE = ctypes.CFUNCTYPE(ctypes.c_int, POINTER, ctypes.c_int64)
POST = ctypes.CFUNCTYPE(ctypes.c_int, POINTER)


class LoopOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("reactor", ctypes.c_char_p), ("reactor_ops", POINTER),
                ("host", POINTER), ("allocator", POINTER), ("clock", POINTER), ("clock_userdata", POINTER)]


class Budget(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("max_items", ctypes.c_uint32), ("max_ns", ctypes.c_int64)]


class HostOps(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("reserved", ctypes.c_uint32), ("watch", WATCH), ("set_deadline", SET_DEADLINE),
                ("post", POST), ("after_fork", POST)]


class GuestOptions(ctypes.Structure):
    _fields_ = [("size", ctypes.c_uint32), ("way", ctypes.c_uint32), ("max_items", ctypes.c_uint32), ("reserved", ctypes.c_uint32),
                ("max_ns", ctypes.c_int64)]


def sized(structure, **members):
    return structure(size=ctypes.sizeof(structure), **members)


# Name: result, arguments. Statuses are checked, whatever a function returns beside them.
FUNCTIONS = {
    "kolk_loop_new": (ctypes.c_int, POINTER, POINTER, POINTER),
    "kolk_loop_close": (ctypes.c_int, POINTER),
    "kolk_loop_unref": (POINTER, POINTER),
    "kolk_loop_time": (ctypes.c_int64, POINTER),
    "kolk_loop_get_fd": (ctypes.c_int, POINTER),
    "kolk_loop_dispatch": (ctypes.c_int, POINTER, POINTER, POINTER),
    "kolk_loop_call_soon": (ctypes.c_int, POINTER, CALLBACK, POINTER, POINTER, POINTER),
    "kolk_loop_call_at": (ctypes.c_int, POINTER, ctypes.c_int64, CALLBACK, POINTER, POINTER, POINTER),
    "kolk_loop_call_soon_threadsafe": (ctypes.c_int, POINTER, CALLBACK, POINTER, POINTER),
    "kolk_loop_add_reader": (ctypes.c_int, POINTER, ctypes.c_int, CALLBACK, POINTER, POINTER),
    "kolk_loop_remove_reader": (ctypes.c_int, POINTER, ctypes.c_int),
    "kolk_loop_add_writer": (ctypes.c_int, POINTER, ctypes.c_int, CALLBACK, POINTER, POINTER),
    "kolk_loop_remove_writer": (ctypes.c_int, POINTER, ctypes.c_int),
    "kolk_host_reactor": (POINTER,),
    "kolk_guest_new": (ctypes.c_int, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER, POINTER),
    "kolk_guest_unref": (POINTER, POINTER),
    "kolk_guest_turn": (ctypes.c_int, POINTER),
    "kolk_guest_ready": (ctypes.c_int, POINTER, ctypes.c_int, ctypes.c_uint32),
    "kolk_guest_detach": (ctypes.c_int, POINTER),
}


class Library:
    def __init__(self, path):
        library = ctypes.CDLL(path)
        status_name = library.kolk_status_name
        status_name.restype = ctypes.c_char_p

        def check(result, function, arguments):
            if result is not None and result < 0:
                raise RuntimeError(f"{function.__name__}: {status_name(result).decode()}")
            return result

        for name, (result, *arguments) in FUNCTIONS.items():
            function = getattr(library, name)
            function.restype, function.argtypes, function.errcheck = result, arguments, check
            setattr(self, name.removeprefix("kolk_"), function)


class Kolk:
    """A loop, and its stay in the loop of Python `host`."""

    def __init__(self, host, way, max_items=0):
        self.host, self.kept = host, []
        self.guest = POINTER()
        self.loop = POINTER()
        options = sized(LoopOptions, reactor_ops=kolk.host_reactor() if way == "reactor" else None)
        kolk.loop_new(ctypes.byref(options), ctypes.byref(self.loop), None)
        if way == "descriptor":
            budget = sized(Budget, max_items=max_items)
            self.fd = kolk.loop_get_fd(self.loop)
            host.add_reader(self.fd, lambda: kolk.loop_dispatch(self.loop, ctypes.byref(budget), None))
        else:
            self.fd = None
            self.attach(sized(GuestOptions, way=WAYS[way], max_items=max_items))

    def attach(self, options):
        self.thread = threading.get_ident()
        self.deadline, self.timer, self.watched = NEVER, None, {}
        ops = sized(HostOps, watch=WATCH(self.watch), set_deadline=SET_DEADLINE(self.set_deadline), post=POST(self.post))
        self.kept.append(ops)
        kolk.guest_new(self.loop, ctypes.byref(ops), None, None, ctypes.byref(options), ctypes.byref(self.guest), None)

    # What a host can do: three functions.

    def watch(self, _, fd, events):
        for event, add, remove in ((READ, self.host.add_reader, self.host.remove_reader),
                                   (WRITE, self.host.add_writer, self.host.remove_writer)):
            if events & event:
                add(fd, lambda event=event: kolk.guest_ready(self.guest, fd, event))
            elif self.watched.get(fd, 0) & event:
                remove(fd)
        self.watched[fd] = events
        return 0

    def set_deadline(self, _, deadline):
        self.deadline = deadline
        if self.timer:
            self.timer.cancel()
        self.timer = None
        if deadline != NEVER:
            left = max(deadline - kolk.loop_time(self.loop), 0)
            self.timer = self.host.call_later(left / 1e9, self.on_deadline)
        return 0

    def on_deadline(self):
        # uvloop counts in milliseconds, from a moment that stands still during callbacks.
        if kolk.loop_time(self.loop) < self.deadline:
            self.set_deadline(None, self.deadline)
        else:
            kolk.guest_turn(self.guest)

    def post(self, _):
        soon = self.host.call_soon if threading.get_ident() == self.thread else self.host.call_soon_threadsafe
        soon(self.turn)
        return 0

    def turn(self):
        # What was posted may come after the end.
        if self.guest:
            kolk.guest_turn(self.guest)

    # What the tests ask kolk for.

    def callback(self, function):
        def call(_):
            function()

        self.kept.append(CALLBACK(call))
        return self.kept[-1]

    def call_soon(self, function):
        kolk.loop_call_soon(self.loop, self.callback(function), None, None, None)

    def call_soon_threadsafe(self, function):
        kolk.loop_call_soon_threadsafe(self.loop, self.callback(function), None, None)

    def call_at(self, when, function):
        kolk.loop_call_at(self.loop, when, self.callback(function), None, None, None)

    def now(self):
        return kolk.loop_time(self.loop)

    def add_reader(self, fd, function):
        kolk.loop_add_reader(self.loop, fd, self.callback(function), None, None)

    def add_writer(self, fd, function):
        kolk.loop_add_writer(self.loop, fd, self.callback(function), None, None)

    def close(self):
        if self.fd is not None:
            self.host.remove_reader(self.fd)
        if self.guest:
            kolk.guest_detach(self.guest)
            kolk.guest_unref(self.guest)
            self.guest = POINTER()
        kolk.loop_close(self.loop)
        kolk.loop_unref(self.loop)


class Rules:
    """What holds in each host and each way. The classes below say which."""
    way = None

    def new_host(self):
        raise NotImplementedError

    def run_in_host(self, main, **options):
        """Runs a coroutine function of Python's in the host, with a kolk that lives there."""
        host = self.new_host()
        with contextlib.closing(host):
            guest = Kolk(host, self.way, **options)
            with contextlib.closing(guest):
                host.run_until_complete(asyncio.wait_for(main(guest), 30))

    def test_timers_fire_while_asyncio_sleeps(self):
        late, order = [], []

        async def main(guest):
            for name, delay in (("c", 30), ("a", 5), ("b", 20), ("never", 10_000)):
                when = guest.now() + delay * MS

                def fire(name=name, when=when):
                    order.append(name)
                    late.append(guest.now() - when)

                guest.call_at(when, fire)
            await asyncio.sleep(0.2)

        self.run_in_host(main)
        self.assertEqual(order, ["a", "b", "c"])
        self.assertGreaterEqual(min(late), 0)

    def test_a_timer_is_not_early_after_a_callback_that_took_long(self):
        late = []

        async def main(guest):
            time.sleep(0.05)
            when = guest.now() + 20 * MS
            guest.call_at(when, lambda: late.append(guest.now() - when))
            await asyncio.sleep(0.15)

        self.run_in_host(main)
        self.assertEqual(len(late), 1)
        self.assertGreaterEqual(late[0], 0)

    def test_calls_from_another_thread_arrive_while_asyncio_sleeps(self):
        seen = []

        async def main(guest):
            def post():
                for i in range(100):
                    guest.call_soon_threadsafe(lambda i=i: seen.append((i, threading.get_ident())))
                    time.sleep(0.0002)

            poster = threading.Thread(target=post)
            poster.start()
            while len(seen) < 100:
                await asyncio.sleep(0.05)
            poster.join()

        self.run_in_host(main)
        self.assertEqual(seen, [(i, threading.get_ident()) for i in range(100)])

    def test_a_call_from_another_thread_ends_a_long_sleep(self):
        async def main(guest):
            woken = asyncio.Event()
            poster = threading.Timer(0.02, guest.call_soon_threadsafe, [woken.set])
            poster.start()
            await woken.wait()
            poster.join()

        self.run_in_host(main)

    def test_each_reads_what_the_other_writes(self):
        got = []

        async def main(guest):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                ours.setblocking(False)
                theirs.setblocking(False)

                def on_readable():
                    data = theirs.recv(100)
                    got.append(data)
                    theirs.send(data.upper())

                guest.add_reader(theirs.fileno(), on_readable)
                for word in (b"one", b"two", b"three"):
                    await asyncio.get_running_loop().sock_sendall(ours, word)
                    got.append(await asyncio.get_running_loop().sock_recv(ours, 100))
                kolk.loop_remove_reader(guest.loop, theirs.fileno())

        self.run_in_host(main)
        self.assertEqual(got, [b"one", b"ONE", b"two", b"TWO", b"three", b"THREE"])

    def test_a_writer_and_a_reader_of_one_descriptor(self):
        seen = []

        async def main(guest):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                done = asyncio.Event()

                def on_writable():
                    seen.append("write")
                    kolk.loop_remove_writer(guest.loop, theirs.fileno())
                    ours.send(b"x")

                def on_readable():
                    seen.append("read")
                    theirs.recv(1)
                    done.set()

                guest.add_reader(theirs.fileno(), on_readable)
                guest.add_writer(theirs.fileno(), on_writable)
                await done.wait()
                kolk.loop_remove_reader(guest.loop, theirs.fileno())

        self.run_in_host(main)
        self.assertEqual(seen, ["write", "read"])

    def test_a_busy_kolk_leaves_asyncio_its_turn(self):
        count = 0

        async def main(guest):
            nonlocal count
            ended = False

            def again():
                nonlocal count
                count += 1
                if not ended:
                    kolk.loop_call_soon(guest.loop, call, None, None, None)

            call = guest.callback(again)
            again()
            for _ in range(20):
                await asyncio.sleep(0.001)
            ended = True

        self.run_in_host(main, max_items=10)
        self.assertGreater(count, 20)

    def test_a_busy_asyncio_leaves_kolk_its_turn(self):
        fired = []

        async def main(guest):
            for i in range(5):
                guest.call_at(guest.now() + i * MS, lambda: fired.append(1))
            while len(fired) < 5:
                await asyncio.sleep(0)

        self.run_in_host(main)
        self.assertEqual(len(fired), 5)

    def test_nothing_is_left_behind(self):
        threads = threading.active_count()

        async def main(guest):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                guest.add_reader(theirs.fileno(), lambda: None)
                guest.call_at(guest.now() + 3600 * 1000 * MS, lambda: None)
                await asyncio.sleep(0.01)
                fds = {theirs.fileno(), *guest.watched} if guest.fd is None else {guest.fd}
                if guest.guest:
                    kolk.guest_detach(guest.guest)
                    for fd in fds:
                        self.assertFalse(guest.host.remove_reader(fd))
                    self.assertIsNone(guest.timer)

        self.run_in_host(main)
        self.assertEqual(threading.active_count(), threads)


HOSTS = {
    "asyncio on epoll": lambda: asyncio.SelectorEventLoop(selectors.EpollSelector()),
    "asyncio on poll": lambda: asyncio.SelectorEventLoop(selectors.PollSelector()),
}
if uvloop:
    HOSTS["uvloop"] = uvloop.new_event_loop


def load_tests(loader, tests, pattern):
    suite = unittest.TestSuite()
    for name, new_host in HOSTS.items():
        for way in ("descriptor", *WAYS):
            members = {"new_host": lambda self, new_host=new_host: new_host(), "way": way}
            suite.addTests(loader.loadTestsFromTestCase(type(f"{name}, {way}", (Rules, unittest.TestCase), members)))
    return suite


if __name__ == "__main__":
    kolk = Library(sys.argv.pop(1))
    unittest.main()

"""Runs the example programs about futures, coroutines and tasks, and compares what they print with what they must.

    transcripts.py DIRECTORY MODULE

DIRECTORY holds the programs, MODULE is the reactor "sim". What takes time runs in virtual time, where everything is exact; in
real time only the order and wide ratios count.
"""
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import unittest

DIRECTORY, MODULE = sys.argv[1:]
SIM = ["--sim", "--module", os.path.abspath(MODULE)]
ALL = ["asleep", "fetch_co", "monitor", "multiples", "my_future", "never_started", "pipeline", "primes", "read_hosts", "send",
       "sleeps", "spinner", "three_stages", "throw_and_close", "waiter", "yield_from"]
WITH_TIME = ["monitor", "pipeline", "sleeps", "spinner", "waiter"]


def command(program, *arguments):
    return [str(pathlib.Path(DIRECTORY) / program), *map(str, arguments)]


def run(program, *arguments):
    return subprocess.run(command(program, *arguments), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)


class Transcript(unittest.TestCase):
    maxDiff = None

    def printed(self, program, *arguments, stderr=""):
        """What a program prints that ends well."""
        result = run(program, *arguments)
        self.assertEqual((result.returncode, result.stderr), (0, stderr), result.stdout)
        return result.stdout

    def lines(self, program, *arguments, stderr=""):
        return self.printed(program, *arguments, stderr=stderr).splitlines()

    def file(self, text):
        """A temporary file with this text."""
        file = tempfile.NamedTemporaryFile("w")
        self.addCleanup(file.close)
        file.write(text)
        file.flush()
        return file.name


class CommandLine(Transcript):
    def test_each_program_tells_how_it_is_used(self):
        for program in ALL:
            with self.subTest(program):
                self.assertTrue(self.printed(program, "--help").startswith(f"usage: {program}"))

    def test_those_that_take_time_can_take_none(self):
        offered = [program for program in ALL if "--sim " in self.printed(program, "--help").split("\n\n")[-1]]
        self.assertEqual(offered, WITH_TIME)

    def test_an_unknown_option_is_named(self):
        for program in ALL:
            with self.subTest(program):
                result = run(program, "--nonsense")
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertEqual(result.stderr, f'{program}: there is no option "--nonsense"\ntry "{program} --help"\n')

    def test_a_word_too_few_is_named(self):
        self.assertEqual(run("fetch_co", "127.0.0.1").stderr, 'fetch_co: PORT is missing\ntry "fetch_co --help"\n')

    def test_a_number_out_of_range_is_refused(self):
        result = run("primes", "--count", "-1")
        self.assertEqual((result.returncode, result.stderr.splitlines()[0]),
                         (2, 'primes: --count is a number from 0 to 1000000, not "-1"'))

    def test_what_blocks_is_not_simulated(self):
        for arguments in (["sleeps", "--block"], ["monitor", "--block"], ["spinner", "--thread"]):
            with self.subTest(arguments):
                self.assertEqual(run(*arguments, *SIM).returncode, 2)

    def test_a_missing_module_is_an_error_in_words(self):
        result = run("sleeps", "--sim", "--module", "/nowhere/kolk-reactor-sim.so")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, "^sleeps: .*/nowhere/kolk-reactor-sim.so")


class MyFuture(Transcript):
    """A future calls back whoever asked, and nobody when nobody asked."""

    PRIMING = [">>sending none to initial future", "cblist []", "...stepping", "sending NoneType",
               "about to yield connection future", "got next future", ">>>after priming"]
    CONNECTED = ["on connected cb ran", "cblist [Task.step]", "sending NoneType", "connected!"]
    CHUNK = ["got next future", "cblist [Task.step]", "sending bytes"]

    def test_the_driver_is_the_only_callback(self):
        self.assertEqual(self.lines("my_future"), self.PRIMING + self.CONNECTED + 5 * self.CHUNK + ["si"])

    def test_a_coroutine_without_a_stack_prints_the_same(self):
        self.assertEqual(self.lines("my_future", "--step"), self.lines("my_future"))


class PacedServer:
    """Sends a chunk each time it is told to, and closes after the last."""

    def __init__(self, chunks):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.go = threading.Semaphore(0)
        self.request = b""
        self.thread = threading.Thread(target=self.serve, args=[chunks], daemon=True)
        self.thread.start()

    def serve(self, chunks):
        connection, _ = self.listener.accept()
        with connection:
            while not self.request.endswith(b"\r\n\r\n"):
                self.request += connection.recv(4096)
            for chunk in chunks:
                self.go.acquire()
                connection.sendall(chunk)
            self.go.acquire()

    def stop(self):
        self.listener.close()


class FetchCo(Transcript):
    """The lengths are those of the page that was fetched when this program was first told."""

    LENGTHS = [1396, 1396, 4096, 626]
    PRIMING = [">>sending none to initial future", "...stepping", "sending NoneType", "about to yield connection future",
               "got next future", ">>>after priming", "on connected cb ran", "sending NoneType"]

    def fetch(self, *arguments, waits="got next future", waits_before=1, stderr=""):
        """Runs it against a server that sends a chunk whenever the program waits for one. Returns what it printed."""
        page = [bytes([65 + number]) * length for number, length in enumerate(self.LENGTHS)]
        server = PacedServer(page)
        self.addCleanup(server.stop)
        with tempfile.TemporaryDirectory() as directory:
            saved = pathlib.Path(directory) / "page"
            process = subprocess.Popen(command("fetch_co", "127.0.0.1", server.port, "/353/", "--save", saved, *arguments),
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if lines[-1] == waits and lines.count(waits) > waits_before:
                    server.go.release()
            errors = process.communicate(timeout=60)[1]
            self.assertRegex(errors, f"^{stderr}$")
            self.assertEqual(process.returncode, 0)
            self.assertEqual(server.request, b"GET /353/ HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            self.assertEqual(saved.read_bytes(), b"".join(page))
        return lines, errors

    def test_the_driver_and_the_coroutine_take_turns(self):
        expected = self.PRIMING + ["we were connected! now back in gen"]
        for length in self.LENGTHS:
            expected += ["in loop", "got next future", "sending bytes", f"len(chunk) {length}"]
        expected += ["in loop", "got next future", "sending bytes", "all read", "si"]
        self.assertEqual(self.fetch()[0], expected)

    def test_functions_that_the_coroutine_calls_may_wait(self):
        expected = self.PRIMING + ["connected!"] + 5 * ["got next future", "sending bytes"] + ["si"]
        self.assertEqual(self.fetch("--refactored")[0], expected)

    def test_a_level_of_calls_allocates_nothing(self):
        counted = [self.fetch("--allocations", *more, stderr="allocations: [1-9][0-9]*\n")[1]
                   for more in ([], ["--refactored"])]
        self.assertEqual(*counted)

    def test_a_task_of_kolk_drives_the_same_coroutine(self):
        expected = ["about to yield connection future", "on connected cb ran", "we were connected! now back in gen"]
        for length in self.LENGTHS:
            expected += ["in loop", f"len(chunk) {length}"]
        self.assertEqual(self.fetch("--task", waits="in loop", waits_before=0)[0], expected + ["in loop", "all read"])

    def test_a_refusal_ends_the_coroutine_with_an_error(self):
        with socket.socket() as bound:
            bound.bind(("127.0.0.1", 0))
            for more in ([], ["--task"]):
                result = run("fetch_co", "127.0.0.1", bound.getsockname()[1], "/", *more)
                self.assertEqual((result.returncode, result.stderr), (1, "fetch_co: connection refused\n"))


class Spinner(Transcript):
    BACK = 11 * "\b"
    END = 11 * " " + BACK + "Answer: 42\n"

    def frames(self, text):
        """The frames of a spinner that showed them in the right order and cleaned up."""
        self.assertTrue(text.endswith(self.END), text[-80:])
        frames = text[:-len(self.END)].split(self.BACK)
        self.assertEqual(frames.pop(), "")
        self.assertEqual(frames, ["|/-\\"[number % 4] + " thinking!" for number in range(len(frames))])
        return len(frames)

    def test_it_turns_ten_times_a_second_until_the_answer_is_there(self):
        spinner, text = self.printed("spinner", *SIM).split("\n", 1)
        self.assertRegex(spinner, r"^spinner object: task 'spin', starting, made at .*spinner\.c:\d+$")
        self.assertEqual(self.frames(text), 30)

    def test_in_real_time_it_turns_as_a_task_and_as_a_thread(self):
        processes = [subprocess.Popen(command("spinner", *more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
                     for more in ([], ["--thread"])]
        task, thread = (process.communicate(timeout=60)[0].split("\n", 1) for process in processes)
        self.assertTrue(task[0].startswith("spinner object: task 'spin'"))
        self.assertEqual(thread[0], "spinner object: a thread")
        self.assertTrue(3 <= self.frames(task[1]) <= 31)  # no frame ends early, and on the loop none is drawn after the answer
        self.assertGreaterEqual(self.frames(thread[1]), 3)


class Monitor(Transcript):
    def test_a_task_that_sleeps_disturbs_nobody(self):
        self.assertEqual(self.lines("monitor", *SIM),
                         [f"monitor: {number}" for number in range(1, 11)] + ["ticks: 10, longest silence: 1.000 s"])

    def test_a_task_that_blocks_silences_everyone_and_is_reported_once(self):
        result = run("monitor", "--block", "--unit", 100)
        self.assertEqual(result.returncode, 0)
        ticks, silence = re.search(r"^ticks: (\d+), longest silence: (.*) s\n\Z", result.stdout, re.MULTILINE).groups()
        self.assertLessEqual(int(ticks), 1)
        self.assertGreaterEqual(float(silence), 1)
        blamed = re.findall(r"^stall: task 'work', made at .*monitor\.c:\d+, keeps everyone waiting$", result.stderr,
                            re.MULTILINE)
        self.assertEqual(len(blamed), 1, result.stderr)


class NeverStarted(Transcript):
    def test_the_forgotten_one_does_not_run_and_is_reported(self):
        result = run("never_started")
        self.assertEqual((result.returncode, result.stdout), (0, "in co_2\nin main\nin co_3\n"))
        self.assertRegex(result.stderr, r"\Anever_started: .*never started: co_1\n\Z")


class Sleeps(Transcript):
    def test_together_they_take_as_long_as_the_longest(self):
        self.assertEqual(self.lines("sleeps", *SIM), ["together: 3.000 s", "one after the other: 6.000 s"])
        self.assertEqual(self.lines("sleeps", "--unit", 50, *SIM), ["together: 0.150 s", "one after the other: 0.300 s"])

    def test_if_they_block_being_together_does_not_help(self):
        took = {name: float(seconds) for name, seconds in
                re.findall("^(.*): (.*) s$", self.printed("sleeps", "--block", "--unit", 200), re.MULTILINE)}
        self.assertGreaterEqual(took["together"], 0.6)
        self.assertGreaterEqual(took["one after the other"], 1.2)
        self.assertGreaterEqual(took["together, but blocking"], 1.2)
        self.assertLess(took["together"], took["together, but blocking"])


class Asleep(Transcript):
    def test_five_at_once_take_as_long_as_one(self):
        line = self.printed("asleep", "--unit", 100)
        seconds = float(re.fullmatch("slept 5 times: (.*) s\n", line).group(1))
        self.assertTrue(1 <= seconds / 0.5 < 4, seconds)  # one after the other: 5

    def test_a_thread_may_not_finish_a_future(self):
        self.assertEqual(self.lines("asleep", "--naive", "--unit", 10),
                         ["the thread was told: KOLK_ETHREAD, called from a thread that does not own the loop",
                          "nobody wakes it"])


class Waiter(Transcript):
    def test_the_fastest_is_served_first(self):
        self.assertEqual(self.lines("waiter", *SIM),
                         ["table by table", "  3.000 s: anna", "  4.000 s: ben", "  6.000 s: carla",
                          "as they choose", "  1.000 s: ben", "  2.000 s: carla", "  3.000 s: anna"])


class ThreeStages(Transcript):
    CALLS = ["  call 1 with 1", "  call 2 with 3", "  call 3 with 7"]

    def expect(self, lines, *arguments):
        expected = [line for style in ("callbacks", "futures", "coroutine") for line in [style] + lines]
        self.assertEqual(self.lines("three_stages", *arguments), expected)

    def test_all_ways_make_the_same_calls(self):
        self.expect(self.CALLS + ["  the answer is 14"])

    def test_an_error_skips_the_stages_after_it(self):
        for stage in (1, 2, 3):
            self.expect(self.CALLS[:stage] + [f"  call {stage} failed"], "--fail", stage)


class Hosts(Transcript):
    LINES = ["vbox7.com", "# tyxo.bg", "vesti.bg", "# unacs.bg", "zamunda.net"]

    def setUp(self):
        self.path = self.file("".join(line + "\n" for line in self.LINES))

    def test_the_generator_reads_when_it_is_asked(self):
        self.assertEqual(self.lines("read_hosts", self.path),
                         ["Entering the generator ...", "Read: vbox7.com", "Received: vbox7.com", "Read: # tyxo.bg",
                          "Read: vesti.bg", "Received: vesti.bg", "Read: # unacs.bg", "Read: zamunda.net",
                          "Received: zamunda.net"])

    def test_the_list_is_read_first(self):
        self.assertEqual(self.lines("read_hosts", self.path, "--list"),
                         [f"Read: {line}" for line in self.LINES]
                         + ["Received: vbox7.com", "Received: vesti.bg", "Received: zamunda.net"])

    def test_an_error_in_the_generator_comes_out_of_it(self):
        result = run("read_hosts", "/nowhere/hosts")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (1, "Entering the generator ...\n", "read_hosts: /nowhere/hosts: No such file or directory\n"))


class Primes(Transcript):
    def test_the_first_ten_thousand(self):
        limit = 104730
        sieve = bytearray([1]) * limit
        for number in range(2, int(limit ** 0.5) + 1):
            sieve[number * number::number] = bytes(len(sieve[number * number::number]))
        primes = [number for number in range(2, limit) if sieve[number]]
        self.assertEqual(len(primes), 10000)
        stderr = "tried up to 104729\nafter close: the coroutine has ended, tried up to 104729\n"
        self.assertEqual(list(map(int, self.lines("primes", "--count", 10000, stderr=stderr))), primes)

    def test_what_nobody_asks_for_is_not_computed(self):
        self.assertEqual(self.lines("primes", "--count", 0, stderr="tried up to 0\n"
                                    "after close: the coroutine has ended, tried up to 0\n"), [])


class Multiples(Transcript):
    def test_a_generator_that_is_sent_to_and_thrown_into(self):
        self.assertEqual(self.lines("multiples"), ["2", "6", "18", "Something went wrong: Stop it already!", "54"])


class Send(Transcript):
    def test_with_two_yields_every_other_value_is_lost(self):
        lines = self.lines("send")
        self.assertEqual(lines[:lines.index("one yield")],
                         ["two yields", "sent 54 too early: the coroutine was not started", "next: 1",
                          "send 55", "  handed out nothing", "send 56", "  received 56", "  handed out 2",
                          "send 57", "  handed out nothing", "send 58", "  received 58", "  handed out 3"])

    def test_with_one_each_send_is_an_exchange(self):
        lines = self.lines("send")
        expected = ["one yield", "sent 54 too early: the coroutine was not started", "next: 1"]
        for number in range(4):
            expected += [f"send {55 + number}", f"  received {55 + number}", f"  handed out {2 + number}"]
        self.assertEqual(lines[lines.index("one yield"):], expected)


class ThrowAndClose(Transcript):
    def case(self, name):
        """The lines under a heading."""
        sections = self.printed("throw_and_close").split("- ")
        return next(lines[1:] for lines in map(str.splitlines, sections) if lines and lines[0] == name)

    def test_an_error_that_is_caught_does_not_end_it(self):
        self.assertEqual(self.case("an error that is caught"),
                         ["made: created", "  begins: running", "next: handed out 1, suspended", "  caught: not that one",
                          "throw: handed out 2, suspended", "next: handed out 3, suspended", "  cleans up",
                          "next: returned all of them, closed", "next: KOLK_EEXITED, closed"])

    def test_an_error_that_is_not_caught_comes_out(self):
        self.assertEqual(self.case("an error that is not"),
                         ["  begins: running", "next: handed out 1, suspended", "  cleans up", "throw: KOLK_EINVAL, closed",
                          "it failed with: enough"])

    def test_closing_cleans_up_once(self):
        self.assertEqual(self.case("closed, twice"),
                         ["  begins: running", "next: handed out 1, suspended", "  cleans up", "close: fine, closed",
                          "close: fine, closed"])

    def test_a_yield_while_it_is_closed_is_an_error(self):
        self.assertEqual(self.case("closed, but it yields"),
                         ["  begins: running", "next: handed out 1, suspended", "close: KOLK_EYIELD, suspended",
                          "  cleans up", "close: fine, closed"])

    def test_the_last_reference_closes_it(self):
        self.assertEqual(self.case("dropped"), ["  begins: running", "next: handed out 1, suspended", "  cleans up"])


class YieldFrom(Transcript):
    def talk(self, levels):
        return ["next: the sum is 0", "send 1: the sum is 1", "send 2: the sum is 3", "send 3: the sum is 6",
                "  innermost caught: start again", "throw: the sum is 0", "send 42: the sum is 42", "send 0: returned 42",
                f"{levels + 1} ended", "next: the sum is 0", f"closed: {levels + 1} ended"]

    def test_everything_goes_through_a_thousand_levels(self):
        self.assertEqual(self.lines("yield_from"), self.talk(1000))

    def test_the_number_of_levels_makes_no_difference(self):
        self.assertEqual(self.lines("yield_from", "--levels", 1), self.talk(1))

    def test_a_resume_costs_the_same_at_any_depth(self):
        printed = [self.printed("yield_from", "--time", "--levels", levels) for levels in (10, 1000)]
        few, many = (float(re.fullmatch("a resume takes (.*) ns\n", line).group(1)) for line in printed)
        self.assertLess(many, 10 * few)  # if each level had its part in it: 100 times


class Pipeline(Transcript):
    BOUND = 3

    def setUp(self):
        self.path = self.file("".join(f"line {number}  of a file that has {'Some' if number % 3 else 'many'} lines\n"
                                      for number in range(2000)))

    def shell(self, pipeline):
        return subprocess.run(["sh", "-c", pipeline, "sh", self.path], capture_output=True, text=True, check=True,
                              env={**os.environ, "LC_ALL": "C"}).stdout

    def run_both_ways(self, *arguments):
        for way in ([], ["--bound", 1], ["--pull"]):
            result = run("pipeline", self.path, "SOME", *way, *arguments)
            self.assertEqual(result.returncode, 0)
            yield result.stdout

    def test_it_prints_what_the_shell_does(self):
        expected = self.shell('tr a-z A-Z < "$1" | grep -F SOME')
        for printed in self.run_both_ways():
            self.assertEqual(printed, expected)

    def test_it_counts_what_the_shell_counts(self):
        expected = int(self.shell('tr a-z A-Z < "$1" | grep -F SOME | wc -w'))
        for printed in self.run_both_ways("--count"):
            self.assertEqual(int(printed), expected)

    def ahead(self, *arguments):
        result = run("pipeline", self.path, "LINE", "--count", *arguments, *SIM)
        self.assertEqual(result.returncode, 0)
        pipes = [(int(most), int(bound)) for most, bound in re.findall("at most (.*) of (.*) lines", result.stderr)]
        return pipes, int(re.search("source was at most (.*) lines ahead", result.stderr).group(1))

    def test_no_stage_is_further_ahead_than_the_bound(self):
        for bound in (1, 3, 100):
            pipes, source = self.ahead("--bound", bound, "--slow", 10)
            self.assertEqual(pipes, 3 * [(bound, bound)])  # they fill up, and then the one before them waits
            self.assertLessEqual(source, 3 * bound + 3)    # and each stage has one line in hand

    def test_generators_read_nothing_before_it_is_wanted(self):
        self.assertEqual(self.ahead("--pull", "--slow", 10), ([], 1))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)

"""Runs an example in which a task of kolk counts while its host shouts what it reads.

    guest.py PROGRAM
"""
import subprocess
import sys
import time
import unittest

PROGRAM = sys.argv.pop()


class Guest(unittest.TestCase):
    def run_program(self):
        self.process = subprocess.Popen([PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(self.process.kill)

    def assert_printed(self, *lines):
        output, errors = self.process.communicate(timeout=60)
        self.assertEqual((self.process.returncode, sorted(output.splitlines()), errors), (0, sorted(lines), ""))

    def test_host_and_guest_share_a_thread(self):
        self.run_program()
        self.process.stdin.write("anybody home?\n")
        self.process.stdin.flush()
        self.assert_printed("host: ANYBODY HOME?", "kolk: 1", "kolk: 2", "kolk: 3")

    def test_the_host_goes_on_when_the_task_has_ended(self):
        self.run_program()
        time.sleep(0.4)
        self.process.stdin.write("still here?\n")
        self.assert_printed("host: STILL HERE?", "kolk: 1", "kolk: 2", "kolk: 3")

    def test_the_task_goes_on_when_the_input_has_ended(self):
        self.run_program()
        self.process.stdin.close()
        self.process.stdin = None
        self.assert_printed("kolk: 1", "kolk: 2", "kolk: 3")


unittest.main()

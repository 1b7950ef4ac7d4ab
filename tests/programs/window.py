"""A program with a window, on a screen of its own, and what can be seen there."""
import os
import pathlib
import re
import selectors
import signal
import subprocess
import tempfile
import time

from PIL import Image, ImageChops, ImageGrab, ImageOps

FULL = (0x2E, 0xC4, 0xB6)   # What is done, in the bar.
EMPTY = (0x24, 0x32, 0x3F)  # What is not.

SUPPRESSIONS = pathlib.Path(__file__).resolve().parent / "windows.supp"


class Screen:
    """An X server without a screen, on a display number that is free."""

    def __enter__(self):
        reading, writing = os.pipe()
        try:
            self.process = subprocess.Popen(
                ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x800x24", "-br", "-nolisten", "tcp", "-noreset"],
                pass_fds=[writing], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        finally:
            os.close(writing)
        with os.fdopen(reading) as pipe:
            number = pipe.readline().strip()
        if not number:
            raise RuntimeError(f"Xvfb ended with status {self.process.wait()}")
        self.name = ":" + number
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def grab(self):
        """What is to be seen, without the black around it; None when all is black."""
        image = ImageGrab.grab(xdisplay=self.name).convert("RGB")
        box = ImageChops.difference(image, Image.new("RGB", image.size)).getbbox()
        return image.crop(box) if box else None


class Program:
    """A program on a screen. It is ended in any case."""

    def __init__(self, screen, command):
        self.folder = tempfile.TemporaryDirectory(prefix="window-")
        os.chmod(self.folder.name, 0o700)
        self.stderr = tempfile.TemporaryFile("w+")
        environment = {name: value for name, value in os.environ.items() if name not in ("WAYLAND_DISPLAY", "XAUTHORITY")}
        environment.update({
            "DISPLAY": screen.name, "HOME": self.folder.name, "XDG_RUNTIME_DIR": self.folder.name, "LC_ALL": "C.UTF-8",
            "GDK_BACKEND": "x11", "GSK_RENDERER": "cairo", "GSETTINGS_BACKEND": "memory", "GTK_A11Y": "none",
            "QT_QPA_PLATFORM": "xcb", "SDL_VIDEODRIVER": "x11", "LIBGL_ALWAYS_SOFTWARE": "1",
            "LSAN_OPTIONS": f"print_suppressions=0:suppressions={SUPPRESSIONS}"})
        self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.stderr)
        self.printed = b""
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.selector.close()
        self.stderr.close()
        self.folder.cleanup()

    def complaints(self):
        self.stderr.seek(0)
        return self.stderr.read()

    def look_for(self, pattern, timeout_s):
        """The match of a line that the program has printed, or prints within the time; None while there is none."""
        if self.selector.select(timeout_s):
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise AssertionError(f"it ended with status {self.process.wait()}: {self.complaints()}")
            self.printed += data
        return re.search(rb"^" + pattern + rb"$", self.printed, re.MULTILINE)

    def end(self):
        """Asks it to end, and returns its status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)


def longest_run(row):
    """Start and length of the longest run of True."""
    best = (0, 0)
    start = None
    for place, is_set in enumerate([*row, False]):
        if is_set and start is None:
            start = place
        elif not is_set and start is not None:
            best = max(best, (start, place - start), key=lambda run: run[1])
            start = None
    return best


class Bar:
    """The progress bar in a picture: where it is, and how much of it is full."""

    def __init__(self, top, height, left, width, share):
        self.top, self.height, self.left, self.width, self.share = top, height, left, width, share

    def __repr__(self):
        return f"a bar of {self.width} by {self.height} at {self.left}, {self.top}, {self.share:.1%} full"


def find_bar(picture):
    """The bar is the widest area in its two colours that is at least six pixels high; None when there is none."""
    width, height = picture.size
    pixels = picture.load()
    best = None
    rows = []
    for y in range(height):
        row = [pixels[x, y] in (FULL, EMPTY) for x in range(width)]
        rows.append(longest_run(row))
    for top, (left, length) in enumerate(rows):
        bottom = top
        while bottom < height and abs(rows[bottom][0] - left) <= 1 and abs(rows[bottom][1] - length) <= 2:
            bottom += 1
        if bottom - top >= 6 and length > 0 and (best is None or length > best[3]):
            best = (top, bottom - top, left, length)
    if best is None:
        return None
    top, bar_height, left, length = best
    middle = top + bar_height // 2
    full = sum(pixels[x, middle] == FULL for x in range(left, left + length))
    return Bar(top, bar_height, left, length, full / length)


def read_text(picture):
    """The words in a picture, as tesseract reads them."""
    grey = ImageOps.autocontrast(ImageOps.grayscale(picture))
    if sum(grey.histogram()[:128]) > sum(grey.histogram()[128:]):
        grey = ImageOps.invert(grey)
    grey = grey.resize((grey.width * 3, grey.height * 3), Image.LANCZOS)
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        grey.save(file.name)
        # One thread: two that share a processor take ten times as long.
        result = subprocess.run(["tesseract", file.name, "-", "--psm", "11"], stdin=subprocess.DEVNULL, capture_output=True,
                                text=True, timeout=120, check=True, env={**os.environ, "OMP_THREAD_LIMIT": "1"})
    return result.stdout


def wait_for(condition, timeout_s):
    """Looks every tenth of a second. Returns what it last got."""
    end = time.monotonic() + timeout_s
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return result

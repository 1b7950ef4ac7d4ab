"""Runs a program that crawls in a window, and looks at the window.

    hosts.py PROGRAM                              checks it
    hosts.py --pictures FOLDER NAME PROGRAM ...   checks several, and keeps their pictures, for the documentation

Each runs on an X server of its own that has no screen. What the program prints is held against what is to be seen: a bar that
is seen on its way and is full in the end, and the count of pages, which tesseract reads.
"""
import os
import re
import sys
import time

from PIL import Image

from window import Program, Screen, find_bar, read_text, wait_for

PATIENCE_S = 120
# Looks at the window before the end, after which one must have shown the bar on its way.
LOOKS = 8
PAGE_WIDTH = 720


def watch_until_done(program, screen):
    """The count that the program prints, and what the bar showed on the way there."""
    shares = []
    end = time.monotonic() + PATIENCE_S
    while not (match := program.look_for(rb"done: (\d+) pages", 0.1)):
        if time.monotonic() > end:
            raise AssertionError(f"not done within {PATIENCE_S} s; the bar showed {shares}; {program.complaints()}")
        picture = screen.grab()
        bar = find_bar(picture) if picture else None
        if bar:
            shares.append(bar.share)
    return int(match[1]), shares


def check_way(shares):
    """It may go back a little, when a page leads to many that were not known."""
    if len(shares) >= LOOKS and not any(0 < share < 1 for share in shares):
        yield f"the bar was never seen on its way: {shares}"


def read_counts(picture, top, bottom):
    text = read_text(picture.crop((0, max(0, top), picture.width, bottom)))
    return [(int(done), int(known)) for done, known in re.findall(r"(\d+)\s+of\s+(\d+)\s+pages", text)]


def what_is_wrong(picture, pages):
    """Holds a picture against the count; an empty text when it shows what it should."""
    if picture is None:
        return "the window is black"
    bar = find_bar(picture)
    if bar is None:
        return "there is no bar"
    if bar.width < 0.6 * picture.width:
        return f"{bar}, in a window {picture.width} wide"
    if bar.share < 1:
        return f"{bar}, after the end"
    # Next to the bar, as a rule, where there is less to read.
    counts = read_counts(picture, bar.top - 90, bar.top) or read_counts(picture, 0, bar.top)
    if counts != [(pages, pages)]:
        return f"{pages} of {pages} pages were to be read, not {counts}"
    return ""


def check(command, picture_file):
    with Screen() as screen, Program(screen, command) as program:
        pages, shares = watch_until_done(program, screen)
        if pages == 0:
            yield "no page was fetched"
        yield from check_way(shares)

        seen = []

        def shows_the_end():
            picture = screen.grab()
            seen[:] = [what_is_wrong(picture, pages), picture]
            return not seen[0]

        wait_for(shows_the_end, 20)
        wrong, picture = seen
        if wrong:
            yield wrong
        if picture and picture_file:
            save(picture, picture_file)
        status = program.end()
        if status != 0:
            yield f"ended with status {status}: {program.complaints()}"


def save(picture, file):
    """As a small file: as wide as a page shows it, in 256 colours."""
    height = picture.height * PAGE_WIDTH // picture.width
    small = picture.resize((PAGE_WIDTH, height), Image.LANCZOS)
    small.quantize(256, method=Image.FASTOCTREE, dither=Image.Dither.NONE).save(file, optimize=True)


def check_and_print(command, picture_file=None):
    complaints = list(check(command, picture_file))
    for complaint in complaints:
        print(f"{command}: {complaint}")
    return len(complaints)


def main():
    if sys.argv[1] != "--pictures":
        return min(1, check_and_print(sys.argv[1:]))
    folder, *pairs = sys.argv[2:]
    os.makedirs(folder, exist_ok=True)
    return min(1, sum(check_and_print([program], os.path.join(folder, name + ".png"))
                      for name, program in zip(pairs[::2], pairs[1::2])))


sys.exit(main())

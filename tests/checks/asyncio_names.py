"""Checks that the page about asyncio's names has all of them, and that ours exist.

    asyncio_names.py PAGE HEADER...

The names are those of the Python that runs this, up to the one that the page is about.
"""
import asyncio
import pathlib
import re
import sys

CLASSES = ["Future", "Task", "TaskGroup", "Timeout", "Handle", "TimerHandle", "Runner"]


def names_of_asyncio():
    if sys.version_info >= (3, 14):
        return
    yield from asyncio.__all__
    for name in CLASSES:
        for member in dir(getattr(asyncio, name, object)):
            if not member.startswith("_"):
                yield f"{name}.{member}"


def has(page, name):
    """A timer's handle has what a handle has, and create_task() of a group may be called on anything."""
    names = [name, name.replace("TimerHandle.", "Handle.")]
    return any(re.search(f"`{re.escape(each)}[`(]", page) for each in names)


def main():
    page, *headers = (pathlib.Path(path).read_text() for path in sys.argv[1:])
    headers = "\n".join(headers)
    problems = [f"{name} is not on the page" for name in names_of_asyncio() if not has(page, name)]
    problems += [f"{name} is in no header" for name in sorted(set(re.findall(r"\b(?:kolk|KOLK)_\w+", page)))
                 if not re.search(rf"\b{name}\b", headers)
                 and not re.search(rf"\bX\({name.removeprefix('KOLK_')},", headers)]
    for problem in problems:
        print(problem)
    return len(problems) > 0


sys.exit(main())

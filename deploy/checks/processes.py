"""Processes by their parents, for checks that kill some of them."""

import os
import signal
import time
from pathlib import Path


def descendants(ancestor):
    """The command lines of a process's children, of their children and so on, by number."""
    parents, lines = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in parentheses, may hold anything.
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            lines[int(folder.name)] = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue

    def is_below(number):
        while number in parents:
            number = parents[number]
            if number == ancestor:
                return True
        return False

    return {number: line for number, line in lines.items() if is_below(number)}


def wait_for(what, condition, run, seconds=600):
    """Waits until a condition gives something, as long as a run goes on, and returns that."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if run.process.poll() is not None:
            raise SystemExit(f"the command ended with {run.process.returncode} before {what}: {run.said()[-4000:]}")
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come about in {seconds} seconds")
        time.sleep(0.02)
    return found


def kill_all(numbers):
    for number in numbers:
        try:
            os.kill(number, signal.SIGKILL)
        except ProcessLookupError:
            pass

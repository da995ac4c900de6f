"""The machine that a report was made on."""

import datetime
import os
from pathlib import Path


def describe():
    """Its processors, system and the date, in a line."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), "unknown processor")
    return f"{len(os.sched_getaffinity(0))} cores, {model}, Linux {os.uname().release}, {datetime.date.today()}"

"""A Headwater to be checked, for as long as a block lasts. What the commands in the folder above share."""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILT = ROOT / ".build/debug/headwater"
# EX_UNAVAILABLE of sysexits(3).
UNAVAILABLE = 69


def require(headwater):
    """Exits unless the binary is there."""
    if not os.access(headwater, os.X_OK):
        print(f"There is no {headwater}: build it with swift build, or name another", file=sys.stderr)
        sys.exit(UNAVAILABLE)


@contextlib.contextmanager
def running(headwater, folder, options=()):
    """A service on free ports: what its log line `ready` says, with `admin`, the URL of the admin listener, and `log`."""
    log = Path(folder) / "log"
    with log.open("w") as errors:
        command = [headwater, "serve", "--port", "0", "--admin-port", "0", "--log-format", "json", *options]
        process = subprocess.Popen(command, stderr=errors)
        try:
            line = None
            while not line:
                if process.poll() is not None:
                    sys.exit(f"the service ended: {log.read_text()}")
                time.sleep(0.1)
                line = next((line for line in log.read_text().splitlines() if '"message":"ready"' in line), None)
            ready = json.loads(line)
            yield {**ready, "admin": f"http://127.0.0.1:{ready['admin_port']}", "log": log}
            if process.poll() is not None:
                sys.exit(f"the service ended: {log.read_text()[-2000:]}")
        finally:
            process.terminate()
            process.wait()

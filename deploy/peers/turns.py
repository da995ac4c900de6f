"""Headwater and its peers take turns in being measured: every round measures every engine once.

The peers are in a virtual environment outside the repository, in $HEADWATER_PEERS or ~/.cache/headwater-peers.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "deploy/checks"), str(ROOT / "deploy/families")]
from environment import install as install_packages  # noqa: E402
from installation import PACKAGES, WITHOUT_DEPENDENCIES  # noqa: E402

HEADWATER = ROOT / ".build/release/headwater"
PEERS = Path(os.environ.get("HEADWATER_PEERS", Path.home() / ".cache" / "headwater-peers"))
# The published networks are those of the packages that define them.
ALL = PACKAGES + ["onnx", "onnxruntime", "onnxscript", "openvino", "nncf"]


def install():
    install_packages(PEERS, ALL, WITHOUT_DEPENDENCIES)


def python(script, *arguments):
    """The command that runs a script of deploy/peers, or another, with the peers."""
    return [str(PEERS / "bin/python"), "-W", "ignore", str(ROOT / "deploy/peers" / script), *arguments]


def environment(**changes):
    return {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")} | changes


class Peer:
    """A peer's process, which loads once and is asked for a figure each round."""

    def __init__(self, command, **changes):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment(**changes),
        )
        self.error = json.loads(self.answer())["error"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"a peer ended; run it alone to see why: {' '.join(self.process.args)}")
        return line

    def measure(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.answer())

    def close(self):
        self.process.communicate()


def take_turns(runners, rounds, seconds):
    """What every engine's runner measured in each round."""
    figures = {engine: [] for engine in runners}
    for _ in range(rounds):
        for engine, runner in runners.items():
            figures[engine].append(runner.measure(seconds))
    for runner in runners.values():
        runner.close()
    return figures

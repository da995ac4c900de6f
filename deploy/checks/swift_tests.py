"""Reports a run of `swift test` from its event stream: failures with their messages, skipped tests with their reasons, the slowest
tests, and the sets of kernels that could be tested on this processor.

    python3 deploy/checks/swift_tests.py EVENTS LOG

EVENTS is the file that --event-stream-output-path wrote, and LOG is the output of the run. A line of LOG with more than 400
characters is a failure too: usually it prints an argument that needs a name (`Named` in Tests/TestFixtures). The exit status is 1
for any failure.
"""

import collections
import json
import re
import sys
from pathlib import Path

SLOWEST = 10
LONGEST_LINE = 400
# Where a message begins: a NUL in an argument's text ends the printing of its line, so the next message continues that line.
MESSAGE = "(?=◇ )"
KERNEL_SUITE = "TensorTests.KernelSetTests/"


class Report:
    def __init__(self, events):
        self.names, self.kinds = {}, {}
        self.seconds = collections.Counter()
        self.running, self.ended = set(), []
        self.failures, self.skipped = [], []
        self.kernels = {}
        for event in events:
            self.take(event["kind"], event["payload"])

    def take(self, kind, payload):
        if kind == "test":
            self.names[payload["id"]] = payload.get("displayName") or payload["name"]
            self.kinds[payload["id"]] = payload["kind"]
            return
        test = payload.get("testID", "")
        match payload["kind"]:
            case "testStarted" if self.kinds.get(test) == "function":
                self.running.add(test)
            case "testEnded" if test in self.running:
                self.running.remove(test)
                self.ended.append(test)
                self.note_kernels(test, True)
            case "testCaseStarted":
                self.seconds[test] -= payload["instant"]["absolute"]
            case "testCaseEnded":
                self.seconds[test] += payload["instant"]["absolute"]
            case "testSkipped":
                self.note_kernels(test, False)
                self.skipped.append(self.text(payload))
            case "issueRecorded" if not payload["issue"].get("isKnown"):
                place = payload["issue"].get("sourceLocation") or {}
                where = f"{place.get('fileID', test)}:{place.get('line', '?')}"
                self.failures.append(f"{where}, {self.names.get(test, test)}: {self.text(payload)}")

    def note_kernels(self, test, are_tested):
        if test.startswith(KERNEL_SUITE):
            self.kernels[self.names[test]] = are_tested

    @staticmethod
    def text(payload):
        return " / ".join(" ".join(message["text"].split()) for message in payload["messages"])


def events(path):
    """The records of a stream, up to one that a crash has cut short."""
    if not path.exists():
        return
    # Not by splitlines(), which takes characters within the text for ends of lines.
    for line in filter(None, path.read_text().split("\n")):
        try:
            yield json.loads(line)
        except ValueError:
            return


def shortened(text, width=LONGEST_LINE):
    return text if len(text) <= width else text[: width - 1] + "…"


def main():
    stream, log = map(Path, sys.argv[1:])
    report = Report(events(stream))
    failures = [*report.failures]
    failures += [f"{report.names[test]} began and did not end" for test in report.running]
    lines = log.read_text(errors="replace").splitlines()
    failures += [line for line in lines if line.startswith("error: ")]
    long = [message for line in lines for message in re.split(MESSAGE, line) if len(message) > LONGEST_LINE]
    if long:
        failures.append(f"{len(long)} lines of the output are longer than {LONGEST_LINE} characters, the first begins {long[0][:100]}")
    if not report.ended:
        failures.append("no test was run")
    # Only cases of parameterised tests tell when they really began: the others' times contain the wait for their turn.
    print(f"{len(report.ended)} tests ended; the slowest of those with several cases:")
    for test in sorted(set(report.seconds) & set(report.ended), key=lambda test: -report.seconds[test])[:SLOWEST]:
        print(shortened(f"  {report.seconds[test]:6.1f} s  {test.split('/')[0]}: {report.names[test]}", 120))
    for are_tested, words in ((True, "kernels tested"), (False, "kernels NOT tested, which this processor lacks")):
        names = [name for name, value in report.kernels.items() if value == are_tested]
        if names:
            print(f"{words}: {', '.join(sorted(names))}")
    for text in report.skipped:
        print(shortened(f"skipped: {text}"))
    for text in failures:
        print(shortened(f"FAILED: {text}", 2000))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())

"""With too little address space or too few threads to start, every command ends by itself within seconds with an error, and so
does a service that was told to stop: nothing hangs in a library that waits for threads that never started."""

import resource
import signal
import time

from harness import IMAGE, check

SHORT = False
SECONDS = 300
MEBIBYTE = 1 << 20


def run(bench):
    image = bench.folder / "image.jpg"
    image.write_bytes(IMAGE)
    statuses, slowest = {}, 0
    for mebibytes in range(90, 4000, 20):
        # How much is enough depends on the processors, for each of which OpenBLAS takes some.
        if statuses.get(0, 0) == 3:
            break
        limits = {resource.RLIMIT_AS: (mebibytes * MEBIBYTE, mebibytes * MEBIBYTE)}
        service = bench.start(limits=limits)
        began = time.monotonic()
        while service.is_alive() and service.line("ready") is None:
            check(time.monotonic() - began < 30, f"under {mebibytes} MiB the start hangs: {service.lines[-3:]}")
            time.sleep(0.02)
        if not service.is_alive():
            slowest = max(slowest, time.monotonic() - began)
        service.signal(signal.SIGTERM)
        status = service.process.wait(60)
        statuses[status] = statuses.get(status, 0) + 1
        for command in (["embed", image, "-o", "/dev/null"], ["inspect", "/nonexistent"], ["--version"]):
            outcome = bench.command(*command, limits=limits, timeout=30)
            check(outcome.returncode == 0 or outcome.stderr, f"{command} under {mebibytes} MiB says nothing")
    check(statuses.get(69), f"no start was refused for its memory: {statuses}")
    check(statuses.get(0), f"no service started: {statuses}")
    bench.note(f"statuses of {sum(statuses.values())} starts: {statuses}; the slowest refusal took {slowest:.1f} s")

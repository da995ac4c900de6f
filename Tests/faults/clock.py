"""The clock is set a year ahead, back before the program was made, and to and fro under load: deadlines, timeouts, drains and
health go by a monotonic clock, so that no request is dropped and no connection closed early or kept for ever; only the times
that are told change."""

import shutil
import signal
import subprocess
import time
from pathlib import Path

from harness import Connection, Load, Skipped, check, eventually, version_of

SHORT = False
SECONDS = 600
YEAR = 365.25 * 86400


def run(bench):
    library, setting = bench.folder / "clock.so", bench.folder / "shift"
    compiler = next(filter(shutil.which, ("clang", "gcc", "cc")), None)
    if compiler is None:
        raise Skipped("no C compiler is here to make the clock that jumps; Swift's toolchain has clang")
    subprocess.run(
        [compiler, "-O2", "-shared", "-fPIC", "-o", library, Path(__file__).with_suffix(".c")], check=True)

    def set_clock(years):
        temporary = bench.folder / "shift.new"
        temporary.write_text(str(int(years * YEAR)))
        temporary.rename(setting)

    set_clock(0)
    environment = {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(setting)}
    arguments = ["--idle-timeout", "3s", "--request-timeout", "2s", "--drain-delay", "1s"]
    with bench.service(*arguments, environment=environment) as service:
        truth = {version_of(service.embed()): service.features()}
        idle, jumps = Connection(service.port), [1, -20, 10, -0.001, 0, -1, 30, 0]
        with Load(service.port, expected=truth) as load:
            for jump in jumps:
                set_clock(jump)
                time.sleep(0.25)
                answer = service.embed(headers={"X-Request-Timeout": "20"})
                check(answer.status == 200, f"a request with a deadline {jump} years on: {answer}")
                check(idle.ask("GET", "/health/live").status == 200, f"an open connection {jump} years on")
        load.require_no_faults()
        # It is this program's own clock that jumps.
        set_clock(1)
        service.signal(signal.SIGHUP)
        line = eventually("a reload", lambda: service.line("reloaded"))
        told = next(value for value in line.values() if isinstance(value, str) and value[4:5] == "-")
        check(int(told[:4]) == time.gmtime().tm_year + 1, f"the clock didn't jump: {line}")
        set_clock(-20)
        idle = Connection(service.port)
        idle.ask("GET", "/health/live")
        began = time.monotonic()
        eventually("the idle connection to be closed", lambda: is_closed(idle), 10)
        idled = time.monotonic() - began
        check(idled > 2.5, f"an idle connection was closed after {idled:.1f} s instead of 3")
        began = time.monotonic()
        service.signal(signal.SIGTERM)
        time.sleep(0.3)
        set_clock(20)
        check(service.process.wait(20) == 0, "the service didn't stop properly")
        drained = time.monotonic() - began
        check(drained >= 1, f"a drain with a delay of 1 s took {drained:.1f} s")
        service.process.returncode = -signal.SIGKILL
        bench.note(f"{len(jumps)} jumps amid {load.answers} answers, all right; an idle connection was closed after "
                   f"{idled:.1f} s of 3, a drain with a delay of 1 s took {drained:.1f} s")


def is_closed(connection):
    sock = connection.connection.sock
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    finally:
        sock.setblocking(True)

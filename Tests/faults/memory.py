"""A model that needs more memory than its cgroup, or its limit of address space, leaves is refused before it is read, with
507, what it takes and what there is; the model before serves on, and nothing is killed. With room it loads, and what
loading took is what was foreseen or less. A service that is to start with such a model says so and exits 69. Bodies
flooding in are refused before they fill the cgroup."""

import contextlib
import os
import resource
import subprocess
import threading
from pathlib import Path

from harness import Broken, Load, Skipped, ask, check, version_of

SHORT = False
SECONDS = 600
MEBIBYTE = 1 << 20


@contextlib.contextmanager
def cgroup(name):
    """A memory cgroup below this process's own, in either version: a function that sets its limit, one that tells its peak,
    and a prefix that runs a command in it."""
    own = {line.split(":", 2)[1]: line.strip().split(":", 2)[2] for line in open("/proc/self/cgroup")}
    if "memory" in own:
        folder = Path(f"/sys/fs/cgroup/memory{own['memory']}")
        limit, peak = "memory.limit_in_bytes", "memory.max_usage_in_bytes"
    else:
        # Below the root, since a group with processes can't have groups with controllers below it.
        folder, limit, peak = Path("/sys/fs/cgroup"), "memory.max", "memory.peak"
    folder = folder / name
    try:
        folder.mkdir()
    except OSError as error:
        raise Skipped(f"no memory cgroup can be made here: {error}")
    try:
        if not (folder / limit).exists():
            raise Skipped("cgroups have no memory controller here")
        (folder / limit).write_text(str(1 << 40))
        prefix = ["bash", "-c", f'echo $$ >{folder}/cgroup.procs && exec "$0" "$@"']

        def set_limit(mebibytes):
            (folder / limit).write_text(str(mebibytes * MEBIBYTE))

        yield set_limit, lambda: int((folder / peak).read_text()) // MEBIBYTE if (folder / peak).exists() else None, prefix
    finally:
        folder.rmdir()


def refuse(service, name, load):
    answer = service.load(name)
    check(answer.status == 507 and answer.code == "insufficient_memory", f"a model too large: {answer}")
    check(service.is_alive() and service.active() == "headwater-cifar10", "the model before doesn't serve")
    check("takes up to" in answer.json["detail"], f"the reason: {answer}")
    return answer.json["detail"]


def run(bench):
    folder = bench.models()
    outcome = bench.command("bench", "write-model", "u32", "-o", folder / "large.safetensors")
    check(outcome.returncode == 0, outcome.stderr)
    size = (folder / "large.safetensors").stat().st_size // MEBIBYTE
    bench.note(f"the large model's file has {size} MiB")

    limit = 600 * MEBIBYTE
    outcome = bench.command(
        "serve", "--port", 0, "--admin-port", 0, "--model", folder / "large.safetensors",
        limits={resource.RLIMIT_AS: (limit, limit)})
    check(outcome.returncode == 69 and "address space" in outcome.stderr, f"a start under ulimit -v: {outcome}")
    bench.note(outcome.stderr.strip().splitlines()[-1])
    with bench.service("--model-directory", folder, limits={resource.RLIMIT_AS: (3 * limit // 2, 3 * limit // 2)}) as service:
        truth = {version_of(service.embed()): service.features()}
        with Load(service.port, expected=truth) as load:
            for _ in range(3):
                refuse(service, "large.safetensors", load)
        load.require_no_faults()

    with cgroup(f"headwater-faults-{os.getpid()}") as (set_limit, peak, prefix):
        set_limit(400)
        with bench.service("--model-directory", folder, prefix=prefix) as service:
            truth = {version_of(service.embed()): service.features()}
            with Load(service.port, expected=truth) as load:
                detail = refuse(service, "large.safetensors", load)
                for _ in range(5):
                    refuse(service, "large.safetensors", load)
            load.require_no_faults()
            bench.note(detail)
            check(peak() is None or peak() < 400, "the limit was reached")
            flood(bench, service, truth)
            needed = float(detail.split("takes up to ")[1].split(" MiB")[0])
            before = service.mebibytes("VmRSS")
            # What was foreseen, what is held already, and a tenth for requests.
            enough = int(1.1 * (needed + before))
            set_limit(enough)
            answer = service.load("large.safetensors")
            check(answer.status == 200, f"with room: {answer}")
            taken = service.mebibytes("VmHWM") - before
            check(service.embed().status == 200, "the large model doesn't answer")
            check(taken <= needed, f"{needed} MiB were foreseen and {taken:.0f} taken")
            check(needed <= 1.35 * taken, f"{needed} MiB were foreseen and only {taken:.0f} taken")
            bench.note(f"under a limit of {enough} MiB it loads: {needed:.0f} MiB foreseen, {taken:.0f} taken")


def flood(bench, service, truth):
    """60 clients post 30 MiB each at once: four times the cgroup's limit."""
    statuses, body = [], bytes(30 * MEBIBYTE)

    def post():
        try:
            statuses.append(ask(service.port, "POST", "/embed", body).status)
        except OSError:
            statuses.append("closed")

    threads = [threading.Thread(target=post) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(service.is_alive(), "the service was killed by bodies")
    check(set(statuses) <= {415, 503, "closed"} and 503 in statuses, f"the bodies were answered {statuses}")
    check(service.features() in truth.values(), "other features after the flood")
    bench.note("60 bodies of 30 MiB under a limit of 400 MiB: "
               + ", ".join(f"{statuses.count(each)} {each}" for each in sorted(set(statuses), key=str)))

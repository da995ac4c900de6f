"""Checkpoint files are overwritten in place, cut short and replaced, again and again, while the service lists and loads them:
it is not killed (nothing is mapped), a load gives a whole model or a refusal, what serves is untouched, and the last
complete file loads. `headwater inspect` says the same of a file that shrinks under it."""

import os
import subprocess
import threading

from harness import Load, Model, ask, check, version_of

SHORT = False
SECONDS = 600


def run(bench):
    rounds = 100
    folder = bench.models("a", "b")
    contents = [(folder / f"{name}.safetensors").read_bytes() for name in ("a", "b")]
    target, done = folder / "changing.safetensors", threading.Event()
    target.write_bytes(contents[0])

    def change():
        while not done.is_set():
            data = bench.random.choice(contents)
            cut = bench.random.randrange(len(data))
            with open(target, "r+b") as file:
                # As a copy in place does: cut, then written bit by bit.
                file.truncate(bench.random.choice([0, cut]))
                file.seek(0)
                file.write(data[:cut])
                file.flush()
                file.write(data[cut:])
            replacement = folder / "replacement"
            replacement.write_bytes(bench.random.choice(contents))
            os.rename(replacement, target)

    with bench.service("--model-directory", folder, "--model", folder / "a.safetensors") as service:
        truth = {}
        for name in ("b", "a"):
            check(service.load(f"{name}.safetensors").status == 200, "a load")
            truth[version_of(service.embed())] = service.features()
        check(len(truth) == 2, "the models don't differ")
        changer = threading.Thread(target=change)
        statuses, faulty = [], 0
        with Load(service.port, clients=2) as load:
            changer.start()
            try:
                for _ in range(rounds):
                    statuses.append(service.load("changing.safetensors").status)
                    for _ in range(5):
                        index = ask(service.admin, "POST", "/v2/repository/index")
                        check(index.status == 200, f"the index: {index}")
                        faulty += any("changing" in entry["reason"] and "not loaded" not in entry["reason"]
                                      for entry in index.json)
                    inspected = subprocess.run(
                        [bench.program, "inspect", target], capture_output=True, env=bench.environment)
                    check(inspected.returncode in (0, 65, 66), f"inspect ended with {inspected.returncode}")
            finally:
                done.set()
                changer.join()
        load.require_no_faults()
        check(set(statuses) <= {200, 422} and 200 in statuses, f"loads were answered {set(statuses)}")
        Model.variant("complete", 5).write(target)
        check(service.load("changing.safetensors").status == 200 and service.active() == "complete", "the last file")
        bench.note(f"{rounds} loads, {statuses.count(422)} of them refused, and {5 * rounds} listings, {faulty} of which saw an "
                   f"incomplete file; {load.answers} requests meanwhile, all answered")

"""Killed by SIGKILL at any moment, whether it starts, answers, loads, takes an upload or rolls back, the service starts again
at once on the same ports: it serves the model that was acknowledged last or the one that was being put in its place, with
that model's bits, and nothing half written is left. 100 times. (`deploy/scenarios --filter killedUploads` aims 100 kills
at uploads alone.)"""

import http.client
import json
import socket
import threading
import time

from harness import IMAGE, Broken, Load, Model, check, version_of

SHORT = True
SECONDS = 1800


def run(bench):
    rounds = 5 if bench.is_short else 100
    folder = bench.models("a", "b")
    uploads = {name: Model.variant(name, 3 + number).encoded() for number, name in enumerate(("c", "d"))}
    truth = learn(bench, folder, uploads)
    ports = free_ports()
    arguments = ["--model-directory", folder, "--model", folder / "a.safetensors"]
    # What may serve after a restart: what was acknowledged, and what was asked for since.
    possible, early, answered, began_in = {"a"}, 0, 0, []
    for _ in range(rounds):
        began = time.monotonic()
        service = bench.start(*arguments, ports=ports)
        try:
            # As long as it takes to start on a busy machine, and at least a second and a half.
            moment = bench.random.uniform(0, max([1.5] + began_in[-1:]))
            if bench.random.random() < 0.2:
                # While it starts.
                time.sleep(moment / 10)
                early += service.line("ready") is None
                service.kill()
                continue
            service.wait_until_ready()
            began_in.append(time.monotonic() - began)
            served = service.active()
            check(served in possible, f"{served} serves instead of {possible}")
            check(service.features() == truth[version_of(service.embed())], "other features after a restart")
            left = [path.name for path in (folder / ".headwater").iterdir() if path.name.startswith(".")]
            check(not left, f"{left} was left")
            possible = {served}
            with Load(service.port, clients=3, expected=truth) as load:
                operator = threading.Thread(target=operate, args=(bench, service, uploads, possible))
                operator.start()
                time.sleep(moment)
                service.process.kill()
                operator.join(30)
                check(not operator.is_alive(), "the operator hangs")
            answered += load.answers - len(load.faults)
            wrong = [fault for fault in load.faults if fault[:3].isdigit()]
            check(not wrong, f"wrong answers: {wrong[:1]}")
        finally:
            service.kill()
    with bench.service(*arguments) as service:
        check(service.active() in possible, f"{service.active()} serves instead of {possible}")
    bench.note(f"{rounds} kills, {early} before it was ready, amid {answered} right answers; ready again after "
               f"{sorted(began_in)[len(began_in) // 2]:.2f} s in the middle, {max(began_in):.2f} s at most")


def learn(bench, folder, uploads):
    """The features of every model, by version."""
    truth = {}
    with bench.service("--model-directory", folder) as service:
        for load in (lambda: service.load("a.safetensors"), lambda: service.load("b.safetensors"),
                     *(lambda data=data: service.upload(data) for data in uploads.values())):
            answer = load()
            check(answer.status == 200, f"a load: {answer}")
            truth[version_of(service.embed())] = service.features()
    check(len({json.dumps(results) for results in truth.values()}) == len(truth) == 4, "the models don't differ")
    for path in (folder / ".headwater").iterdir():
        path.unlink()
    return truth


def operate(bench, service, uploads, possible):
    """Changes the model again and again until the service doesn't answer, and says in `possible` what may serve then."""
    previous = None
    try:
        while True:
            name = bench.random.choice(["a", "b", "c", "d", "rollback"])
            if name == "rollback":
                if previous is None:
                    continue
                target = previous
                possible.add(target)
                answer = service.rollback()
            else:
                target = name
                possible.add(target)
                answer = service.upload(uploads[name]) if name in uploads else service.load(f"{name}.safetensors")
            if answer.status == 200:
                document = answer.json
                previous = document["previous"] and document["previous"]["name"]
                possible.clear()
                possible.add(target)
    except (OSError, http.client.HTTPException):
        pass


def free_ports():
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports

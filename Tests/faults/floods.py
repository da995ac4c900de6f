"""Floods of headers and bodies are cut off at their limits: heads that never end, thousands of fields, bodies beyond
--max-body by length and by chunks, more bodies at once than memory is set aside for, and more connections than are
served. Each gets its refusal or a close, memory stays bounded, and ordinary requests are answered."""

import http.client
import threading

from harness import IMAGE, Answer, Load, check, connect, eventually, version_of

SHORT = True
SECONDS = 600


def run(bench):
    repeats = 1 if bench.is_short else 20
    with bench.service("--max-body", "1MiB", "--max-connections", "200", "--request-timeout", "5s") as service:
        truth = {version_of(service.embed()): service.features()}
        before, memory = service.descriptors(), service.mebibytes("VmRSS")
        with Load(service.port, clients=3, expected=truth) as load:
            statuses = {}
            for name, (pieces, allowed) in floods().items():
                found = [flood(service.port, pieces) for _ in range(4 * repeats)]
                check(set(found) <= allowed, f"{name}: {sorted(set(found), key=str)}")
                statuses[name] = "/".join(str(each) for each in sorted(set(found), key=str))
            together = []
            threads = [
                threading.Thread(target=lambda: together.extend(
                    flood(service.port, pieces) for pieces, _ in floods().values()))
                for _ in range(40)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            check(200 not in together, "a flood was answered 200")
        load.require_no_faults()
        surplus(bench, service, truth)
        eventually("the descriptors to be as before", lambda: service.descriptors() <= before + 4)
        growth = service.mebibytes("VmHWM") - memory
        check(growth < 200, f"{growth:.0f} MiB more")
        bench.note("; ".join(f"{name}: {status}" for name, status in statuses.items()))
        bench.note(f"then {len(together)} floods by 40 clients at once; {growth:.0f} MiB more at most; {load.answers} requests "
                   "meanwhile, all answered")


def floods():
    """What is sent, piece by piece, and what may come of it: a status, or a close."""
    line = b"POST /embed HTTP/1.1\r\nHost: h\r\n"
    megabyte, chunk = bytes(1 << 20), b"10000\r\n" + bytes(1 << 16) + b"\r\n"
    return {
        "a head of 64 MiB": ([line] + [b"X: " + b"x" * 65000 + b"\r\n"] * 1000, {431, "closed"}),
        "100,000 fields": ([line] + [b"A: b\r\n" * 1000] * 100, {431, "closed"}),
        "a request line of 16 MiB": ([b"GET /"] + [b"a" * 65536] * 256, {414, 431, "closed"}),
        "a body of 64 MiB by its length": (
            [line + b"Content-Length: 67108864\r\n\r\n"] + [megabyte] * 64, {413, "closed"}),
        "a body of 64 MiB in chunks": ([line + b"Transfer-Encoding: chunked\r\n\r\n"] + [chunk] * 1024, {413, "closed"}),
    }


def flood(port, pieces):
    """Sends as much as is taken; the status that came, or "closed"."""
    with connect(port) as client:
        try:
            for piece in pieces:
                client.sendall(piece)
        except OSError:
            pass
        try:
            response = http.client.HTTPResponse(client)
            response.begin()
            return response.status
        except (OSError, http.client.HTTPException):
            return "closed"


def surplus(bench, service, truth):
    """More connections than are served."""
    clients = [connect(service.port) for _ in range(400)]
    eventually("some to be refused", lambda: service.descriptors() < 400)
    for client in clients:
        client.close()

    def is_answered():
        try:
            answer = service.embed()
        except (OSError, http.client.HTTPException):
            return False
        return answer.status == 200 and answer.results in truth.values()

    eventually("an answer after the surplus", is_answered)

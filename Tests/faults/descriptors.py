"""A limit of open files too low for --max-connections is told at the start; under one that is just high enough, uploads and
loads work with all those connections open. Where no descriptor is left nevertheless, because the limit was lowered: connections
that are open are served, new ones wait and are served later, uploads and loads are refused with the reason, and nothing has
to be restarted once there are descriptors again."""

import http.client
import json
import re
import resource

from harness import IMAGE, Answer, Connection, check, connect, eventually

SHORT = False
SECONDS = 600


def run(bench):
    outcome = bench.command("serve", "--port", 0, "--admin-port", 0, limits={resource.RLIMIT_NOFILE: (500, 500)})
    check(outcome.returncode == 69 and "open files" in outcome.stderr, f"a low limit: {outcome}")
    bench.note(outcome.stderr.strip().splitlines()[-1])

    folder = bench.models("other", "another")
    just_enough(bench, folder)
    with bench.service("--model-directory", folder, "--idle-timeout", "600s") as service:
        truth = service.features()
        public, *admins = Connection(service.port), *(Connection(service.admin) for _ in range(3))
        for connection in (public, *admins):
            check(connection.ask("GET", "/health/ready").status == 200, "not ready")
        limits = resource.prlimit(service.pid, resource.RLIMIT_NOFILE)
        # Standard input, output and errors have these numbers: none is left.
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        waiting = [connect(service.port, timeout=60) for _ in range(50)]
        for client in waiting:
            head = f"POST /embed HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {len(IMAGE)}\r\n\r\n"
            client.sendall(head.encode() + IMAGE)
        eventually("the log to say so", lambda: any("Too many open files" in line for line in service.lines))
        for _ in range(50):
            answer = public.ask("POST", "/embed", IMAGE)
            check(answer.status == 200 and answer.results == truth, f"on an open connection: {answer}")
        upload = announce_upload(admins[0])
        check(upload.status == 503 and "Too many open files" in upload.json["detail"], f"an upload: {upload}")
        load = admins[1].ask(
            "POST", "/admin/checkpoint?wait=true", json.dumps({"path": "other.safetensors"}),
            {"Content-Type": "application/json"})
        check(load.status == 422 and "Too many open files" in load.json["detail"], f"a load: {load}")
        check(admins[2].ask("GET", "/metrics").status == 200, "no metrics")
        resource.prlimit(service.pid, resource.RLIMIT_NOFILE, limits)
        for client in waiting:
            response = http.client.HTTPResponse(client)
            response.begin()
            answer = Answer(response.status, response.read())
            check(answer.status == 200 and answer.results == truth, f"a client that waited: {answer}")
            client.close()
        check(service.load("other.safetensors").status == 200, "a load afterwards")
        lines = len(service.lines)
        check(lines < 200, f"{lines} lines of log")
        bench.note(f"50 requests on an open connection and {len(waiting)} clients that waited were answered; {lines} lines "
                   "of log")
        for connection in (public, *admins):
            connection.close()


def just_enough(bench, folder):
    """All connections are taken under the lowest limit that is accepted."""
    connections = 400
    arguments = ("--max-connections", connections, "--idle-timeout", "600s")
    refusal = bench.command("serve", "--port", 0, "--admin-port", 0, *arguments, limits={resource.RLIMIT_NOFILE: (500, 500)})
    enough = int(re.search(r"need (\d+) open files", refusal.stderr).group(1))
    with bench.service(
            "--model-directory", folder, *arguments, limits={resource.RLIMIT_NOFILE: (enough, enough)}) as service:
        admins = [Connection(service.admin) for _ in range(3)]
        for admin in admins:
            check(admin.ask("GET", "/health/ready").status == 200, "not ready")
        clients = [connect(service.port, timeout=60) for _ in range(connections)]
        eventually("all connections to be accepted", lambda: service.descriptors() >= connections)
        with open(folder / "another.safetensors", "rb") as file:
            upload = admins[0].ask("PUT", "/admin/checkpoint?wait=true", file.read())
        check(upload.status in (200, 201), f"an upload with {connections} connections open: {upload}")
        load = admins[1].ask(
            "POST", "/admin/checkpoint?wait=true", json.dumps({"path": "other.safetensors"}),
            {"Content-Type": "application/json"})
        check(load.status == 200, f"a load with {connections} connections open: {load}")
        bench.note(f"under a limit of {enough}, an upload and a load worked with {connections} open connections, "
                   f"{service.descriptors()} descriptors in all")
        for client in clients:
            client.close()
        for admin in admins:
            admin.close()


def announce_upload(connection):
    """Asks whether an upload may come, as curl does for a body of its size."""
    connection.connection.putrequest("PUT", "/admin/checkpoint?wait=true")
    for name, value in (("Expect", "100-continue"), ("Content-Length", "8000000")):
        connection.connection.putheader(name, value)
    connection.connection.endheaders()
    response = connection.connection.getresponse()
    return Answer(response.status, response.read())

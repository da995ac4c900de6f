"""A thousand clients that send a byte now and then, in the head or in the body, or don't read their answers, keep no other
client from being answered, take little memory, and are closed after --request-timeout (those that don't read after a minute);
then no descriptor is left of them."""

import resource
import selectors
import time

from harness import IMAGE, Load, check, connect, eventually, version_of

SHORT = False
SECONDS = 600
CLIENTS = 1000


def run(bench):
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    arguments = ["--request-timeout", "8s", "--max-connections", CLIENTS + 100]
    with bench.service(*arguments) as service:
        truth = {version_of(service.embed()): service.features()}
        before, memory = service.descriptors(), service.mebibytes("VmRSS")
        head = f"POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: {len(IMAGE)}\r\n\r\n".encode()
        selector, clients = selectors.DefaultSelector(), {}
        began = time.monotonic()
        with Load(service.port, clients=2, expected=truth) as load:
            for number in range(CLIENTS):
                client = connect(service.port)
                client.setblocking(False)
                # A quarter each: dribbling the head; dribbling the body; silent; asking much and reading nothing.
                kind = number % 4
                if kind == 1:
                    client.send(head)
                if kind == 3:
                    client.send(b"GET /openapi.yaml HTTP/1.1\r\nHost: h\r\n\r\n" * 40)
                clients[client] = [kind, head if kind == 0 else IMAGE]
                if kind != 3:
                    selector.register(client, selectors.EVENT_READ)
            most, answered = service.descriptors(), load.answers
            check(most >= CLIENTS, f"only {most} descriptors are open")
            dribblers = {client for client, (kind, _) in clients.items() if kind != 3}
            while dribblers and time.monotonic() - began < 60:
                for client in list(dribblers):
                    kind, rest = clients[client]
                    if kind in (0, 1) and rest:
                        try:
                            client.send(rest[:1])
                            clients[client][1] = rest[1:]
                        except OSError:
                            pass
                for key, _ in selector.select(0.5):
                    try:
                        data = key.fileobj.recv(4096)
                    except OSError:
                        data = b""
                    check(b" 200 " not in data, f"a slow client was answered {data[:80]}")
                    if not data:
                        selector.unregister(key.fileobj)
                        dribblers.discard(key.fileobj)
            took = time.monotonic() - began
            check(not dribblers, f"{len(dribblers)} slow clients are still there after {took:.0f} s")
            growth = service.mebibytes("VmHWM") - memory
            deaf = [client for client, (kind, _) in clients.items() if kind == 3]
            eventually("those that don't read to be closed", lambda: service.descriptors() < before + 20, 120)
            everything = time.monotonic() - began
        load.require_no_faults()
        for client in clients:
            client.close()
        eventually("the descriptors to be as before", lambda: service.descriptors() <= before + 4, 30)
        check(growth < 300, f"{growth:.0f} MiB more")
        bench.note(f"{CLIENTS} clients: the slow senders were closed after {took:.0f} s, {len(deaf)} that don't read after "
                   f"{everything:.0f} s; {growth:.0f} MiB more at most; {load.answers} requests meanwhile, all answered")

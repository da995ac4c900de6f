"""The service is stopped by SIGSTOP and continued by SIGCONT, as when a container is suspended. If that takes less than
--request-timeout, no request fails, neither those before nor those that came in the meantime, and the service is live and ready at
once. After a longer stop, it closes the connections of clients that had not sent their whole request, and no others."""

import signal
import time

from harness import Load, ask, check, connect, version_of

SHORT = False
SECONDS = 600


def run(bench):
    rounds = 10
    with bench.service("--request-timeout", "4s") as service:
        truth = {version_of(service.embed()): service.features()}

        def stop(seconds):
            service.signal(signal.SIGSTOP)
            time.sleep(seconds)
            service.signal(signal.SIGCONT)
            for path in ("/health/live", "/health/ready"):
                answer = ask(service.port, "GET", path)
                check(answer.status == 200, f"{path} after SIGCONT: {answer}")

        with Load(service.port, clients=8, expected=truth) as load:
            for _ in range(rounds):
                time.sleep(bench.random.uniform(0.1, 0.5))
                stop(bench.random.uniform(0.2, 2.5))
        load.require_no_faults()
        half = connect(service.port)
        half.sendall(b"POST /embed HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nabc")
        service.features()
        stop(5)
        check(half.recv(1000) == b"", "half a request was answered")
        check(service.features() in truth.values(), "other features after a long stop")
        bench.note(f"{rounds} stops of up to 2.5 s amid {load.answers} answers, all right; after one of 5 s half a request is "
                   "closed")

"""What the scenarios share: the program in a process of its own, model files, and things to be asked and checked.

A scenario is a module in this folder. Its documentation says what is promised; `SHORT` whether it belongs to the short
selection, `SECONDS` how long it may take; `run(bench)` returns if the promise held, having noted what was seen, and
otherwise raises `Broken`, or `Skipped` where this machine can't do it.
"""

import contextlib
import ctypes
import http.client
import json
import os
import random
import resource
import signal
import socket
import struct
import subprocess
import threading
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUNDLED = ROOT / "Sources/CBundledModel/headwater-cifar10.safetensors"
IMAGE = (ROOT / "Tests/Fixtures/images/rgb-32x32.jpg").read_bytes()


class Broken(Exception):
    """A promise that didn't hold."""


class Skipped(Exception):
    """Why a scenario can't be played here."""


def check(holds, what):
    if not holds:
        raise Broken(what)


def eventually(what, holds, seconds=30):
    """Waits until `holds()` gives something true, and returns that."""
    end = time.monotonic() + seconds
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise Broken(f"waited {seconds} s in vain for {what}")
        time.sleep(0.02)


class Answer:
    """A response: its status and body."""

    def __init__(self, status, body):
        self.status, self.body = status, body
        try:
            self.json = json.loads(body)
        except ValueError:
            self.json = None

    @property
    def code(self):
        return self.json.get("code") if isinstance(self.json, dict) else None

    @property
    def results(self):
        return self.json["results"]

    def __str__(self):
        return f"{self.status} {self.body[:400].decode(errors='replace')}"


def ask(port, method, path, body=None, headers=None, timeout=60):
    """A request on a connection of its own; raises OSError or HTTPException if there is no response."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        return Answer(response.status, response.read())
    finally:
        connection.close()


class Connection:
    """A connection that is kept open, its requests one after the other."""

    def __init__(self, port, timeout=60):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        self.connection.connect()

    def ask(self, method, path, body=None, headers=None):
        self.connection.request(method, path, body, headers or {})
        response = self.connection.getresponse()
        return Answer(response.status, response.read())

    def close(self):
        self.connection.close()


class Service:
    """`headwater serve` on free ports, its log in a file."""

    def __init__(self, command, environment, log, limits=None):
        self.log, self.port, self.admin = Path(log), None, None
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, env=environment,
                preexec_fn=lambda: prepare_child(limits or {}))

    @property
    def lines(self):
        """What was logged, but for the lines of requests."""
        text = self.log.read_bytes().decode(errors="replace")
        return [line for line in text.splitlines() if '"message":"request"' not in line]

    def line(self, message):
        """The fields of the first log line of that message."""
        for text in self.lines:
            if f'"message":"{message}"' in text and text.endswith("}"):
                return json.loads(text)
        return None

    def wait_until_ready(self, seconds=60):
        ready = eventually("the service to be ready", lambda: self.line("ready") or not self.is_alive(), seconds)
        if ready is True:
            raise Broken("the service ended instead of serving: " + "\n".join(self.lines[-3:]))
        self.port, self.admin = int(ready["url"].rsplit(":", 1)[1]), ready["admin_port"]
        return self

    @property
    def pid(self):
        return self.process.pid

    def is_alive(self):
        return self.process.poll() is None

    def embed(self, image=IMAGE, path="/embed", headers=None, timeout=60):
        return ask(self.port, "POST", path, image, headers, timeout)

    def features(self, image=IMAGE):
        """The features of an image, which must be answered."""
        answer = self.embed(image)
        check(answer.status == 200, f"an image was answered {answer}")
        return answer.results

    def load(self, name):
        return ask(
            self.admin, "POST", "/admin/checkpoint?wait=true", json.dumps({"path": name}),
            {"Content-Type": "application/json"})

    def upload(self, data):
        return ask(self.admin, "PUT", "/admin/checkpoint?wait=true", data)

    def rollback(self):
        return ask(self.admin, "POST", "/admin/rollback?wait=true", b"")

    def checkpoint(self):
        return ask(self.admin, "GET", "/admin/checkpoint").json

    def active(self):
        return self.checkpoint()["active"]["name"]

    def metric(self, name):
        text = ask(self.admin, "GET", "/metrics").body.decode()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise Broken(f"there is no metric {name}")

    def mebibytes(self, name):
        """A size of /proc/PID/status, such as VmRSS (now) or VmHWM (at most)."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
        raise Broken(f"there is no {name}")

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Asks it to end, which it must do with 0."""
        self.process.terminate()
        status = self.process.wait(60)
        check(status == 0, f"after SIGTERM the service exited {status}: {self.lines[-3:]}")


def prepare_child(limits):
    # Whatever becomes of this process, no service is left (PR_SET_PDEATHSIG).
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    for what, limit in limits.items():
        resource.setrlimit(what, limit)


class Bench:
    """What a scenario works with."""

    def __init__(self, program, folder, is_short, seed, note):
        self.program, self.folder, self.is_short, self.note = str(program), Path(folder), is_short, note
        self.random = random.Random(seed)
        self.started = 0
        # Not those of the user who runs this.
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("HEADWATER_")}

    @contextlib.contextmanager
    def service(self, *arguments, **settings):
        """A service that is ready. In the end it must stop properly, unless it was killed."""
        service = self.start(*arguments, **settings)
        try:
            yield service.wait_until_ready()
            if service.is_alive():
                service.stop()
            else:
                check(service.process.returncode == -signal.SIGKILL,
                      f"the service ended with {service.process.returncode}: {service.lines[-3:]}")
        except Exception:
            # What a client sees of a service that ended by itself doesn't tell why it did.
            with contextlib.suppress(subprocess.TimeoutExpired):
                service.process.wait(1)
            status = "runs on" if service.is_alive() else f"ended with {service.process.returncode}"
            self.note(f"the service {status}: {service.lines[-3:]}")
            raise
        finally:
            service.kill()

    def start(self, *arguments, ports=(0, 0), prefix=(), environment=None, limits=None, log=None):
        """A service that may not be ready yet; the caller ends it."""
        self.started += 1
        command = [*prefix, self.program, "serve", "--port", str(ports[0]), "--admin-port", str(ports[1])]
        command += ["--log-format", "json", *map(str, arguments)]
        log = log or self.folder / f"log-{self.started}"
        return Service(command, {**self.environment, **(environment or {})}, log, limits)

    def command(self, *arguments, limits=None, timeout=300):
        """Runs a command of the program to its end."""
        return subprocess.run(
            [self.program, *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env=self.environment, timeout=timeout, preexec_fn=lambda: prepare_child(limits or {}))

    def models(self, *names):
        """A new model directory with variants of the bundled model, as `Model.variant` makes them, by these names."""
        folder = self.folder / "models"
        folder.mkdir()
        for number, name in enumerate(names):
            Model.variant(name, number).write(folder / f"{name}.safetensors")
        return folder

    def small_disk(self, mebibytes):
        """A folder on a file system of that size, which is gone with this process."""
        folder = self.folder / "disk"
        folder.mkdir(exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", str(folder)]
        outcome = subprocess.run(mount, capture_output=True, text=True)
        if outcome.returncode != 0:
            raise Skipped(f"a small tmpfs can't be mounted here ({outcome.stderr.strip()}); root can")
        return folder


class Model:
    """A safetensors file, to be changed and written."""

    def __init__(self, path=BUNDLED):
        data = Path(path).read_bytes()
        length = struct.unpack("<Q", data[:8])[0]
        self.header = json.loads(data[8:8 + length])
        self.data = bytearray(data[8 + length:])
        self.configuration = json.loads(self.header["__metadata__"]["headwater"])

    @classmethod
    def variant(cls, name, number):
        """The bundled model by another name, with a bias of its first layer that depends on `number`, so that all that it answers
        does, without its recorded self-test."""
        model = cls()
        model.configuration["name"] = name
        model.configuration.pop("selfTest", None)
        model.set("unet.input_blocks.0.0.bias", [0.25 * number, -0.25 * number, 0.125 * number])
        return model

    def set(self, tensor, values, at=0):
        """Replaces numbers of a tensor from a position on."""
        entry = self.header[tensor]
        form = {"F16": "e", "F32": "f"}[entry["dtype"]]
        encoded = struct.pack(f"<{len(values)}{form}", *values)
        start = entry["data_offsets"][0] + at * struct.calcsize(form)
        self.data[start:start + len(encoded)] = encoded

    def in_f32(self, change=lambda name, values: values):
        """The same model stored in f32, each tensor's numbers changed."""
        data, end = bytearray(), 0
        for name, entry in self.tensors():
            first, last = entry["data_offsets"]
            values = struct.unpack(f"<{(last - first) // 2}e", self.data[first:last])
            encoded = struct.pack(f"<{len(values)}f", *change(name, values))
            data += encoded
            entry.update(dtype="F32", data_offsets=[end, end + len(encoded)])
            end += len(encoded)
        self.data = data
        return self

    def tensors(self):
        entries = [(name, entry) for name, entry in self.header.items() if name != "__metadata__"]
        return sorted(entries, key=lambda each: each[1]["data_offsets"])

    def encoded(self):
        self.header["__metadata__"]["headwater"] = json.dumps(self.configuration)
        header = json.dumps(self.header).encode()
        return struct.pack("<Q", len(header)) + header + bytes(self.data)

    def write(self, path):
        temporary = Path(f"{path}.new")
        temporary.write_bytes(self.encoded())
        temporary.rename(path)


class Load:
    """Clients that post an image in closed loops until the end of the `with`; every answer counts."""

    def __init__(self, port, clients=4, expected=None, image=IMAGE, timeout=60):
        self.port, self.image, self.expected, self.timeout = port, image, expected, timeout
        self.stopping, self.lock = threading.Event(), threading.Lock()
        self.answers, self.faults = 0, []
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.timeout)
        while not self.stopping.is_set():
            try:
                connection.request("POST", "/embed", self.image)
                response = connection.getresponse()
                answer = Answer(response.status, response.read())
                version = answer.json["model"]["version"] if answer.status == 200 else None
                is_true = answer.status == 200 and (
                    self.expected is None or answer.results == self.expected.get(version))
                fault = None if is_true else str(answer)
            except (OSError, http.client.HTTPException, ValueError, KeyError) as error:
                fault = repr(error)
                connection.close()
            with self.lock:
                self.answers += 1
                if fault:
                    self.faults.append(fault)
            if fault:
                # A service that is gone would be asked ten thousand times a second.
                time.sleep(0.01)

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        for thread in self.threads:
            thread.join(self.timeout + 5)

    def require_no_faults(self):
        check(self.answers > 0, "no client was answered")
        check(not self.faults, f"{len(self.faults)} of {self.answers} answers were wrong, the first: {self.faults[:1]}")


def version_of(answer):
    return answer.json["model"]["version"]


def fill(folder, leaving=0):
    """Fills a file system but for some bytes; returns the file that does."""
    ballast = Path(folder) / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
    if leaving:
        os.truncate(ballast, max(0, ballast.stat().st_size - leaving))
    return ballast


def png(width, height, pixel):
    """A PNG file of the colours that `pixel(x, y)` gives, three bytes each."""
    rows = b"".join(
        b"\0" + bytes(channel for x in range(width) for channel in pixel(x, y)) for y in range(height))

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def connect(port, timeout=20):
    return socket.create_connection(("127.0.0.1", port), timeout)

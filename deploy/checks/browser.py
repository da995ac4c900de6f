"""A headless Chromium, driven over its DevTools protocol. What the commands in the folder above share."""

import base64
import contextlib
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import tempfile
import time
import urllib.request


class DevTools:
    """A tab, over the one WebSocket (RFC 6455) that it offers."""

    def __init__(self, url):
        host, port, path = re.fullmatch(r"ws://([^:/]+):(\d+)(/.*)", url).groups()
        self.socket = socket.create_connection((host, int(port)), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.read(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise RuntimeError(head.decode())
        self.number = 0
        self.events = []

    def read(self, count):
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise RuntimeError("Chromium closed the connection")
            data += piece
        return data

    def receive(self):
        text = b""
        while True:
            first, second = self.read(2)
            length = second & 127
            if length == 126:
                length, = struct.unpack(">H", self.read(2))
            elif length == 127:
                length, = struct.unpack(">Q", self.read(8))
            text += self.read(length)
            if first & 128:
                return json.loads(text)

    def send(self, text):
        data, mask = text.encode(), os.urandom(4)
        length = len(data)
        head = (bytes([0x81, 128 | length]) if length < 126
                else struct.pack(">BBH", 0x81, 254, length) if length < 1 << 16
                else struct.pack(">BBQ", 0x81, 255, length))
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def call(self, method, **parameters):
        self.number += 1
        self.send(json.dumps({"id": self.number, "method": method, "params": parameters}))
        while True:
            message = self.receive()
            if message.get("id") == self.number:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message)

    def evaluate(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def wait(self, expression, what):
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.evaluate(expression):
                    return
            except RuntimeError as error:
                # A page that is being loaded may take the place of the one that was asked.
                if "navigated or closed" not in str(error):
                    raise
            time.sleep(0.05)
        raise SystemExit(f"{what} did not happen within 30 s; the page says: {self.evaluate('document.body.innerText')}")


@contextlib.contextmanager
def running(*command, **options):
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def browsing(chromium):
    """A headless Chromium; gives its first tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        # Without a sandbox only as root, for whom Chromium has none.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        with running(chromium, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={profile}",
                     "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--no-proxy-server",
                     "--force-color-profile=srgb", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream", *flags, "about:blank",
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
            port_file = pathlib.Path(profile, "DevToolsActivePort")
            deadline = time.monotonic() + 60
            while not (port_file.exists() and port_file.read_text().count("\n")):
                if time.monotonic() > deadline:
                    raise SystemExit("Chromium did not start")
                time.sleep(0.05)
            port = port_file.read_text().split("\n")[0]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list") as answer:
                tabs = json.load(answer)
            yield DevTools(next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page"))

"""A page of a service in a browser, for the checks of the playground."""

import contextlib
import json
import pathlib
import subprocess
import urllib.request

from browser import running

ROOT = pathlib.Path(__file__).resolve().parents[2]
PHOTOGRAPHS = ROOT / "docs/images/photographs"
SAMPLES = ROOT / "Sources/CPlayground/page/photographs"


@contextlib.contextmanager
def serving(headwater, *flags):
    """A service on a port of its own; gives its address."""
    with administering(headwater, *flags) as (url, _):
        yield url


@contextlib.contextmanager
def administering(headwater, *flags):
    """The same; gives the addresses of both listeners."""
    with running(headwater, "serve", "--port", "0", "--admin-port", "0", "--log-format", "json", *flags,
                 stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            fields = json.loads(line)
            if fields.get("message") == "ready":
                break
        else:
            raise SystemExit("the service did not start")
        # Read on, so that the service never waits for its log to be taken.
        reader = subprocess.Popen(["cat"], stdin=process.stderr, stdout=subprocess.DEVNULL)
        try:
            yield fields["url"], fields["admin_url"]
        finally:
            process.terminate()
            reader.wait(20)


class Check:
    def __init__(self):
        self.failed = 0

    def __call__(self, what, holds):
        print(("ok    " if holds else "WRONG ") + what)
        self.failed += not holds


def set_size(tab):
    tab.call("Emulation.setDeviceMetricsOverride", width=960, height=1000, deviceScaleFactor=1, mobile=False)


def open_page(tab, url):
    tab.call("Page.navigate", url=url + "/")
    tab.wait("document.readyState == 'complete' && location.href != 'about:blank'", "the page's loading")


def drag(tab, file):
    """What a person does with a mouse: drags a file over the field and lets go."""
    place = tab.evaluate("(() => { scrollTo(0, 0); const r = document.getElementById('drop').getBoundingClientRect();"
                         "return [r.x + r.width / 2, r.y + 20] })()")
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        tab.call("Input.dispatchDragEvent", type=kind, x=place[0], y=place[1], data=data)


def shown(tab, name):
    tab.wait(f"document.getElementById('status').textContent == '{name} is shown.'", f"the answer to {name}")


def drop(tab, file, name=None):
    """- name: what the page calls the file, if it has another of its name already."""
    drag(tab, file)
    shown(tab, name or file.name)


def text(tab, id):
    return tab.evaluate(f"document.getElementById('{id}').innerText")


def key(tab, name, code):
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=code)


def settle(tab):
    """Waits until the page's own photographs have been computed."""
    tab.wait("seen.length >= 6 && shown !== null && shown === chosen && redrawing === null", "the photographs of the page")


def press(tab, id):
    tab.evaluate(f"document.getElementById('{id}').click()")


def answer_to(url, path, body):
    with urllib.request.urlopen(urllib.request.Request(url + path, data=body)) as answer:
        return json.load(answer)

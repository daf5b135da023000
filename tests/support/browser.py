"""Headless Chromium over its debugging pipe: a page is opened, clicked and looked at.

The pipe (file descriptors 3 and 4, JSON ended by NUL) needs no port and no package.
"""

import base64
import fcntl
import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *(
        "--remote-debugging-pipe",
        "--no-first-run",
        "--hide-scrollbars",
        "--force-color-profile=srgb",
    ),
)
SECONDS = 120
# Puts the pipe's ends where Chromium expects them, and becomes it.
START = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find():
    """Chromium's path, None if there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def _high(descriptor):
    """A copy of a descriptor above those that the child gets."""
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return copy


def require():
    """Skips the test where there is no browser, unless FUSIBLE_NEEDS names chromium."""
    if find() is None and "chromium" not in os.environ.get("FUSIBLE_NEEDS", "").split():
        pytest.skip(f"no browser on PATH: {', '.join(NAMES)}")
    assert find(), "no browser on PATH, where FUSIBLE_NEEDS says that there is one"


class Browser:
    """One page of one browser."""

    def __init__(self, folder):
        theirs_in, self._out = map(_high, os.pipe())
        self._in, theirs_out = map(_high, os.pipe())

        start = [sys.executable, "-c", START, str(theirs_in), str(theirs_out), find()]
        self._process = subprocess.Popen(
            [*start, *FLAGS, "--window-size=1240,1000", f"--user-data-dir={folder}", "about:blank"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs_in, theirs_out),
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._numbers = itertools.count(1)
        self._buffer = b""
        self._session = None
        self.events = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def call(self, method, **params):
        """The result of a command of the DevTools protocol."""
        message = {"id": next(self._numbers), "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == message["id"]:
                assert "error" not in answer, answer
                return answer["result"]

    def _receive(self):
        deadline = time.monotonic() + SECONDS
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            read = os.read(self._in, 1 << 16) if ready else b""
            assert read, "Chromium says nothing"
            self._buffer += read
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        if "method" in message:
            self.events.append(message)
        return message

    def named(self, *methods):
        """The parameters of the events of these names so far."""
        return [event["params"] for event in self.events if event["method"] in methods]

    def open(self, path):
        """Opens a file and waits for its load event."""
        self.call("Page.navigate", url=path.as_uri())
        while not self.named("Page.loadEventFired"):
            self._receive()

    def run(self, script):
        """The value of an expression."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def click(self, selector):
        """Presses the mouse in the middle of an element."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect()"
        x, y = self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")
        for kind in ("mousePressed", "mouseReleased"):
            about = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **about)

    def complaints(self):
        """Errors and warnings of the page: exceptions, the console, what its policy refused."""
        return self.named("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")

    def requests(self):
        """Addresses that the page asked for."""
        return [event["request"]["url"] for event in self.named("Network.requestWillBeSent")]

    def screenshot(self, path):
        """Writes a picture of the whole page."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(shot["data"]))

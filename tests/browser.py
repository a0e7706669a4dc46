"""A headless Chromium, asked over its pipe: what a page logs, requests and shows. No package is needed for it."""

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 60


def chromium() -> str | None:
    """The program, where there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Page:
    """An opened page.

    `errors` are what its console said as an error and exceptions that nobody caught, `requests` the addresses that it
    asked for besides its own and data: URIs.
    """

    def __init__(self, write: int, read: int) -> None:
        self.write, self.read, self.rest, self.number = write, read, b"", 0
        self.session = ""
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.address = ""
        self.loaded = False

    def ask(self, method: str, **given: Any) -> dict[str, Any]:
        """Send a command of the DevTools protocol; return its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": given}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            told = self._next()
            if told.get("id") == self.number:
                assert "error" not in told, told
                return told["result"]

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        told = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    def open(self, file: Path, width: int = 1400) -> None:
        """Open a file and wait until it is loaded, in a window of this width in pixels."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")
        self.resize(width)
        self.address, self.loaded = file.resolve().as_uri(), False
        self.ask("Page.navigate", url=self.address)
        while not self.loaded:
            self._next()

    def resize(self, width: int) -> None:
        """Make the window this wide."""
        self.ask(
            "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=width < 600
        )

    def press(self, key: str) -> None:
        """Press and release a key such as Enter or Escape."""
        code = {"Enter": 13, "Escape": 27, "Tab": 9, " ": 32}[key]
        text = {"Enter": "\r", " ": " "}.get(key, "")
        known = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **known)
        self.ask("Input.dispatchKeyEvent", type="keyUp", **known)

    def shoot(self, to: Path, top: int = 0, height: int | None = None) -> None:
        """Write the page, or a part of its height, as a PNG."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": height or size["height"] - top, "scale": 1}
        told = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        to.write_bytes(base64.b64decode(told["data"]))

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + PATIENCE_S
        while b"\0" not in self.rest:
            if not select.select([self.read], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError("the browser says nothing")
            got = os.read(self.read, 1 << 20)
            assert got, "the browser has ended"
            self.rest += got
        line, _, self.rest = self.rest.partition(b"\0")
        told: dict[str, Any] = json.loads(line)
        self._note(told.get("method", ""), told.get("params", {}))
        return told

    def _note(self, method: str, given: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self.loaded = True
        elif method == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(given["exceptionDetails"])[:500])
        elif method == "Runtime.consoleAPICalled" and given["type"] in {"error", "warning", "assert"}:
            self.errors.append(json.dumps(given["args"])[:500])
        elif method == "Log.entryAdded" and given["entry"]["level"] in {"error", "warning"}:
            self.errors.append(given["entry"]["text"])
        elif method == "Network.requestWillBeSent":
            address = given["request"]["url"].partition("#")[0]
            if address != self.address and not address.startswith("data:"):
                self.requests.append(address)


@contextmanager
def browser() -> Iterator[Page]:
    """A browser without a profile, that is ended afterwards."""
    program = chromium()
    assert program
    to_it, from_us = os.pipe()
    to_us, from_it = os.pipe()
    with tempfile.TemporaryDirectory(prefix="lmtcnn-browser-", ignore_cleanup_errors=True) as profile:
        options = (
            "--headless=new --remote-debugging-pipe --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run "
            f"--disable-background-networking --disable-component-update --hide-scrollbars --user-data-dir={profile}"
        )
        command = f'exec "$0" {options} about:blank 3<&{to_it} 4>&{from_it}'
        process = subprocess.Popen(
            ["bash", "-c", command, program], pass_fds=(to_it, from_it), stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(to_it)
        os.close(from_it)
        try:
            yield Page(from_us, to_us)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
            os.close(from_us)
            os.close(to_us)

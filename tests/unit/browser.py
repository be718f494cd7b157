"""Chromium without a window, told what to do over a pipe (Chrome DevTools Protocol)."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


class Tab:
    """A page of the browser; `asked` are the addresses that it asked for."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read = write, os.fdopen(read, "rb")
        self._number, self._session = 0, ""
        self._rest = b""
        self.asked: list[str] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return the answer to a command."""
        self._number += 1
        session = {"sessionId": self._session} if self._session else {}
        told = {"id": self._number, "method": method, "params": parameters, **session}
        os.write(self._write, json.dumps(told).encode() + b"\0")
        while (said := self._next()).get("id") != self._number:
            if said.get("method") == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
        assert "error" not in said, said
        return said["result"]

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            part = self._read.read1(65536)
            assert part, "the browser has ended"
            self._rest += part
        message, self._rest = self._rest.split(b"\0", 1)
        return json.loads(message)

    def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page."""
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str, seconds: float = 60) -> Any:
        """Wait until an expression is true in the page, and return its value."""
        end = time.monotonic() + seconds
        while not (value := self.evaluate(script)):
            assert time.monotonic() < end, script
            time.sleep(0.05)
        return value

    def open(self, address: str) -> None:
        """Open an address."""
        self.do("Page.navigate", url=address)
        self.wait("document.readyState === 'complete'")

    def press(self, key: str, *, control: bool = False, shift: bool = False) -> None:
        """Press a key: Tab or Enter."""
        code = {"Tab": 9, "Enter": 13}[key]
        modifiers = (2 if control else 0) + (8 if shift else 0)
        rest = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": modifiers}
        text = {"text": "\r"} if key == "Enter" and not control else {}
        self.do("Input.dispatchKeyEvent", type="keyDown", **rest, **text)
        self.do("Input.dispatchKeyEvent", type="keyUp", **rest)

    def picture(self, width: int, height: int) -> bytes:
        """Return a picture of the page (PNG)."""
        self.resize(width, height)
        return base64.b64decode(self.do("Page.captureScreenshot", format="png")["data"])

    def resize(self, width: int, height: int) -> None:
        """Show the page as on a screen of this size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.do("Emulation.setDeviceMetricsOverride", **size)


@contextmanager
def browsing(folder: Path) -> Iterator[Tab]:
    """Yield a page of a browser that keeps its files in a folder."""
    to_browser, ours = os.pipe()
    theirs, from_browser = os.pipe()
    assert CHROMIUM

    def pipes() -> None:  # the browser reads from 3 and writes to 4
        os.dup2(os.dup(to_browser), 3)
        os.dup2(os.dup(from_browser), 4)

    command = [CHROMIUM, *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={folder}"]
    process = subprocess.Popen(command, preexec_fn=pipes, close_fds=False, stderr=subprocess.DEVNULL)
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Tab(ours, theirs)
    finally:
        process.kill()
        process.wait()
        os.close(ours)

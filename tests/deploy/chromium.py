"""Drives a headless Chromium over its debugging pipe (file descriptors 3 and 4, messages ended by a zero byte)."""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import time
from pathlib import Path
from typing import Any

RULES = "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
"""Any other host is a failed request, as without a network."""


class Chromium:
    """One page in one browser; `events` is what the browser reported while it was being asked."""

    def __init__(self, program: str, profile: Path) -> None:
        to_browser, self._out = _pipe()
        self._in, from_browser = _pipe()
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        script = f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser}'
        self._process = subprocess.Popen(
            ["bash", "-c", script, program, *arguments, f"--user-data-dir={profile}", f"--host-resolver-rules={RULES}"],
            pass_fds=(to_browser, from_browser),
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"]
        return result.get("value")

    def until(self, expression: str, seconds: float = 60) -> Any:
        """Wait until a JavaScript expression is true."""
        deadline = time.monotonic() + seconds
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
            time.sleep(0.1)
        return value

    def click(self, selector: str, effect: str, seconds: float = 60) -> None:
        """Press the mouse in the middle of an element until `effect` is there: a page that still moves is missed."""
        element, wanted = (f"document.querySelector({json.dumps(each)})" for each in (selector, effect))
        self.until(f"!!{element}")
        deadline = time.monotonic() + seconds
        while not self.evaluate(f"!!{wanted}"):
            assert time.monotonic() < deadline, f"not within {seconds} s after a click on {selector}: {effect}"
            x, y = self.evaluate(
                f"(() => {{ {element}.scrollIntoView({{block: 'center', behavior: 'instant'}});"
                f" const r = {element}.getBoundingClientRect(); return [r.x + r.width/2, r.y + r.height/2]; }})()"
            )
            for kind in ("mousePressed", "mouseReleased"):
                self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
            again = time.monotonic() + 5
            while not self.evaluate(f"!!{wanted}") and time.monotonic() < again:
                time.sleep(0.1)

    def stop(self) -> None:
        """End the browser."""
        self._process.kill()
        self._process.wait(timeout=20)
        os.close(self._out)
        os.close(self._in)

    def _receive(self, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            readable, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert readable, f"the browser did not answer in {seconds} s"
            block = os.read(self._in, 2**20)
            assert block, "the browser ended"
            self._buffer += block
        message, _, self._buffer = self._buffer.partition(b"\0")
        decoded: dict[str, Any] = json.loads(message)
        return decoded


def _pipe() -> tuple[int, int]:
    """A pipe whose descriptors are not among those that it will be given as."""
    low = os.pipe()
    read, write = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10) for descriptor in low)
    for descriptor in low:
        os.close(descriptor)
    return read, write

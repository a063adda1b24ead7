"""A headless Chromium, spoken to in its own protocol over a pipe: what a page says, asks for, and looks like."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
SECONDS = 300  # that any answer may take


def find() -> str | None:
    """Path of a Chromium of this machine."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One running browser; `open` gives a page in it."""

    def __init__(self, profile: Path) -> None:
        there, self._out = os.pipe()
        self._in, back = os.pipe()
        flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run"]
        flags += ["--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"]
        # The browser reads from 3 and writes to 4.
        command = ["bash", "-c", f'exec "$@" 3<&{there} 4>&{back}', "bash", find(), *flags, "about:blank"]
        with open(profile / "chromium.log", "w") as log:
            self._process = subprocess.Popen(command, pass_fds=(there, back), stdout=log, stderr=log)
        os.close(there)
        os.close(back)
        self._waiting, self._number = b"", 0
        self.events: list[dict[str, Any]] = []

    def _messages(self, until: float) -> Iterator[dict[str, Any]]:
        while True:
            while b"\0" in self._waiting:
                message, _, self._waiting = self._waiting.partition(b"\0")
                yield json.loads(message)
            ready, _, _ = select.select([self._in], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise TimeoutError("the browser does not answer")
            found = os.read(self._in, 1 << 20)
            if not found:
                raise EOFError("the browser ended")
            self._waiting += found

    def call(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """The result of a method of the protocol; what happens meanwhile is kept in `events`."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        message |= {"sessionId": session} if session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        for answer in self._messages(time.monotonic() + SECONDS):
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]
            self.events.append(answer)
        raise AssertionError("unreachable: messages end with an exception")

    def _wait_until_loaded(self, session: str, loader: str) -> None:
        """Wait until the navigation of this loader has ended, and none before it, as that of a new, empty tab."""

        def loaded(one: dict[str, Any]) -> bool:
            told = one.get("params", {}) if one.get("method") == "Page.lifecycleEvent" else {}
            return one.get("sessionId") == session and (told.get("loaderId"), told.get("name")) == (loader, "load")

        if any(map(loaded, self.events)):
            return
        for one in self._messages(time.monotonic() + SECONDS):
            self.events.append(one)
            if loaded(one):
                return

    def open(self, path: Path, width: int = 1400, height: int = 900, dark: bool = False) -> Page:
        """The page at `path` in a window of this size."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable", session)
        self.call("Page.setLifecycleEventsEnabled", session, enabled=True)
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", session, **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", session, features=[scheme])
        self.events.clear()
        self._wait_until_loaded(session, self.call("Page.navigate", session, url=path.as_uri())["loaderId"])
        return Page(self, session, path.as_uri())

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)
        os.close(self._in)
        os.close(self._out)


class Page:
    """A page in the browser."""

    def __init__(self, browser: Browser, session: str, address: str) -> None:
        self._browser, self._session, self._address = browser, session, address

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **params)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript, a promise awaited."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(found["exceptionDetails"]["exception"].get("description", expression))
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        """Press and release a key, by its name and its Windows code."""
        for kind in ("rawKeyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code)

    def _mine(self, method: str) -> list[dict[str, Any]]:
        return [one["params"] for one in self._browser.events
                if one.get("method") == method and one.get("sessionId") == self._session]  # fmt: skip

    def complaints(self) -> list[str]:
        """Errors and warnings in the console, exceptions, what was blocked."""
        self.evaluate("1")  # what happened before is told before
        said = [one["args"] for one in self._mine("Runtime.consoleAPICalled") if one["type"] in ("error", "warning")]
        thrown = [one["exceptionDetails"]["text"] for one in self._mine("Runtime.exceptionThrown")]
        return [str(one) for one in said] + thrown + [one["entry"]["text"] for one in self._mine("Log.entryAdded")]

    def requests(self) -> list[str]:
        """Addresses that were asked for besides the page itself; what lies in it is none."""
        asked = [one["request"]["url"] for one in self._mine("Network.requestWillBeSent")]
        return [address for address in asked if address != self._address and not address.startswith("data:")]

    def kept_out(self, axe: Path) -> list[str]:
        """What keeps people out by the rules of axe-core, whose script lies there: rule and places, a line each."""
        self.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        self.evaluate(axe.read_text(encoding="utf-8") + "\n;1")
        return self.evaluate(
            "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map((one) =>"
            " `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`))"
        )

    def screenshot(self, path: Path, whole: bool = False) -> None:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def pdf(self) -> bytes:
        """The page as it is printed."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])


@contextmanager
def running(profile: Path) -> Iterator[Browser]:
    """A browser that is ended with the block; `profile` is a folder for what it writes."""
    browser = Browser(profile)
    try:
        yield browser
    finally:
        browser.close()

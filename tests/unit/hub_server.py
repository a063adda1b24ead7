"""A model hub on this machine that speaks as much of the hub's protocol as a download needs, and fails when told to."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from web_server import Threading

from vitbench.files import HOME

NAME, COMMIT = "some/vit", "0123456789abcdef0123456789abcdef01234567"
HUB = f"{NAME}@{COMMIT}"

# A process of its own, since huggingface_hub reads the environment when it is imported; and nobody waits in a test.
FETCH = """
import sys, time
from pathlib import Path
from vitbench.inputs import hub
from vitbench.errors import exit_with_user_errors
time.sleep = lambda seconds: None
exit_with_user_errors(lambda: print(hub.fetch(sys.argv[1], Path(sys.argv[2]))))
"""
# What a user's shell may hold that a test must not meet.
SETTINGS = ("HF_", "SSL_", "REQUESTS_", "CURL_")


def fetch(folder: Path, endpoint: str, name: str = HUB, **environment: str) -> subprocess.CompletedProcess:
    """Fetch a model, `folder`/download being where files are put by hand, with the hub's cache in `folder`/home."""
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    clean = {key: value for key, value in clean.items() if not key.startswith(SETTINGS)}
    own = {"HF_HOME": str(folder / "home"), "HF_ENDPOINT": endpoint, "PYTHONPATH": str(HOME / "scripts")}
    return subprocess.run(
        [sys.executable, "-c", FETCH, name, str(folder / "download")],
        env=clean | own | environment,
        capture_output=True,
        text=True,
    )


class Hub(Threading):
    """Serves the files of one folder as the model NAME at COMMIT.

    Attributes:
        faults: file name (or "tree") → what to do instead, one entry a request: "cut" (the connection breaks in the
            middle), "short" (half of it, announced as all), "other" (other bytes of the same number), or a status.
        asked: (method, path) of every request, with the host where the client took this server for its proxy.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.faults: dict[str, list[str | int]] = {}
        self.asked: list[tuple[str, str]] = []
        self.scheme = "http"

    @property
    def address(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, with_body: bool) -> None:
        self.server.asked.append((self.command, self.path))
        path = unquote(urlsplit(self.path).path).strip("/")
        tree, file = f"api/models/{NAME}/tree/{COMMIT}", f"{NAME}/resolve/{COMMIT}/"
        if path == tree:
            self._send("tree", json.dumps(_tree(self.server.folder)).encode(), with_body, {})
        elif path.startswith(file) and (found := self.server.folder / path.removeprefix(file)).is_file():
            content = found.read_bytes()
            large = found.suffix == ".safetensors"
            mark = hashlib.sha256(content).hexdigest() if large else _git_sha1(content)
            self._send(found.name, content, with_body, {"ETag": f'"{mark}"', "X-Repo-Commit": COMMIT})
        else:
            code = "RepoNotFound"
            if NAME in path:
                code = "EntryNotFound" if COMMIT in path else "RevisionNotFound"
            self._refuse(404, {"X-Error-Code": code})

    def _send(self, name: str, content: bytes, with_body: bool, headers: dict[str, str]) -> None:
        waiting = self.server.faults.get(name, [])
        # Statuses meet the first request, faults of the content the first that wants the content.
        fault = waiting.pop(0) if waiting and (with_body or isinstance(waiting[0], int)) else None
        if isinstance(fault, int):
            self._refuse(fault, {"Retry-After": "0"})
            return
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        content = content[first:]
        if fault == "other":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.send_response(206 if first else 200)
        for header, value in headers.items():
            self.send_header(header, value)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{first + len(content) - 1}/{first + len(content)}")
        if fault == "short":
            content = content[: len(content) // 2]
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not with_body:
            return
        self.wfile.write(content[: len(content) // 2] if fault == "cut" else content)
        if fault == "cut":
            self.close_connection = True

    def _refuse(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for header, value in ({"Content-Length": "0"} | headers).items():
            self.send_header(header, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def _git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _tree(folder: Path) -> list[dict]:
    listed = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        entry = {"type": "file", "path": path.relative_to(folder).as_posix(), "size": len(content)}
        entry["oid"] = _git_sha1(content)
        if path.suffix == ".safetensors":
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        listed.append(entry)
    return listed


@contextmanager
def serving(folder: Path, certificate: Path | None = None) -> Iterator[Hub]:
    """A running hub; over TLS where `certificate` names a file with key and certificate."""
    with Hub(folder) as hub:
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            hub.socket = context.wrap_socket(hub.socket, server_side=True)
            hub.scheme = "https"
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()

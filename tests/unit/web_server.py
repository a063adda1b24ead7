"""A web server on this machine that serves one file and misbehaves as it is told."""

from __future__ import annotations

import hashlib
import ssl
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Threading(ThreadingHTTPServer):
    """A server that says nothing of clients that go away, which is what some tests are about."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], (ConnectionError, ssl.SSLError)):
            super().handle_error(request, client_address)


class Server:
    """What it serves, how it misbehaves (one entry a request, the last stays), and what it was asked.

    Misbehaviour: "" (none), a number as text (that status), "cut N" (N bytes of what was asked, then the connection
    breaks), "short N" (says that the file has N bytes, sends them), "no range" (sends everything whatever is asked),
    "wrong range" (sends the beginning as if it were the missing part).
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.plan: list[str] = [""]
        self.headers: dict[str, str] = {}
        self.tags = True
        self.asked: list[dict[str, str]] = []
        self.address = ""

    @property
    def ranges(self) -> list[str | None]:
        return [headers.get("Range") for headers in self.asked]

    def tag(self) -> str:
        return f'"{hashlib.md5(self.content).hexdigest()}"'


@contextmanager
def serving(content: bytes, certificate: Path | None = None) -> Iterator[Server]:
    """A server of `content` at any path; by TLS with a PEM file of key and certificate."""
    server = Server(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.asked.append({"path": self.path, **self.headers})
            what = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
            if what.isdigit():
                self.answer(int(what), b"<html>no</html>")
                return
            begin, status = 0, 200
            asked, condition = self.headers.get("Range"), self.headers.get("If-Range")
            fits = condition in (None, server.tag()) and what != "no range"
            if asked and fits:
                begin, status = int(asked.removeprefix("bytes=").rstrip("-")), 206
                if begin >= len(server.content):
                    self.answer(416, b"", **{"Content-Range": f"bytes */{len(server.content)}"})
                    return
            body = server.content[begin:]
            if what.startswith("short"):
                body = server.content[: int(what.split()[1])]
            more = {"ETag": server.tag()} if server.tags else {}
            if status == 206:
                shown = 0 if what == "wrong range" else begin
                more["Content-Range"] = f"bytes {shown}-{len(server.content) - 1}/{len(server.content)}"
            self.answer(status, body, int(what.split()[1]) if what.startswith("cut") else None, **more)

        def answer(self, status: int, body: bytes, cut: int | None = None, **headers: str) -> None:
            self.send_response(status)
            for name, value in (headers | server.headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:cut])
            if cut is not None:
                self.wfile.flush()
                self.close_connection = True
                self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    httpd = Threading(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.address = f"http{'s' if certificate else ''}://127.0.0.1:{httpd.server_address[1]}/images.zip"
    try:
        yield server
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()

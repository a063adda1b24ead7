"""Large files from the web: resumed after a cut, tried again, from a mirror if need be, and checked before use.

Written on requests, which honours proxies (HTTPS_PROXY, NO_PROXY) and certificate bundles (REQUESTS_CA_BUNDLE). pooch
was looked at first: it checks hashes, but begins each download anew, which for gigabytes over a poor line never ends.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from vitbench.errors import UserError, one_line
from vitbench.files import sha256, write_atomically
from vitbench.progress import Progress

CHUNK = 1 << 20
TIMEOUT = (15, 60)
"""seconds: to connect, and between two pieces"""
PAUSES = (1.0, 3.0, 10.0, 30.0)
"""seconds before each further try at one address; a try that brought something begins them anew"""
TRIES_UNREACHED = 3
"""tries at an address that nobody answers at: without a network the user is told soon"""
LONGEST_PAUSE = 120.0
AGAIN = {408, 425, 429, *range(500, 600)}
"""answers that may be another one in a minute, as all of a server's own faults; any other refusal is final"""
SPARE = 1.02


@dataclass(frozen=True)
class Expected:
    """What a file must be; None where nobody has said so yet."""

    sha256: str | None
    size: int | None
    said_by: str
    """where that stands, for messages"""


class Failed(Exception):
    """This address does not give the file; the message says why."""


class Interrupted(Exception):
    """It stopped on the way, and may be tried again; the message says why."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class Unreached(Interrupted):
    """Nobody answered at all."""


def fetch(addresses: list[str], target: Path, expected: Expected) -> str:
    """Download to `target` from the first of these addresses that gives the expected file; its SHA-256.

    What arrives is kept in `<target>.part` until it is whole and checked, so that an interrupted download goes on where
    it was, in this run or the next.

    Raises:
        UserError: no address gives it; one line with what each answered, and where to put the file by hand.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    problems = []
    for address in addresses:
        try:
            digest = _from(address, target, expected)
        except Failed as failed:
            problems.append(f"{address}: {failed}")
            continue
        os.replace(_part(target), target)
        _notes(target).unlink(missing_ok=True)
        return digest
    raise UserError(
        f"cannot download {target.name} ({'; '.join(problems)}): check network and proxy (HTTPS_PROXY, "
        f"REQUESTS_CA_BUNDLE), or put the file at {target} by hand"
    )


def check(path: Path, expected: Expected) -> str:
    """The SHA-256 of a file that is there; UserError if it is not the expected one."""
    size = path.stat().st_size
    if expected.size is not None and size != expected.size:
        raise UserError(
            f"{path} has {size:,} bytes, {expected.said_by} says {expected.size:,}: remove it to download it again"
        )
    found = sha256(path)
    if expected.sha256 is not None and found != expected.sha256:
        raise UserError(
            f"{path} has sha256 {found[:12]}…, {expected.said_by} says {expected.sha256[:12]}…: remove it to download "
            "it again; if the new file is wanted, correct the entry"
        )
    return found


# --- what a file must be ----------------------------------------------------------------------------------------------


def expectation(definition: dict[str, Any], name: str, locks: list[Path]) -> Expected:
    """What the definition says, else what was written to a lock when the file was first downloaded.

    Args:
        name: of the data set, under which the lock knows it.
        locks: lock files, the first that has the name counts; those that do not exist are passed over.
    """
    if "sha256" in definition:
        return Expected(definition["sha256"], definition.get("size"), f"the definition of {name}")
    for lock in locks:
        entry = read_lock(lock).get(name)
        if entry and entry["address"] == definition["address"]:
            return Expected(entry["sha256"], entry["size"], str(lock))
    return Expected(None, definition.get("size"), f"the definition of {name}")


def read_lock(lock: Path) -> dict[str, Any]:
    """Name → address, sha256, size and date of each file that was trusted on first use."""
    if not lock.exists():
        return {}
    try:
        entries = yaml.safe_load(lock.read_text(encoding="utf-8")) or {}
        if all({"address", "sha256", "size"} <= entry.keys() for entry in entries.values()):
            return entries
    except (yaml.YAMLError, AttributeError, UnicodeDecodeError):
        pass
    raise UserError(f"{lock} is no lock of downloads: restore it, or remove it to trust the next download")


def trust(lock: Path, name: str, definition: dict[str, Any], path: Path, digest: str) -> None:
    """Write to the lock what was downloaded where nobody had said what to expect: next time it must be the same."""
    entries = read_lock(lock)
    entries[name] = {
        "address": definition["address"],
        "sha256": digest,
        "size": path.stat().st_size,
        "first_used": datetime.now(UTC).date().isoformat(),
    }
    head = "# What downloads were when they were first used here; later ones must be the same (docs/data.md).\n"
    write_atomically(lock, head + yaml.safe_dump(entries, sort_keys=True))


# --- one address ------------------------------------------------------------------------------------------------------


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")


def _notes(target: Path) -> Path:
    """Beside the part: from which version of which file it is."""
    return target.with_name(f".{target.name}.part.json")


def _from(address: str, target: Path, expected: Expected) -> str:
    """Fill the part from one address, whatever it takes; its SHA-256, which is the expected one."""
    if urlsplit(address).scheme not in ("http", "https"):
        raise Failed("not an http or https address")
    for clean in (False, True):
        resumed = not clean and _part(target).exists()
        if clean:
            _drop(target)
        _fill(address, target, expected)
        found = sha256(_part(target))
        if expected.sha256 in (None, found):
            return found
        _drop(target)
        if not resumed:
            break  # begun and ended here, and still another file; what was resumed may have been of two versions
    raise Failed(f"it serves another file: sha256 {found[:12]}…, {expected.said_by} says {expected.sha256[:12]}…")


def _drop(target: Path) -> None:
    _part(target).unlink(missing_ok=True)
    _notes(target).unlink(missing_ok=True)


def _fill(address: str, target: Path, expected: Expected) -> None:
    """Try until the part is whole; Failed when the pauses are used up without anything new."""
    pauses, tries, answered = iter(PAUSES), 0, False
    with Progress(f"downloading {target.name}", expected.size, bytes_=True) as progress:
        while True:
            before = _size(target)
            try:
                _try_once(address, target, expected, progress)
                return
            except Interrupted as interrupted:
                if _size(target) > before:
                    pauses = iter(PAUSES)
                pause, tries = next(pauses, None), tries + 1
                answered |= not isinstance(interrupted, Unreached)
                if pause is None or not answered and tries == TRIES_UNREACHED:
                    raise Failed(str(interrupted)) from None
                pause = min(LONGEST_PAUSE, max(pause, interrupted.wait or 0))
                print(f"{address}: {interrupted}; next try in {pause:.0f} s", flush=True)
                time.sleep(pause)


def _size(target: Path) -> int:
    return _part(target).stat().st_size if _part(target).exists() else 0


def _try_once(address: str, target: Path, expected: Expected, progress: Progress) -> None:
    """One request; returns when the part is whole."""
    import requests
    from urllib3.exceptions import HTTPError

    headers, begin = {"Accept-Encoding": "identity"}, 0
    notes = _read_notes(target)
    validator = notes.get("validator") if notes.get("address") == address else None
    if _size(target) and (validator or expected.sha256):
        # Without a validator it may be the rest of another file, which only a known hash can tell.
        begin = _size(target)
        headers["Range"] = f"bytes={begin}-"
        if validator:
            headers["If-Range"] = validator
    try:
        with _session() as session, session.get(address, headers=headers, stream=True, timeout=TIMEOUT) as response:
            total = _understand(response, begin, target, expected)
            if total == begin and begin:
                return
            begin = begin if response.status_code == 206 else 0
            _check_room(target, total, begin)
            _note(target, address, response)
            progress.start_at(begin, total)
            with open(_part(target), "r+b" if begin else "wb") as sink:
                sink.seek(begin)
                sink.truncate()
                for piece in response.raw.stream(CHUNK, decode_content=False):
                    sink.write(piece)
                    progress.step(len(piece))
    except (requests.exceptions.SSLError, requests.exceptions.InvalidURL) as error:
        raise Failed(_short(error)) from None
    except requests.exceptions.InvalidProxyURL as error:
        raise Failed(f"the proxy's address is wrong: {_short(error)}") from None
    except requests.exceptions.RequestException as error:
        # Before an answer these wrap a connection that was not made; a broken one comes from urllib3, from the stream.
        raise Unreached(_short(error)) from None
    except HTTPError as error:
        raise Interrupted(_short(error)) from None
    except OSError as error:
        raise UserError(f"cannot write {_part(target)} ({error.strerror}): free some space, or run again") from error
    arrived, whole = _size(target), total if total is not None else expected.size
    if whole is not None and arrived < whole:
        raise Interrupted(f"cut after {arrived:,} of {whole:,} bytes")


def _session() -> Any:
    import requests

    session = requests.Session()
    own = os.environ.get("SSL_CERT_FILE")
    if own and not os.environ.get("REQUESTS_CA_BUNDLE") and not os.environ.get("CURL_CA_BUNDLE"):
        session.verify = own  # what other programs go by; requests itself looks at the other two only
    return session


def _understand(response: Any, begin: int, target: Path, expected: Expected) -> int | None:
    """The size of the whole file by the answer's headers, None where they do not tell; else Failed or Interrupted."""
    status = response.status_code
    if status in AGAIN:
        raise Interrupted(f"status {status} {response.reason}", _retry_after(response))
    if status == 416:
        stated = response.headers.get("Content-Range", "").rpartition("/")[2]
        if stated.isdigit() and int(stated) == begin == (expected.size or begin):
            return begin  # it was whole already
        _drop(target)
        raise Interrupted("what is here is longer than the file there; it is begun anew")
    if status == 206:
        unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
        span, _, stated = rest.partition("/")
        if unit != "bytes" or span.partition("-")[0] != str(begin) or not stated.isdigit():
            _drop(target)
            raise Interrupted("another part than the missing one was sent; it is begun anew")
        total = int(stated)
    elif status == 200:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdigit() else None
    else:
        raise Failed(f"status {status} {response.reason}")
    if expected.size is not None and total is not None and total != expected.size:
        raise Failed(f"it serves {total:,} bytes, {expected.said_by} says {expected.size:,}")
    return total


def _retry_after(response: Any) -> float | None:
    stated = response.headers.get("Retry-After", "")
    return float(stated) if stated.isdigit() else None


def _note(target: Path, address: str, response: Any) -> None:
    etag = response.headers.get("ETag", "")
    # A weak tag ("W/…") says that two files mean the same, not that their bytes are.
    validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
    write_atomically(_notes(target), json.dumps({"address": address, "validator": validator}))


def _read_notes(target: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        return json.loads(_notes(target).read_text())
    return {}


def _check_room(target: Path, total: int | None, begin: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if total is not None and (total - begin) * SPARE > free:
        raise UserError(
            f"{target.name} needs {(total - begin) / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free at "
            f"{target.parent}: free some, or work on another disk with --directory"
        )


def _short(error: Exception) -> str:
    """What happened, without the layers of libraries around it."""
    inner: Any = error
    while deeper := getattr(inner, "reason", None) or next(iter(inner.args), None):
        if not isinstance(deeper, Exception):
            break
        inner = deeper
    return f"{type(error).__name__}: {one_line(inner)}"

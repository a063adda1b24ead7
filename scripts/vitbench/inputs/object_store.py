"""Images in an object store, named by a URL: listed once, and brought here part by part. Arrow does both.

Who may read a store is said where its own tools say it (AWS_PROFILE, ~/.aws, …), never in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import parse_qs, quote, urlsplit

from vitbench.errors import UserError, one_line
from vitbench.inputs import packages
from vitbench.inputs.sources import MOST_BYTES, is_named_as_image

# The lock under envs/ of what reads stores.
LOCK = "object-stores"
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://(.*)", re.IGNORECASE | re.DOTALL)
# Of a user, before the store's name; it may hold a slash that nobody wrote as %2F.
_PASSWORD = re.compile(r"[^/@]*:[^@]*@")
# What a URL may hold as it is; all else, blanks, # and é, is part of a name, and is written as %20 and the like.
_AS_IT_IS = "%:/?@!$&'()*+,;="
# What a URL may say of its store. Other keys of Arrow's are secrets, or may be.
_KEYS = {"region", "scheme", "endpoint_override"}
# Objects that are fetched at a time: what takes long is the way there and back.
AT_A_TIME = 16
# Bytes of an object that are held in memory at a time; most images are less.
AT_ONCE = 2**24
GONE = "no longer in the store"
Answer = TypeVar("Answer")


class _Refused(Exception):
    """The store does not give an object; the message says why."""


def is_url(place: str) -> bool:
    """Whether this names a place in an object store, not a path."""
    return _URL.match(place) is not None


def check_url(url: str) -> None:
    """Check a URL by its text alone, before anybody keeps or shows it.

    Raises:
        UserError: it holds what must be told to nobody, which is not repeated, or it is none.
    """
    quoted = _as_arrow_reads_it(url)
    _, rest = _URL.match(url).groups()
    # Not by urlsplit: its error, of what is no URL, would come first, and its line shows the keys.
    told = parse_qs(quoted.partition("?")[2], keep_blank_values=True)
    if _PASSWORD.match(rest) or not told.keys() <= _KEYS:
        raise UserError(
            f"images: this URL holds a password, or more than {', '.join(sorted(_KEYS))}, and job.json and logs would "
            "keep it: say it where the store's own tools read it"
        )
    try:
        urlsplit(quoted)
    except ValueError as error:
        raise UserError(f"images: {url} is no URL ({error}); name a path, or s3://bucket/folder") from error


def _as_arrow_reads_it(url: str) -> str:
    """A URL with a lower scheme, in which only what means something to a URL stands as it is."""
    scheme, rest = _URL.match(url).groups()
    return f"{scheme.lower()}://{quote(rest, safe=_AS_IT_IS)}"


class Store:
    """What lies under a URL.

    Args:
        url: such as s3://bucket/folder, which `check_url` has let pass.
        environment: folder of the packages of LOCK.

    Raises:
        UserError: nothing here reads such a URL.
    """

    def __init__(self, url: str, environment: str) -> None:
        quoted = _as_arrow_reads_it(url)
        packages.use(environment)
        import pyarrow
        from pyarrow import fs

        self.url = url
        # ArrowInvalid, of names that it does not take, is no OSError.
        self._errors = (OSError, pyarrow.ArrowException)
        try:
            self._files, root = fs.FileSystem.from_uri(quoted)
        except self._errors as error:
            raise UserError(f"images: nothing here reads {url} ({one_line(error)}); copy the images here") from error
        self._root = str(root).rstrip("/")
        # Whether it let us read any object yet.
        self._gave = False

    def find(self) -> Iterator[tuple[str, str]]:
        """(path below the URL, path in the store) of each object whose name looks like an image's, sorted.

        Raises:
            UserError: the store does not answer, or does not let us in.
        """
        for path in sorted(self._asked(self._paths)):
            name = path.removeprefix(self._root).removeprefix("/") or PurePosixPath(path).name
            if is_named_as_image(name):
                yield name, path

    def _paths(self) -> list[str]:
        """Of all objects below the URL, or of the image that it names."""
        from pyarrow import fs

        if is_named_as_image(self._root) and self._files.get_file_info(self._root).is_file:
            return [self._root]
        below = self._files.get_file_info(fs.FileSelector(self._root, recursive=True))
        return [each.path for each in below if each.is_file]

    def fetch(self, paths: Iterable[str], folder: Path) -> list[tuple[str, str]]:
        """Write these objects to `folder`, which is made.

        What is refused is asked for twice. It is the object's own fault (another owner's, cold storage, a name that
        Arrow does not take) where the store still answers and others were read; Arrow's errors do not tell.

        Returns: in the same order, (path of the file, ""), or ("", why it could not be read).

        Raises:
            UserError: the store does not answer, or does not let us in, or gives none of several objects.
            OSError: the disk of `folder` takes no more, or fails, which is no object's fault.
        """
        folder.mkdir(parents=True)
        wanted = {path: folder / f"{number:06d}" for number, path in enumerate(paths)}
        reasons = self._written(wanted)
        if any(reasons.values()):
            self._check_there()
            reasons |= self._written({path: wanted[path] for path, why in reasons.items() if why not in ("", GONE)})
        self._gave |= not all(reasons.values())
        refused = [f"{path} {why}" for path, why in reasons.items() if why not in ("", GONE)]
        if refused and not self._gave and len(wanted) > 1:
            raise UserError(f"images: {self.url} gives none of {len(wanted)} objects: {refused[0]}")
        return [("", reasons[path]) if reasons[path] else (str(file), "") for path, file in wanted.items()]

    def _written(self, wanted: dict[str, Path]) -> dict[str, str]:
        """Path of an object → why it could not be written to its file; nothing where it was."""
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            return dict(zip(wanted, pool.map(self._write, wanted, wanted.values()), strict=True))

    def _write(self, path: str, file: Path) -> str:
        # Both ends raise OSErrors: those of the disk here pass, the store's are refusals.
        with open(file, "wb") as copy:
            try:
                for piece in self._pieces(path):
                    copy.write(piece)
            except _Refused as refused:
                return str(refused)
        return ""

    def _pieces(self, path: str) -> Iterator[bytes]:
        """The content of an object; _Refused where the store does not give it, or it is far too much."""
        try:
            with self._files.open_input_file(path) as stream:
                if (size := stream.size()) > MOST_BYTES:
                    raise _Refused(f"absurdly large: {size:,} bytes")
                while piece := stream.read(AT_ONCE):
                    yield piece
        except FileNotFoundError as error:
            raise _Refused(GONE) from error
        except self._errors as error:
            # Its own name, which the message holds, would make each refusal a reason of its own.
            said = one_line(error).replace(path, "…").replace(path.partition("/")[2] or path, "…")
            raise _Refused(f"refused by the store: {said}") from error

    def _check_there(self) -> None:
        """Raise UserError where what is gone, or refused, is the store and not single objects of it."""
        from pyarrow import fs

        if self._asked(lambda: self._files.get_file_info(self._root)).type == fs.FileType.NotFound:
            raise UserError(f"images: {self.url} is no longer there; the parts that are done stay")

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What the store answers; what it, or the network, objects to is one line."""
        try:
            return ask()
        except self._errors as error:
            raise UserError(
                f"images: {self.url} cannot be read ({one_line(error)}); check its name, your right to read it and the "
                "network"
            ) from error

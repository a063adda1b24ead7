"""Images in an object store, named by a URL: listed once, and brought here part by part. Arrow does both.

Who may read a store is said where its own tools say it (AWS_PROFILE, ~/.aws, …), never in the URL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TypeVar
from urllib.parse import quote, urlsplit

from vitbench.errors import UserError
from vitbench.inputs import packages
from vitbench.inputs.sources import is_named_as_image

# The lock under envs/ of what reads stores.
LOCK = "object-stores"
_URL = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
# What a URL may hold as it is; all else, blanks and é, is written as %20 and the like.
_AS_IT_IS = "%:/?#[]@!$&'()*+,;="
# Objects that are fetched at a time: what takes long is the way there and back.
AT_A_TIME = 16
Answer = TypeVar("Answer")


def is_url(place: str) -> bool:
    """Whether this names a place in an object store, not a path."""
    return _URL.match(place) is not None


class Store:
    """What lies under a URL.

    Args:
        url: such as s3://bucket/folder.
        environment: folder of the packages of LOCK.

    Raises:
        UserError: nothing here reads such a URL, or it holds a password.
    """

    def __init__(self, url: str, environment: str) -> None:
        if urlsplit(url).password is not None:
            raise UserError("images: job.json would keep the password in this URL; use the store's own keys")
        packages.use(environment)
        from pyarrow import fs

        self.url = url
        try:
            self._files, self._root = fs.FileSystem.from_uri(quote(url, safe=_AS_IT_IS))
        except (ValueError, NotImplementedError) as error:
            raise UserError(f"images: nothing here reads {url} ({error}); copy the images here") from error
        except OSError as error:
            raise self._unreadable(error) from error

    def find(self) -> Iterator[tuple[str, str]]:
        """(path below the URL, path in the store) of each object whose name looks like an image's, sorted.

        Raises:
            UserError: the store does not answer, or does not let us in.
        """
        for path in sorted(self._asked(self._paths)):
            name = path.removeprefix(self._root).lstrip("/") or PurePosixPath(path).name
            if is_named_as_image(name):
                yield name, path

    def _paths(self) -> list[str]:
        """Of all objects below the URL, or of the one that it names."""
        from pyarrow import fs

        one = self._files.get_file_info(self._root)
        below = [one] if one.is_file else self._files.get_file_info(fs.FileSelector(self._root, recursive=True))
        return [each.path for each in below if each.is_file]

    def fetch(self, paths: Iterable[str], folder: Path) -> list[str]:
        """Write these objects to `folder`, which is made; the paths of the files, in the same order. One that is gone
        has no file.

        Raises:
            UserError: the store does not answer, or does not let us in.
        """
        folder.mkdir(parents=True)
        wanted = [(path, folder / f"{number:06d}") for number, path in enumerate(paths)]
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            self._asked(lambda: list(pool.map(self._write, *zip(*wanted, strict=True))))
        return [str(file) for _, file in wanted]

    def _write(self, path: str, file: Path) -> None:
        try:
            with self._files.open_input_stream(path) as stream:
                content = stream.read()
        except FileNotFoundError:
            return
        file.write_bytes(content)

    def _asked(self, ask: Callable[[], Answer]) -> Answer:
        """What the store answers; what it, or the network, objects to is one line."""
        try:
            return ask()
        except OSError as error:
            if error.errno is not None and not isinstance(error, (FileNotFoundError, PermissionError, TimeoutError)):
                raise  # of this machine's disk
            raise self._unreadable(error) from error

    def _unreadable(self, error: OSError) -> UserError:
        said = " ".join(str(error).split())[:300]
        return UserError(
            f"images: {self.url} cannot be read ({said}); check its name, your right to read it and the network"
        )

"""Lists of images: a text file or a Parquet file (or Spark's folder of them) that names paths, and perhaps labels."""

from __future__ import annotations

import codecs
import glob
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from vitbench.errors import UserError, one_line

PARQUET = b"PAR1"
# How files that Windows writes may begin, the longer first: UTF-32 begins as UTF-16 does.
BYTE_ORDER_MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
# A text with this share of zero bytes or more is taken for UTF-16. Plain letters in UTF-16 have one half; a list of
# `find -print0`, which ends each path with a zero byte, has less than a third.
UTF_16 = 1 / 3
WINDOWS = re.compile(r"([A-Za-z]):[\\/](.*)|\\\\.*", re.DOTALL)
# Where the Linux inside Windows (WSL) shows the drives of Windows.
DRIVES = Path("/mnt")


@dataclass(frozen=True)
class Listed:
    """One path of a list: absolute, as it was written, and its label."""

    path: Path
    name: str
    label: str


def read(path: Path, column: str = "path") -> list[Listed]:
    """The paths of a list, in its order, each once.

    A text file has one path a line (or, as `find -print0` writes it, one before each NUL), in UTF-8, in the bytes of
    the file system, or in what PowerShell writes. A relative path starts at the list's own folder; `file:` addresses,
    as Spark writes them, are understood. Quotes or blanks around a path, and the backslashes of Windows, are taken
    away where only then there is such a file. The label is what the Parquet column `label` says, else the name of the
    folder that contains the image.

    Args:
        column: of a Parquet file, the one that holds the paths.
    Raises:
        UserError: the list is missing, empty or neither text nor Parquet, or names what is no path of this machine.
    """
    return list(each(path, column))


def each(path: Path, column: str = "path") -> Iterator[Listed]:
    """The same one after another: only the names are in memory, which tell what stands there twice."""
    here = path.resolve().parent
    for name, label in _names(path, column).items():
        yield _listed(name, label, here, path)


def count(path: Path, column: str = "path") -> int:
    """How many paths a list names, each counted once; UserError as of `read`."""
    return len(_names(path, column))


def _names(path: Path, column: str) -> dict[str, str | None]:
    """The names as they stand there, with their labels."""
    if not path.exists():
        raise UserError(f"data set: the list {path} does not exist; name a text or Parquet file of paths")
    names = _from_parquet(path, column) if is_parquet(path) else _from_text(path)
    if not names:
        raise UserError(f"data set: the list {path} names nothing; put one path a line into it")
    return dict(names)


def is_parquet(path: Path) -> bool:
    """Whether this begins as a Parquet file does, or is a folder, as Spark makes one of several.

    Raises:
        UserError: it is a pipe or a device, of which what was looked at is gone.
    """
    if path.is_dir():
        return True
    if not path.is_file():
        raise UserError(f"the list {path} is a pipe or a device, which can be read only once: write it to a file")
    with open(path, "rb") as handle:
        return handle.read(len(PARQUET)) == PARQUET


def columns(path: Path) -> list[str]:
    """The columns of a Parquet file, or of a folder of them; UserError where it is none."""
    with _table(path) as table:
        return list(table.columns)


def _from_text(path: Path) -> list[tuple[str, str | None]]:
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    if encoding := _encoding(content):
        try:
            names = [line.removesuffix("\r") for line in content.decode(encoding).split("\n")]
        except UnicodeDecodeError as error:
            raise UserError(
                f"data set: the list {path} looks like {encoding.upper()} and is none ({error.reason} at byte "
                f"{error.start:,}); save it as UTF-8"
            ) from error
        if any("\0" in name for name in names):
            raise UserError(f"data set: the list {path} is no text: it holds NULs; save it as UTF-8, one path a line")
        return [(name, None) for name in names if name]
    between = b"\0" if b"\0" in content else b"\n"
    found = [line if between == b"\0" else line.removesuffix(b"\r") for line in content.split(between)]
    return [(os.fsdecode(name), None) for name in found if name]


def _encoding(content: bytes) -> str | None:
    """UTF-16 or UTF-32, as Windows writes text; None for UTF-8 and for whatever bytes file names are made of."""
    for mark, encoding in BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return encoding
    head = content[:100_000]
    if head.count(0) <= len(head) * UTF_16:
        return None
    return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """A Parquet file, or a folder of them, as a relation of DuckDB; what cannot be read there is one line."""
    import duckdb

    # DuckDB takes * ? [ in a name for a pattern.
    pattern = glob.escape(str(path)) + ("/*.parquet" if path.is_dir() else "")
    try:
        with duckdb.connect() as connection:
            yield connection.read_parquet(pattern)
    except duckdb.Error as error:
        said = one_line(error)
        raise UserError(f"data set: the list {path} is no Parquet file that can be read ({said})") from error


def _from_parquet(path: Path, column: str) -> list[tuple[str, str | None]]:
    with _table(path) as table:
        for wanted in {column, *({"label"} & set(table.columns))}:
            if wanted not in table.columns:
                raise UserError(
                    f"data set: the list {path} has no column {wanted}; set `column` to one of "
                    f"{', '.join(table.columns)}"
                )
        rows = table.project(*map(_quoted, [column, *(["label"] if "label" in table.columns else [])])).fetchall()
    return [(str(row[0]), str(row[1]) if len(row) > 1 and row[1] is not None else None) for row in rows if row[0]]


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _listed(name: str, label: str | None, here: Path, path: Path) -> Listed:
    readings = [_local(reading, here, path) for reading in _readings(name)]
    # A file may bear quotes, blanks and backslashes in its name: as it stands there comes first.
    full = next((one for one in readings if os.path.lexists(one)), readings[0]) if len(readings) > 1 else readings[0]
    return Listed(full, name, full.parent.name if label is None else label)


def _readings(name: str) -> Iterator[str]:
    """What a name may mean: itself, then without the blanks and quotes around it, then with the slashes of Linux."""
    yield name
    bare = name.strip()
    if len(bare) > 2 and bare[0] == bare[-1] and bare[0] in "\"'":
        bare = bare[1:-1]
    if bare and bare != name:
        yield bare
    if "\\" in bare and not WINDOWS.fullmatch(bare):
        yield bare.replace("\\", "/")


def _local(name: str, here: Path, path: Path) -> Path:
    if name.startswith("file:"):
        name = re.sub(r"^/(?=[A-Za-z]:)", "", unquote(urlsplit(name).path))
    elif "://" in name:
        raise UserError(f"data set: the list {path} names {name[:80]!r}; only files of this machine can be read")
    if on_windows := WINDOWS.fullmatch(name):
        drive = on_windows[1] and DRIVES / on_windows[1].lower()
        if not drive or not drive.is_dir():
            raise UserError(
                f"data set: the list {path} names {name[:80]!r}, a path of Windows; write it as this machine has it"
            )
        return drive / on_windows[2].replace("\\", "/")
    return here / os.path.expanduser(name)

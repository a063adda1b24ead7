"""Lists of images: a text file or a Parquet file (or Spark's folder of them) that names paths, and perhaps labels."""

from __future__ import annotations

import glob
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vitbench.errors import UserError

PARQUET = b"PAR1"


@dataclass(frozen=True)
class Listed:
    """One path of a list: absolute, as it was written, and its label."""

    path: Path
    name: str
    label: str


def read(path: Path, column: str = "path") -> list[Listed]:
    """The paths of a list, in its order, each once.

    A text file has one path a line (or, as `find -print0` writes it, one before each NUL). A relative path starts at
    the list's own folder; `file:` addresses, as Spark writes them, are understood. The label is what the Parquet
    column `label` says, else the name of the folder that contains the image.

    Args:
        column: of a Parquet file, the one that holds the paths.
    Raises:
        UserError: the list is missing, empty or neither text nor Parquet, or names what is no local path.
    """
    if not path.exists():
        raise UserError(f"data set: the list {path} does not exist; name a text or Parquet file of paths")
    names = _from_parquet(path, column) if path.is_dir() or _is_parquet(path) else _from_text(path)
    if not names:
        raise UserError(f"data set: the list {path} names nothing; put one path a line into it")
    here = path.resolve().parent
    return [_listed(name, label, here, path) for name, label in dict(names).items()]


def _is_parquet(path: Path) -> bool:
    with open(path, "rb") as handle:
        return handle.read(len(PARQUET)) == PARQUET


def _from_text(path: Path) -> list[tuple[str, str | None]]:
    content = path.read_bytes()
    if b"\0" in content:
        names = content.split(b"\0")
    else:
        names = [line.removesuffix(b"\r") for line in content.removeprefix(b"\xef\xbb\xbf").split(b"\n")]
    return [(os.fsdecode(name), None) for name in names if name]


def _from_parquet(path: Path, column: str) -> list[tuple[str, str | None]]:
    import duckdb

    # DuckDB takes * ? [ in a name for a pattern.
    pattern = glob.escape(str(path)) + ("/*.parquet" if path.is_dir() else "")
    try:
        with duckdb.connect() as connection:
            table = connection.read_parquet(pattern)
            for wanted in {column, *({"label"} & set(table.columns))}:
                if wanted not in table.columns:
                    raise UserError(
                        f"data set: the list {path} has no column {wanted}; set `column` to one of "
                        f"{', '.join(table.columns)}"
                    )
            rows = table.project(*map(_quoted, [column, *(["label"] if "label" in table.columns else [])])).fetchall()
    except duckdb.Error as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"data set: the list {path} is no Parquet file that can be read ({reason})") from error
    return [(str(row[0]), str(row[1]) if len(row) > 1 and row[1] is not None else None) for row in rows if row[0]]


def _quoted(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _listed(name: str, label: str | None, here: Path, path: Path) -> Listed:
    found = name
    if name.startswith("file:"):
        found = unquote(urlsplit(name).path)
    elif "://" in name:
        raise UserError(f"data set: the list {path} names {name[:80]!r}; only files of this machine can be read")
    full = here / os.path.expanduser(found)
    return Listed(full, name, full.parent.name if label is None else label)

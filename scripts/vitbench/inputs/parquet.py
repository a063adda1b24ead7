"""Parquet files, written and read with DuckDB, which the lock has for lists of images already; pyarrow it has not."""

from __future__ import annotations

import errno
import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

# Rows that are handed over at a time; the database holds all of a file until that is written.
ROWS = 64
# What a disk that takes no more says, which an error of DuckDB holds as words alone.
FULL = {os.strerror(number): number for number in (errno.ENOSPC, errno.EDQUOT)}


def write(path: Path, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], compression: str = "zstd") -> None:
    """Write rows to one Parquet file, in their order; not atomically, which is the caller's to see to.

    It is whole on the disk before this returns, so that what then takes its name is, whatever happens to the machine.

    Args:
        columns: name → type, as DuckDB calls it, in the order of a row's values.

    Raises:
        OSError: the disk takes no more.
    """
    import duckdb

    declared = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    # A statement a chunk: one a row takes several times as long.
    values = ", ".join(f"unnest(cast(? as {kind}[]))" for kind in columns.values())
    rows = iter(rows)
    try:
        with duckdb.connect() as connection:
            connection.execute(f"create table written ({declared})")
            while chunk := list(islice(rows, ROWS)):
                connection.execute(f"insert into written select {values}", list(map(list, zip(*chunk, strict=True))))
            connection.execute(f"copy written to {quoted(str(path))} (format parquet, compression {compression})")
    except duckdb.Error as error:
        for words, number in FULL.items():
            if words in str(error):
                raise OSError(number, words, str(path)) from error
        raise
    with open(path, "rb") as handle:
        os.fsync(handle.fileno())


def relation(paths: Iterable[Path]) -> str:
    """These files as a table in a query of DuckDB; one at least."""
    # DuckDB takes * ? [ in a name that it reads for a pattern.
    return f"read_parquet([{', '.join(quoted(glob.escape(str(path))) for path in paths)}])"


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"

"""Parquet files of path and content: images without files of their own, as a job of millions of images moves them.

Whoever reads them lists and opens some hundred files, not a million.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from vitbench.errors import UserError, one_line
from vitbench.files import sha256, staged
from vitbench.inputs import parquet
from vitbench.inputs.datasets import valid_images

PATH, CONTENT = "path", "content"
COLUMNS = {PATH: "varchar", CONTENT: "blob"}
# Spark makes one task of 128 MiB of files at most, 4 MiB added for opening each: a file of this size stays whole.
MOST_BYTES = 100_000_000


def files_of(path: Path) -> list[Path]:
    """The Parquet files of `path`, which is one or a folder of them, in the order in which they are read."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def footer_sha256(file: Path) -> str:
    """SHA-256 of a Parquet file's footer, whose length its last eight bytes hold: where its rows lie, and how many.

    Apache Parquet format, "File format". Content of the same length in the same places has the same footer, unless the
    file states the least and greatest of its columns.
    """
    with open(file, "rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(0, size - 8))
        length = int.from_bytes(handle.read(4), "little")
        handle.seek(max(0, size - 8 - length))
        return hashlib.sha256(handle.read()).hexdigest()


def check(path: Path) -> int:
    """How many images `path` holds.

    Raises:
        UserError: it holds none, or some without a path, or two with the same.
    """
    import duckdb

    table = parquet.relation(files_of(path))
    try:
        with duckdb.connect() as connection:
            rows, named = connection.execute(f'select count(*), count("{PATH}") from {table}').fetchone()
            kind = connection.execute(f'select typeof("{CONTENT}") from {table} limit 1').fetchone()
            twice = connection.execute(
                f'select "{PATH}" from {table} where "{PATH}" is not null group by "{PATH}" having count(*) > 1 '
                f'order by "{PATH}" limit 1'
            ).fetchone()
    except duckdb.Error as error:
        raise UserError(f"images: {path} is no Parquet file that can be read ({one_line(error)})") from error
    if not rows:
        raise UserError(f"images: {path} holds no row; name a file of the columns {PATH} and {CONTENT}")
    if kind[0] != "BLOB":
        raise UserError(f"images: the column {CONTENT} of {path} is of type {kind[0]}; the bytes of images are BLOB")
    if rows != named:
        raise UserError(f"images: {rows - named} of {rows} rows of {path} have no {PATH}, which is an image's id")
    if twice:
        raise UserError(f"images: {path} has two rows with the {PATH} {twice[0]!r}, which is an image's id")
    return rows


def read(path: Path, first: int = 0) -> Iterator[tuple[str, bytes]]:
    """(path, content) of each image from row `first` on, by the order of the files and of their rows.

    No content is empty content. Of files that lie before that row the footer alone is read. DuckDB holds the contents
    of a file when its turn comes, and takes up to two and a half times as much memory.

    Raises:
        UserError: a file cannot be read, or not any more.
    """
    import duckdb

    for file in files_of(path):
        table = parquet.relation([file])
        try:
            with duckdb.connect() as connection:
                (size,) = connection.execute(f"select count(*) from {table}").fetchone()
                if first >= size:
                    first -= size
                    continue
                answer = connection.execute(f'select "{PATH}", "{CONTENT}" from {table} offset {first}')
                first = 0
                while rows := answer.fetchmany(parquet.ROWS):
                    for name, content in rows:
                        yield str(name), bytes(content or b"")
        except duckdb.Error as error:
            raise UserError(
                f"images: {file} cannot be read ({one_line(error)}); bring it back as it was, and the same command "
                "goes on, or leave it out and name another `out`"
            ) from error


def of_data_set(manifest: Path, partitions: int) -> Path:
    """The folder of Parquet files that holds the valid images of a data set by their ids, for so many tasks at a time.

    It lies beside the manifest, is written when it is first asked for, and kept.
    """
    images = valid_images(manifest)
    count = files_for(sum(image.size for image in images), len(images), partitions)
    # By the manifest, too: a data set that was made anew may hold other images.
    folder = manifest.parent / f"bytes-{count}-{sha256(manifest)[:8]}"
    if not folder.exists():
        write(folder, [(image.id, str(manifest.parent / image.path)) for image in images], count)
    return folder


def files_for(size: int, images: int, partitions: int) -> int:
    """Into how many files `size` bytes of so many images go: as many as there are tasks at a time, or a multiple."""
    waves = max(1, -(-size // (partitions * MOST_BYTES)))
    return min(images, partitions * waves)


def write(folder: Path, images: list[tuple[str, str]], count: int) -> None:
    """Write images, (id, path of its file) each, as `count` Parquet files of path and content, whole or not at all."""
    cuts = [len(images) * number // count for number in range(count + 1)]
    with staged(folder) as place:
        place.mkdir()
        for number, (begin, end) in enumerate(zip(cuts, cuts[1:], strict=False)):
            rows = ((image, Path(file).read_bytes()) for image, file in images[begin:end])
            # A photograph cannot be packed any further.
            parquet.write(place / f"part-{number:05d}.parquet", COLUMNS, rows, "uncompressed")

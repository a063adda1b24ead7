"""Lists of paths: text, NUL-separated text, Parquet, Spark's folders of Parquet."""

from __future__ import annotations

import os
from pathlib import Path

import duckdb
import pytest

from vitbench.classify import listing
from vitbench.errors import UserError
from vitbench.inputs import path_lists

ODD = ["/data/a b.jpg", "/data/größe, 2.jpg", "/data/ trailing .jpg", '/data/"q".jpg', "/data/$(x)`y`.jpg"]


def parquet(path: Path, /, **columns: list) -> Path:
    names = ", ".join(f'"{name}"' for name in columns)
    with duckdb.connect() as connection:
        connection.execute(f"create table t ({', '.join(f'{chr(34)}{name}{chr(34)} varchar' for name in columns)})")
        connection.executemany(f"insert into t ({names}) values ({', '.join('?' * len(columns))})",
                               list(zip(*columns.values(), strict=True)))  # fmt: skip
        connection.execute(f"copy t to '{path.as_posix().replace(chr(39), chr(39) * 2)}' (format parquet)")
    return path


def paths(listed: list[path_lists.Listed]) -> list[str]:
    return [str(one.path) for one in listed]


@pytest.mark.parametrize(("between", "before"), [("\n", ""), ("\r\n", ""), ("\n", "\ufeff")])
def test_a_text_file_has_one_path_a_line_whatever_is_in_it(tmp_path, between, before):
    path = tmp_path / "list.txt"
    path.write_bytes((before + between.join(ODD) + between * 2).encode())
    assert paths(path_lists.read(path)) == ODD


def test_what_find_print0_writes_may_hold_newlines_and_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "list.txt"
    path.write_bytes(b"/data/two\nlines.jpg\0/data/caf\xe9.jpg\0")
    assert [os.fsencode(one.path) for one in path_lists.read(path)] == [b"/data/two\nlines.jpg", b"/data/caf\xe9.jpg"]


def test_relative_paths_start_at_the_list_and_home_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    path = tmp_path / "list.txt"
    path.write_text("cats/1.jpg\n~/2.jpg\n../3.jpg\n")
    listed = path_lists.read(path)
    assert paths(listed) == [f"{tmp_path}/cats/1.jpg", "/home/me/2.jpg", f"{tmp_path}/../3.jpg"]
    assert [one.name for one in listed] == ["cats/1.jpg", "~/2.jpg", "../3.jpg"]
    assert listed[0].label == "cats"


def test_a_path_that_is_listed_twice_is_one_image(tmp_path):
    path = tmp_path / "list.txt"
    path.write_text("/a/1.jpg\n/a/2.jpg\n/a/1.jpg\n")
    assert paths(path_lists.read(path)) == ["/a/1.jpg", "/a/2.jpg"]


def test_parquet_has_paths_in_its_column_and_labels_if_it_names_them(tmp_path):
    odd = [*ODD, "/data/two\nlines.jpg"]
    path = parquet(tmp_path / "a[1]*.parquet", other=["x"] * 6, path=odd)
    assert paths(path_lists.read(path)) == odd
    path = parquet(tmp_path / "b.parquet", origin=["/data/1.jpg", "/data/2.jpg"], label=["=cat, grey", None])
    listed = path_lists.read(path, "origin")
    assert [one.label for one in listed] == ["=cat, grey", "data"]


def test_sparks_folder_of_parquet_and_its_file_addresses_are_understood(tmp_path):
    folder = tmp_path / "spark [out]"
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    parquet(folder / "part-00000.parquet", path=["file:///data/a%20b%2C.jpg"])
    parquet(folder / "part-00001.parquet", path=["file:/data/2.jpg"])
    assert sorted(paths(path_lists.read(folder))) == ["/data/2.jpg", "/data/a b,.jpg"]


@pytest.mark.parametrize(
    ("content", "column", "message"),
    [
        (None, "path", "does not exist"),
        (b"", "path", "names nothing"),
        (b"\n\n", "path", "names nothing"),
        (b"s3://bucket/1.jpg\n", "path", "only files of this machine"),
        (b"PAR1 but not really", "path", "no Parquet file that can be read"),
    ],
)
def test_a_list_that_is_none_is_one_line(tmp_path, content, column, message):
    path = tmp_path / "list"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        path_lists.read(path, column)
    assert "\n" not in str(caught.value)


def test_a_pipe_which_can_be_read_once_only_is_one_line(tmp_path):
    os.mkfifo(tmp_path / "list")
    for read in (path_lists.count, lambda path: listing.kind_of(str(path))):
        with pytest.raises(UserError, match="list is a pipe or a device, .* write it to a file"):
            read(tmp_path / "list")


def test_a_missing_column_is_named_with_those_that_are_there(tmp_path):
    path = parquet(tmp_path / "a.parquet", origin=["/a.jpg"], other=["x"])
    with pytest.raises(UserError, match="no column path; set `column` to one of origin, other"):
        path_lists.read(path)


# --- lists that Windows wrote

WRITTEN = "C:\\photographs\\größe 1.jpg\r\nC:\\photographs\\2.jpg\r\n"


@pytest.fixture
def drive(tmp_path, monkeypatch) -> Path:
    """Where the drive C: is to be seen, as in WSL."""
    monkeypatch.setattr(path_lists, "DRIVES", tmp_path / "mnt")
    (tmp_path / "mnt" / "c").mkdir(parents=True)
    return tmp_path / "mnt" / "c"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig", "utf-8"])
def test_what_powershell_writes_is_decoded_whatever_its_encoding(tmp_path, drive, encoding):
    path = tmp_path / "list.txt"
    path.write_bytes(WRITTEN.encode(encoding))
    listed = path_lists.read(path)
    assert paths(listed) == [f"{drive}/photographs/größe 1.jpg", f"{drive}/photographs/2.jpg"]
    assert {one.label for one in listed} == {"photographs"} and path_lists.count(path) == 2


@pytest.mark.parametrize("content", [b"\xff\xfea\0.\0j\0p\0g\0\n\0\0\xd8", b"\xff\xfea\0\0\0b\0", b"a\0b\0c\0\n\0d"])
def test_what_only_looks_like_utf_16_is_one_line(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="list.txt .*save it as UTF-8") as caught:
        path_lists.read(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["C:\\a\\1.jpg", "d:/a/1.jpg", "\\\\server\\share\\1.jpg", '"C:\\a b\\1.jpg"'])
def test_a_path_of_windows_is_one_line_where_there_is_no_such_drive(tmp_path, monkeypatch, name):
    monkeypatch.setattr(path_lists, "DRIVES", tmp_path / "mnt")
    path = tmp_path / "list.txt"
    path.write_text(f"/data/0.jpg\n{name}\n")
    with pytest.raises(UserError, match="a path of Windows; write"):
        path_lists.read(path)


def test_quotes_blanks_and_backslashes_are_taken_away_where_only_then_there_is_a_file(tmp_path):
    (tmp_path / "cats").mkdir()
    for name in ("cats/1.jpg", "cats/2 b.jpg", "cats/3.jpg", '"4.jpg"', "4.jpg", "cats\\5.jpg", "cats/5.jpg"):
        (tmp_path / name).touch()
    path = tmp_path / "list.txt"
    path.write_text("cats\\1.jpg\n'cats/2 b.jpg'\ncats/3.jpg   \n\"4.jpg\"\ncats\\5.jpg\n\"cats\\1.jpg\"\n'gone.jpg'\n")
    listed = path_lists.read(path)
    found = [one.path.relative_to(tmp_path).as_posix() for one in listed]
    assert found == [
        "cats/1.jpg", "cats/2 b.jpg", "cats/3.jpg", '"4.jpg"', "cats\\5.jpg", "cats/1.jpg", "'gone.jpg'"
    ]  # fmt: skip
    assert listed[0].label == "cats"

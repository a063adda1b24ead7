"""Zip archives, good and evil, made here member by member."""

from __future__ import annotations

import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from vitbench.errors import UserError
from vitbench.inputs import unpacking
from vitbench.inputs.unpacking import Limits, unpack


def member(name: str, kind: int = stat.S_IFREG, mode: int = 0o644) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | mode) << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def archive(tmp_path: Path, members: dict[str, bytes | tuple[zipfile.ZipInfo, bytes]]) -> Path:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for name, content in members.items():
            info, data = content if isinstance(content, tuple) else (member(name), content)
            opened.writestr(info, data)
    return path


def unpacked(tmp_path: Path, path: Path, limits: Limits | None = None, wanted=lambda name: True) -> list[str]:
    unpack(path, tmp_path / "to", limits or Limits(), wanted)
    return sorted(one.relative_to(tmp_path / "to").as_posix() for one in (tmp_path / "to").rglob("*") if one.is_file())


def refused(tmp_path: Path, path: Path, limits: Limits | None = None) -> str:
    """The one line; nothing outside the folder was written."""
    before = {one for one in tmp_path.rglob("*")}
    with pytest.raises(UserError) as caught:
        unpack(path, tmp_path / "to", limits or Limits(), lambda name: True)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    new = {one for one in tmp_path.rglob("*")} - before - {tmp_path / "to"}
    assert all(one.is_relative_to(tmp_path / "to") and not one.is_symlink() for one in new)
    return str(caught.value)


def test_the_wanted_members_are_written_below_the_folder_and_nothing_else(tmp_path):
    path = archive(tmp_path, {"a/b ü/1.jpg": b"one", "a/2.jpg": b"two", "a/readme.txt": b"three", "empty/": b""})
    assert unpacked(tmp_path, path, wanted=lambda name: name.endswith(".jpg")) == ["a/2.jpg", "a/b ü/1.jpg"]
    assert (tmp_path / "to/a/2.jpg").read_bytes() == b"two"


def test_rights_that_an_archive_asks_for_are_not_given(tmp_path):
    path = archive(tmp_path, {"run": (member("run", mode=0o4777), b"#!/bin/sh")})
    unpacked(tmp_path, path)
    assert stat.S_IMODE((tmp_path / "to/run").stat().st_mode) & 0o7111 == 0


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/evil.jpg", "absolute path"),
        ("C:/evil.jpg", "absolute path"),
        ("\\\\server\\evil.jpg", "absolute path"),
        ("../evil.jpg", "`..`"),
        ("a/../../evil.jpg", "`..`"),
        ("a\\..\\..\\evil.jpg", "`..`"),
        ("a\\b.jpg", "a backslash in its path"),
    ],
)
def test_a_path_that_leads_out_is_refused_with_the_whole_archive(tmp_path, name, why):
    path = archive(tmp_path, {"good.jpg": b"good", name: b"evil"})
    assert why in refused(tmp_path, path)
    assert not (tmp_path / "evil.jpg").exists() and list((tmp_path / "to").iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_special_files_are_refused(tmp_path, kind):
    path = archive(tmp_path, {"a.jpg": (member("a.jpg", kind), b"/etc/passwd")})
    assert ("is a link" if kind == stat.S_IFLNK else "is a special file") in refused(tmp_path, path)


def test_a_member_that_is_packed_too_tightly_is_refused(tmp_path):
    path = archive(tmp_path, {"bomb.jpg": bytes(20_000_000)})
    assert "bomb.jpg' would unpack to more than 100 times its size (`most_ratio`)" in refused(tmp_path, path)
    assert unpacked(tmp_path / "again", path, Limits(most_ratio=5000)) == ["bomb.jpg"]


def test_many_small_bombs_are_one_bomb(tmp_path):
    path = archive(tmp_path, {f"{number}.jpg": bytes(900_000) for number in range(30)})
    assert "more than 100 times its size" in refused(tmp_path, path)


def test_too_many_members_and_too_many_bytes_are_refused(tmp_path):
    path = archive(tmp_path, {f"{number}.jpg": os.urandom(1000) for number in range(30)})
    assert "30 members, `most_files` allows 29" in refused(tmp_path, path, Limits(most_files=29))
    (tmp_path / "to").rmdir()
    assert "30,000 bytes, `most_bytes` allows 29,999" in refused(tmp_path, path, Limits(most_bytes=29_999))
    (tmp_path / "to").rmdir()
    assert len(unpacked(tmp_path, path, Limits(most_files=30, most_bytes=30_000))) == 30


def test_members_that_share_their_bytes_are_refused(tmp_path):
    """As in archives that unpack to petabytes: several entries of the directory lead to the same place."""
    path = archive(tmp_path, {"a.jpg": os.urandom(5000), "b.jpg": os.urandom(5000)})
    content = bytearray(path.read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 4)
    content[second + 42 : second + 46] = struct.pack("<I", 10)  # where its header is said to be
    path.write_bytes(content)
    assert "lies inside another one" in refused(tmp_path, path)


def test_a_member_that_holds_more_than_it_says_gives_no_more(tmp_path):
    path = archive(tmp_path, {"a.jpg": bytes(100_000)})
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.index(mark) + place
        content[at : at + 4] = struct.pack("<I", 10)
    path.write_bytes(content)
    assert "cannot be unpacked" in refused(tmp_path, path)
    assert not (tmp_path / "to/a.jpg").exists() or (tmp_path / "to/a.jpg").stat().st_size <= 10


def test_encrypted_and_duplicate_members_are_refused(tmp_path):
    path = archive(tmp_path, {"a.jpg": b"one"})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert "is encrypted" in refused(tmp_path, path)
    (tmp_path / "to").rmdir()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "w") as opened:
        opened.writestr("a.jpg", b"one")
        opened.writestr("a.jpg", b"two")
    assert "holds 'a.jpg' twice" in refused(tmp_path, path)


def test_a_file_where_a_folder_must_be_is_one_line(tmp_path):
    path = archive(tmp_path, {"a": b"file", "a/b.jpg": b"inside"})
    assert "cannot be unpacked" in refused(tmp_path, path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "page", "empty"])
def test_a_damaged_archive_is_one_line_that_says_what_to_do(tmp_path, damage):
    path = archive(tmp_path, {"a.jpg": os.urandom(50_000)})
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[25_000] ^= 255
    path.write_bytes(
        {"truncated": content[:25_000], "flipped": content, "page": b"<html>Log in</html>", "empty": b""}[damage]
    )
    assert "remove it to download it again" in refused(tmp_path, path)


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    path = archive(tmp_path, {"a.jpg": os.urandom(50_000)})

    class Usage:
        free = 1000

    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda _: Usage)
    assert "are free" in refused(tmp_path, path)
    assert list((tmp_path / "to").iterdir()) == []

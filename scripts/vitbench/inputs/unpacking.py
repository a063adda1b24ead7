"""Unpacking a zip archive that nobody here made: only images come out of it, and only below one folder.

Refused as a whole is an archive with absolute paths, `..`, links or other special files, encrypted members, two
members of one name or one place, or one that would unpack to too many files, too many bytes or too many times its size.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path, PurePosixPath

from vitbench.errors import UserError
from vitbench.progress import Progress

# Below this a member may be packed as tightly as it likes: a short text of blanks is no bomb.
SMALL = 1_000_000
CHUNK = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What an archive may hold; each may be set in the definition of a data set."""

    most_files: int = 2_000_000
    most_bytes: int = 200_000_000_000
    """of all members unpacked"""
    most_ratio: int = 100
    """unpacked size / packed size, of the whole and of each member of a megabyte or more; JPEG hardly reaches 1.1"""

    @classmethod
    def of(cls, definition: dict) -> Limits:
        """The limits that a data set's definition sets, the defaults for the others."""
        return cls(**{field.name: definition[field.name] for field in fields(cls) if field.name in definition})


def unpack(archive: Path, folder: Path, limits: Limits, wanted: Callable[[str], bool]) -> int:
    """Write the members that are `wanted` (by their names) below `folder`, which is made; how many they are.

    Raises:
        UserError: the file is no zip archive, is damaged, or holds what the limits and rules above forbid. What was
            written by then stays: the caller works in a folder that is thrown away.
    """
    folder.mkdir(parents=True)
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
            _check(archive, members, limits)
            chosen = [member for member in members if not member.is_dir() and wanted(member.filename)]
            _check_room(archive, folder, sum(member.file_size for member in chosen))
            with Progress(f"unpacking {archive.name}", len(chosen)) as progress:
                for member in chosen:
                    _write(opened, member, folder)
                    progress.step()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise UserError(
            f"{archive} cannot be unpacked ({' '.join(str(error).split())}): remove it to download it again"
        ) from error
    except OSError as error:
        raise UserError(f"{archive} cannot be unpacked to {folder} ({error.strerror or error})") from error
    return len(chosen)


def _check(archive: Path, members: list[zipfile.ZipInfo], limits: Limits) -> None:
    if len(members) > limits.most_files:
        raise _refused(archive, f"it holds {len(members):,} members, `most_files` allows {limits.most_files:,}")
    seen: set[str] = set()
    for member in members:
        if problem := _problem(member, limits):
            raise _refused(archive, f"its member {_short(member.filename)} {problem}")
        name = str(PurePosixPath(member.filename))
        if name in seen:
            raise _refused(archive, f"it holds {_short(name)} twice")
        seen.add(name)
    unpacked = sum(member.file_size for member in members)
    if unpacked > limits.most_bytes:
        raise _refused(archive, f"it would unpack to {unpacked:,} bytes, `most_bytes` allows {limits.most_bytes:,}")
    if unpacked > SMALL and unpacked > limits.most_ratio * archive.stat().st_size:
        raise _refused(archive, f"it would unpack to more than {limits.most_ratio} times its size (`most_ratio`)")
    # Members that share their bytes make an archive of a few MB unpack to petabytes while each looks harmless.
    places = sorted((member.header_offset, member.compress_size, member.filename) for member in members)
    for (begin, size, _), (following, _, name) in zip(places, places[1:], strict=False):
        if begin + size > following:
            raise _refused(archive, f"its member {_short(name)} lies inside another one")


def _problem(member: zipfile.ZipInfo, limits: Limits) -> str:
    """What is wrong with one member, "" if nothing is."""
    name, kind = member.orig_filename, stat.S_IFMT(member.external_attr >> 16)
    if name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name):
        return "has an absolute path"
    if ".." in re.split(r"[/\\]", name):
        return "has `..` in its path"
    if "\\" in name:
        return "has a backslash in its path"
    if "\0" in name or not name.strip("/"):
        return "has no usable name"
    if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        return "is a link" if stat.S_ISLNK(kind) else "is a special file"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if member.file_size > SMALL and member.file_size > limits.most_ratio * max(1, member.compress_size):
        return f"would unpack to more than {limits.most_ratio} times its size (`most_ratio`)"
    return ""


def _refused(archive: Path, why: str) -> UserError:
    return UserError(f"{archive} was not unpacked: {why}")


def _short(name: str) -> str:
    return repr(name if len(name) <= 80 else f"{name[:77]}…")


def _check_room(archive: Path, folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise UserError(
            f"{archive} unpacks to {needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free at {folder.parent.parent}: "
            "free some, or work on another disk with --directory"
        )


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> None:
    target = folder.joinpath(*PurePosixPath(member.filename).parts)
    target.parent.mkdir(parents=True, exist_ok=True)
    # "x": where names that differ only in case are one, the second must not take the first one's place.
    with opened.open(member) as source, open(os.fspath(target), "xb") as sink:
        # zipfile stops at the stated size and compares the checksum, so that a member cannot hold more than it says.
        shutil.copyfileobj(source, sink, CHUNK)

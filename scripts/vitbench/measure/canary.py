"""The canary: fixed work before and after each repeat, and what it usually reaches here, by all records so far."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from mmap import mmap
from pathlib import Path
from statistics import median
from typing import Any

from vitbench.errors import UserError
from vitbench.measure.limits import Limits

PARTS = ("gemm_gflops", "decode_per_second")
TAKES, BETWEEN_TAKES = 3, 1.0
# The file beside the records that holds their canaries, a line a record, so that no repeat reads all records again.
KEPT = ".canaries.jsonl"
GEMM_SIZE = 1024


def take(seconds: float) -> dict[str, float]:
    """The same work each time, `seconds` each: float32 GEMM on all cores (GFLOP/s), JPEG decoding on one (images/s).

    JPEG is decoded into one place, at the beginning of a page. Where the heap puts an image decides how fast it is
    written: by Pillow 5,000, 6,450 or 9,400 small images a second on one machine, for as long as the heap stays so.
    """
    import numpy
    import simplejpeg

    generator = numpy.random.default_rng(1)
    one, two = (generator.standard_normal((GEMM_SIZE, GEMM_SIZE), dtype=numpy.float32) for _ in range(2))
    product = one @ two  # the library's threads start here, before the clock
    products = _rate(lambda: numpy.matmul(one, two, out=product), seconds)
    photograph = numpy.kron(generator.integers(0, 255, (15, 20, 3), dtype=numpy.uint8), numpy.ones((8, 8, 1)))
    jpeg = simplejpeg.encode_jpeg(photograph.astype(numpy.uint8), quality=90)
    pixels = mmap(-1, photograph.size)
    decodes = _rate(lambda: simplejpeg.decode_jpeg(jpeg, buffer=pixels), seconds)
    return {"gemm_gflops": products * 2 * GEMM_SIZE**3 / 1e9, "decode_per_second": decodes}


def _rate(work: Callable[[], Any], seconds: float) -> float:
    """How often a second `work` can be done, by the faster quarter of its times over about `seconds`.

    A hiccup of a few milliseconds says nothing of the minute that follows; a neighbour that stays slows all times down.
    """
    work()
    end, times = time.perf_counter() + seconds, []
    while not times or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return 1 / sorted(times)[len(times) // 4]


def slower(taken: dict[str, float], known: dict[str, float] | None, limits: Limits) -> list[str]:
    """Names of a canary's parts that are slower than usual by more than the limit; none if nothing is known."""
    return [name for name in PARTS if known and taken[name] < known[name] * (1 - limits.slower(name))]


def patient(known: dict[str, float] | None, limits: Limits) -> dict[str, float]:
    """A canary; one that is slow is taken again, a second later, and the faster of each part counts.

    Somebody's command of a second beside it is no state of the machine.
    """
    taken = take(limits.canary_seconds)
    for _ in range(TAKES - 1):
        if not slower(taken, known, limits):
            break
        time.sleep(BETWEEN_TAKES)
        again = take(limits.canary_seconds)
        taken = {name: max(taken[name], again[name]) for name in PARTS}
    return taken


def first(limits: Limits, count: int, patience: float) -> list[dict[str, float]]:
    """`count` canaries in a row, each part of which is within its limit of the fastest of them; after `patience`
    seconds the last ones, whatever they are.

    Before the first record they alone say what is usual here: a busy minute must not pass for it.
    """
    taken, end = [take(limits.canary_seconds) for _ in range(count)], time.monotonic() + patience
    while time.monotonic() < end:
        fastest = {name: max(one[name] for one in taken) for name in PARTS}
        if not any(slower(one, fastest, limits) for one in taken):
            break
        time.sleep(BETWEEN_TAKES)
        taken = [*taken[1:], take(limits.canary_seconds)]
    return taken


def reference(folder: Path, more: Iterable[dict[str, Any]] = ()) -> dict[str, float] | None:
    """Medians of the canaries so far, and their number (`canaries`); None if there is none.

    They are those in the records below `folder`, attempts that were set aside included, and `more`. Each record is read
    once for all repeats: its canaries are kept in the file KEPT in `folder`, beside what tells that the record is still
    the same.

    Raises:
        UserError: a file there is no record.
    """
    folder, canaries, new = Path(folder), list(more), []
    kept = _kept_canaries(folder / KEPT)
    for path, mark in _record_files(folder):
        place = path.relative_to(folder).as_posix()
        if (found := kept.get((place, *mark))) is None:
            found = _canaries(path)
            new.append(json.dumps({"record": place, "mark": mark, "canaries": found}))
        canaries += [dict(zip(PARTS, rates, strict=True)) for rates in found]
    if new:
        with open(folder / KEPT, "a", encoding="utf-8") as handle:
            # The break before: a line that a kill left half-written then spoils no other.
            handle.write("".join(f"\n{line}" for line in new))
    known = {name: [one[name] for one in canaries if one[name]] for name in PARTS}
    if not all(known.values()):
        return None
    return {name: median(values) for name, values in known.items()} | {"canaries": len(canaries)}


def _record_files(folder: Path) -> Iterator[tuple[Path, tuple[int, int, int]]]:
    """The records below a folder, each with its mark: number of the file, size and time, one of which any edit changes.

    What is hidden is no record yet, or never became one.
    """
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _record_files(Path(entry.path))
            elif fnmatchcase(entry.name, "rep*.json"):
                state = os.stat(entry.path)
                yield Path(entry.path), (state.st_ino, state.st_size, state.st_mtime_ns)


def _kept_canaries(path: Path) -> dict[tuple, list[list[float | None]]]:
    """(record, its mark) → the rates (PARTS) of each of its canaries, as far as they were kept."""
    kept = {}
    for line in path.read_text(encoding="utf-8").split("\n") if path.exists() else []:
        try:
            one = json.loads(line)
            kept[one["record"], *one["mark"]] = [
                [rates[place] for place in range(len(PARTS))] for rates in one["canaries"]
            ]
        except (ValueError, KeyError, TypeError, IndexError):
            continue  # half a line, which a kill left: its record is read again
    return kept


def _canaries(path: Path) -> list[list[float | None]]:
    """The rates (PARTS) of each canary of a record and of its attempts that were set aside."""
    try:
        record = json.loads(path.read_text())
        every = [record["quiet"], *(attempt["quiet"] for attempt in record["attempts"])]
        probes = [quiet[when] for quiet in every if quiet for when in ("before", "after")]
        return [[one[name] for name in PARTS] for one in probes]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is not a record ({error}): remove it to measure it again") from error

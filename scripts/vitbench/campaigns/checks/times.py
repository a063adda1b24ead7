"""Were the repeats measured when and as long as they say: one after the other, each block in its order, in one go?"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from vitbench.campaigns.checks import NotChecked, Record, began, ended, first_began, short
from vitbench.cells import ROLES, repeats_of, role_of, shuffled
from vitbench.records.record import seconds_of_passes
from vitbench.records.turns import out_of_turn

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# `started` is written in whole seconds.
CLOCK = 1.0
# Seconds that a repeat spends outside start, load and passes: it describes itself and closes. In 80 repeats it was 1.2
# to 3.9 s; Spark counts its rows in that time, for which it may read all images again, so one pass is added.
UNEXPLAINED = 15.0
# Days after which what is left of a block is no part of it: an interruption lasts a night, a weekend or a holiday.
# Comparisons rest on a block's repeats having met the same machine.
BLOCK_DAYS = 7
DAY = 24 * 3600.0


def check_parts(evidence: Evidence) -> Iterable[str]:
    """The whole repeat is the sum of its parts, but for what it takes to describe itself and close."""
    for path, record in evidence.good.items():
        passes = [one["seconds"] for one in record["passes"]]
        probing = (record["quiet"] or {"seconds": 0})["seconds"]
        parts = seconds_of_passes(record) + (record["start_seconds"] or 0) + (record["load_seconds"] or 0) + probing
        rest = record["total_seconds"] - parts
        if rest < -CLOCK / 100:
            yield f"{path}: total_seconds {record['total_seconds']}, expected at least its parts, {parts:.3f}"
        elif rest > UNEXPLAINED + max(passes, default=0):
            yield (
                f"{path}: {rest:.1f} s in neither start, load, passes nor probes, expected at most "
                f"{UNEXPLAINED + max(passes, default=0):.1f}"
            )


def check_order(evidence: Evidence) -> Iterable[str]:
    """Each block was measured in the order in which the seed shuffles it, one repeat at a time, without long gaps."""
    by_block: dict[tuple[str, int], list[str]] = defaultdict(list)
    for path, record in evidence.planned.items():
        if record["order"] is None:
            yield f"{path}: no order, expected its place in the seeded order"
            return
        by_block[role_of(record["dataset"]), record["block"]].append(path)
    in_time = sorted(
        evidence.planned, key=lambda path: (began(evidence.planned[path]), evidence.planned[path]["order"])
    )
    yield from _at_once(in_time, evidence.planned)
    late = out_of_turn({"record": path} | record for path, record in evidence.planned.items())
    for path in sorted(late):
        record = evidence.planned[path]
        yield (
            f"{path}: started {record['started']}, expected its turn in block {record['block']}, before repeats "
            "that were measured earlier; remove the whole block to measure it again"
        )
    for paths in by_block.values():
        yield from _long_gaps([path for path in in_time if path in set(paths) - late], evidence.planned)
    if evidence.grid is None:
        raise NotChecked("the seed is not known (no grid.json), only that time follows the order")
    others = {_place(record) for path, record in evidence.records.items() if path not in evidence.planned}
    for (role, block), paths in sorted(by_block.items()):
        cells = [cell["folder"] for cell in evidence.grid["cells"] if role_of(cell["dataset"]) == role]
        places = {evidence.planned[path]["order"] for path in paths}
        with_others = others & {_place(evidence.planned[path]) for path in paths}
        if with_others or places != set(_places(evidence.grid, role, block)):
            continue  # measured for another configuration, of which nobody knows what else its blocks held
        wanted = shuffled(cells, evidence.grid["seed"], role, block)
        found = [_folder(path) for path in sorted(paths, key=lambda path: evidence.planned[path]["order"])]
        if len(found) == len(wanted) and found != wanted:
            place = next(n for n, (one, two) in enumerate(zip(found, wanted, strict=True)) if one != two)
            yield (
                f"{found[place]}/rep{block}.json: number {place + 1} of block {block} of {role}, expected "
                f"{short(wanted[place])} there by seed {evidence.grid['seed']}"
            )


def _place(record: Record) -> tuple[str, int]:
    """The data set and block of a repeat."""
    return str(record["identity"].get("dataset")), record["block"]


def _places(grid: dict[str, Any], role: str, block: int) -> range:
    """The places of a block in the order of measuring (`vitbench.plan.grid.Grid.order`)."""
    cells = Counter(role_of(cell["dataset"]) for cell in grid["cells"])
    before = [one for one in ROLES[: ROLES.index(role)] if cells[one]]
    first = sum(cells[one] * repeats_of(grid["repeats"], one) for one in before) + block * cells[role]
    return range(first, first + cells[role])


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _at_once(in_time: list[str], known: dict[str, Record]) -> Iterable[str]:
    """Repeats that began before the one in front of them had ended, and two with one place in the order."""
    for one, two in zip(in_time, in_time[1:], strict=False):
        if first_began(known[two]) + CLOCK < ended(known[one]):
            yield f"{two}: started {known[two]['started']}, expected after the end of {short(one)}"
    places: dict[tuple[str, int, int], str] = {}
    for path in in_time:
        record = known[path]
        other = places.setdefault((role_of(record["dataset"]), record["block"], record["order"]), path)
        if other != path:
            yield f"{path}: order {record['order']}, expected another than that of {short(other)}"


def _long_gaps(in_time: list[str], known: dict[str, Record]) -> Iterable[str]:
    """Repeats that began days after the one before them in their block."""
    for one, two in zip(in_time, in_time[1:], strict=False):
        days = (first_began(known[two]) - ended(known[one])) / DAY
        if days > BLOCK_DAYS:
            yield (
                f"{two}: {days:.0f} days after {short(one)}, expected at most {BLOCK_DAYS} within block "
                f"{known[two]['block']}; remove the whole block to measure it again"
            )

"""Compare two sets of records cell by cell: the table, and what page and chart say of the sets."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from collect_records import runs_table

from vitbench import tables
from vitbench.analysis.looks import MARGIN
from vitbench.analysis.sets import CANARIES, Set, common_shift, compare_sets, refuse_different
from vitbench.campaigns import checker
from vitbench.cells import role_of
from vitbench.errors import UserError, exit_with_user_errors
from vitbench.files import write_atomically
from vitbench.present.comparison import answer
from vitbench.records.archive import Folder, open_archive, record_paths

SIDES = ("baseline", "candidate")
TABLE = "compare.csv"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that say what is compared, and how."""
    for side in SIDES:
        what = "working directory of a run, its measurements/, or a packed campaign"
        parser.add_argument(f"--{side}", required=True, type=Path, metavar="DIR", help=what)
    parser.add_argument("--other-machine", action="store_true", help="compare other hardware too, and label it")
    parser.add_argument("--margin", type=float, default=MARGIN, help="share within which speeds are as good as equal")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="example: python scripts/tabulate_comparison.py --baseline ~/runs/old --candidate ~/runs/new",
    )
    add_options(parser)
    parser.add_argument(
        "--to", type=Path, default=Path("results/compare"), metavar="DIR", help="folder of the tables that are written"
    )
    return parser.parse_args(arguments)


def open_set(folder: Path) -> Folder:
    """The archive of a set; UserError where there is none."""
    if not folder.is_dir():
        raise UserError(f"compare: {folder} is no folder; name a working directory of a run, or a campaign")
    return open_archive(folder)


def read_set(archive: Folder, name: str, out: Path) -> tuple[Set, dict[str, Any]]:
    """A set of records, and what page and chart say of it; its runs table is written to `out`.

    Cells whose repeats were not all measured yet are compared by those that there are.
    """
    wanted, there = record_paths(archive.grid), set(archive.paths())
    paths = [path for path in wanted if path in there]
    if not paths:
        raise UserError(f"compare: {archive.root} holds no record of its grid: measure first, or name another folder")
    write_atomically(out, tables.as_csv(runs_table(archive, paths)))
    runs = tables.read(out, "runs")
    read = [archive.record(path) for path in paths]
    canaries = [
        {"dataset": one["dataset"], "block": one["block"]} | {part: one["quiet"][when][part] for part in CANARIES}
        for one in read
        if one["quiet"]
        for when in ("before", "after")
    ]
    packages = read[-1]["environment"].get("packages", {})
    found = Set(name, archive.grid, runs, archive.predictions, archive.labels, canaries, packages)
    reasons, _, _ = checker.check(archive)
    about = {
        "name": name,
        "machine": archive.grid["machine"],
        "protocol": archive.grid["protocol"],
        "model": archive.grid["model"]["name"],
        "datasets": "; ".join(f"{role_of(dataset)} {one['name']}" for dataset, one in archive.grid["datasets"].items()),
        "first": min(one["started"] for one in read),
        "last": max(one["started"] for one in read),
        "records": f"{len(paths)} of {len(wanted)}",
        "vitbench": archive.version,
        "checked": f"{len(reasons)} reasons against them; the first: {reasons[0]}" if reasons else "sound",
    }
    return found, about


def main(baseline: Path, candidate: Path, margin: float, other_machine: bool, to: Path) -> None:
    """Write compare.csv, provenance/context.json and the runs table of each set below `to`.

    Raises:
        UserError: a set is none, or times of the two do not mean the same.
    """
    archives = [open_set(folder) for folder in (baseline, candidate)]
    names = [archive.root.resolve().name for archive in archives]
    if names[0] == names[1]:
        names = [f"{name} ({side})" for name, side in zip(names, SIDES, strict=True)]
    sets, about = zip(
        *(
            read_set(archive, name, to / f"{side}_runs.csv")
            for archive, name, side in zip(archives, names, SIDES, strict=True)
        ),
        strict=True,
    )
    notes = refuse_different(*sets, other_machine)
    hardware = [note for note in notes if note.startswith("Other hardware")]
    write_atomically(to / TABLE, tables.as_csv(compare_sets(*sets, margin, bool(hardware))))
    table = tables.read(to / TABLE, "compare")
    doubts = [
        *hardware,
        *(f"{one['name']}: {one['checked']}." for one in about if one["checked"] != "sound"),
        common_shift(table),
    ]
    context: dict[str, Any] = dict(zip(SIDES, about, strict=True)) | {"other_machine": bool(hardware)}
    context |= {"doubts": list(filter(None, doubts)), "notes": [note for note in notes if note not in hardware]}
    context["answer"] = answer(table, context)
    path = to / "provenance" / "context.json"
    write_atomically(path, json.dumps(context, indent=1, ensure_ascii=False) + "\n")


def run(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    main(options.baseline, options.candidate, options.margin, options.other_machine, options.to)
    return 0


if __name__ == "__main__":
    exit_with_user_errors(run)

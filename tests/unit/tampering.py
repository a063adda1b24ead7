"""What somebody may do to the records of a finished run, and what the checker says to it."""

import csv
import json
from pathlib import Path
from statistics import median

import planted

from vitbench.campaigns import checker
from vitbench.measure import canary
from vitbench.records.archive import open_archive, record_paths
from vitbench.records.record import predictions_path, seconds_of_passes


def reasons(folder: Path) -> list[str]:
    return checker.check(open_archive(folder))[0]


def paths(run: Path, *words: str) -> list[Path]:
    """Records of the grid whose path has all these words, in its order."""
    found = [run / path for path in record_paths(open_archive(run).grid)]
    return [path for path in found if all(word in str(path) for word in words)]


def change(path: Path, **fields) -> dict:
    """Change fields of a record; the record as it was."""
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | fields))
    return record


def scaled(record: dict, factor: float, jitter: float = 0.0) -> dict:
    """Fields of a record whose passes all took `factor` times as long, and all that follows from them."""
    times = [one["seconds"] * factor + jitter * number for number, one in enumerate(record["passes"])]
    passes = [one | {"seconds": seconds} for one, seconds in zip(record["passes"], times, strict=True)]
    begin = len(times) - record["timed_passes"]
    wall = median(times[begin:])
    steady = record["steady"] | {"warm_up_seconds": sum(times[:begin])}
    throughput = record["valid_predictions"] / wall
    return {
        "passes": passes,
        "steady": steady,
        "wall_seconds": wall,
        "cold_seconds": times[0],
        "throughput": throughput,
    }


def shortened(record: dict, factor: float) -> dict:
    """Fields of a record as if its passes really had taken `factor` times as long, counters and total included."""
    times = scaled(record, factor)
    if short := record.get("short_passes"):
        times["short_passes"] = short | {"seconds": short["seconds"] * factor}
    less = seconds_of_passes(record) - seconds_of_passes(record | times)
    old = record["quiet"]["during"]["counters"]
    new = old | {"elapsed": old["elapsed"] - less, "busy": old["busy"] - 2 * less}
    new["own_cpu_seconds"] = old["own_cpu_seconds"] - 2 * less
    return times | {"total_seconds": record["total_seconds"] - less, "quiet": probed(record, "during", **shares(new))}


def shares(counters: dict) -> dict:
    """What follows from counters."""
    whole = counters["elapsed"] * counters["cores"]
    foreign = (counters["busy"] - counters["own_cpu_seconds"]) / whole
    return {"counters": counters, "foreign_cpu_share": foreign, "steal_share": counters["steal"] / whole}


def refer(run: Path) -> None:
    """Compare the canaries of all records with those that were there when each began, as a measurement does."""
    known = [planted.canary(number) for number in range(5)]
    records = {path: json.loads(path.read_text()) for path in run.rglob("rep*.json")}
    for path, record in sorted(records.items(), key=lambda item: item[1]["started"]):
        reference = {name: median(one[name] for one in known) for name in canary.PARTS}
        change(path, quiet=record["quiet"] | {"reference": reference | {"canaries": len(known)}})
        for one in (*record["attempts"], record):
            known += [{name: one["quiet"][when][name] for name in canary.PARTS} for when in ("before", "after")]


def probed(record: dict, when: str, **changes) -> dict:
    """The probes of a record with changes in those of `before`, `after` or `during`."""
    return record["quiet"] | {when: record["quiet"][when] | changes}


def rewrite(record: Path, edit) -> None:
    """Give the rows of a record's predictions (header apart) through `edit`."""
    path = predictions_path(record)
    with open(path, newline="") as handle:
        header, *rows = csv.reader(handle)
    with open(path, "w", newline="") as handle:
        csv.writer(handle).writerows([header, *edit(rows)])

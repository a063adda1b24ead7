"""Does each record agree with itself, its place and its predictions?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import inf, isclose
from pathlib import PurePosixPath
from statistics import median
from typing import TYPE_CHECKING, Any

from vitbench import accuracy
from vitbench.campaigns.checks import Record, began
from vitbench.flags import CHANGED, IMAGES_LOST, NOT_REACHED, SUSPECT, UNSTEADY, WORK_LOST
from vitbench.frameworks import FRAMEWORKS, plans_each_pass
from vitbench.measure import quiet
from vitbench.measure.limits import Limits
from vitbench.records import record as records
from vitbench.records.archive import PredictionRows
from vitbench.steady import TIMED, Pass, Passes, follow

if TYPE_CHECKING:
    from vitbench.campaigns.evidence import Evidence

# Records hold sums and products of the same numbers: what differs by more was not computed from them.
PRECISION = 1e-6

# The protocol from which on there are short passes.
SINCE = 4


def check_places(evidence: Evidence) -> Iterable[str]:
    """The path of a record says what is in it."""
    for path, record in evidence.records.items():
        name = PurePosixPath(path).name
        if name != f"rep{record['repeat']}.json":
            yield f"{path}: repeat {record['repeat']}, expected what its name says"
        segments = PurePosixPath(path).parts[:-1]
        if len(segments) < 9:
            continue  # a folder of records that somebody put together
        identity = record["identity"]
        wanted = (
            record["machine"],
            f"p{record['protocol']}",
            identity.get("model"),
            identity.get("dataset"),
            record["framework"],
            identity.get("variant"),
            record["device"],
            f"w{record['workers']}",
            f"bs{record['batch_size']}",
        )
        for segment, value in zip(segments[-9:], wanted, strict=True):
            if segment != value and segment != "bsbest":
                yield f"{path}: it says {value}, expected {segment} as in its path"


def check_numbers(evidence: Evidence) -> Iterable[str]:
    """Every number of a record follows from its passes."""
    for path, record in evidence.good.items():
        timed = [one for one in record["passes"] if one["phase"] == TIMED]
        if not timed:
            yield f"{path}: no timed pass, expected at least one of an ok repeat"
            continue
        seconds = [one["seconds"] for one in timed]
        valid = min(one["valid"] for one in timed)
        histogram = record["effective_batch_sizes"]
        expected = {
            "wall_seconds": ("the median of its timed passes", median(seconds)),
            "cold_seconds": ("the seconds of pass 0", record["passes"][0]["seconds"]),
            "timed_passes": ("the number of its timed passes", len(timed)),
            "valid_predictions": ("the fewest of any timed pass", valid),
            "throughput": ("valid predictions / wall_seconds", valid / record["wall_seconds"]),
            "effective_batch_size": (
                "the largest of effective_batch_sizes",
                max(map(int, histogram)) if histogram else None,
            ),
        }
        for name, (meaning, value) in expected.items():
            if not _same(record[name], value):
                yield f"{path}: {name} {record[name]}, expected {value} ({meaning})"
        if valid > record["images"]:
            yield f"{path}: {valid} valid predictions, expected at most its {record['images']} images"


def check_predictions(evidence: Evidence) -> Iterable[str]:
    """The predictions are those that the last pass counted, and as right as the record says."""
    for path, record in evidence.records.items():
        where = records.predictions_path(PurePosixPath(path))
        rows = evidence.predictions(path)
        if rows is None:
            yield f"{where}: missing or no table of id, label, score; expected one beside the record"
            continue
        if record["status"] != "ok":
            if rows:
                yield f"{where}: {len(rows)} predictions, expected none of a repeat that ended as {record['status']}"
            continue
        counts, last = Counter(row[0] for row in rows), record["passes"][-1]
        images = evidence.images_of(record)
        known = images if images is not None else counts.keys() - set(last["unknown"])
        found = {
            "valid": sum(count == 1 and image in known for image, count in counts.items()),
            "duplicated": sorted(image for image, count in counts.items() if count > 1 and image in known),
        }
        if images is not None:
            found |= {
                "lost": sorted(images.keys() - counts.keys()),
                "unknown": sorted(counts.keys() - images.keys()),
            }
            if len(images) != record["images"]:
                yield f"{path}: {record['images']} images, expected {len(images)} as in the manifest"
        for name, value in found.items():
            stated = sorted(last[name]) if isinstance(last[name], list) else last[name]
            if stated != value:
                yield f"{where}: {name} {value}, expected {stated} as the record says of the last pass"
        if images is not None:
            yield from _wrong_accuracy(path, record, rows, images)


def _wrong_accuracy(path: str, record: Record, rows: PredictionRows, images: dict[str, str]) -> Iterable[str]:
    matched = record.get("labels", {})
    found = accuracy.share_right(rows, accuracy.expected(images, matched))
    if not _same(record["accuracy"], found):
        yield f"{path}: accuracy {record['accuracy']}, expected {found} from its predictions and the manifest"
    for label, other in accuracy.contradicted(matched, {label for _, label, _ in rows}):
        yield f"{path}: labels: {label} is {other}, expected what its text and the predictions say"


def check_flags(evidence: Evidence) -> Iterable[str]:
    """A record is flagged if, and only if, its passes and quiet probes say so."""
    for path, record in evidence.good.items():
        effective, asked = record["effective_batch_size"], record["batch_size"]
        cluster = record.get("cluster") or {"executors_lost": 0, "tasks_retried": 0}
        expected = {
            IMAGES_LOST: any(one["valid"] < record["images"] for one in record["passes"][1:]),
            CHANGED: any(one["changed"] for one in record["passes"]),
            NOT_REACHED: effective is not None and asked is not None and effective < asked,
            WORK_LOST: cluster["executors_lost"] + cluster["tasks_retried"] > 0,
        }
        if record["measuring"].get("passes"):
            passes = [Pass(one["seconds"], one["settling_seconds"]) for one in record["passes"]]
            course = follow(Passes.of(record["measuring"]["passes"], record["workers"]), record["images"], passes)
            expected[UNSTEADY] = not course.settled
            if [one["phase"] for one in record["passes"]] != course.phases() or not _alike(
                record["steady"], course.steady()
            ):
                yield f"{path}: its phases and `steady` are not those that its passes give"
        if record["quiet"] is not None:
            expected[SUSPECT] = bool(_findings(record) or record["quiet"]["findings"])
        for flag, raised in expected.items():
            if (flag in record["flags"]) != raised:
                had, wanted = ("not ", "") if raised else ("", "not ")
                yield f"{path}: {had}flagged `{flag}`, expected {wanted}flagged by its passes and quiet probes"


def check_short_passes(evidence: Evidence) -> Iterable[str]:
    """A repeat made the short passes that its settings and its framework ask for, over images that there are."""
    for path, record in evidence.good.items():
        limits = record["measuring"].get("passes") or {}
        most, asked = limits.get("most_seconds", inf), limits.get("short_passes", 0)
        made = record.get("short_passes") or {"count": 0, "images": 0, "seconds": 0.0}
        if record["framework"] not in FRAMEWORKS:
            wanted = made["count"] if made["count"] in (0, asked) else asked  # nobody here knows whether it plans
        elif not plans_each_pass(record["framework"]) or record["cold_seconds"] >= most or record["protocol"] < SINCE:
            wanted = 0
        else:
            wanted = min(asked, made["count"]) if made["seconds"] >= most else asked
        if made["count"] != wanted:
            yield f"{path}: {made['count']} short passes, expected {wanted}"
        elif not made["count"] <= made["images"] <= made["count"] * record["images"]:
            yield f"{path}: {made['images']} images in {made['count']} short passes, expected one or more in each"


def _alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two objects `steady` say the same."""
    seconds = "warm_up_seconds"
    return one | {seconds: 0} == other | {seconds: 0} and _same(one[seconds], other[seconds])


def _findings(record: Record) -> list[str]:
    """What the findings are in a record's probes by the limits that it was measured with, if it has any."""
    found, limits = record["quiet"], record["measuring"].get("quiet")
    if not limits:
        return []
    return quiet.findings(found, found["reference"], Limits(**limits))


def check_attempts(evidence: Evidence) -> Iterable[str]:
    """Only attempts that were suspect were set aside, and each was made before the next."""
    for path, record in evidence.records.items():
        for number, attempt in enumerate(record["attempts"]):
            if attempt["status"] == "ok" and SUSPECT not in attempt["flags"]:
                yield f"{path}: attempt {number} was set aside, expected to be kept: not suspect"
        times = [began(one) for one in (*record["attempts"], record)]
        if times != sorted(times):
            yield f"{path}: its attempts are not in the order of their times, expected each before the next"


def _same(stated: float | None, expected: float | None) -> bool:
    if stated is None or expected is None:
        return stated is expected
    return isclose(stated, expected, rel_tol=PRECISION, abs_tol=PRECISION)

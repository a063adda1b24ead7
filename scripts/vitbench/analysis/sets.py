"""Two sets of records, measured at different times: which cells got faster or slower, stayed, came or went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from statistics import median
from typing import Any

import numpy
import pandas

from vitbench import tables
from vitbench.analysis.looks import ALPHA, Rule
from vitbench.analysis.pairs import CONTROL_GROUP, comparisons, rows_of
from vitbench.analysis.parity import gate
from vitbench.analysis.speedup import about
from vitbench.analysis.statistics import (
    Comparison,
    Noise,
    blocks_needed,
    compare,
    compare_unpaired,
    correct_for_many,
    detectable,
)
from vitbench.analysis.summary import seconds_by_block, usable, whole
from vitbench.cells import CONTROL, LEAST_BLOCKS, SIZES, Cell, cell_name, role_of
from vitbench.errors import UserError
from vitbench.records.mixing import versions
from vitbench.verdicts import (
    CLAIMS,
    DIFFERENT,
    EQUIVALENT,
    FASTER,
    INCONCLUSIVE,
    PARITY_FAILED,
    SLOWER,
    TOO_FEW,
    UNDECIDED,
)

# What a row of the table is about: a cell of both sets, the machine's fixed work, a cell against itself in one set.
CELL, CANARY, CONTROLS = "cell", "canary", "control"
APPEARED, VANISHED = "appeared", "vanished"
# The verdicts that a cell may have, in the order in which they are told.
VERDICTS = (SLOWER, FASTER, EQUIVALENT, INCONCLUSIVE, TOO_FEW, PARITY_FAILED, VANISHED, APPEARED)
# Part of a canary → what it is called, and the package that does it.
CANARIES = {"gemm_gflops": ("float32 GEMM", "numpy"), "decode_per_second": ("JPEG decoding", "simplejpeg")}
# The part that decides whether the machine was the same. Decoding tells of the place in memory, too.
DECIDES = "gemm_gflops"


@dataclass(frozen=True)
class Set:
    """One of two sets of records.

    Attributes:
        name: what people call it: a campaign, a folder.
        grid: as `vitbench.plan.grid.Grid.describe` says it.
        runs: its runs table, as `vitbench.tables.read` gives it.
        predictions: path of a record → (id, label, score) of its last pass.
        labels: role of a data set → id → label of each valid image.
        canaries: a dict a repeat: dataset, block, and for each part of CANARIES its rate.
        packages: name in lower case → version, of those that do the canary's work.
    """

    name: str
    grid: dict[str, Any]
    runs: pandas.DataFrame
    predictions: Callable[[str], list[tuple[str, str, float | None]]]
    labels: Callable[[str], dict[str, str]]
    canaries: list[dict[str, Any]]
    packages: dict[str, str]


@dataclass
class _Row:
    """A row of the table, its device, and what its verdict is made of; `found` is None where there is no ratio."""

    row: dict[str, Any]
    device: str = ""
    found: Comparison | None = None
    repeats: tuple[int, int] = (0, 0)


def refuse_different(baseline: Set, candidate: Set, other_machine: bool = False) -> list[str]:
    """Raise a UserError in one line where times of the two sets do not mean the same; lines on what differs besides.

    Protocol, model and data sets must be equal. So must the machine, unless `other_machine` says that it may differ.
    """
    for what, one, two in _identities(baseline, candidate):
        if one != two:
            raise UserError(
                f"compare: the sets differ in the {what}: {one} ({baseline.name}) and {two} ({candidate.name}); no "
                "ratio of these times would be true: measure one of the sets again like the other"
            )
    notes = []
    for what, one, two in _hardware(baseline, candidate):
        if one == two:
            continue
        if not other_machine:
            raise UserError(
                f"compare: the sets differ in the {what}: {one} ({baseline.name}) and {two} ({candidate.name}); with "
                "other_machine=true they are compared all the same, and labelled"
            )
        notes.append(f"Other hardware, {what}: {one} ({baseline.name}) and {two} ({candidate.name}).")
    return notes + _what_changed(baseline, candidate)


def _identities(baseline: Set, candidate: Set) -> Iterable[tuple[str, str, str]]:
    """(what, value of the baseline, value of the candidate) of all that must be equal."""
    one, two = baseline.grid, candidate.grid
    yield "protocol", str(one["protocol"]), str(two["protocol"])
    yield "model", one["model"]["slug"], two["model"]["slug"]
    for dataset in sorted(one["datasets"].keys() | two["datasets"].keys()):
        if role_of(dataset) == SIZES and not (dataset in one["datasets"] and dataset in two["datasets"]):
            continue  # measured in one of them only: its cells appear or vanish, and the others mean what they meant
        slugs = [grid["datasets"].get(dataset, {}).get("slug", "none") for grid in (one, two)]
        yield f"data set {dataset}", *slugs
        yield f"manifest of the data set {dataset}", *_both(baseline, candidate, "data_hash", dataset)


def _hardware(baseline: Set, candidate: Set) -> Iterable[tuple[str, str, str]]:
    yield "machine", baseline.grid["machine"], candidate.grid["machine"]
    yield "processor", *_both(baseline, candidate, "processor")


def _both(baseline: Set, candidate: Set, column: str, dataset: str | None = None) -> tuple[str, str]:
    """The value of a column that each set has once at most; two equal ones where a set does not say it."""
    known = []
    for one in (baseline, candidate):
        rows = one.runs if dataset is None else one.runs[one.runs.dataset == dataset]
        known.append(next(iter(rows[column][rows[column] != ""]), ""))
    return (known[0], known[1]) if all(known) else ("", "")


def _what_changed(baseline: Set, candidate: Set) -> list[str]:
    """Lines on the packages, model's files and measuring code that are not those of the baseline."""
    notes = []
    for variant, rows in candidate.runs[candidate.runs.record != ""].groupby(["framework", "variant"], sort=False):
        theirs = baseline.runs[(baseline.runs.framework == variant[0]) & (baseline.runs.variant == variant[1])]
        if variant[1].endswith(CONTROL) or not (theirs.record != "").any():
            continue
        before, after = _versions(theirs), _versions(rows)
        changed = [
            f"{name} {before.get(name, 'none')} → {after.get(name, 'none')}"
            for name in sorted(before.keys() | after.keys())
            if before.get(name) != after.get(name)
        ]
        changed += ["other files of the model"] if _only(theirs, "model_hash") != _only(rows, "model_hash") else []
        if changed:
            notes.append(f"{'/'.join(variant)}: {', '.join(changed)}.")
    codes = _codes(baseline, candidate)
    if codes[0] != codes[1]:
        notes.append(f"The measuring code differs: {codes[0] or 'unknown'} and {codes[1] or 'unknown'}.")
    return notes


def _codes(baseline: Set, candidate: Set) -> list[str]:
    """Of each set, the digest of the code that measured it."""
    return [_only(one.runs, "code") for one in (baseline, candidate)]


def _versions(rows: pandas.DataFrame) -> dict[str, str]:
    """Package → version or versions of these rows."""
    return {package: " and ".join(seen) for package, seen in versions(rows).items()}


def _only(rows: pandas.DataFrame, column: str) -> str:
    return " and ".join(sorted(set(rows[column][rows[column] != ""])))


def compare_sets(baseline: Set, candidate: Set, margin: float, other_machine: bool = False) -> pandas.DataFrame:
    """A row a cell that either set has, then the canary's parts, then each set's A/A controls.

    The sets were measured at different times, so that no block of one belongs to a block of the other: the ratios are
    unpaired (`compare_unpaired`), with Holm over all cells that have a p value. A cell is the same if its definition
    is; on the full data set each set runs it at its own best batch size. A cell whose labels differ between the sets
    has no ratio.

    No claim stands where the canary's GEMM, work that no version of a framework changes, came out `faster` or `slower`
    on one machine with one NumPy; nor one of a device on which an A/A control of a set did.

    Args:
        margin: ratios within 1/(1 + margin) … 1 + margin are as good as equal.
        other_machine: the sets come from two machines: what the canary says of them is no reason to doubt a ratio.
    """
    rule = Rule(margin)
    cells = [_cell(*each, baseline, candidate, rule) for each in _matched(baseline, candidate)]
    tested = [one for one in cells if one.found]
    for one, found in zip(tested, correct_for_many([one.found for one in tested]), strict=True):
        one.found = found
    tests = sum(one.found.p is not None for one in tested)
    canaries = _canaries(baseline, candidate, rule)
    controls = [_controls(one, margin) for one in (baseline, candidate)]
    _withdraw(tested, [] if other_machine else canaries, [*controls[0], *controls[1]])
    rows = []
    for one in cells:
        noises = [Noise.pooled([each.found for each in of if each.device == one.device]) for of in controls]
        rows.append(_shown(one, tests, noises))
    rows += [_shown(one, 1) for one in (*canaries, *controls[0], *controls[1])]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["compare"]))


def common_shift(table: pandas.DataFrame) -> str:
    """A line where all cells moved the same way by more than half of the margin, as a slower machine makes them."""
    ratios = table[(table.kind == CELL) & table.speedup.notna()]
    if len(ratios) < LEAST_BLOCKS or not ((ratios.speedup > 1).all() or (ratios.speedup < 1).all()):
        return ""
    shift = float(numpy.exp(numpy.log(ratios.speedup).median()))
    if abs(math.log(shift)) <= math.log(1 + ratios.margin.iloc[0]) / 2:
        return ""
    return (
        f"All {len(ratios)} cells moved the same way (the median: {shift:.2f} times as fast): that is what another "
        "state of the machine looks like, too."
    )


def _matched(baseline: Set, candidate: Set) -> list[tuple[dict[str, Any] | None, dict[str, Any] | None]]:
    """The cell of each set, None where one lacks it, in the order of the baseline, then of the candidate."""
    one, two = _cells(baseline), _cells(candidate)
    return [(one.get(key), two.get(key)) for key in dict.fromkeys([*one, *two])]


def _cells(of: Set) -> dict[tuple[str, ...], dict[str, Any]]:
    """(role, and what its folder says of the cell) → the cell as its grid names it, with its rows."""
    folders = of.runs.record.map(lambda path: str(PurePosixPath(path).parent))
    found = {}
    for cell in of.grid["cells"]:
        if not Cell.parse(cell["name"]).variant.endswith(CONTROL):
            rows = of.runs[folders == cell["folder"]]
            found[cell["dataset"], *PurePosixPath(cell["folder"]).parts[-5:]] = cell | {"rows": rows}
    return found


def _cell(one: dict[str, Any] | None, two: dict[str, Any] | None, baseline: Set, candidate: Set, rule: Rule) -> _Row:
    known = one or two
    sides = [None if side is None else side["rows"] for side in (one, two)]
    row = {"kind": CELL, "dataset": known["dataset"]}
    for name, cell, rows in zip(("baseline", "candidate"), (one, two), sides, strict=True):
        named = rows.iloc[0].to_dict() if rows is not None and len(rows) else None
        row[name] = "" if cell is None else cell_name(named) if named else cell["name"]
    result = _Row(row, Cell.parse(known["name"]).device)
    worked = [rows is not None and (rows.status == "ok").any() for rows in sides]
    if not all(worked):
        reasons = [
            "" if fine else _why(known, cell, rows, of)
            for fine, cell, rows, of in zip(worked, (one, two), sides, (baseline, candidate), strict=True)
        ]
        row["verdict"] = VANISHED if worked[0] else APPEARED if worked[1] else TOO_FEW
        row["reason"] = "; ".join(filter(None, reasons))
        return result
    good = [rows[usable(rows)] for rows in sides]
    result.repeats = (len(good[0]), len(good[1]))
    row["images"] = sides[0].images.iloc[0]
    row["baseline_repeats"], row["candidate_repeats"] = result.repeats
    if not all(result.repeats):
        names = [of.name for of, rows in zip((baseline, candidate), good, strict=True) if rows.empty]
        row |= {"verdict": TOO_FEW, "reason": f"no repeat of {' and '.join(names)} may carry a claim"}
        return result
    paths = [rows[rows.status == "ok"].sort_values("block").record for rows in sides]
    said = [(baseline.predictions(first), candidate.predictions(second)) for first, second in zip(*paths, strict=False)]
    least = max(of.grid["agreement"] for of in (baseline, candidate))
    lossy = [of.name for of, rows in zip((baseline, candidate), sides, strict=True) if not whole(rows).all()]
    parity = gate(said, baseline.labels(row["dataset"]), least, lossy)
    row["agreement"] = parity["agreement"]
    if not parity["passed"]:
        row |= {"verdict": PARITY_FAILED, "reason": parity["reason"]}
        return result
    row["baseline_throughput"], row["candidate_throughput"] = (rows.throughput.median() for rows in good)
    result.found = compare_unpaired(*(rows.wall_seconds.to_numpy() for rows in good), rule)
    return result


def _why(known: dict[str, Any], cell: dict[str, Any] | None, rows: pandas.DataFrame | None, of: Set) -> str:
    """Why a set has no number of a cell."""
    if cell is None:
        for other in of.grid["cells"]:
            if (other["dataset"], other["name"]) == (known["dataset"], known["name"]):
                slug = PurePosixPath(other["folder"]).parts[-4]
                return f"{of.name} defines the variant otherwise ({slug})"
        skipped = [
            reason for role, name, reason in of.grid["skipped"] if (role, name) == (known["dataset"], known["name"])
        ]
        return skipped[0] if skipped else f"{of.name} does not have it"
    if not len(rows):
        return f"{of.name} has no record of it"
    first = rows.iloc[0]
    return f"no repeat of {of.name} worked: {': '.join(filter(None, (first.status, first.reason)))}"


def _canaries(baseline: Set, candidate: Set, rule: Rule) -> list[_Row]:
    """A row for each part of the canary: one over its rate, by the median of each block of each set."""
    codes = _codes(baseline, candidate)
    rows = []
    for part, (name, package) in CANARIES.items():
        seconds = []
        for of in (baseline, candidate):
            blocks: dict[tuple[str, int], list[float]] = {}
            for one in of.canaries:
                if one[part]:
                    blocks.setdefault((role_of(one["dataset"]), one["block"]), []).append(1 / one[part])
            seconds.append([median(values) for values in blocks.values()])
        if not all(seconds):
            continue
        versions = [of.packages.get(package, "") for of in (baseline, candidate)]
        row = {"kind": CANARY, "baseline": f"canary, {name}", "candidate": f"canary, {name}"}
        row |= {"baseline_repeats": len(seconds[0]), "candidate_repeats": len(seconds[1])}
        found = compare_unpaired(*seconds, rule)
        if versions[0] != versions[1]:
            reason = f"says nothing of the machine: {package} {versions[0] or 'unknown'} and {versions[1] or 'unknown'}"
            found = replace(found, reason=reason)
        elif part != DECIDES and codes[0] != codes[1]:
            # It decodes into another place, by another package, since 2026-11-26.
            found = replace(found, reason="says nothing of the machine: the measuring code differs")
        rows.append(_Row(row, "", found, (len(seconds[0]), len(seconds[1]))))
    return rows


def _controls(of: Set, margin: float) -> list[_Row]:
    """A row for each A/A control of a set: a cell against itself, by the set's own blocks and looks."""
    rule = replace(Rule.of(of.grid, "full"), margin=margin)
    rows = []
    for one, other, group in comparisons(of.runs, of.grid["baseline"]):
        first, second = rows_of(of.runs, one), rows_of(of.runs, other)
        blocks = seconds_by_block(first), seconds_by_block(second)
        if group != CONTROL_GROUP or not blocks[0].keys() & blocks[1].keys():
            continue
        row = {"kind": CONTROLS, "baseline": cell_name(one), "candidate": cell_name(other), "dataset": one["dataset"]}
        row["images"] = first.images.iloc[0]
        row["reason"] = f"within {of.name}"
        found = compare(*blocks, rule)
        row |= dict.fromkeys(("baseline_repeats", "candidate_repeats"), found.blocks)
        rows.append(_Row(row, one["device"], found, (found.blocks, found.blocks)))
    for device in {one.device for one in rows}:
        members = [one for one in rows if one.device == device]
        for one, found in zip(members, correct_for_many([one.found for one in members]), strict=True):
            one.found = found
    return rows


def _withdraw(cells: list[_Row], canaries: list[_Row], controls: list[_Row]) -> None:
    """Take back the claims of cells where something besides them made a difference."""
    doubts = [
        ("", f"no claim is to be believed: the machine itself was {one.found.ratio:.2f} times as fast by its canary")
        for one in canaries
        if CANARIES[DECIDES][0] in one.row["baseline"] and not one.found.reason and one.found.verdict in DIFFERENT
    ]
    doubts += [
        (
            one.device,
            f"no claim of this device is to be believed: {one.row['baseline']} came out {one.found.verdict} against "
            f"itself {one.row['reason']}",
        )
        for one in controls
        if one.found.verdict in DIFFERENT
    ]
    for device, reason in doubts:
        for cell in cells:
            if device in ("", cell.device) and cell.found.verdict in CLAIMS:
                cell.found = replace(cell.found, verdict=INCONCLUSIVE, reason=reason)


def _shown(one: _Row, tests: int, noises: Iterable[Noise | None] = ()) -> dict[str, Any]:
    """The row with what was found, and what it lacks for a verdict.

    Args:
        tests: number of cells that are corrected together.
        noises: of the A/A controls of both sets on its device.
    """
    found, row = one.found, one.row
    if found is None:
        return row
    reasons = [row.get("reason"), found.reason]
    row = row | {"speedup": found.ratio, "low": found.low, "high": found.high, "verdict": found.verdict}
    row |= {"p_holm": found.p, "margin": found.rule.margin}
    if found.error == found.error:
        # A cell that alone has changed must pass the first and hardest step of Holm's procedure.
        row["smallest_detectable"] = detectable(found.error, found.freedom, ALPHA / max(tests, 1), found.rule.margin)
    noises = list(noises)
    if noises and all(noises):
        between = Noise.between(*noises, one.repeats)
        row |= dict(zip(("floor", "floor_low", "floor_high"), between.floor(1), strict=True))
    if row["kind"] == CELL and found.verdict in UNDECIDED and found.spread == found.spread:
        brings = min(2.0, max(1.0, found.freedom / (found.blocks - 1)))
        needed = blocks_needed(found.ratio, found.spread, ALPHA, found.rule.margin, brings, max(tests, 1))
        row["blocks_needed"] = max(found.blocks + 1, needed)
        reasons.append(
            f"a verdict (±{found.rule.margin:.0%}) takes {about(row['blocks_needed'])} repeats in each set at this "
            "noise if the ratio is the one found"
        )
    return row | {"reason": "; ".join(filter(None, reasons)) or None}

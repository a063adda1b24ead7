"""From the runs table to the tables that everything is drawn from: summary, best batch size, parity, speedup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from itertools import combinations
from typing import Any

import pandas

from vitbench.accuracy import share_right
from vitbench.analysis.statistics import ALPHA, FLOOR, Comparison, compare, holm, noise_floor, within_noise
from vitbench.inputs.datasets import Image
from vitbench.plan.grid import CONTROL
from vitbench.records.record import cell_name

SOURCE = ["source", "machine", "protocol", "model"]
VARIANT = ["framework", "variant", "device", "workers"]
CELL = [*SOURCE, "dataset", "images", *VARIANT, "batch_size"]
BEST_GROUP, SAME_GROUP = "each at its best batch size, full", "same batch size, sample"
CONTROL_GROUP = "A/A control"
# A longer gap between two repeats (seconds) is an interruption of the run; preparing is before the first.
INTERRUPTION = 60
# Flags of a repeat on which no claim may rest.
NOT_FOR_CLAIMS = ("suspect", "not warm")
# What a plain RGB JPEG is called, whose `form` in the manifest is empty.
PLAIN = "JPEG"

Predictions = Callable[[str], list[tuple[str, str, float | None]]]


def usable(runs: pandas.DataFrame) -> pandas.Series:
    """Which rows of the runs table may carry a claim: ok, on a quiet machine, and warm."""
    flags = runs["flags"].fillna("").str.split(";")
    return (runs.status == "ok") & ~flags.map(lambda given: any(flag in NOT_FOR_CLAIMS for flag in given))


def summary(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a cell: usable repeats, median, low, high (range) and cv of wall seconds, and what goes with them.

    `status` is ok where at least one repeat is, otherwise the commonest failure. `set_aside` counts the ok repeats that
    are suspect or not warm; where all are, the numbers are theirs, and `repeats` is 0.
    """
    rows = []
    may_carry = usable(runs)
    for key, group in runs.groupby(CELL, dropna=False, sort=False):
        worked, carrying = group[group.status == "ok"], group[may_carry[group.index]]
        good = carrying if len(carrying) else worked
        first = (good if len(good) else group).iloc[0]
        seconds, rates = good.wall_seconds, good.throughput
        flags = sorted({flag for flags in group["flags"].dropna() for flag in str(flags).split(";") if flag})
        rows.append(
            dict(zip(CELL, key, strict=True))
            | {
                "effective_batch_size": first.effective_batch_size,
                "status": "ok" if len(good) else group.status.mode()[0],
                "repeats": len(carrying),
                "set_aside": len(worked) - len(carrying),
                "median": seconds.median(),
                "low": seconds.min(),
                "high": seconds.max(),
                "cv": seconds.std() / seconds.mean() if len(good) > 1 else None,
                "throughput": rates.median(),
                "throughput_low": rates.min(),
                "throughput_high": rates.max(),
                "cold_median": good.cold_seconds.median(),
                "start_median": good.start_seconds.median(),
                "load_median": good.load_seconds.median(),
                "accuracy": good.accuracy.min(),
                "precision": first.precision,
                "setting": first.setting,
                "flags": ";".join(flags),
                "reason": None if len(good) else first.reason,
            }
        )
    return pandas.DataFrame(rows)


def time_budget(runs: pandas.DataFrame) -> pandas.DataFrame:
    """Where the time of a run went: a row a part, with seconds and its share of the whole, `total` last.

    Own overhead is what is neither start, load, passes nor gates: describing and stopping a repeat, writing its record,
    and the time from the end of one repeat to the start of the next (hashes, Snakemake). Attempts that were set aside
    are a part of their own. Gaps above INTERRUPTION seconds are no part of the run: it was stopped and continued.
    """
    tried = runs[runs.started != ""]
    begun = pandas.to_datetime(tried.started, utc=True)  # of the attempt that counts, after those that were set aside
    ended = begun + pandas.to_timedelta(tried.total_seconds, unit="s")
    begun -= pandas.to_timedelta(tried.set_aside_seconds, unit="s")
    order = begun.sort_values().index
    gaps = (begun[order].shift(-1) - ended[order]).dt.total_seconds().dropna().clip(lower=0)
    passes = tried.pass_seconds.map(lambda given: sum(map(float, filter(None, given.split(";"))))).sum()
    parts = {
        "start": tried.start_seconds.sum(),
        "load": tried.load_seconds.sum(),
        "passes": passes,
        "gates": tried.gates_seconds.sum(),
        "attempts set aside": tried.set_aside_seconds.sum(),
    }
    inside = tried.total_seconds.sum() - sum(parts.values()) + parts["attempts set aside"]
    parts["own overhead"] = inside + gaps[gaps <= INTERRUPTION].sum()
    parts["total"] = sum(parts.values())
    rows = [{"part": part, "seconds": seconds, "share": seconds / parts["total"]} for part, seconds in parts.items()]
    return pandas.DataFrame(rows, columns=["part", "seconds", "share"])


def seconds_by_block(runs: pandas.DataFrame) -> dict[int, float]:
    """block → wall seconds of the usable repeats of one cell."""
    good = runs[usable(runs)]
    return {int(block): float(seconds) for block, seconds in zip(good.block, good.wall_seconds, strict=True)}


def choose_batch_size(sweep: pandas.DataFrame) -> dict[str, Any]:
    """The best batch size of one variant: the smallest that cannot be told from the fastest.

    Batch sizes that came to the same effective batch size are repeats of one cell and stand or fall together: the
    smallest of them is the one that counts.

    Args:
        sweep: rows of the runs table: one variant, device and number of workers on the sample.
    Returns:
        batch_size (None if no batch size worked), median (seconds), reason.
    """
    whole = sweep[~sweep["flags"].fillna("").str.contains("images lost")]
    if (whole.status == "ok").any():  # what loses images is fast for the wrong reason
        sweep = whole
    cells = {int(size): seconds_by_block(group) for size, group in sweep.groupby("batch_size")}
    cells = {size: blocks for size, blocks in cells.items() if blocks}
    if not cells:
        return {"batch_size": None, "median": None, "reason": "no batch size of the sweep worked"}
    effective = sweep[sweep.status == "ok"].groupby("batch_size").effective_batch_size.first()
    distinct: dict[Any, int] = {}
    for size in sorted(cells):
        seen = effective.get(size)
        distinct.setdefault(size if pandas.isna(seen) else seen, size)
    medians = {size: float(pandas.Series(cells[size].values()).median()) for size in distinct.values()}
    fastest = min(medians, key=medians.__getitem__)
    comparable = [size for size in medians if cells[size].keys() & cells[fastest].keys()]
    best = min(size for size in comparable if within_noise(cells[fastest], cells[size]))
    reason = "fastest" if best == fastest else f"smallest within noise of the fastest, {fastest}"
    if len(distinct) < len(cells):
        collapsed = sorted(cells.keys() - set(distinct.values()))
        reason += f"; the same batches as a smaller one: {', '.join(map(str, collapsed))}"
    return {"batch_size": best, "median": medians[best], "reason": reason}


def best_batch_sizes(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a variant: what the sweep says now, and `kept`, the batch size that its full runs used."""
    rows = []
    tried = runs[(runs.status != "skipped") & ~runs.variant.str.endswith(CONTROL)]  # the control keeps another's choice
    for key, group in tried.groupby(VARIANT, sort=False):
        sweep, full = group[group.dataset == "sample"], group[group.dataset == "full"]
        now = choose_batch_size(sweep) if len(sweep) else {"batch_size": None, "median": None, "reason": "no sweep"}
        kept = full.batch_size.dropna().iloc[0] if full.batch_size.notna().any() else None
        if kept is not None and now["batch_size"] not in (None, kept):
            now["reason"] += f"; the full run keeps {kept:g}, chosen when it was first measured"
        rows.append(dict(zip(VARIANT, key, strict=True)) | now | {"kept": kept})
    return pandas.DataFrame(rows, columns=[*VARIANT, "batch_size", "median", "kept", "reason"])


def comparisons(runs: pandas.DataFrame, baseline: str) -> list[tuple[dict[str, Any], dict[str, Any], str]]:
    """The pairs of cells to compare, as (baseline key, candidate key, group); keys hold dataset and cell columns.

    On each device every variant against the baseline variant; every variant on another device against itself on the
    first. On the full data set each at its best batch size, on the sample at the same batch size.
    """
    tried = runs[runs.status != "skipped"]
    cells = tried[["dataset", *VARIANT, "batch_size"]].drop_duplicates().to_dict("records")
    pairs = []
    for one, other in [pair for first, second in combinations(cells, 2) for pair in ((first, second), (second, first))]:
        if one["dataset"] != other["dataset"] or one["workers"] != other["workers"]:
            continue
        if one["dataset"] == "sample" and one["batch_size"] != other["batch_size"]:
            continue
        same_device, same_variant = one["device"] == other["device"], _variant(one) == _variant(other)
        of_baseline = same_device and _variant(one) == baseline and not same_variant
        of_devices = same_variant and one["device"] == "cpu" and other["device"] != "cpu"
        if of_baseline and _variant(other) == baseline + CONTROL:
            pairs.append((one, other, CONTROL_GROUP))
        elif of_baseline or of_devices and not one["variant"].endswith(CONTROL):
            pairs.append((one, other, BEST_GROUP if one["dataset"] == "full" else SAME_GROUP))
    groups = (BEST_GROUP, SAME_GROUP, CONTROL_GROUP)
    return sorted(pairs, key=lambda pair: (groups.index(pair[2]), pair[0]["batch_size"]))


def parity(
    runs: pandas.DataFrame,
    baseline: str,
    predictions: Predictions,
    labels: Callable[[str], dict[str, str]],
    least: float,
    forms: Callable[[str], dict[str, str]] = lambda role: {},
) -> pandas.DataFrame:
    """A row a pair of `comparisons`: whether both answered once for each image, and how often with the same label.

    Args:
        predictions: record path → (id, label, score) of its last pass.
        labels: role of the data set → id → what `vitbench.accuracy.expected` wants of every valid image.
        least: share of equal labels below which the pair fails.
        forms: role of the data set → id → form of every valid image, "" for a plain JPEG.
    """
    rows = []
    for one, other, _ in comparisons(runs, baseline):
        first, second = _of(runs, one), _of(runs, other)
        wanted = labels(one["dataset"])
        blocks = [
            _compare_predictions(predictions(first[block]), predictions(second[block]), wanted)
            for block in sorted(first.keys() & second.keys())
        ]
        row = {"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other)}
        row |= _worst(blocks, len(wanted), least)
        row["differing"] = _by_form(row.get("unequal", ()), wanted, forms(one["dataset"]))
        rows.append(row)
    return pandas.DataFrame(rows, columns=PARITY_COLUMNS)


PARITY_COLUMNS = [
    "dataset",
    "baseline",
    "candidate",
    "images",
    "compared",
    "agreement",
    "lost",
    "duplicated",
    "baseline_accuracy",
    "candidate_accuracy",
    "probability_difference",
    "passed",
    "reason",
    "differing",
]


def images(data_sets: dict[str, tuple[str, list[Image]]]) -> pandas.DataFrame:
    """A row for each form of the images that are used and each reason to leave a file out, by data set.

    Args:
        data_sets: role → name and manifest.
    Returns:
        dataset (role), name, used (bool), what (form or reason), images (how many), first (source of the first one).
    """
    rows = []
    for role, (name, manifest) in data_sets.items():
        found: dict[tuple[bool, str], list[str]] = {}
        for image in manifest:
            what = (image.form or PLAIN) if image.valid else image.reason
            found.setdefault((image.valid, what), []).append(image.source)
        for (used, what), sources in sorted(found.items(), key=lambda one: (not one[0][0], -len(one[1]), one[0][1])):
            rows.append((role, name, used, what, len(sources), sources[0]))
    return pandas.DataFrame(rows, columns=["dataset", "name", "used", "what", "images", "first"])


def speedup(
    runs: pandas.DataFrame,
    baseline: str,
    gate: pandas.DataFrame,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:
    """A row a pair of `comparisons`: ratio of median wall seconds, interval or range, verdict.

    There is no ratio if parity failed or a side is faster than the machine can be.

    `floor` is the ratio beyond which a difference counts: what the A/A control of that device could not tell apart, at
    least 1 + FLOOR. `p_holm` is the p value of the paired t test of the log ratios, adjusted for all comparisons of the
    table but the control's.

    Args:
        gate: the table of `parity` for the same runs and baseline.
        impossible: (dataset, cell name) of cells above the machine's peak.
    """
    passed = {(row.dataset, row.baseline, row.candidate): row for row in gate.itertuples()}
    rows = []
    pairs = comparisons(runs, baseline)
    floors = _floors(runs, pairs)
    for one, other, group in pairs:
        first, second = _rows(runs, one), _rows(runs, other)
        row = {"baseline": cell_name(one), "candidate": cell_name(other), "dataset": one["dataset"]}
        # The control is judged by the least floor, for its own would make any difference a tie.
        floor = 1 + FLOOR if group == CONTROL_GROUP else floors.get(other["device"], 1 + FLOOR)
        row |= {"images": first.images.iloc[0], "comparison": group, "floor": floor}
        blocks = seconds_by_block(first), seconds_by_block(second)
        checked = passed[(row["dataset"], row["baseline"], row["candidate"])]
        if not blocks[0].keys() & blocks[1].keys():
            failed = [rows.status.iloc[0] for rows in (first, second) if not (rows.status == "ok").any()]
            reason = f"no repeat worked: {failed[0]}" if failed else "no block in which both were usable"
            row |= {"verdict": "too few repeats", "blocks": 0, "reason": reason}
        elif above := [name for name in (row["baseline"], row["candidate"]) if (row["dataset"], name) in impossible]:
            row |= {"verdict": "impossible", "reason": f"{' and '.join(above)}: faster than this machine can multiply"}
        elif not checked.passed:
            row |= {"verdict": "parity failed", "reason": checked.reason, "agreement": checked.agreement}
        else:
            row |= _shown(compare(*blocks, floor)) | {"agreement": checked.agreement}
            row["baseline_throughput"] = first[usable(first)].throughput.median()
            row["candidate_throughput"] = second[usable(second)].throughput.median()
        rows.append(row)
    _correct_for_many(rows)
    return pandas.DataFrame(rows, columns=SPEEDUP_COLUMNS)


def _floors(runs: pandas.DataFrame, pairs: list[tuple[dict[str, Any], dict[str, Any], str]]) -> dict[str, float]:
    """device → noise floor, where its A/A control has blocks."""
    floors = {}
    for one, other, group in pairs:
        blocks = seconds_by_block(_rows(runs, one)), seconds_by_block(_rows(runs, other))
        if group == CONTROL_GROUP and blocks[0].keys() & blocks[1].keys():
            floors[other["device"]] = noise_floor(compare(*blocks))
    return floors


def _correct_for_many(rows: list[dict[str, Any]]) -> None:
    """Adjust the p values of a table of comparisons; a difference that many comparisons explain by chance is a tie."""
    tested = [row for row in rows if row.get("p_holm") is not None and row["comparison"] != CONTROL_GROUP]
    for row, adjusted in zip(tested, holm([row["p_holm"] for row in tested]), strict=True):
        row["p_holm"] = adjusted
        if row["verdict"] in ("faster", "slower") and adjusted >= ALPHA:
            row["verdict"] = "tie"
            row["reason"] = f"not certain among {len(tested)} comparisons (Holm: p = {adjusted:.2f})"


SPEEDUP_COLUMNS = [
    "baseline",
    "candidate",
    "dataset",
    "speedup",
    "low",
    "high",
    "verdict",
    "blocks",
    "faster_blocks",
    "p_holm",
    "floor",
    "images",
    "baseline_throughput",
    "candidate_throughput",
    "agreement",
    "comparison",
    "reason",
]


def _shown(comparison: Comparison) -> dict[str, Any]:
    return {
        "speedup": comparison.ratio,
        "low": comparison.low,
        "high": comparison.high,
        "verdict": comparison.verdict,
        "blocks": comparison.blocks,
        "faster_blocks": comparison.faster_blocks,
        "p_holm": comparison.p,
    }


def _variant(cell: dict[str, Any]) -> str:
    return f"{cell['framework']}/{cell['variant']}"


def _rows(runs: pandas.DataFrame, cell: dict[str, Any]) -> pandas.DataFrame:
    keep = pandas.Series(True, index=runs.index)
    for column, value in cell.items():
        keep &= runs[column].isna() if pandas.isna(value) else runs[column] == value
    return runs[keep]


def _of(runs: pandas.DataFrame, cell: dict[str, Any]) -> dict[int, str]:
    """block → path of the record, of the ok repeats of a cell."""
    good = _rows(runs, cell)
    good = good[good.status == "ok"]
    return {int(block): record for block, record in zip(good.block, good.record, strict=True)}


def _compare_predictions(
    first: list[tuple[str, str, float | None]], second: list[tuple[str, str, float | None]], wanted: dict[str, str]
) -> dict[str, Any]:
    """Compare what two repeats said, image by image."""
    answers = []
    lost: set[str] = set()
    duplicated: set[str] = set()
    for predictions in (first, second):
        counts: dict[str, int] = {}
        for image, _, _ in predictions:
            counts[image] = counts.get(image, 0) + 1
        lost |= wanted.keys() - counts.keys()
        duplicated |= {image for image, count in counts.items() if count > 1}
        answers.append({image: (label, score) for image, label, score in predictions if counts[image] == 1})
    common = [image for image in wanted if all(image in answer for answer in answers)]
    equal = [image for image in common if answers[0][image][0] == answers[1][image][0]]
    unequal = sorted(wanted.keys() - set(equal))
    scores = [
        abs(answers[0][image][1] - answers[1][image][1])
        for image in equal
        if answers[0][image][1] is not None and answers[1][image][1] is not None
    ]
    return {
        "unequal": unequal,
        "compared": len(common),
        "agreement": len(equal) / len(common) if common else 0.0,
        "lost": lost,
        "duplicated": duplicated,
        "baseline_accuracy": share_right(first, wanted),
        "candidate_accuracy": share_right(second, wanted),
        "probability_difference": float(pandas.Series(scores).median()) if scores else None,
    }


def _by_form(unequal: Iterable[str], wanted: Iterable[str], forms: dict[str, str]) -> str:
    """Which forms of image are answered differently (or by one alone): "3 of 5 JPEG, CMYK; 1 of 40 JPEG"."""
    total = Counter(forms.get(image) or PLAIN for image in wanted)
    differing = Counter(forms.get(image) or PLAIN for image in unequal)
    return "; ".join(f"{count} of {total[form]} {form}" for form, count in differing.most_common())


def _worst(blocks: list[dict[str, Any]], images: int, least: float) -> dict[str, Any]:
    """The least favourable of the compared blocks, and whether even that passes."""
    if not blocks:
        return {
            "images": images,
            "compared": 0,
            "passed": False,
            "reason": "nothing to compare: no block worked in both",
        }
    worst = min(blocks, key=lambda block: (block["agreement"], block["compared"]))
    lost = sorted(set().union(*(block["lost"] for block in blocks)))
    duplicated = sorted(set().union(*(block["duplicated"] for block in blocks)))
    reasons = [
        f"{len(lost)} images lost" if lost else "",
        f"{len(duplicated)} images answered twice" if duplicated else "",
        f"labels equal for {worst['agreement']:.1%}, {least:.0%} needed" if worst["agreement"] < least else "",
    ]
    reason = "; ".join(filter(None, reasons))
    return worst | {
        "images": images,
        "lost": ";".join(lost),
        "duplicated": ";".join(duplicated),
        "passed": not reason,
        "reason": reason or None,
    }

"""Speedup: how many times as fast one cell is as another, with its interval and verdict."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy
import pandas

from vitbench import tables
from vitbench.analysis import fairness
from vitbench.analysis.looks import ALPHA, Rule
from vitbench.analysis.pairs import CONTROLS, EXPLORATORY, SAME_GROUP, comparisons, declared, family, rows_of
from vitbench.analysis.statistics import (
    MOST_BLOCKS,
    NEVER_DECIDED,
    Comparison,
    Noise,
    blocks_needed,
    compare,
    correct_for_many,
    smallest_detectable,
)
from vitbench.analysis.summary import seconds_by_block, usable
from vitbench.cells import LEAST_BLOCKS, NAME_COLUMNS, VARIANT, cell_name, device_in, role_of, variant_key
from vitbench.verdicts import CLAIMS, DIFFERENT, IMPOSSIBLE, INCONCLUSIVE, PARITY_FAILED, TOO_FEW, UNDECIDED

DOUBT = "the A/A control of this device found a difference where there is none"


@dataclass
class _Pair:
    """One row of the table, and what its verdict is made of; `found` is None where there is no ratio."""

    row: dict[str, Any]
    device: str
    candidate: str
    found: Comparison | None = None

    @property
    def devices(self) -> set[str]:
        return {self.device, device_in(self.row["baseline"])}

    @property
    def family(self) -> tuple[str, str]:
        """Comparisons that are corrected together: the exploratory ones of one variant, the others of one device."""
        return (self.row["family"], self.candidate if self.row["family"] == EXPLORATORY else self.device)


def speedup(
    runs: pandas.DataFrame,
    baseline: str,
    parity_table: pandas.DataFrame,
    impossible: Collection[tuple[str, str]] = (),
    rules: dict[str, Rule] | None = None,
    trials: Mapping[str, int] | None = None,
) -> pandas.DataFrame:
    """A row a pair of `comparisons`: ratio of wall seconds with its interval or range (`compare`), and the verdict.

    There is no ratio if parity failed or a side is faster than the machine can be. Where an A/A control of a device
    comes out `faster` or `slower`, something besides the cells made a difference there, and no claim with a side on
    that device stands. `p_holm` is adjusted within the row's `family`: primary and control for each device, exploratory
    rows for each candidate variant, so that no other variant turns their verdicts. `fairness` says on which terms the
    two were compared (`vitbench.analysis.fairness`). `floor` is what the pooled A/A ratios of the device let noise
    alone reach with the row's blocks, and `floor_low`, `floor_high` its 95% interval; no verdict rests on it. There is
    none between two devices.

    Args:
        parity_table: that of `parity` for the same runs and baseline.
        impossible: (dataset, cell name) of cells above the machine's peak.
        rules: role → by what its comparisons are judged; a fixed number of blocks where there is none.
        trials: framework/variant → settings among which a search chose it; of others the batch sizes of the sweep.
    """
    rules = rules or {}
    passed = {(row.dataset, row.baseline, row.candidate): row for row in parity_table.itertuples()}
    asked, tried = declared(runs, baseline), fairness.trials_of(runs, trials)
    pairs = [
        _pair(runs, one, other, group, passed, impossible, rules.get(one["dataset"]), asked, tried)
        for one, other, group in comparisons(runs, baseline)
    ]
    _correct(pairs)
    noise = {
        device: Noise.pooled([one.found for one in pairs if one.found and one.device == device and _is_control(one)])
        for device in {one.device for one in pairs}
    }
    # A block of `sizes` measures all of its data sets.
    roles = runs.dataset.map(role_of)
    hours = {dataset: hours_of_a_block(runs[roles == role_of(dataset)]) for dataset in runs.dataset.unique()}
    rows = [_shown(one, pairs, noise[one.device] if len(one.devices) == 1 else None, hours) for one in pairs]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["speedup"]))


def doubted(speedup: pandas.DataFrame) -> set[str]:
    """Devices one of whose A/A controls came out faster or slower than itself: no claim on times there stands.

    Args:
        speedup: that table, whose own claims are taken back already.
    """
    unequal = speedup[(speedup.family == CONTROLS) & speedup.verdict.isin(DIFFERENT)]
    return set(unequal.candidate.map(device_in))


def without_claim(found: Comparison) -> Comparison:
    """A comparison on a `doubted` device: what it claims, it does not."""
    return replace(found, verdict=INCONCLUSIVE, reason=DOUBT) if found.verdict in CLAIMS else found


def hours_of_a_block(runs: pandas.DataFrame) -> float:
    """About how many hours one more block of these cells takes: each cell's mean, attempts set aside included."""
    tried = runs[runs.total_seconds.notna()]
    cells = tried.groupby(["dataset", *NAME_COLUMNS], dropna=False)
    seconds = cells.total_seconds.mean() + cells.set_aside_seconds.mean().fillna(0)
    return float(seconds.sum()) / 3600


def _is_control(pair: _Pair) -> bool:
    return pair.row["family"] == CONTROLS


def _pair(
    runs: pandas.DataFrame, one: dict[str, Any], other: dict[str, Any], group: str,
    passed: dict[tuple[str, str, str], Any], impossible: Collection[tuple[str, str]], rule: Rule | None,
    asked: set[tuple[str, str]], tried: dict[tuple[Any, ...], float],
) -> _Pair:  # fmt: skip
    first, second = rows_of(runs, one), rows_of(runs, other)
    row = {"baseline": cell_name(one), "candidate": cell_name(other), "dataset": one["dataset"]}
    row |= {"images": first.images.iloc[0], "comparison": group, "family": family(one, other, group, asked)}
    row |= _terms(first, second, row, tried)
    blocks = seconds_by_block(first), seconds_by_block(second)
    checked = passed[(row["dataset"], row["baseline"], row["candidate"])]
    pair = _Pair(row, other["device"], variant_key(other))
    if not blocks[0].keys() & blocks[1].keys():
        failed = [rows.status.iloc[0] for rows in (first, second) if not (rows.status == "ok").any()]
        reason = f"no repeat worked: {failed[0]}" if failed else "no block in which both were usable"
        row |= {"verdict": TOO_FEW, "blocks": 0, "reason": reason}
    elif above := [name for name in (row["baseline"], row["candidate"]) if (row["dataset"], name) in impossible]:
        row |= {"verdict": IMPOSSIBLE, "reason": f"{' and '.join(above)}: faster than this machine can multiply"}
    elif not checked.passed:
        row |= {"verdict": PARITY_FAILED, "reason": checked.reason, "agreement": checked.agreement}
    else:
        pair.found = compare(*blocks, rule)
        row |= {"agreement": checked.agreement}
        row["baseline_throughput"] = first[usable(first)].throughput.median()
        row["candidate_throughput"] = second[usable(second)].throughput.median()
    return pair


def _terms(
    first: pandas.DataFrame, second: pandas.DataFrame, row: dict[str, Any], tried: dict[tuple[Any, ...], float]
) -> dict[str, Any]:
    """The columns of a row that say on which terms it compares; a cell and its control are the same setting."""
    trials = tuple(tried[tuple(side[VARIANT].iloc[0])] for side in (first, second))
    said: dict[str, Any] = {"baseline_trials": trials[0], "candidate_trials": trials[1]}
    if row["family"] == CONTROLS:
        return said
    sides = fairness.Terms.of(first), fairness.Terms.of(second)
    # At the same batch size nothing is at its best.
    return said | {"fairness": fairness.label(*sides, None if row["comparison"] == SAME_GROUP else trials)}


def _correct(pairs: list[_Pair]) -> None:
    """Adjust each family for its number, then take back the claims of a device whose control is no equal of itself."""
    for name in {one.family for one in pairs if one.found}:
        members = [one for one in pairs if one.found and one.family == name]
        for one, found in zip(members, correct_for_many([one.found for one in members if one.found]), strict=True):
            one.found = found
    for control in [one for one in pairs if _is_control(one) and one.found]:
        if control.found.verdict not in DIFFERENT:
            continue
        reason = f"no claim of this device is to be believed: {control.row['baseline']} came out"
        reason += f" {control.found.verdict} against itself"
        for one in pairs:
            if one.found and control.device in one.devices and not _is_control(one) and one.found.verdict in CLAIMS:
                one.found = replace(one.found, verdict=INCONCLUSIVE, reason=reason)


def _shown(pair: _Pair, pairs: list[_Pair], noise: Noise | None, hours: dict[str, float]) -> dict[str, Any]:
    found = pair.found
    if found is None:
        return pair.row
    row = pair.row | {
        "speedup": found.ratio,
        "low": found.low,
        "high": found.high,
        "verdict": found.verdict,
        "blocks": found.blocks,
        "faster_blocks": found.faster_blocks,
        "p_holm": found.p,
        "margin": found.rule.margin,
        "reason": found.reason,
    }
    if noise:
        row |= dict(zip(("floor", "floor_low", "floor_high"), noise.floor(found.blocks), strict=True))
    return row | _missing(pair, pairs, hours[row["dataset"]])


def _missing(pair: _Pair, pairs: list[_Pair], hours: float) -> dict[str, Any]:
    """What a row lacks for a verdict: the smallest ratio that it could tell, blocks to tell the margin, and hours."""
    found = pair.found
    spread = _spread(pair, pairs)
    if math.isnan(spread):
        return {}
    # Holm counts those that have a p value; below five blocks none has, and those beside it would get one with it.
    beside = [one for one in pairs if one.found and one.family == pair.family]
    tested = [one for one in beside if one.found.p is not None]
    tests = len(tested) or sum(1 for one in beside if one.row["dataset"] == pair.row["dataset"])
    words: dict[str, Any] = {"smallest_detectable": smallest_detectable(spread, found.blocks, found.rule, tests)}
    undecided = found.verdict in UNDECIDED and found.reason != NEVER_DECIDED
    if not undecided or _is_control(pair):  # a control is a check and needs no verdict
        return words
    level = found.rule.level(max(found.blocks, LEAST_BLOCKS)) or ALPHA
    needed = max(found.blocks + 1, blocks_needed(found.ratio, spread, level, found.rule.margin, tests=tests))
    growth = found.rule.growth(found.blocks)
    hours_needed = (needed - found.blocks if growth else needed) * hours
    words |= {"blocks_needed": needed, "hours_needed": hours_needed, "growth": growth}
    if found.verdict == INCONCLUSIVE:
        lacking = what_is_missing(found.rule.margin, needed, hours_needed, bool(growth))
        words["reason"] = "; ".join(filter(None, [found.reason, lacking]))
    return words


def _spread(pair: _Pair, pairs: list[_Pair]) -> float:
    """The spread of a pair's log ratios; below LEAST_BLOCKS that of all pairs on its device and data set, pooled."""
    if pair.found.blocks >= LEAST_BLOCKS:
        return pair.found.spread
    alike = [
        one.found
        for one in pairs
        if one.found and one.found.blocks > 1 and (one.device, one.row["dataset"]) == (pair.device, pair.row["dataset"])
    ]
    freedom = [one.blocks - 1 for one in alike]
    return float(numpy.sqrt(numpy.average([one.spread**2 for one in alike], weights=freedom))) if alike else math.nan


def what_is_missing(margin: float, blocks: float, hours: float, more: bool) -> str:
    """What a verdict would take, in words: so many blocks with those that are there, or, where none may be added to
    these, of a new plan."""
    kind, further = ("blocks", " more") if more else ("new blocks", "")
    return (
        f"a verdict (±{margin:.0%}) takes {about(blocks)} {kind} at this noise if the ratio is the one found, "
        f"about {duration(hours)}{further}"
    )


def about(blocks: float) -> str:
    """A number of `blocks_needed`, in words."""
    return f"more than {MOST_BLOCKS:,}" if blocks >= MOST_BLOCKS else f"about {blocks:,.0f}"


def duration(hours: float) -> str:
    """About how long, as people say it."""
    return f"{max(1, round(hours * 60))} min" if hours < 1.5 else f"{hours:,.0f} h"

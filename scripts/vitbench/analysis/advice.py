"""What to run on this machine: the best of what was measured for each aim, and what would overturn that advice."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import numpy
import pandas
from scipy.sparse.csgraph import dijkstra

from vitbench import tables
from vitbench.analysis.break_even import OVERTAKES
from vitbench.analysis.fairness import hardware_of
from vitbench.analysis.looks import Rule
from vitbench.analysis.pairs import CONTROL_GROUP
from vitbench.analysis.speedup import DOUBT, doubted, without_claim
from vitbench.analysis.statistics import Comparison, compare, correct_for_many
from vitbench.analysis.summary import seconds_by_block, usable, whole
from vitbench.cells import CONTROL, NAME_COLUMNS, cell_name, variant_key
from vitbench.frameworks import FRAMEWORKS, OF_ARTICLE
from vitbench.verdicts import EQUIVALENT, FASTER, SLOWER

TIME, MEMORY, LABELS = "least time", "least memory", "least time, labels as float32's"
OBJECTIVES = (TIME, MEMORY, LABELS)
BASELINE = "baseline"
# Why a baseline serves no aim of its field.
ELSEWHERE, TOO_FAST = "measured on other hardware", "faster than this machine can be"
# What a verdict on times is called where memory was compared.
OF_MEMORY = {FASTER: "less", SLOWER: "more"}
ALONE = {"overturned": "nothing else that may serve it was compared with the baseline here"}
# Precision with whose labels the others are compared.
REFERENCE = "float32"
NO_SIZES = "no data sets of several sizes were measured (`datasets: sizes`)"

# framework/variant → its settings.
Definitions = Mapping[str, dict[str, Any]]


class Candidate(NamedTuple):
    """A cell of the full set that may be advised."""

    name: str
    repeats: pandas.DataFrame
    """its usable rows of the runs table"""
    row: dict[str, Any] | None
    """of the table `speedup` against the baseline; None of the baseline itself"""
    unable: str = ""
    """why a baseline, with which the others are compared all the same, serves no aim"""

    @property
    def first(self) -> Any:
        return self.repeats.iloc[0]

    @property
    def variant(self) -> str:
        return variant_key(self.first)

    @property
    def agreement(self) -> float:
        """Share of images with the baseline's label, in the worst block."""
        return 1.0 if self.row is None else self.row["agreement"]

    def values(self, column: str) -> dict[int, float]:
        """Block → a quantity of its repeats, where it is known."""
        known = self.repeats[self.repeats[column].notna()]
        return {int(block): float(value) for block, value in zip(known.block, known[column], strict=True)}


def candidates(
    runs: pandas.DataFrame, speedup: pandas.DataFrame, baseline: str, impossible: Collection[tuple[str, str]] = (),
    everywhere: bool = False,
) -> list[list[Candidate]]:  # fmt: skip
    """For each hardware with a baseline, the cells of the full set with a ratio to it; the baseline itself first.

    What failed the gate of equal labels, is faster than the machine can be, or has no usable repeat that answered for
    every image, is none of them; a baseline that is too fast is one that serves no aim.

    Args:
        impossible: (dataset, cell name) of cells above the machine's peak.
        everywhere: also hardware on which the baseline was not measured, where it has cells with a ratio to the
            baseline on another one, unless that is a part of the baseline's.
    """
    full = runs[(runs.dataset == "full") & usable(runs) & whole(runs) & ~runs.variant.str.endswith(CONTROL)]
    cells: dict[tuple[Any, ...], dict[str, pandas.DataFrame]] = {}
    for key, repeats in full.groupby(NAME_COLUMNS, sort=False):
        named = dict(zip(NAME_COLUMNS, key, strict=True))
        cells.setdefault(hardware_of(repeats.iloc[0]), {})[cell_name(named)] = repeats
    against = speedup[(speedup.dataset == "full") & (speedup.comparison != CONTROL_GROUP) & speedup.speedup.notna()]
    rows = {(row["baseline"], row["candidate"]): row for row in against.to_dict("records")}
    baselines = {name: repeats for named_cells in cells.values() for name, repeats in named_cells.items()
                 if name.startswith(f"{baseline}/")}  # fmt: skip
    found = []
    for named_cells in cells.values():
        own = next((name for name in named_cells if name.startswith(f"{baseline}/")), None)
        unable = ""
        if own is None and everywhere:
            unable = ELSEWHERE
            less = hardware_of(next(iter(named_cells.values())).iloc[0])
            own = next((one for one, candidate in rows if one in baselines and candidate in named_cells
                        and not _is_part(less, hardware_of(baselines[one].iloc[0]))), None)  # fmt: skip
        if own is None:
            continue
        unable = TOO_FAST if ("full", own) in impossible else unable
        found.append([Candidate(own, baselines[own], None, unable)])
        found[-1] += [
            Candidate(name, repeats, rows[own, name]) for name, repeats in named_cells.items() if (own, name) in rows
        ]
    return found


def _is_part(one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    """Whether hardware is fewer cores of the other's machines."""
    known = not any(isinstance(each[1], tuple) for each in (one, other))
    return known and (one[0], one[2]) == (other[0], other[2]) and one[1] < other[1]


def advice(
    runs: pandas.DataFrame,
    speedup: pandas.DataFrame,
    total_time: pandas.DataFrame,
    break_even: pandas.DataFrame,
    baseline: str,
    definitions: Definitions,
    cores: int | None,
    rule: Rule | None = None,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:
    """A row an aim and hardware (`tables.COLUMNS["advice"]`): who is best, who comes next, what overturns it.

    The best is that with the least geometric mean over its blocks. It was chosen by the repeats that its ratio is made
    of, so that of many candidates its ratio is a little too good (`snakemake tune` confirms on fresh ones). Whether the
    next is told apart from it is judged as one of its comparisons with all the others, adjusted by Holm.

    Args:
        baseline: the variant that the others are compared with.
        cores: of the machine, where it is known.
        rule: by what a comparison of the two best is judged.
        impossible: (dataset, cell name) of cells above the machine's peak.
    """
    hours = {cell_name(row): row for row in total_time.to_dict("records")}
    rows, devices = [], doubted(speedup)
    for field in candidates(runs, speedup, baseline, impossible, everywhere=True):
        for objective in OBJECTIVES:
            able = ranked(field, objective)
            if not able:
                one = field[-1].first
                rows.append({"objective": objective, "device": one.device, "workers": one.workers, "cores": cores,
                             "used_cores": one.cores, "reason": _why_none(field[0], objective)})  # fmt: skip
                continue
            best, *others = able
            row = _row(best, field[0], len(able), hours.get(best.name), definitions)
            row |= {"objective": objective, "cores": cores, "used_cores": best.first.cores}
            # A control compares times; it says nothing of memory.
            doubtful = objective != MEMORY and best.first.device in devices
            next_one = _next(best, others, objective, rule, doubtful) if others else dict(ALONE)
            more = _what_else(best, field[0], break_even if objective != MEMORY else break_even[:0])
            next_one["overturned"] = "; ".join(filter(None, [next_one["overturned"], *more]))
            rows.append(row | next_one)
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["advice"]))


def ranked(field: list[Candidate], objective: str) -> list[Candidate]:
    """Those of a field of `candidates` that may serve an aim, best first: by the geometric mean over their blocks."""
    column = _column(objective)
    able = [one for one in field if not one.unable and one.values(column) and _may(one, field[0], objective)]
    return sorted(able, key=lambda one: _mean(one, column))


def _column(objective: str) -> str:
    """What an aim wants least of."""
    return "peak_memory_mb" if objective == MEMORY else "wall_seconds"


def _may(one: Candidate, baseline: Candidate, objective: str) -> bool:
    """Whether a candidate may serve an aim."""
    if objective != LABELS:
        return True
    return baseline.first.product_precision == REFERENCE and one.agreement == 1


def _why_none(baseline: Candidate, objective: str) -> str:
    if baseline.unable == TOO_FAST:
        return f"the baseline {baseline.name} is {TOO_FAST}: a measurement went wrong, and nothing is compared with it"
    if objective == MEMORY:
        return "no repeat tells its memory"
    ran = baseline.first.product_precision or "a precision that is not known"
    return f"the baseline {baseline.name} runs in {ran}: no labels are {REFERENCE}'s"


def _mean(one: Candidate, column: str) -> float:
    """Geometric mean of a quantity over the blocks."""
    return float(numpy.exp(numpy.log(list(one.values(column).values())).mean()))


def _row(
    best: Candidate, baseline: Candidate, count: int, hours: dict[str, Any] | None,
    definitions: Definitions,
) -> dict[str, Any]:  # fmt: skip
    first = best.first
    row = {"candidate": best.name, "baseline": baseline.name, "candidates": count}
    row |= {name: first[name] for name in NAME_COLUMNS} | {"precision": first.product_precision}
    row |= {"images": first.images, "throughput": best.repeats.throughput.median(), "agreement": best.agreement}
    row["terms"] = baseline.first.declared
    row["peak_memory_mb"] = best.repeats.peak_memory_mb.median()
    row["definition"] = json.dumps(definitions.get(best.variant, {}), sort_keys=True)
    if best.row is None:
        row |= {"speedup": 1.0, "verdict": BASELINE, "blocks": len(seconds_by_block(best.repeats))}
    else:
        row |= {name: best.row[name] for name in ("speedup", "low", "high", "verdict", "blocks", "fairness")}
    memory = baseline.values("peak_memory_mb"), best.values("peak_memory_mb")
    if best.row is not None and memory[0].keys() & memory[1].keys():
        found = compare(*memory)
        row |= {"memory_ratio": found.ratio, "memory_low": found.low, "memory_high": found.high}
        row["memory_blocks"] = found.blocks
    known = hours is not None and math.isfinite(hours["hours"])
    if known:
        row |= {name: hours[name] for name in ("hours", "hours_low", "hours_high")}
    else:
        row["hours_reason"] = NO_SIZES if hours is None else hours["reason"]
    return row


def _next(
    best: Candidate, others: list[Candidate], objective: str, rule: Rule | None, doubtful: bool
) -> dict[str, Any]:
    """Who comes next of the others, best first, how far behind, and whether it is."""
    column = _column(objective)
    name, own = others[0].name, best.values(column)
    row: dict[str, Any] = {"runner_up": name}
    values = [one.values(column) for one in others]
    if not values[0].keys() & own.keys():
        return row | {"overturned": f"{name} has no block in common with it"}
    # The next is judged as one of all that the best was chosen before.
    found = correct_for_many([compare(one, own, rule) for one in values if one.keys() & own.keys()])[0]
    said = ""
    if doubtful:
        found, said = without_claim(found), DOUBT
    row |= {
        "runner_ratio": found.ratio,
        "runner_low": found.low,
        "runner_high": found.high,
        "runner_blocks": found.blocks,
        "runner_verdict": OF_MEMORY.get(found.verdict, found.verdict) if objective == MEMORY else found.verdict,
    }
    return row | {"overturned": said or _by_blocks(name, found)}


def _by_blocks(name: str, found: Comparison) -> str:
    """Whether more blocks could make the runner-up the best, in words."""
    if found.verdict == FASTER:
        return ""
    if found.verdict == SLOWER:
        return f"{name} is ahead in the {found.blocks} blocks that both have, though not in all of its own"
    if found.verdict == EQUIVALENT:
        return f"{name} is equivalent: take whichever is easier to run"
    return f"{name} is not told apart from it in {found.blocks} blocks: more `repeats` may put it first"


def _what_else(best: Candidate, baseline: Candidate, break_even: pandas.DataFrame) -> list[str]:
    """What besides the runner-up would make the advice wrong for a reader."""
    said = []
    sooner = break_even[
        (break_even.late == best.name) & (break_even.early == baseline.name) & (break_even.verdict == OVERTAKES)
    ]
    for row in sooner[sooner.break_even.notna()].itertuples():
        most = f"{row.high:,.0f}" if math.isfinite(row.high) else "never"
        span = f"{row.low:,.0f} to {most} in the blocks"
        said.append(f"below {row.break_even:,.0f} images ({span}) {baseline.name}, which starts sooner, is done first")
    if best.agreement < 1:
        said.append(f"{1 - best.agreement:.1%} of the labels are others than the baseline's: look at them")
    return said


def steps(
    runs: pandas.DataFrame,
    speedup: pandas.DataFrame,
    baseline: str,
    definitions: Definitions,
    rule: Rule | None = None,
    impossible: Collection[tuple[str, str]] = (),
) -> pandas.DataFrame:
    """From each framework's setting of the article to the fastest of its variants, as few changes a step as it can be.

    A row a step (`tables.COLUMNS["steps"]`). The way leads through variants that were measured. Of all ways it is the
    one with the least sum of squares of what changes at once (settings, and the batch size that each variant was best
    at), by Dijkstra's algorithm. A framework without the article's setting begins at its first variant. Ratios are
    those of the blocks that two steps share, `blocks` with the step before and `total_blocks` with the first; they are
    not corrected for their number. There is no way beside a baseline that is in `impossible` (see `candidates`).
    """
    rows, devices = [], doubted(speedup)
    definitions = {variant: _complete(variant, definition) for variant, definition in definitions.items()}
    for field in candidates(runs, speedup, baseline, impossible):
        if field[0].unable:
            continue
        frameworks = dict.fromkeys(one.first.framework for one in field)
        for framework in frameworks:
            own = [one for one in field if one.first.framework == framework]
            start = next((one for one in own if OF_ARTICLE in one.first.declared.split(";")), own[0])
            best = min(own, key=lambda one: _mean(one, "wall_seconds"))
            way = _way(own, start, best, definitions)
            doubtful = field[0].first.device in devices
            rows += [_step(place, way, definitions, rule, doubtful) for place in range(len(way))]
    return pandas.DataFrame(rows, columns=list(tables.COLUMNS["steps"]))


def _complete(variant: str, definition: dict[str, Any]) -> dict[str, Any]:
    """A definition with what its framework takes for the settings that it leaves out."""
    known = FRAMEWORKS.get(variant.partition("/")[0])
    return (known.defaults if known else {}) | definition


def changes(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """What of the settings is another in the second, in words: "precision: bfloat16", "without compile"."""
    found = [f"{key}: {str(other[key]).lower() if isinstance(other[key], bool) else other[key]}"
             for key in other if one.get(key) != other[key]]  # fmt: skip
    return found + [f"without {key}" for key in one if key not in other]


def _changed(one: Candidate, other: Candidate, definitions: Definitions) -> list[str]:
    """What is another in the second candidate: its settings, and its batch size."""
    found = changes(definitions.get(one.variant, {}), definitions.get(other.variant, {}))
    before, after = one.first.batch_size, other.first.batch_size
    return found + ([f"batch size: {after:.0f}"] if after != before else [])


def _way(own: list[Candidate], start: Candidate, best: Candidate, definitions: Definitions) -> list[Candidate]:
    """The candidates from `start` to `best`, both with it."""
    # A weight of 0 would be no edge: two variants of the same settings are one change apart.
    weights = [
        [float(max(1, len(_changed(one, other, definitions))) ** 2) for other in own]
        for one in own
    ]  # fmt: skip
    names = [one.name for one in own]
    begin, place = names.index(start.name), names.index(best.name)
    _, before = dijkstra(numpy.array(weights), indices=begin, return_predecessors=True)
    way = [place]
    while way[-1] != begin:
        way.append(int(before[way[-1]]))
    return [own[at] for at in reversed(way)]


def _step(
    place: int, way: list[Candidate], definitions: Definitions, rule: Rule | None, doubtful: bool
) -> dict[str, Any]:
    one, first = way[place], way[place].first
    row = {name: first[name] for name in NAME_COLUMNS} | {"step": place, "candidate": one.name}
    row |= {"baseline": way[0].name, "precision": first.product_precision, "agreement": one.agreement}
    row |= {"images": first.images, "throughput": one.repeats.throughput.median()}
    if not place:
        return row | {"total": 1.0}
    before = way[place - 1]
    row["changed"] = "; ".join(_changed(before, one, definitions)) or one.variant
    now = seconds_by_block(one.repeats)
    over_before, over_first = ("speedup", "low", "high", "blocks"), ("total", "total_low", "total_high", "total_blocks")
    for names, other in ((over_before, before), (over_first, way[0])):
        then = seconds_by_block(other.repeats)
        if not then.keys() & now.keys():
            row["reason"] = f"no block in common with {other.name}"
            continue
        found = without_claim(compare(then, now, rule)) if doubtful else compare(then, now, rule)
        row |= dict(zip(names, (found.ratio, found.low, found.high, found.blocks), strict=True))
        if names is over_before:
            row["verdict"] = found.verdict
    if doubtful:
        row["reason"] = "; ".join(filter(None, [row.get("reason"), DOUBT]))
    return row


def definitions_of(runs: pandas.DataFrame, record: Callable[[str], dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """framework/variant → its settings, as the first of its records says.

    Args:
        record: path → the record there.
    """
    full = runs[(runs.dataset == "full") & (runs.record != "")]
    firsts = full.drop_duplicates(["framework", "variant"])
    return {variant_key(row): record(row.record)["identity"].get("definition") or {} for row in firsts.itertuples()}

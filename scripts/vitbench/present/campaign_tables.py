"""The tables of a campaign's own page, as lines of Markdown: each from one of the workflow's tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import pandas

from vitbench.analysis.stages import PROFILED
from vitbench.analysis.sustained import SPAN, WARMING, trends
from vitbench.cells import cell_name
from vitbench.present import labels
from vitbench.present.advice import best_table, steps_table
from vitbench.present.charts.scaling import PUBLISHED

Form = Callable[[float], str]
Columns = dict[str, tuple[str, Form | None]]


def number(digits: int) -> Form:
    """A form with so many digits after the point; empty for a missing value."""
    return lambda value: "" if math.isnan(value) else f"{value:,.{digits}f}"


def share(value: float) -> str:
    """A share in per cent; empty for a missing value."""
    return "" if math.isnan(value) else labels.percentage(value)


def ratio(value: float) -> str:
    """A ratio, as sentences have it; empty for a missing value."""
    return "" if math.isnan(value) else labels.number(value)


def end(value: float) -> str:
    """An end of a ratio's interval; empty for a missing value."""
    return "" if math.isnan(value) else labels.end(value)


def table(frame: pandas.DataFrame, columns: Columns) -> list[str]:
    """Lines of a Markdown table: column → its heading, and the form of its numbers (None for words)."""
    lines = [f"| {' | '.join(heading for heading, _ in columns.values())} |", "| --- " * len(columns) + "|"]
    for row in frame.to_dict("records"):
        cells = [str(row[column]) if form is None else form(row[column]) for column, (_, form) in columns.items()]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return lines


def _variant(frame: pandas.DataFrame) -> pandas.DataFrame:
    return frame.assign(variant=labels.variants_apart(frame))


def _speedup(frame: pandas.DataFrame) -> list[str]:
    words = (("verdict", None), ("reason", None))
    columns = {"candidate": None, "baseline": None, "speedup": ratio, "low": end, "high": end, "blocks": number(0)}
    columns |= {"p_holm": number(4), "family": None, "fairness": None, "smallest_detectable": ratio}
    columns |= {"blocks_needed": number(0), "hours_needed": number(1), "agreement": share} | dict(words)
    lines = []
    for group, rows in frame.groupby("comparison", sort=False):
        lines += [f"**{group}**", "", *table(rows, {name: (name, form) for name, form in columns.items()}), ""]
    return lines[:-1]


def _summary(frame: pandas.DataFrame) -> list[str]:
    frame = frame.assign(cell=[cell_name(row) for row in frame.to_dict("records")])
    seconds = {name: (f"{name}, s", number(2)) for name in ("median", "low", "high")}
    return table(
        frame,
        {"dataset": ("data set", None), "cell": ("cell", None), "repeats": ("n", number(0))}
        | {"set_aside": ("set aside", number(0))}
        | seconds
        | {"cv": ("CV", share), "throughput": ("images/s", number(2)), "cold_median": ("cold pass, s", number(2))}
        | {"start_median": ("start, s", number(1)), "load_median": ("load, s", number(1))}
        | {"accuracy": ("right", share)},
    )


def _stages(frame: pandas.DataFrame) -> list[str]:
    wide = frame.pivot_table("share", PROFILED, "stage", sort=False).reset_index()
    about = frame.drop_duplicates(PROFILED)
    wide = _variant(wide.merge(about.drop(columns=["stage", "share", "seconds"]), on=PROFILED))
    stages: Columns = {stage: (stage, share) for stage in frame.stage.drop_duplicates()}
    sums: Columns = {
        "sum_seconds": ("sum, s", number(2)),
        "wall_seconds": ("wall time, s", number(2)),
        "difference": ("difference", share),
        "bound_by": ("bound by", None),
        "reason": ("remark", None),
    }
    return table(wide, {"variant": ("variant", None)} | stages | sums)


def _physics(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {
        "dataset": ("data set", None),
        "variant": ("variant", None),
        "batch_size": ("batch size", number(0)),
        "throughput": ("images/s", number(2)),
        "gflops": ("GFLOP/s", number(0)),
        "peak_gflops": ("peak, GFLOP/s", number(0)),
        "peak_library": ("measured with", None),
        "share_of_peak": ("share of peak", share),
        "own_library": ("its own library", None),
        "share_of_own": ("share of that one's rate", share),
        "decode_ceiling": ("decode ceiling, images/s", number(0)),
        "verdict": ("verdict", None),
    }
    return table(_variant(frame), columns)


def _break_even(frame: pandas.DataFrame) -> list[str]:
    images = {"break_even": ("images", number(0)), "low": ("low", number(0)), "high": ("high", number(0))}
    columns: Columns = {"early": ("starts earlier", None), "late": ("starts later", None)}
    return table(frame, columns | images | {"verdict": ("verdict", None), "reason": ("reason", None)})


def _batches(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {
        "dataset": ("data set", None),
        "variant": ("variant", None),
        "batch_size": ("asked for", number(0)),
        "effective_batch_sizes": ("batches, size:how many", None),
        "batches": ("they were", None),
        "partition_rows": ("rows a partition", None),
        "slots": ("slots", number(0)),
        "waves": ("waves", number(0)),
        "reached": ("reached", None),
    }
    return table(_variant(frame), columns)


def _total_time(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "batch_size": ("batch size", number(0))}
    columns |= {"fixed_seconds": ("fixed, s", number(1)), "seconds_an_image": ("s an image", number(4))}
    columns |= {"hours": ("hours for a million", number(1)), "hours_low": ("low", number(1))}
    columns |= {"hours_high": ("high", number(1)), "data_sets": ("sizes", number(0)), "blocks": ("n", number(0))}
    columns |= {"departure": ("farthest off the line", share), "reason": ("remark", None)}
    return table(_variant(frame), columns)


def _data_set_sizes(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "images": ("images", number(0)), "blocks": ("n", number(0))}
    columns |= {"seconds_an_image": ("s an image", number(4)), "seconds_low": ("least", number(4))}
    columns |= {"seconds_high": ("most", number(4)), "ratio": ("times as fast as the largest", number(3))}
    columns |= {"ratio_low": ("low", number(3)), "ratio_high": ("high", number(3)), "verdict": ("verdict", None)}
    columns |= {"within_floor": ("within the noise", None), "speedup": ("times as fast as the baseline", ratio)}
    columns |= {"speedup_low": ("low", end), "speedup_high": ("high", end), "reason": ("remark", None)}
    return table(_variant(frame), columns)


def _sustained(frame: pandas.DataFrame) -> list[str]:
    columns: Columns = {"variant": ("variant", None), "batch_size": ("batch size", number(0))}
    columns |= {"repeat": ("repeat", number(0)), "minutes": ("minutes", number(0))}
    columns |= {"canary": ("the machine beside it, 1 as usual", number(2))}
    columns |= {"begin": (f"images/s, first {SPAN} minutes after {WARMING}", number(2))}
    columns |= {"end": (f"last {SPAN}", number(2)), "change": ("change", share)}
    columns |= {"memory_begin": ("memory then, MB", number(0)), "memory_end": ("memory in the last, MB", number(0))}
    return table(_variant(trends(frame)), columns)


def scaled(frame: pandas.DataFrame) -> pandas.DataFrame:
    """The rows of the table `scaling` that are of variants which the campaign has with several numbers of workers."""
    own = frame[frame.source != PUBLISHED]
    return own[own.groupby(["framework", "variant", "device"]).workers.transform("nunique") > 1]


def scaling(frame: pandas.DataFrame) -> list[str]:
    """What more workers bring: a row a variant and number of workers."""
    columns: Columns = {"variant": ("variant", None), "workers": ("workers", number(0)), "blocks": ("n", number(0))}
    columns |= {"throughput": ("images/s", number(2)), "speedup": ("times as fast as its fewest", ratio)}
    columns |= {"speedup_low": ("low", end), "speedup_high": ("high", end)}
    columns |= {"efficiency": ("efficiency", number(2)), "efficiency_low": ("low", end)}
    columns |= {"efficiency_high": ("high", end), "start_seconds": ("start, s", number(1))}
    columns |= {"load_seconds": ("load, s", number(1)), "reason": ("remark", None)}
    own = scaled(frame)
    # The workers have a column of their own.
    return table(own.assign(variant=labels.variants_apart(own.assign(workers=1))), columns)


def quiet(runs: pandas.DataFrame) -> list[str]:
    """What the quiet probes saw of all repeats, and how many are flagged or were measured again."""
    rows = [
        {"what": words, "median": runs[column].median(), "least": runs[column].min(), "most": runs[column].max()}
        for column, words in (
            ("canary_gemm", "canary, matrix product: speed relative to usual"),
            ("canary_decode", "canary, JPEG decoding: speed relative to usual"),
            ("steal_share", "share of the CPU that the hypervisor took"),
            ("foreign_cpu_share", "share of the CPU that other processes used"),
        )
    ]
    columns = {"what": ("", None)} | {name: (name, number(3)) for name in ("median", "least", "most")}
    flags = runs["flags"].str.split(";").explode()
    counts = ", ".join(f"{count} {flag}" for flag, count in flags[flags != ""].value_counts().items()) or "none"
    return [
        *table(pandas.DataFrame(rows), columns),
        "",
        f"{len(runs)} repeats; flags: {counts}; attempts set aside and measured again: {runs['attempts'].sum():.0f}.",
    ]


# Table of the workflow → its heading, and what writes it. They stand on the page in this order.
PARTS: dict[str, tuple[str, Callable[[pandas.DataFrame], Iterable[str]]]] = {
    "speedup": ("Speedup", _speedup),
    "advice": ("What to run", best_table),
    "steps": ("From the article's setting to the fastest", steps_table),
    "summary": ("Cells", _summary),
    "stages": ("Stages", _stages),
    "break_even": ("Break-even", _break_even),
    "total_time": ("Hours for a million images", _total_time),
    "data_set_sizes": ("Data sets of several sizes", _data_set_sizes),
    "sustained": ("Minute by minute", _sustained),
    "scaling": ("What more workers bring", scaling),
    "physics": ("Physics", _physics),
    "effective_batches": ("Batches", _batches),
    "time_budget": (
        "Where the time of the campaign went",
        lambda frame: table(
            frame, {"part": ("part", None), "seconds": ("seconds", number(0)), "share": ("share", share)}
        ),
    ),
}

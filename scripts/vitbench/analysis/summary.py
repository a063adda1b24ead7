"""From the runs table to the tables that everything is drawn from: summary, best batch size, parity, speedup."""

from __future__ import annotations

import pandas

from vitbench.cells import CELL_COLUMNS
from vitbench.flags import IMAGES_LOST, NOT_FOR_CLAIMS, bears

# A longer gap between two repeats (seconds) is an interruption of the run; preparing is before the first.
INTERRUPTION = 60


def usable(runs: pandas.DataFrame) -> pandas.Series:
    """Which rows of the runs table may carry a claim: ok, on a quiet machine, steady, and nothing lost on a cluster."""
    return (runs.status == "ok") & ~bears(runs, *NOT_FOR_CLAIMS)


def whole(runs: pandas.DataFrame) -> pandas.Series:
    """Which rows of the runs table answered for every image: what leaves some out is fast for the wrong reason."""
    return ~bears(runs, IMAGES_LOST)


def why_none(repeats: pandas.DataFrame) -> str:
    """Why these repeats of a cell, none of which is `usable` and `whole`, have no number."""
    worked = (repeats.status == "ok").any()
    return "no repeat may carry a claim" if worked else f"no repeat worked: {repeats.status.iloc[0]}"


def summary(runs: pandas.DataFrame) -> pandas.DataFrame:
    """A row a cell: usable repeats, median, low, high (range) and cv of wall seconds, and what goes with them.

    `status` is ok where at least one repeat is, otherwise the commonest failure. `set_aside` counts the ok repeats that
    bear a flag of NOT_FOR_CLAIMS; where all do, the numbers are theirs, and `repeats` is 0.
    """
    rows = []
    may_carry = usable(runs)
    for key, group in runs.groupby(CELL_COLUMNS, dropna=False, sort=False):
        worked, carrying = group[group.status == "ok"], group[may_carry[group.index]]
        good = carrying if len(carrying) else worked
        first = (good if len(good) else group).iloc[0]
        seconds, rates = good.wall_seconds, good.throughput
        flags = sorted({flag for flags in group["flags"].dropna() for flag in str(flags).split(";") if flag})
        rows.append(
            dict(zip(CELL_COLUMNS, key, strict=True))
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

    Own overhead is what is neither start, load, passes nor quiet probes: describing and stopping a repeat, writing its
    record, and the time from the end of one repeat to the start of the next (hashes, Snakemake). Attempts that were set
    aside are a part of their own. Gaps above INTERRUPTION seconds are no part of the run: it was stopped and continued.
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
        "passes": passes + tried.short_pass_seconds.sum(),
        "quiet": tried.quiet_seconds.sum(),
        "attempts set aside": tried.set_aside_seconds.sum(),
    }
    inside = tried.total_seconds.sum() - sum(parts.values()) + parts["attempts set aside"]
    parts["own overhead"] = inside + gaps[gaps <= INTERRUPTION].sum()
    parts["total"] = sum(parts.values())
    budget = pandas.DataFrame(parts.items(), columns=["part", "seconds"])
    return budget.assign(share=budget.seconds / budget.seconds.iloc[-1])  # of nothing, no share


def seconds_by_block(runs: pandas.DataFrame) -> dict[int, float]:
    """block → wall seconds of the usable repeats of one cell."""
    good = runs[usable(runs)]
    return {int(block): float(seconds) for block, seconds in zip(good.block, good.wall_seconds, strict=True)}

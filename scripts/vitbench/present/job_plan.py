"""The plan of a job in words: the answers, every variant, and what a projection cannot know."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd

from vitbench.analysis.cost import MONEY, TIME
from vitbench.analysis.jobs import FROM_FULL
from vitbench.present.labels import brackets, hardware_of, name_of, number, number_of, several
from vitbench.present.markdown import grid, wrapped

HOW_TO_READ = (
    "A row is what was measured, taken so many times: each machine (or cluster of machines, where that was measured) "
    "starts once and classifies an equal part of the images. Hours run from the start of the machines, where that is "
    "known, until the last image. In brackets is the range of the projection: a 95% interval over the blocks where "
    "data sets of several sizes were measured, and else the least and the greatest block. A number of machines is in "
    "time if even the upper end is. Money is the price of a machine an hour, from resources/prices.tsv, times all "
    "machine hours, starts included."
)


def headline(plan: pd.DataFrame) -> str:
    """Both answers in words, or why there are none."""
    money, time = (_answering(plan, word) for word in (MONEY, TIME))
    if money is None:
        return _without(plan)
    least = f"Least money: {_told(money)}{_paid(money)}{_not_told_apart(plan, money)}."
    if time is None or time.name == money.name:
        return f"{least} On as many machines nothing takes less time."
    return f"{least} Least time on as many machines: {_told(time)}{_paid(time)}."


def _answering(plan: pd.DataFrame, word: str) -> Any:
    """The row that is this answer; None where there is none."""
    found = plan[plan["answer"].str.split("; ").map(lambda said: word in said)]
    return None if found.empty else found.iloc[0]


def _without(plan: pd.DataFrame) -> str:
    """Why nothing can be named."""
    sure = plan[plan["doubt"] == ""]
    if sure.empty:
        return "No answer: something speaks against every variant that was measured."
    if not (sure["fewest"] == "yes").any():
        return "No answer: no number of machines is in time, for starting alone takes too long."
    missing = "; ".join(dict.fromkeys(reason for reason in sure["reason"] if reason))
    return f"The least money is not known, for hardware or numbers of machines differ: {missing}."


def _told(row: Any) -> str:
    machines = several(row.machines, "machine")
    return f"{name_of(row)}, {hardware_of(row)}, on {machines}, {ranged(row, 'hours')} hours"


def _not_told_apart(plan: pd.DataFrame, chosen: Any) -> str:
    """The rows whose ranges do not tell them from the answer; a row of one block has no range and tells nothing."""
    rows = plan[(plan["fewest"] == "yes") & (plan["doubt"] == "")]
    price = rows["usd_per_hour"] if rows["usd"].notna().all() else 1.0
    low, high = (rows["machines"] * rows[f"hours_{end}"] * price for end in ("low", "high"))
    near = rows[~(low > high[chosen.name]) & (rows.index != chosen.name)]
    names = "; ".join(f"{name_of(row)}, {hardware_of(row)}" for row in near.itertuples(index=False))
    return f" (its range does not tell it from {names})" if names else ""


def _paid(row: Any) -> str:
    words = f", {number(row.machine_hours)} machine hours"
    return words + (f", {ranged(row, 'usd')} US dollars" if math.isfinite(row.usd) else f" ({row.reason})")


def ranged(row: Any, column: str) -> str:
    """A number with the ends of its range, where it has any."""
    value, low, high = (getattr(row, name) for name in (column, f"{column}_low", f"{column}_high"))
    return number(value) + brackets(low, high, number)


def limits(plan: pd.DataFrame) -> list[str]:
    """What a projection cannot know, a sentence each."""
    first = plan.iloc[0]
    most = plan["measured_images"].max()
    lines = [
        f"A process classified {most:,.0f} images at most; {first.images:,.0f} are {first.images / most:,.0f} times as"
        " many. No heat, full disk or slow network of a long job is in the range.",
        "The machines are taken to be alike and not to wait for one another: how many workers scale beyond those that"
        " were measured, and which of them is last, is not in it.",
        "Bringing the images to the machines, and the answers back, is not in it, nor that `snakemake classify` opens"
        " each image, and packs it where the variant takes bytes, before its variant does.",
    ]
    if plan["start_minutes"].isna().any():
        lines.append("How long a machine takes to start is not known (start_minutes), and counts as nothing.")
    if plan["hours_low"].isna().any():
        lines.append("Of one block there is no range: such a row is in time by its point alone.")
    if (plan["hours_from"] == FROM_FULL).any():
        lines.append(
            "Where one data set was measured, the range is that of its blocks and no interval: measure `sizes` for one."
        )
    return lines


def page(plan: pd.DataFrame, scaling: pd.DataFrame, context: dict[str, Any]) -> str:
    """The plan as a page of Markdown, beside the chart `plan.svg`.

    Args:
        plan: the table of that name.
        scaling: the table of that name, of the same source: which numbers of workers were measured.
    """
    first = plan.iloc[0]
    parts = [f"# {first.images:,.0f} images within {first.deadline_hours:g} hours: a projection", ""]
    parts += [f"**{headline(plan)}**", ""]
    about = [context["machine_text"], f"model {context['model']}", context["date"], f"protocol {context['protocol']}"]
    parts += [f"Projected from records of: {' · '.join(about)}. Nothing on this page was measured at that size.", ""]
    parts += ["![Hours, and money or machine hours, against machines](plan.svg)", ""]
    parts += ["## Each variant on the fewest machines that are in time", ""]
    parts += grid(
        ("variant", "hardware", "machines", "hours", "machine hours", "US dollars", "remark"),
        [_row(row) for row in _best(plan).itertuples(index=False)],
    )
    late = [name for name, rows in _by_cell(plan) if not (rows["fewest"] == "yes").any()]
    parts += ["", f"In time on no number of machines: {'; '.join(late)}."] if late else []
    parts += ["", "## Fewer and more machines", ""]
    parts += grid(
        ("variant", "hardware", "machines", "hours", "in time", "machine hours", "US dollars"),
        [
            [name_of(row), hardware_of(row), number_of(row.machines), ranged(row, "hours"), row.in_time]
            + [number(row.machine_hours), _dollars(row)]
            for row in plan.itertuples(index=False)
        ],
    )
    parts += ["", "## How to read it", HOW_TO_READ, "", "## What it cannot know"]
    parts += [f"- {line}" for line in [*limits(plan), *_scaled(plan, scaling)]]
    return wrapped("\n".join(parts) + "\n")


def _best(plan: pd.DataFrame) -> pd.DataFrame:
    """The rows with the fewest machines in time, least machine hours first, those in doubt last."""
    rows = plan[plan["fewest"] == "yes"]
    doubtful = rows["doubt"] != ""
    return rows.assign(doubtful=doubtful).sort_values(["doubtful", "machine_hours"], kind="stable")


def _by_cell(plan: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    cells = plan.apply(lambda row: f"{name_of(row)}, {hardware_of(row)}", axis=1)
    return list(plan.groupby(cells, sort=False))


def _row(row: Any) -> list[str]:
    best = row.answer and f"least {row.answer.replace('; ', ' and ')}"
    return [
        name_of(row),
        hardware_of(row),
        number_of(row.machines),
        ranged(row, "hours"),
        number(row.machine_hours),
        _dollars(row),
        "; ".join(filter(None, [best, row.doubt])),
    ]


def _dollars(row: Any) -> str:
    return ranged(row, "usd") if math.isfinite(row.usd) else "not known"


def _scaled(plan: pd.DataFrame, scaling: pd.DataFrame) -> list[str]:
    """What was measured of several workers of the planned variants."""
    ours = scaling[(scaling["source"] == plan["source"].iloc[0]) & scaling["throughput"].notna()]
    most = ours["workers"].max()
    if not most > 1:
        return ["No cluster was measured: every row is of one machine with one worker, taken so many times."]
    said = f"The most workers that were measured together are {most:.0f}"
    # Workers elsewhere count as a machine each.
    together = plan[plan["workers"] == most]
    if (together["machines"] < most).any():
        said += ", which shared one machine: no network between them is in any row"
    return [f"{said}."]

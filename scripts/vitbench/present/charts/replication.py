"""Our records beside the published runs: a row a comparison, and a panel a batch-size curve.

Each mark is a ratio of two times of one side; no time of theirs meets one of ours.
"""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitbench.analysis.statistics import LEAST_BLOCKS
from vitbench.present import style
from vitbench.present.labels import DEVICES, brackets, number, variant_name
from vitbench.series.replication import KINDS, NOT_MEASURED, VERDICTS

PLOT, ROW, HEAD, NOTE, GAP, INDENT = 3.6, 0.46, 0.3, 0.24, 0.2, 0.15
APART = 0.085  # inches that ours stands above the middle of a row, and theirs below
PANEL_WIDTH, PANEL_HEIGHT, PANEL_LEFT, PANEL_HEAD, PANEL_FOOT = 3.1, 2.2, 0.6, 0.62, 0.55
ACROSS = 3
RULE = (
    "Agrees: both say that the same side is faster. Disagrees: the opposite, or ours equivalent and outside"
    " theirs. Cannot be told apart: their noise holds 1, or ours is inconclusive. Sizes may differ, for the"
    " hardware does; no ratio has a time of theirs and one of ours in it (docs/published.md). Not measured by us:"
    " there is no interval of ours; column to_run of the table says what it takes."
)


def ratios(table: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `replication`: what we measured row by row under its kind, what we did not in one line a kind."""
    groups = [(kind, rows) for kind in KINDS if len(rows := table[table["kind"] == kind])]
    measured = table[table["ours"].notna()]
    left = _left(measured, [rows for _, rows in groups])
    columns = _columns(measured)
    widths = [
        max(style.text_width(line, size, weight) for lines in column for line, size, weight in lines)
        for column in columns
    ]
    plot_left = style.MARGIN + left + GAP
    width = plot_left + PLOT + sum(widths) + GAP * len(widths) + style.MARGIN
    body = sum(HEAD + ROW * rows["ours"].notna().sum() + NOTE * rows["ours"].isna().any() for _, rows in groups)
    with style.theme():
        page = style.Page(width, 0.55 + body + 1.05, _title(table), _caption(measured, context))
        top = page.top + 0.55
        axes = page.axes(plot_left, top, PLOT, body)
        axes.set_ylim(body, 0)  # inches from the top, so that rows and words stay aligned
        axes.set_yticks([])
        _scale(axes, measured)
        page.text(plot_left, top - 0.06, "← the second is faster", size=style.SMALL, weight="bold", va="bottom")
        page.text(plot_left + PLOT, top - 0.06, "the first is faster →", size=style.SMALL, weight="bold", ha="right",
                  va="bottom")  # fmt: skip
        edges = [plot_left + PLOT + GAP + sum(widths[:place]) + GAP * place for place in range(len(widths))]
        for edge, column in zip(edges, columns, strict=True):
            for line, (words, size, weight) in enumerate(column[0]):
                y = top - 0.06 - (len(column[0]) - 1 - line) * style.SMALL * style.LINE
                page.text(edge, y, words, size=size, weight=weight, va="bottom")
        y, place = 0.0, 1
        for kind, rows in groups:
            there = rows[rows["ours"].notna()]
            page.text(
                style.MARGIN,
                top + y + 0.07,
                f"{kind} ({len(there)} of {len(rows)} with a ratio of ours)",
                weight="bold",
            )
            axes.axhline(y, color="#b0b0b0", linewidth=0.8)
            y += HEAD
            for row in there.itertuples():
                lines = (top + y + 0.04, top + y + 0.04 + style.BODY * style.LINE)
                for at, words, size in zip(lines, _names(row), (style.BODY, style.SMALL), strict=True):
                    page.text(
                        style.MARGIN, at, words, size=size, color=style.INK if at == lines[0] else style.FAINT_INK
                    )
                for edge, column in zip(edges, columns, strict=True):
                    for at, (words, size, weight) in zip(lines, column[place], strict=False):
                        page.text(edge, at, words, size=size, weight=weight)
                _marks(axes, row, y + ROW / 2)
                y, place = y + ROW, place + 1
            if len(there) < len(rows):
                page.text(style.MARGIN + INDENT, top + y + 0.04, _lacking(rows[rows["ours"].isna()]), size=style.SMALL,
                          color=style.FAINT_INK)  # fmt: skip
                y += NOTE
        _key(page, plot_left, top + body + 0.5, f"ours, 95% interval (no dot: below {LEAST_BLOCKS} blocks, range)")
    return page.figure


def _left(measured: pd.DataFrame, groups: list[pd.DataFrame]) -> float:
    """Inches that the words at the left take."""
    words = [pair for row in measured.itertuples() for pair in zip(_names(row), (style.BODY, style.SMALL), strict=True)]
    words += [(_lacking(rows[rows["ours"].isna()]), style.SMALL) for rows in groups]
    return max([3.9, *(style.text_width(text, size) + (size == style.SMALL) * INDENT for text, size in words)])


def _names(row) -> tuple[str, str]:
    """What is compared, and where they did."""
    first, second = (_side(cell) for cell in (row.candidate, row.baseline))
    place = first[1] if first[1] == second[1] else ""
    words = [name if place else f"{name}, {hardware}" for name, hardware in (first, second)]
    if row.kind == KINDS[3]:
        sizes = [cell.rpartition("/bs")[2] for cell in (row.published_candidate, row.published_baseline)]
        return f"{first[0]}, {place}, batch size {sizes[0]} against {sizes[1]}", _place(row)
    return f"{words[0]} vs {words[1]}" + (f", {place}" if place else ""), _place(row)


def _side(cell: str) -> tuple[str, str]:
    framework, variant, device, workers = cell.split("/")
    count = int(workers.removeprefix("w"))
    return variant_name(framework, variant), DEVICES[device] + (f", {count} workers" if count > 1 else "")


def _place(row) -> str:
    return f"part {row.part}, {row.environment}, {row.dataset}"


def _columns(measured: pd.DataFrame) -> list[list[list[tuple[str, float, str]]]]:
    """The right margin, column by column: the header's lines, then each row's, as (words, size, weight)."""
    small, bold = style.SMALL, "bold"
    head = [["ours", "theirs"], ["n"], ["verdict", "size"]]
    columns: list[list[list[tuple[str, float, str]]]] = [[[(line, small, bold) for line in lines]] for lines in head]
    for row in measured.itertuples():
        intervals = [
            f"{number(middle)}{brackets(low, high)}"
            for middle, low, high in (
                (row.ours, row.ours_low, row.ours_high),
                (row.published, row.published_low, row.published_high),
            )
        ]
        verdict = [row.verdict, "" if row.sizes == "overlap" else row.sizes]
        if row.verdict == NOT_MEASURED:
            verdict[1] = row.our_verdict
        for column, lines in zip(columns, (intervals, [f"{row.blocks:.0f}"], verdict), strict=True):
            heavy = bold if column is columns[2] else "normal"
            column.append([(line, small, heavy if not place else "normal") for place, line in enumerate(lines)])
    return columns


def _lacking(rows: pd.DataFrame) -> str:
    """What is not measured, in one line: how many, and the keys of the configuration that it takes."""
    keys = {part.split(":")[0] for needed in rows["to_run"] for part in needed.split("; ") if part}
    return f"{len(rows)} not measured by us" + (f"; needed: {', '.join(sorted(keys))}" if keys else "")


def _title(table: pd.DataFrame) -> str:
    counts = table["verdict"].value_counts()
    words = ", ".join(f"{verdict} {counts[verdict]}" for verdict in VERDICTS if verdict in counts)
    few = ((table["verdict"] == NOT_MEASURED) & table["ours"].notna()).sum()
    words += f" ({few} of them too few repeats)" if few else ""
    return f"{len(table)} published comparisons, beside our records: {words}"


def _caption(measured: pd.DataFrame, context: dict) -> list[str]:
    if measured.empty:
        return [RULE, style.origin(context)]
    how = (
        "Ours: geometric mean of the blocks' ratios (n), each a fresh process a cell, with its 95% interval; below"
        f" {LEAST_BLOCKS} blocks a thin bar, their range. Theirs: ratio of single runs; whisker: the noise of single"
        " runs (95%), pooled over the accidental repeats of the series on that device and data set."
    )
    equal, unequal = ({fact.split(":")[0] for cell in measured[column] for fact in cell.split("; ") if fact}
                      for column in ("equal", "unequal"))  # fmt: skip
    conditions = (
        f"Equal in all rows: {_listed(equal - unequal)}. Not equal: {_listed(unequal)} (columns equal, unequal)."
    )
    return [how, RULE, conditions, style.origin(context)]


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _scale(axes: Axes, measured: pd.DataFrame) -> None:
    """A log2 axis over 0.5 … 2, or as far as the data go."""
    columns = ["ours", "ours_low", "ours_high", "published", "published_low", "published_high"]
    values = [value for value in measured[columns].to_numpy().ravel() if math.isfinite(value) and value > 0]
    first = min([-1, *(math.floor(math.log2(value)) for value in values)])
    last = max([1, *(math.ceil(math.log2(value)) for value in values)])
    powers = range(first, last + 1)
    axes.set_xscale("log", base=2)
    axes.set_xlim(2.0 ** (first - 0.1), 2.0 ** (last + 0.1))
    axes.set_xticks([2.0**power for power in powers], [f"{2.0**power:g}" for power in powers])
    axes.minorticks_off()
    axes.axvline(1, color=style.INK, linewidth=2.2, zorder=1)
    axes.set_xlabel("times as fast (log scale)", fontsize=style.SMALL, labelpad=4)


def _marks(axes: Axes, row, middle: float) -> None:
    ours, theirs = middle - APART, middle + APART
    decided = row.verdict != NOT_MEASURED
    axes.plot([row.ours_low, row.ours_high], [ours, ours], color=style.OURS, linewidth=2.4 if decided else 1.3,
              marker="|", markersize=8, markeredgewidth=2.4 if decided else 1.3, zorder=3)  # fmt: skip
    if decided:
        axes.plot(row.ours, ours, "o", color=style.OURS, markersize=6.5, zorder=4)
    axes.plot([row.published_low, row.published_high], [theirs, theirs], color=style.THEIRS, linewidth=1, zorder=2)
    axes.plot(row.published, theirs, "D", markerfacecolor="white", markeredgecolor=style.THEIRS, markersize=5.5,
              markeredgewidth=1.4, zorder=4)  # fmt: skip


def _key(page: style.Page, left: float, top: float, ours: str) -> None:
    """Explain the marks; `ours`: what the whiskers of ours are."""
    handles = [
        Line2D([], [], color=style.OURS, marker="o", linewidth=2.4, markersize=6.5, label=ours),
        Line2D([], [], color=style.THEIRS, marker="D", linewidth=1, markersize=5.5, markerfacecolor="white",
               markeredgewidth=1.4, label="published, noise of single runs"),
    ]  # fmt: skip
    page.figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left / page.width, 1 - top / page.height), frameon=False,
        fontsize=style.SMALL, borderaxespad=0, borderpad=0, labelspacing=0.4, handlelength=2.4,
    )  # fmt: skip


def curves(table: pd.DataFrame, points: pd.DataFrame, context: dict) -> Figure:
    """Draw the published curves that we swept, too, each side relative to the best of its own curve.

    Args:
        table: `replication`, of which the curves' rows give the verdicts.
        points: `replication_curves`.
    """
    keys = ["part", "environment", "dataset", "framework", "variant", "device", "workers"]
    groups = [(key, rows) for key, rows in points.groupby(keys, sort=False)]
    drawn = [(key, rows) for key, rows in groups if rows["ours"].notna().any()]
    caption = [
        "Throughput relative to the best of the same curve, against the effective batch size (Spark NLP: computed"
        " from the rows of the partitions); batch sizes that came to the same batches are one point. Published: mean of"
        " such runs; whisker: noise of the ratio to the best. Ours: geometric mean of the blocks' ratios to the best;"
        f" whisker: its 95% interval, below {LEAST_BLOCKS} blocks the range; n = {_blocks(points)} blocks a point.",
        f"{len(groups) - len(drawn)} published curves of {len(groups)} are not drawn: no sweep of ours has their"
        " variant, device and number of workers." if len(drawn) < len(groups) else "",
        style.origin(context),
    ]  # fmt: skip
    title = "Batch-size curves, published and ours, each relative to its own best"
    cell = PANEL_LEFT + PANEL_WIDTH + 0.15
    across = max(1, min(ACROSS, len(drawn)))
    width = max(2 * style.MARGIN + across * cell, 7.2)
    height = PANEL_HEAD + PANEL_HEIGHT + PANEL_FOOT
    with style.theme():
        if not drawn:
            page = style.Page(width, 1.4, title, caption)
            axes = page.axes(style.MARGIN, page.top, width - 2 * style.MARGIN, 1.2)
            axes.set_xticks([])
            style.say(axes, "No published curve has a counterpart in these records.")
            return page.figure
        page = style.Page(width, math.ceil(len(drawn) / across) * height + 0.6, title, caption)
        for place, (key, rows) in enumerate(drawn):
            left = style.MARGIN + place % across * cell
            top = page.top + place // across * height
            axes = page.axes(left + PANEL_LEFT, top + PANEL_HEAD, PANEL_WIDTH, PANEL_HEIGHT)
            _curve(axes, rows, labelled=place % across == 0)
            for line, words in enumerate(_panel_words(key, table)):
                page.text(left + PANEL_LEFT, top + line * style.SMALL * style.LINE, words, size=style.SMALL,
                          weight="bold" if line != 1 else "normal")  # fmt: skip
        _key(page, style.MARGIN + PANEL_LEFT, page.top + math.ceil(len(drawn) / across) * height + 0.1, "ours")
    return page.figure


def _panel_words(key: tuple, table: pd.DataFrame) -> list[str]:
    """Three lines above a panel: what, where, verdict."""
    part, environment, dataset, framework, variant, device, workers = key
    name = f"{framework}/{variant}/{device}/w{workers:.0f}"
    same = table[(table["kind"] == KINDS[3]) & (table["candidate"] == name) & (table["dataset"] == dataset)]
    verdict = same.loc[same["environment"] == environment, "verdict"].iloc[0]
    return [", ".join(_side(name)), f"part {part}, {environment}, {dataset}", verdict]


def _blocks(points: pd.DataFrame) -> str:
    known = points["blocks"].dropna()
    if known.empty:
        return "0"
    low, high = int(known.min()), int(known.max())
    return str(low) if low == high else f"{low} to {high}"


def _curve(axes: Axes, rows: pd.DataFrame, labelled: bool) -> None:
    rows = rows.sort_values("batch_size")
    for side, color, shift, how in (
        (
            "published",
            style.THEIRS,
            1.03,
            {"marker": "D", "markersize": 5.5, "markerfacecolor": "white", "linewidth": 1},
        ),
        ("ours", style.OURS, 1 / 1.03, {"marker": "o", "markersize": 6.5, "linewidth": 1.8}),
    ):
        known = rows[rows[side].notna()]
        x = known["batch_size"] * shift
        axes.vlines(x, known[f"{side}_low"], known[f"{side}_high"], color=color, linewidth=how["linewidth"], zorder=3)
        axes.plot(x, known[side], color=color, markeredgecolor=color, markeredgewidth=1.4, zorder=4, **how)
    sizes = sorted(rows["batch_size"].astype(int))
    axes.set_xscale("log", base=2)
    axes.set_xlim(sizes[0] / 1.35, sizes[-1] * 1.35)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_ylim(0, max(1.2, 1.04 * rows[["published_high", "ours_high"]].max().max()))
    axes.set_xlabel("effective batch size (log scale)", fontsize=style.SMALL)
    if labelled:
        axes.set_ylabel("throughput / best", fontsize=style.SMALL)

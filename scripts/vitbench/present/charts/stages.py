"""The stages chart: where the milliseconds of an image go, one stacked bar a cell, and what bounds it."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from vitbench.analysis.stages import PROFILED
from vitbench.present import style
from vitbench.present.labels import DEVICES, size_words, variant_name

PLOT, ROW, GAP = 5.4, 0.56, 0.2  # inches
HEAD, BELOW = 0.34, 0.86
# In the order of an image's way; light and dark in turn, so that neighbours are told apart in grey, too.
COLORS = {
    "read": "#56B4E9", "decode": "#0072B2", "preprocess": "#E69F00", "forward": "#D55E00", "postprocess": "#CC79A7",
}  # fmt: skip
OTHER = "#B8B8B8"


def draw(table: pd.DataFrame, context: dict) -> Figure:
    """Draw the table `stages`, one bar for the rows of a cell; cells of one device share the scale."""
    title = f"Stages of a warm pass, milliseconds an image: {style.dataset_title(context, 'full')}"
    with style.theme():
        cells = [(key, rows) for key, rows in table.groupby(PROFILED, sort=False, dropna=False)]
        shown = [(key, rows) for key, rows in cells if rows["seconds"].notna().any()]
        if not shown:
            page = style.Page(8.0, 1.6, title, [_without(cells), style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "No cell was profiled: the stages are not known.")
            return page.figure
        names = [_name(key) for key, _ in shown]
        words = [_verdict(rows) for _, rows in shown]
        left = max(style.text_width(line, size) for lines in names
                   for line, size in zip(lines, (style.BODY, style.SMALL), strict=True)) + 0.15  # fmt: skip
        right = max(style.text_width(line, style.SMALL, weight) for lines in words for line, weight in lines)
        row_height = max(ROW, max(map(len, words)) * 0.18 + 0.16)
        devices = list(dict.fromkeys(key[2] for key, _ in shown))
        parts = {device: [at for at, (key, _) in enumerate(shown) if key[2] == device] for device in devices}
        body = sum(HEAD + row_height * len(part) + BELOW for part in parts.values())
        width = 2 * style.MARGIN + left + PLOT + GAP + right
        page = style.Page(width, body, title, _caption(shown, cells, context))
        top = page.top
        for device, part in parts.items():
            page.text(style.MARGIN, top, DEVICES.get(device, device), weight="bold")
            axes = page.axes(style.MARGIN + left, top + HEAD, PLOT, row_height * len(part))
            axes.set_ylim(len(part), 0)
            axes.set_yticks([])
            axes.grid(False, axis="y")
            for place, at in enumerate(part):
                _bar(axes, place + 0.5, shown[at][1])
                for line, (text, size) in enumerate(zip(names[at], (style.BODY, style.SMALL), strict=True)):
                    page.text(style.MARGIN, top + HEAD + row_height * place + 0.1 + 0.19 * line, text, size=size,
                              color=style.FAINT_INK if line else style.INK)  # fmt: skip
                for line, (text, weight) in enumerate(words[at]):
                    y = top + HEAD + row_height * place + 0.1 + 0.18 * line
                    page.text(style.MARGIN + left + PLOT + GAP, y, text, size=style.SMALL, weight=weight)
            axes.set_xlim(0, axes.dataLim.x1 * 1.05)
            axes.set_xlabel("milliseconds an image (from zero)")
            _legend(
                page,
                axes,
                [shown[at][1] for at in part],
                style.MARGIN + left,
                top + HEAD + row_height * len(part) + 0.5,
            )
            top += HEAD + row_height * len(part) + BELOW
        return page.figure


def _name(key: tuple) -> tuple[str, str]:
    framework, variant, _, workers, size, dataset = key
    several = f", {workers:.0f} workers" if workers != 1 else ""
    return f"{variant_name(framework, variant)}{several}", f"{size_words(size)}, {dataset}"


def _milliseconds(seconds: float, images: float) -> float:
    return seconds / images * 1000


def _verdict(rows: pd.DataFrame) -> list[tuple[str, str]]:
    """(line, weight): what bounds the cell, and how its sum stands to the wall time of the run without instruments."""
    first = rows.iloc[0]
    bound = style.wrap(f"bound by {first['bound_by'] or 'what is not known'}", 3.4, style.SMALL, "bold", most=3)
    if math.isfinite(first["wall_seconds"]):
        words = f"sum: {first['sum_seconds'] / first['wall_seconds']:.1%} of the wall time"
        words += ", more than 10% off" if _off(rows) else ""
    else:
        words = "no wall time without instruments"
    return [*((line, "bold") for line in bound), (words, "normal")]


def _off(rows: pd.DataFrame) -> bool:
    """Whether the stages of a cell are known not to add up to its wall time."""
    return math.isfinite(rows["wall_seconds"].iloc[0]) and not rows["within_10_percent"].iloc[0]


def _bar(axes: Axes, y: float, rows: pd.DataFrame) -> None:
    """The stages end to end, each with its milliseconds where they fit; the wall time as a tall stroke."""
    images, begin = rows["images"].iloc[0], 0.0
    off = _off(rows)
    for row in rows.itertuples(index=False):
        if not row.seconds > 0:
            continue
        width = _milliseconds(row.seconds, images)
        axes.barh(y, width, left=begin, height=0.5, color=COLORS.get(row.stage, OTHER), edgecolor="white",
                  linewidth=0.8, hatch="////" if off else None, zorder=2)  # fmt: skip
        begin += width
    wall = _milliseconds(rows["wall_seconds"].iloc[0], images)
    if math.isfinite(wall):
        axes.plot([wall, wall], [y - 0.36, y + 0.36], color=style.INK, linewidth=2.4, solid_capstyle="butt", zorder=4)


def _legend(page: style.Page, axes: Axes, cells: list[pd.DataFrame], left: float, top: float) -> None:
    stages = dict.fromkeys(stage for rows in cells for stage in rows.loc[rows["seconds"] > 0, "stage"])
    ordered = sorted(stages, key=lambda stage: list(COLORS).index(stage) if stage in COLORS else len(COLORS))
    handles = [Patch(color=COLORS.get(stage, OTHER), label=stage) for stage in ordered]
    handles.append(Line2D([], [], color=style.INK, marker="|", markersize=12, markeredgewidth=2.4, linestyle="none",
                          label="wall time without instruments"))  # fmt: skip
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left / page.width, 1 - top / page.height), frameon=False,
        bbox_transform=page.figure.transFigure, fontsize=style.SMALL, borderaxespad=0, borderpad=0, ncols=len(handles),
        columnspacing=1.0, handlelength=1.2, handletextpad=0.4,
    )  # fmt: skip


def _caption(shown: list, cells: list, context: dict) -> list[str]:
    methods: dict[str, list[str]] = {}
    for key, rows in shown:
        methods.setdefault(rows["method"].iloc[0], []).append(variant_name(*key[:2]))
    how_known = "; ".join(f"{', '.join(dict.fromkeys(names))}: {method}" for method, names in methods.items() if method)
    how = (
        "Stages: medians over the instrumented passes of one profiling repeat a cell (n = 1, hence no interval). Wall"
        " time: median of the usable repeats, which bear no instruments. Other: what no stage claims, such as planning."
    )
    off = dict.fromkeys(f"{variant_name(*key[:2])}, {DEVICES.get(key[2], key[2])}" for key, rows in shown if _off(rows))
    note = ""
    if off:
        note = (
            f"Hatched: the stages do not add up to the wall time within 10%, read no share off them: {'; '.join(off)}."
        )
    return [how, f"Known from: {how_known}." if how_known else "", note, _without(cells), style.origin(context)]


def _without(cells: list) -> str:
    """Cells that give no stages, and why."""
    told = [
        f"{variant_name(*key[:2])}, {DEVICES.get(key[2], key[2])}: {rows['status'].iloc[0]}, {rows['reason'].iloc[0]}"
        for key, rows in cells
        if rows["seconds"].isna().all()
    ]
    return f"Without stages: {'; '.join(told)}." if told else ""

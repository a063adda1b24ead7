"""The passes chart: seconds an image against the pass, one line a repeat: how it warms up, and what is timed."""

from __future__ import annotations

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from vitbench.cells import VARIANT
from vitbench.flags import NOT_FOR_CLAIMS, SUSPECT, UNSTEADY, WORK_LOST
from vitbench.present import style
from vitbench.present.labels import DEVICES, number, size_words, variant_name

ROLES = ("full", "sample")
PLOT, HEIGHT = 3.9, 1.35  # inches
LEFT, BETWEEN, HEAD, FOOT = 0.75, 0.5, 0.46, 0.34
# Marks of what a repeat was set aside for; of several: a diamond.
ASIDE = {UNSTEADY: "^", SUSPECT: "s", WORK_LOST: "v"}
BOTH = "D"
TIMED = {"linewidth": 1.5, "marker": "o", "markersize": 3.2}
CHANGE = {"marker": "|", "markersize": 11, "markeredgewidth": 1.6, "linestyle": "none"}
WIDE_SPAN = 8  # highest / lowest value from which a linear axis would flatten the timed passes


def draw(runs: pd.DataFrame, context: dict) -> Figure:
    """Draw every ok repeat of the runs table: a row a variant on its hardware, left the full set, right the sample."""
    lines = _lines(runs)
    title = "Seconds an image, pass by pass: warm-up, and the timed passes that make the value"
    with style.theme():
        if lines.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "There is no repeat with passes to show.")
            return page.figure
        roles = [role for role in ROLES if (lines["dataset"] == role).any()]
        groups = list(lines.groupby(VARIANT, sort=False))
        sizes = sorted(lines.loc[lines["dataset"] == "sample", "batch_size"].unique())
        shades = dict(zip(sizes, seaborn.color_palette("crest", len(sizes)), strict=True))
        keys = _keys(lines, shades)
        key_width = max(style.text_width(key.get_label(), style.SMALL) for key in keys) + 0.5
        width = style.MARGIN * 2 + LEFT + len(roles) * (PLOT + BETWEEN) + key_width
        page = style.Page(width, len(groups) * (HEAD + HEIGHT + FOOT) + 0.45, title, _caption(lines, context))
        marks = style.marks_of(context, zip(runs["framework"], runs["variant"], strict=True))
        for column, role in enumerate(roles):
            left = style.MARGIN + LEFT + column * (PLOT + BETWEEN)
            page.text(left, page.top, f"{role.capitalize()}: {style.dataset_title(context, role)}", weight="bold")
        first = None
        for place, (key, group) in enumerate(groups):
            top = page.top + 0.24 + place * (HEAD + HEIGHT + FOOT)
            page.text(style.MARGIN + LEFT, top, _name(key), weight="bold", size=style.SMALL)
            page.text(style.MARGIN + LEFT, top + 0.17, _facts(group), size=style.SMALL, color=style.FAINT_INK)
            for column, role in enumerate(roles):
                axes = page.axes(style.MARGIN + LEFT + column * (PLOT + BETWEEN), top + HEAD - 0.06, PLOT, HEIGHT)
                color = shades if role == "sample" else marks[key[:2]].color
                _panel(axes, group[group["dataset"] == role], color, lines, key[2], last=place == len(groups) - 1)
                if column == 0:
                    axes.set_ylabel("s an image")
                first = first or axes
        beside = (style.MARGIN + LEFT + len(roles) * (PLOT + BETWEEN) - BETWEEN + 0.15) / page.width
        page.figure.legend(
            handles=keys, loc="upper left", bbox_to_anchor=(beside, first.get_position().y1), frameon=False,
            fontsize=style.SMALL, borderaxespad=0, borderpad=0, labelspacing=0.5, handlelength=2.2, handletextpad=0.6,
        )  # fmt: skip
        return page.figure


def _lines(runs: pd.DataFrame) -> pd.DataFrame:
    """The ok repeats that have passes, with the list `each` of seconds an image and `aside`, why they do not count."""
    ok = runs[(runs["status"] == "ok") & (runs["pass_seconds"] != "")].copy()
    ok["each"] = [
        [float(seconds) / images for seconds in passes.split(";")]
        for passes, images in zip(ok["pass_seconds"], ok["images"], strict=True)
    ]
    ok["aside"] = [tuple(flag for flag in NOT_FOR_CLAIMS if flag in flags.split(";")) for flags in ok["flags"]]
    return ok


def _name(key: tuple) -> str:
    framework, variant, device, workers = key
    several = f", {workers:.0f} workers" if workers != 1 else ""
    return f"{variant_name(framework, variant)}, {DEVICES.get(device, device)}{several}"


def _facts(group: pd.DataFrame) -> str:
    """What comes before the passes, as medians of the repeats on the full set (else on the sample)."""
    full = group[group["dataset"] == "full"]
    of = full if len(full) else group
    parts = [("start", "start_seconds"), ("load", "load_seconds"), ("first batch", "first_batch_seconds")]
    known = [f"{name} {number(of[column].median())} s" for name, column in parts if of[column].notna().any()]
    at = f", {size_words(full['batch_size'].iloc[0])}" if len(full) else ""
    words = " · ".join(known)
    return f"before pass 0: {words} (medians of n = {len(of)}{at})" if known else ""


def _panel(axes: Axes, group: pd.DataFrame, color: str | dict, lines: pd.DataFrame, device: str, last: bool) -> None:
    same = lines[lines["device"] == device]
    highest, lowest = same["each"].map(max).max(), same["each"].map(min).min()
    if highest > WIDE_SPAN * lowest:
        axes.set_yscale("log")
        axes.set_ylim(lowest / 1.2, highest * 1.2)
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 3), numticks=5))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.set_ylim(0, highest * 1.08)
    passes = int(lines["each"].map(len).max())
    axes.set_xlim(-0.3, passes - 0.7)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=min(passes, 10)))
    axes.grid(False, axis="x")
    for row in group.itertuples(index=False):
        ink = color[row.batch_size] if isinstance(color, dict) else color
        dashes = "--" if row.aside else "-"
        # The line of warm-up ends where the timed passes begin, so that there is no gap.
        begin = len(row.each) - int(row.timed_passes)
        axes.plot(range(begin + 1), row.each[: begin + 1], color=ink, alpha=0.5, zorder=2, linestyle=dashes,
                  linewidth=0.7)  # fmt: skip
        axes.plot(range(begin, len(row.each)), row.each[begin:], color=ink, alpha=0.9, zorder=3,
                  linestyle=dashes, **TIMED)  # fmt: skip
        if pd.notna(row.last_change):
            place = int(row.last_change)
            axes.plot([place], [row.each[place]], color=ink, zorder=4, **CHANGE)
        if row.aside:
            marker = BOTH if len(row.aside) > 1 else ASIDE[row.aside[0]]
            axes.plot(len(row.each) - 1, row.each[-1], marker=marker, markersize=6.5, markerfacecolor="white",
                      markeredgecolor=style.INK, markeredgewidth=1.2, linestyle="none", zorder=4)  # fmt: skip
    if group.empty:
        axes.set_yticks([])
        axes.text(0.5, 0.5, "not measured here", transform=axes.transAxes, ha="center", va="center",
                  fontsize=style.SMALL, color=style.FAINT_INK)  # fmt: skip
    if last:
        axes.set_xlabel("pass (0: cold)")


def _keys(lines: pd.DataFrame, shades: dict) -> list[Line2D]:
    """Explain the lines that the chart has, and no others."""
    keys = []
    keys.append(Line2D([], [], color=style.INK, alpha=0.5, linewidth=0.7, label="warm-up (pass 0: cold)"))
    keys.append(Line2D([], [], color=style.INK, label="timed passes: the value", **TIMED))
    if lines["last_change"].notna().any():
        keys.append(Line2D([], [], color=style.INK, label="last change of level", **CHANGE))
    aside = set(lines["aside"]) - {()}
    for flags in sorted(aside):
        marker = BOTH if len(flags) > 1 else ASIDE[flags[0]]
        keys.append(Line2D([], [], color=style.INK, linestyle="--", linewidth=1.0, marker=marker, markersize=6.5,
                           markerfacecolor="white", label=f"set aside: {' and '.join(flags)}"))  # fmt: skip
    keys += [Line2D([], [], color=shade, linewidth=2.5, label=f"sample, batch size {size:.0f}")
             for size, shade in shades.items()]  # fmt: skip
    return keys


def _caption(lines: pd.DataFrame, context: dict) -> list[str]:
    aside = lines["aside"].map(len) > 0
    how = (
        f"One line a repeat (a fresh process), n = {len(lines)} repeats; every point is one pass over the whole data"
        " set, divided by its images. Warm-up ends when images, seconds, the run time's compilers and the level of the"
        " passes say so; the value is the median of the timed passes alone, whose number was fixed before. One scale"
        " for all panels of a device, so that heights may be compared."
    )
    if any(max(part["each"].map(max)) > WIDE_SPAN * min(part["each"].map(min)) for _, part in lines.groupby("device")):
        how += " Logarithmic where the passes lie far apart."
    if (lines["short_passes"] > 0).any():
        how += " The short passes between pass 0 and the next, in which Spark's planner is compiled, are not drawn."
    more = (
        f"Set aside, {aside.sum()} of {len(lines)}: drawn dashed, and in no median, ratio or verdict."
        if any(aside)
        else ""
    )
    return [how, more, style.origin(context)]

"""The quiet chart: was the machine quiet? The canary of each repeat over time, and who else used the processor."""

from __future__ import annotations

import pandas as pd
from matplotlib import dates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vitbench.flags import NOT_FOR_CLAIMS, SUSPECT, UNSTEADY, WORK_LOST, bears
from vitbench.present import style

PLOT, CANARY, SHARES, LEFT = 7.6, 2.6, 1.5, 0.85  # inches
HEAD, BETWEEN, BELOW = 0.3, 0.32, 0.55
PARTS = {
    "canary_gemm": ("canary: matrix product", style.BLUE, "o", "gemm_slower", ""),
    "canary_decode": ("canary: JPEG decoding", style.OTHERS[0], "^", "decode_slower", (0, (4, 3))),
}
SHARE_LINES = {
    "steal_share": ("taken by the hypervisor (steal)", style.VERMILION, "v"),
    "foreign_cpu_share": ("used by other processes", style.BLUE, "D"),
}


def draw(runs: pd.DataFrame, context: dict) -> Figure:
    """Draw every repeat of the runs table that ran: columns started, flags, attempts, of PARTS and of SHARE_LINES."""
    title = "Was the machine quiet? The canary beside each repeat, over the time of the campaign"
    tried = runs[runs["started"] != ""].copy()
    tried["at"] = pd.to_datetime(tried["started"], utc=True, format="ISO8601")
    tried = tried.sort_values("at", kind="stable")
    known = [column for column in SHARE_LINES if tried[column].notna().any()]
    with style.theme():
        if tried[list(PARTS)].isna().all(axis=None):
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "No repeat has a canary: these records do not say whether the machine was quiet.")
            return page.figure
        keys = _keys(tried, known, context)
        key_width = max(style.text_width(key.get_label(), style.SMALL) for key in keys) + 0.5
        body = HEAD + CANARY + (BETWEEN + SHARES if known else 0) + BELOW
        page = style.Page(2 * style.MARGIN + LEFT + PLOT + key_width, body, title, _caption(tried, context))
        left = style.MARGIN + LEFT
        axes = page.axes(left, page.top + HEAD, PLOT, CANARY)
        page.text(left, page.top, "Canary: fixed work before and after each repeat, the slower of both", weight="bold")
        _canary(axes, tried, context)
        bottom = axes
        if known:
            bottom = page.axes(left, page.top + HEAD + CANARY + BETWEEN, PLOT, SHARES)
            _shares(bottom, tried, known)
            axes.tick_params(axis="x", labelbottom=False)
        _times(axes, bottom, tried)
        axes.legend(
            handles=keys, loc="upper left", bbox_to_anchor=(1 + 0.12 / PLOT, 1), frameon=False, fontsize=style.SMALL,
            borderaxespad=0, borderpad=0, labelspacing=0.6, handlelength=1.4, handletextpad=0.5,
        )  # fmt: skip
        return page.figure


def _canary(axes: Axes, tried: pd.DataFrame, context: dict) -> None:
    axes.axhline(1, color=style.INK, linewidth=1.6, zorder=1)
    for column, (_, color, marker, limit, dashes) in PARTS.items():
        axes.plot(tried["at"], tried[column], color=color, linewidth=0.6, linestyle=dashes or "-", zorder=2)
        axes.plot(tried["at"], tried[column], marker=marker, markersize=4.5, color=color, linestyle="none", zorder=3)
        axes.axhline(1 - context["quiet"][limit], color=color, linewidth=1.2, linestyle=(0, (1, 1.5)), zorder=1)
    # Marks of a whole repeat stand around its matrix product.
    bad, again = tried[bears(tried, SUSPECT)], tried[tried["attempts"] > 0]
    axes.plot(bad["at"], bad["canary_gemm"], marker="s", markersize=9, markerfacecolor="none", markeredgewidth=1.8,
              markeredgecolor=style.VERMILION, linestyle="none", zorder=4)  # fmt: skip
    axes.plot(again["at"], again["canary_gemm"], marker="o", markersize=12, markerfacecolor="none", markeredgewidth=1.2,
              markeredgecolor=style.INK, linestyle="none", zorder=5)  # fmt: skip
    least = min(tried[list(PARTS)].min(axis=None), *(1 - context["quiet"][part[3]] for part in PARTS.values()))
    axes.set_ylim(least - 0.05, max(1.1, tried[list(PARTS)].max(axis=None) + 0.03))
    axes.set_ylabel("speed / usual speed")


def _shares(axes: Axes, tried: pd.DataFrame, known: list[str]) -> None:
    for column in known:
        _, color, marker = SHARE_LINES[column]
        axes.plot(tried["at"], tried[column] * 100, color=color, marker=marker, markersize=4, linewidth=0.8,
                  clip_on=False)  # fmt: skip
    axes.set_ylim(0, max(5, tried[known].max(axis=None) * 110))
    axes.set_ylabel("% of the CPU")


def _times(axes: Axes, bottom: Axes, tried: pd.DataFrame) -> None:
    """One time scale for both panels; the date, too, where the campaign went over midnight."""
    first, last = tried["at"].min(), tried["at"].max()
    pad = max((last - first) * 0.03, pd.Timedelta(minutes=1))
    for part in {axes, bottom}:
        part.set_xlim(first - pad, last + pad)
    locator = dates.AutoDateLocator(minticks=3, maxticks=8)
    form = "%H:%M" if first.date() == last.date() else "%m-%d %H:%M"
    bottom.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_locator(locator)
    bottom.xaxis.set_major_formatter(dates.DateFormatter(form))
    bottom.set_xlabel(f"start of the repeat, UTC, {first.date().isoformat()}"
                      + ("" if first.date() == last.date() else f" to {last.date().isoformat()}"))  # fmt: skip


def _keys(tried: pd.DataFrame, known: list[str], context: dict) -> list[Line2D]:
    keys = []
    for words, color, marker, limit, dashes in PARTS.values():
        keys.append(Line2D([], [], color=color, marker=marker, markersize=4.5, linewidth=0.6, linestyle=dashes or "-",
                           label=words))  # fmt: skip
        keys.append(Line2D([], [], color=color, linewidth=1.2, linestyle=(0, (1, 1.5)),
                           label=f"its limit: {context['quiet'][limit]:.0%} slower"))  # fmt: skip
    if bears(tried, SUSPECT).any():
        keys.append(Line2D([], [], marker="s", markersize=9, markerfacecolor="none", markeredgecolor=style.VERMILION,
                           markeredgewidth=1.8, linestyle="none", label="suspect: set aside"))  # fmt: skip
    if (tried["attempts"] > 0).any():
        keys.append(Line2D([], [], marker="o", markersize=12, markerfacecolor="none", markeredgecolor=style.INK,
                           linestyle="none", label="measured again"))  # fmt: skip
    keys.append(Line2D([], [], color=style.INK, linewidth=1.6, label="as fast as usual"))
    for column in known:
        words, color, marker = SHARE_LINES[column]
        keys.append(Line2D([], [], color=color, marker=marker, markersize=4, linewidth=0.8, label=words))
    return keys


def _caption(tried: pd.DataFrame, context: dict) -> list[str]:
    numbers = {flag: int(bears(tried, flag).sum()) for flag in NOT_FOR_CLAIMS}
    broken = f", {numbers[WORK_LOST]} with work lost on a cluster" if numbers[WORK_LOST] else ""
    ranges = ", ".join(
        f"{words} {tried[column].median():.2f} [{tried[column].min():.2f}, {tried[column].max():.2f}]"
        for column, (words, *_) in PARTS.items()
    )
    how = (
        f"n = {len(tried)} repeats, of which {numbers[SUSPECT]} suspect and"
        f" {numbers[UNSTEADY]} without a steady state{broken};"
        f" attempts set aside and measured again: {tried['attempts'].sum():.0f}. Relative to the median of the canaries"
        f" so far; median [range]: {ranges} (no interval: it is no claim)."
    )
    unknown = [words for column, (words, _, _) in SHARE_LINES.items() if tried[column].isna().all()]
    note = f"Not available on this system: {'; '.join(f'share {words}' for words in unknown)}." if unknown else ""
    return [how, note, style.origin(context)]

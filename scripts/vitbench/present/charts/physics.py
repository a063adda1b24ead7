"""The physics chart: each throughput as a share of the machine's peak, and beside what decoding alone would allow."""

from __future__ import annotations

import math

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from vitbench.present import style
from vitbench.present.labels import DEVICES, hardware_of, number, percentage, size_words, variant_of

SHARE, RATE, ROW, GAP = 3.0, 3.0, 0.5, 0.35  # inches
HEAD, BELOW = 0.34, 0.95
OF_CEILING = "of all cores' decoding"


def draw(table: pd.DataFrame, summary: pd.DataFrame, context: dict) -> Figure:
    """Draw the rows of the full set of the table `physics`; `summary` gives variants the marks of other charts."""
    full = table[(table["dataset"] == "full") & table["throughput"].notna()].reset_index(drop=True)
    title = f"Throughput against what the machine can do: {style.dataset_title(context, 'full')}"
    with style.theme():
        if full.empty:
            page = style.Page(8.0, 1.6, title, [style.origin(context)])
            axes = page.axes(style.MARGIN, page.top, 8.0 - 2 * style.MARGIN, 1.4)
            axes.set_xticks([])
            style.say(axes, "No cell of the full run was measured, or the peak of this machine is not known.")
            return page.figure
        marks = style.marks_of(context, zip(summary["framework"], summary["variant"], strict=True))
        names = [_name(row) for row in full.itertuples(index=False)]
        ceilings = [percentage(row.throughput / row.decode_ceiling) for row in full.itertuples(index=False)]
        left = max(style.text_width(line, size) for lines in names
                   for line, size in zip(lines, (style.BODY, style.SMALL), strict=True)) + 0.15  # fmt: skip
        shares = [percentage(share) for share in full["share_of_peak"]]
        share_width = max(style.text_width(text, style.SMALL) for text in shares) + 0.1
        right = max(style.text_width(OF_CEILING, style.BODY, "bold"), *(
            style.text_width(text, style.SMALL) for text in ceilings))  # fmt: skip
        height = ROW * len(full)
        width = 2 * style.MARGIN + left + SHARE + share_width + GAP + RATE + 0.2 + right
        page = style.Page(width, HEAD + height + BELOW, title, _caption(full, context))
        tops = [page.top + HEAD + ROW * place for place in range(len(full))]
        share = page.axes(style.MARGIN + left, page.top + HEAD, SHARE, height)
        rate = page.axes(style.MARGIN + left + SHARE + share_width + GAP, page.top + HEAD, RATE, height)
        beyond = style.MARGIN + left + SHARE + share_width
        page.text(style.MARGIN + left, page.top, "share of the peak", weight="bold")
        page.text(beyond + GAP, page.top, "throughput and decode ceiling", weight="bold")
        edge = beyond + GAP + RATE + 0.2 + right
        page.text(edge, page.top, OF_CEILING, weight="bold", ha="right")
        for place, row in enumerate(full.itertuples(index=False)):
            for at, (text, size) in enumerate(zip(names[place], (style.BODY, style.SMALL), strict=True)):
                page.text(style.MARGIN, tops[place] + 0.07 + 0.19 * at, text, size=size,
                          color=style.FAINT_INK if at else style.INK)  # fmt: skip
            page.text(beyond, tops[place] + ROW / 2, shares[place], size=style.SMALL, ha="right", va="center")
            page.text(edge, tops[place] + ROW / 2, ceilings[place], size=style.SMALL, ha="right", va="center")
            mark = marks[row.framework, row.variant]
            _share(share, place + 0.5, row, mark)
            _rate(rate, place + 0.5, row, mark)
        _scales(share, rate, full)
        _legend(page, rate, full, page.top + HEAD + height + 0.55)
        return page.figure


def _name(row) -> tuple[str, str]:
    several = f", {row.workers:.0f} workers" if row.workers != 1 else ""
    first = f"{variant_of(row)}{several}"
    return (
        first,
        f"{DEVICES.get(row.device, row.device)}, {row.precision or 'precision?'}, {size_words(row.batch_size)}",
    )


def _share(axes: Axes, y: float, row, mark: style.Mark) -> None:
    if math.isfinite(row.share_of_peak):
        impossible = row.verdict != ""
        axes.barh(y, row.share_of_peak, height=0.5, color="white" if impossible else mark.color, edgecolor=mark.color,
                  hatch="xxx" if impossible else None, zorder=2)  # fmt: skip
    else:
        axes.text(0.02, y, "peak not known", transform=axes.get_yaxis_transform(), va="center", fontsize=style.SMALL,
                  color=style.FAINT_INK)  # fmt: skip


def _rate(axes: Axes, y: float, row, mark: style.Mark) -> None:
    """Dot: measured; strokes: what one core, and all cores, could decode if they did nothing else."""
    axes.axhline(y, color="#e4e4e4", linewidth=0.8, zorder=0)
    axes.plot(row.throughput, y, marker=mark.marker, markersize=8, color=mark.color, linestyle="none", zorder=4)
    for value, width, style_ in ((row.decode_per_core, 1.4, (0, (2, 1))), (row.decode_ceiling, 2.2, "-")):
        if math.isfinite(value):
            axes.plot([value, value], [y - 0.3, y + 0.3], color=style.INK, linewidth=width, linestyle=style_, zorder=3)


def _scales(share: Axes, rate: Axes, full: pd.DataFrame) -> None:
    for axes in (share, rate):
        axes.set_ylim(len(full), 0)
        axes.set_yticks([])
        axes.grid(False, axis="y")
    highest = full["share_of_peak"].max()
    share.set_xlim(0, max(1.0, highest * 1.05 if math.isfinite(highest) else 1.0))
    share.axvline(1, color=style.INK, linewidth=1.6, zorder=1)
    share.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    share.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    share.set_xlabel("of the peak GEMM rate", fontsize=style.SMALL)
    values = full[["throughput", "decode_per_core", "decode_ceiling"]]
    rate.set_xscale("log")
    rate.set_xlim(values.min(axis=None) / 1.6, values.max(axis=None) * 1.6)
    rate.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    rate.minorticks_off()
    rate.set_xlabel("images/s (log scale)", fontsize=style.SMALL)


def _legend(page: style.Page, axes: Axes, full: pd.DataFrame, top: float) -> None:
    handles = [Line2D([], [], color=style.INK, marker="o", linestyle="none", label="measured")]
    if full["decode_per_core"].notna().any():
        handles.append(
            Line2D([], [], color=style.INK, linewidth=1.4, linestyle=(0, (2, 1)), label="decoding, one core")
        )
    if full["decode_ceiling"].notna().any():
        handles.append(Line2D([], [], color=style.INK, linewidth=2.2, label="decoding, all cores"))
    left = axes.get_position().x0
    axes.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left, 1 - top / page.height), frameon=False, ncols=3,
        bbox_transform=page.figure.transFigure, fontsize=style.SMALL, borderaxespad=0, borderpad=0, handlelength=1.6,
        columnspacing=1.0, handletextpad=0.4,
    )  # fmt: skip


def why(table: pd.DataFrame) -> list[str]:
    """One sentence for each row of a table `physics`: its share of what its own library can do, and of the machine's.

    A row without a peak has none.
    """
    lines = []
    for row in table[table["share_of_peak"].notna() & (table["verdict"] == "")].itertuples(index=False):
        who = f"{variant_of(row)} ({hardware_of(row)})"
        machine = f"{row.share_of_peak:.0%} of what the machine can do"
        if math.isfinite(row.share_of_own):
            lines.append(f"{who} runs at {row.share_of_own:.0%} of what {row.own_library} can do here, which is"
                         f" {machine}.")  # fmt: skip
        else:
            lines.append(f"{who} runs at {machine}; what its own library can do is not known.")
    return lines


def _caption(full: pd.DataFrame, context: dict) -> list[str]:
    one = full.iloc[0]
    how = "Share: images/s × FLOP an image / peak. "
    if math.isfinite(one.gflop_per_image):
        how = f"Share: images/s × {number(one.gflop_per_image)} GFLOP an image / peak. "
    how += (
        "FLOP are computed from the model's configuration; peak: the highest matrix-product rate of any library in use,"
        " on the model's shapes. Throughput: median of the usable repeats; its range stands in the chart of wall times."
        " Decoding: images/s if the cores did nothing but decode."
    )
    peaks = full[full["peak_gflops"].notna()][
        ["device", "peak_precision", "peak_gflops", "peak_library"]
    ].drop_duplicates()
    told = [
        f"{DEVICES.get(row.device, row.device)}, {row.peak_precision}: {number(row.peak_gflops)} GFLOP/s"
        f" ({row.peak_library})"
        for row in peaks.itertuples(index=False)
    ]
    wrong = list(dict.fromkeys(full.loc[full["verdict"] != "", "verdict"]))
    note = f"Crossed out: {'; '.join(wrong)}; no machine does more than its peak." if wrong else ""
    return [how, f"Peaks: {'; '.join(told)}." if told else "", " ".join(why(full)), note, style.origin(context)]

"""Cells in numbers: the sweep over batch sizes, the full run, where its time goes, and what it takes of the machine."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.summary import usable
from vitbench.cells import VARIANT, cell_name
from vitbench.present import style
from vitbench.present.charts import physics as physics_chart
from vitbench.present.charts import stages as stages_chart
from vitbench.present.labels import (
    DEVICES,
    NOT_REACHED,
    failure_notes,
    hardware_of,
    name_of,
    number,
    number_of,
    percentage,
    variant_name,
    variant_of,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    INK,
    Bar,
    Dot,
    Entry,
    Key,
    Line,
    Look,
    Notes,
    Panels,
    Plot,
    Section,
    Span,
    Strip,
    StripRow,
    Stroke,
    grid,
    of_numbers,
    of_words,
)

Looks = dict[tuple[str, str], Look]
CELL = [*VARIANT, "batch_size"]


def _set_aside(cells: pd.DataFrame) -> list[str]:
    """How many ok repeats were set aside, and which cells have no other."""
    aside = cells["set_aside"].fillna(0)
    if not aside.sum():
        return []
    alone = cells[(cells["status"] == "ok") & (cells["repeats"] == 0)]
    line = f"Set aside as suspect or without a steady state, and in no number here: {aside.sum():.0f} of the repeats."
    return [line + (f" Nothing but such: {', '.join(map(cell_name, alone.to_dict('records')))}." if len(alone) else "")]


def sweep(summary: pd.DataFrame, runs: pd.DataFrame, best: pd.DataFrame, looks: Looks) -> Section | None:
    """Throughput against batch size on the sample, a panel a device."""
    sample = summary[summary["dataset"] == "sample"]
    measured = sample[(sample["status"] == "ok") & (sample["repeats"] > 0)]
    if measured.empty:
        return None
    chosen = {
        (*(getattr(row, column) for column in VARIANT), row.kept if math.isfinite(row.kept) else row.batch_size)
        for row in best.itertuples(index=False)
    }
    panels = [
        _throughputs(device, rows, sample[sample["device"] == device], chosen, looks)
        for device, rows in measured.groupby("device", sort=False)
    ]
    notes = _set_aside(sample) + failure_notes(runs[runs["dataset"] == "sample"])
    columns = {
        "variant": (False, lambda row: Entry(variant_of(row))),
        "device": (False, lambda row: Entry(hardware_of(row))),
        "batch size": of_numbers("batch_size", number_of),
        "images/s": of_numbers("throughput", number),
        "low": of_numbers("throughput_low", number),
        "high": of_numbers("throughput_high", number),
        "n": of_numbers("repeats", number_of),
        "flags": of_words("flags"),
    }
    sizes = {
        "variant": (False, lambda row: Entry(variant_of(row))),
        "device": (False, lambda row: Entry(hardware_of(row))),
        "best now": of_numbers("batch_size", number_of),
        "the full run used": of_numbers("kept", number_of),
        "remark": of_words("reason"),
    }
    parts = [Panels(tuple(panels)), *([Notes(tuple(notes))] if notes else [])]
    parts.append(grid("Best batch sizes", best.itertuples(index=False), sizes))
    parts.append(
        grid("Throughput by batch size", sample.itertuples(index=False), columns, folded="The sweep in numbers")
    )
    return Section(
        "sweep",
        "Batch sizes",
        tuple(parts),
        read="Images a second on the sample; each mark is the median of the repeats, its bar their range. A ring marks"
        " the best batch size, which the full run uses. A cross on the zero line gave no number. Hollow: no batch was"
        " as large as asked for.",
        wrong="A best batch size with a neighbour inside its bar may be another one next time; a hollow mark compares"
        " settings of the engine, not batches.",
    )


def _throughputs(device: str, measured: pd.DataFrame, every: pd.DataFrame, chosen: set, looks: Looks) -> Plot:
    x = axes.sizes(every["batch_size"])
    y = axes.linear(measured["throughput_high"])
    lines, rings = [], []
    for key, rows in measured.groupby(["framework", "variant", "workers"], sort=False):
        look = looks[key[:2]]
        points, whiskers = [], []
        for row in rows.sort_values("batch_size").itertuples(index=False):
            words = f"{name_of(row)}: {number(row.throughput)} images/s"
            words += f" [{number(row.throughput_low)}, {number(row.throughput_high)}], n = {row.repeats:.0f}"
            place = Dot(
                x.at(row.batch_size), look.color, words, look.glyph, NOT_REACHED in row.flags, y=y.down(row.throughput)
            )
            points.append(place)
            whiskers.append((place.x, y.down(row.throughput_high), y.down(row.throughput_low), words))
            if (row.framework, row.variant, row.device, row.workers, row.batch_size) in chosen:
                rings.append(place)
        several = f", {key[2]:.0f} workers" if key[2] != 1 else ""
        lines.append(
            Line(
                f"{variant_name(*key[:2])}{several}",
                look.color,
                tuple(points),
                look.glyph,
                look.dashed,
                whiskers=tuple(whiskers),
            )
        )
    failed = every[~every["status"].isin(["ok", "skipped"])].dropna(subset="batch_size")
    crosses = tuple(
        Dot(
            x.at(row.batch_size),
            looks[row.framework, row.variant].color,
            f"{name_of(row)}: {row.status}{f', {row.reason}' if getattr(row, 'reason', '') else ''}",
            "cross",
            y=100.0,
        )
        for row in failed.itertuples(index=False)
    )
    if crosses:
        lines.append(Line("no number", INK, crosses, "cross", joined=False))
    top = measured.loc[measured["throughput"].idxmax()]
    return Plot(
        title=f"Throughput by batch size, {DEVICES.get(device, device)}",
        x=x,
        y=y,
        x_label="batch size (log scale)",
        y_label="images/s",
        lines=tuple(lines),
        rings=tuple(rings),
        alt=f"Throughput by batch size on the {DEVICES.get(device, device)}, {len(lines)} lines; the highest is"
        f" {name_of(top)} with {number(top.throughput)} images a second; the numbers are in the table below",
    )


def full(summary: pd.DataFrame, runs: pd.DataFrame, looks: Looks) -> Section | None:
    """Wall time of the full set, each variant at its best batch size."""
    cells = summary[summary["dataset"] == "full"]
    measured = cells[cells["status"] == "ok"]
    if measured.empty:
        return None
    axis = axes.linear([*measured["high"], *measured["cold_median"]])
    repeats = runs[(runs["dataset"] == "full") & usable(runs)]
    rows = tuple(_wall(row, repeats, axis, looks) for row in cells.itertuples(index=False))
    notes = _set_aside(cells) + failure_notes(runs[runs["dataset"] == "full"])
    chart = Strip(
        caption="Wall time of the full set, each variant at its best batch size",
        axis=axis,
        label="wall time, seconds (from zero)",
        head="variant",
        columns=("median [range], s", "images/s", "cold, s", "start + load, s", "right", "n"),
        rows=rows,
        key=(
            Key("dot", style.BLUE, "median and range of the repeats"),
            Key("small", style.BLUE, "one repeat"),
            Key("dot", style.BLUE, "cold pass", hollow=True),
        ),
    )
    return Section(
        "full",
        "The full run",
        (chart, *([Notes(tuple(notes))] if notes else [])),
        read="Wall time goes from paths known, model loaded and session up to every image labelled in the driver. Mark"
        " and bar: median and range of the repeats, each a fresh process; small dots: single repeats; hollow: the cold"
        " (first) pass. The axis begins at zero, so lengths may be compared.",
        wrong="A small data set that the memory holds says nothing of one that comes from a slow disk; all files were"
        " read once before, for every framework alike.",
    )


def _wall(row, repeats: pd.DataFrame, axis: axes.Axis, looks: Looks) -> StripRow:
    look = looks[row.framework, row.variant]
    begin = {"name": name_of(row), "under": ", ".join(filter(None, (hardware_of(row), row.precision, row.setting)))}
    if row.status != "ok" or not row.repeats:
        words = row.status if row.status != "ok" else "all repeats set aside"
        return StripRow(**begin, words=words, cells=("–",) * 6)
    same = repeats
    for column in CELL:
        same = same[same[column] == getattr(row, column)]
    words = f"{name_of(row)}: {number(row.median)} s [{number(row.low)}, {number(row.high)}], n = {row.repeats:.0f}"
    dots = [
        Dot(
            axis.at(one.wall_seconds),
            look.color,
            f"block {one.block:.0f}: {number(one.wall_seconds)} s",
            small=True,
            y=86.0,
        )
        for one in same.itertuples(index=False)
    ]
    if math.isfinite(row.cold_median):
        cold = f"{name_of(row)}: cold pass {number(row.cold_median)} s"
        dots.append(Dot(axis.at(row.cold_median), look.color, cold, look.glyph, hollow=True))
    dots.append(Dot(axis.at(row.median), look.color, words, look.glyph))
    return StripRow(
        **begin,
        spans=(Span(axis.at(row.low), axis.at(row.high), look.color, words),),
        dots=tuple(dots),
        cells=(
            f"{number(row.median)} [{number(row.low)}, {number(row.high)}]",
            number(row.throughput),
            number(row.cold_median),
            number(row.start_median + row.load_median),
            percentage(row.accuracy),
            number_of(row.repeats),
        ),
    )


def stages(table: pd.DataFrame) -> Section | None:
    """Where the milliseconds of an image go, and what bounds a variant."""
    cells = [rows for _, rows in table.groupby([*CELL, "dataset"], sort=False, dropna=False)]
    shown = [rows for rows in cells if rows["seconds"].notna().any()]
    if not shown:
        return None
    walls = [rows.iloc[0] for rows in shown]
    longest = [
        max(row.sum_seconds, row.wall_seconds if math.isfinite(row.wall_seconds) else 0) / row.images * 1000
        for row in walls
    ]
    axis = axes.linear(longest)
    found = dict.fromkeys(stage for rows in shown for stage in rows.loc[rows["seconds"] > 0, "stage"])
    order = list(stages_chart.COLORS)
    ordered = sorted(found, key=lambda stage: order.index(stage) if stage in order else len(order))
    chart = Strip(
        caption="Milliseconds an image by stage, each variant at its best batch size",
        axis=axis,
        label="milliseconds an image (from zero)",
        head="variant",
        columns=("bound by", "sum / wall time"),
        rows=tuple(_stacked(rows, axis) for rows in shown),
        key=(
            *(Key("swatch", stages_chart.COLORS.get(stage, stages_chart.OTHER), stage) for stage in ordered),
            Key("wall", INK, "wall time without instruments"),
        ),
    )
    columns = {
        "variant": (False, lambda row: Entry(name_of(row))),
        "stage": of_words("stage"),
        "ms an image": (True, lambda row: Entry(number(row.seconds / row.images * 1000), row.seconds / row.images)),
        "share": of_numbers("share", percentage),
        "known from": of_words("method"),
    }
    numbers = pd.concat(shown).itertuples(index=False)
    missing = [
        f"{name_of(rows.iloc[0])}: {rows['status'].iloc[0]}, {rows['reason'].iloc[0]}"
        for rows in cells
        if rows["seconds"].isna().all()
    ]
    notes = [Notes(tuple(f"Without stages: {line}." for line in missing))] if missing else []
    return Section(
        "stages",
        "Where the time goes",
        (chart, *notes, grid("Stages of a pass", numbers, columns, folded="The stages in numbers")),
        read="Stages of one profiling repeat end to end, in milliseconds an image; the heavy stroke is the wall time of"
        " the repeats without instruments, which alone are timed. Beside it what bounds the variant.",
        wrong="Where the stages do not add up to the wall time within 10% (marked), no share should be read off them:"
        " the instruments changed what they measured. One profiling repeat has no interval.",
    )


def _stacked(rows: pd.DataFrame, axis: axes.Axis) -> StripRow:
    first, begin, bars = rows.iloc[0], 0.0, []
    known = math.isfinite(first.wall_seconds)
    off = known and not first.within_10_percent
    for row in rows.itertuples(index=False):
        if not row.seconds > 0:
            continue
        end = begin + row.seconds / row.images * 1000
        color = stages_chart.COLORS.get(row.stage, stages_chart.OTHER)
        words = f"{row.stage}: {number(end - begin)} ms an image, {percentage(row.share)}"
        bars.append(Bar(axis.at(begin), axis.at(end), color, words, crossed=off))
        begin = end
    wall = first.wall_seconds / first.images * 1000
    stroke = (Stroke(axis.at(wall), "wall", f"wall time: {number(wall)} ms an image"),) if known else ()
    ratio = f"{first.sum_seconds / first.wall_seconds:.1%}{', more than 10% off' if off else ''}" if known else "–"
    return StripRow(
        name=name_of(first),
        under=hardware_of(first),
        bars=tuple(bars),
        strokes=stroke,
        cells=(first.bound_by or "not known", ratio),
    )


def batches(table: pd.DataFrame) -> Section | None:
    """The batches that the engines really got."""
    if table.empty:
        return None
    columns = {
        "data set": of_words("dataset"),
        "variant": (False, lambda row: Entry(variant_of(row))),
        "device": (False, lambda row: Entry(hardware_of(row))),
        "asked for": of_numbers("batch_size", number_of),
        "largest": of_numbers("effective_batch_size", number_of),
        "batches, size × how many": (False, lambda row: Entry(_times(row.effective_batch_sizes))),
        "they were": of_words("batches"),
        "rows × partitions": (False, lambda row: Entry(_times(row.partition_rows))),
        "slots": of_numbers("slots", number_of),
        "waves": of_numbers("waves", number_of),
        "wave factor": of_numbers("wave_factor", number),
        "reached": (
            False,
            lambda row: Entry({"true": "yes", "false": "no"}.get(row.reached, ""), warns=row.reached == "false"),
        ),
    }
    return Section(
        "batches",
        "Effective batches",
        (grid("Batches of a warm pass", table.itertuples(index=False), columns),),
        read="What was asked for, and the batches that the engine got. Observed: counted where the model is called."
        " Computed: from the rows of the partitions, since Spark NLP does not tell what its engine gets. Wave factor:"
        " partitions / slots / waves; 1 means that no slot waits idle.",
        wrong="Batch sizes that came to the same batches are one measurement under several names: a difference between"
        " them is noise.",
    )


def _times(written: str) -> str:
    """`16:3;8:1` as people write it: 16 × 3, 8 × 1."""
    return ", ".join(part.replace(":", " × ") for part in written.split(";") if part) or "–"


def peak(table: pd.DataFrame, looks: Looks) -> Section | None:
    """Each throughput as a share of what the machine can do, and why."""
    cells = table[(table["dataset"] == "full") & table["share_of_peak"].notna()]
    if cells.empty:
        return None
    axis = axes.linear(cells["share_of_peak"], axes.share, least=1.0)
    rows = []
    for row in cells.itertuples(index=False):
        color, words = looks[row.framework, row.variant].color, f"{name_of(row)}: {percentage(row.share_of_peak)}"
        rows.append(
            StripRow(
                name=name_of(row),
                under=f"{hardware_of(row)}, {row.precision or 'precision not known'}; peak by {row.peak_library}",
                bars=(Bar(0.0, axis.at(row.share_of_peak), color, words, crossed=row.verdict != ""),),
                strokes=(Stroke(axis.at(1.0), "wall", "the peak"),),
                cells=(
                    percentage(row.share_of_peak),
                    number(row.gflops),
                    number(row.peak_gflops),
                    percentage(row.share_of_own),
                    percentage(row.throughput / row.decode_ceiling),
                ),
            )
        )
    columns = ("of the peak", "GFLOP/s", "peak, GFLOP/s", "of its own library's", "of all cores' decoding")
    chart = Strip(
        caption="Share of the machine's measured peak",
        axis=axis,
        label="share of the peak rate of matrix products",
        head="variant",
        columns=columns,
        rows=tuple(rows),
    )
    notes = physics_chart.why(cells)
    return Section(
        "peak",
        "Share of the peak",
        (chart, *([Notes(tuple(notes))] if notes else [])),
        read="Images a second times the arithmetic of an image (from the model's configuration), over the highest rate"
        " at which any library in use multiplies matrices of the model's shapes here. What its own library can do tells"
        " what the framework loses and what the library does. Decoding: images a second if all cores did nothing else.",
        wrong="A share above 100% would be an error of measuring, and is crossed out. The peak is of matrix products"
        " alone: no model reaches all of it.",
    )


def memory(runs: pd.DataFrame, looks: Looks) -> Section | None:
    """The most memory that a repeat of the full run held."""
    known = runs[(runs["dataset"] == "full") & usable(runs) & runs["peak_memory_mb"].notna()]
    if known.empty:
        return None
    axis = axes.linear(known["peak_memory_mb"])
    gpu = known["peak_gpu_memory_mb"].notna().any()
    rows = []
    for _, cell in known.groupby(CELL, sort=False, dropna=False):
        first, look = cell.iloc[0], looks[cell.iloc[0].framework, cell.iloc[0].variant]
        middle, most = cell["peak_memory_mb"].median(), cell["peak_memory_mb"].max()
        words = f"{name_of(first)}: {middle:,.0f} MB, at most {most:,.0f}"
        card = cell["peak_gpu_memory_mb"].max()
        rows.append(
            StripRow(
                name=name_of(first),
                under=hardware_of(first),
                bars=(Bar(0.0, axis.at(middle), look.color, words),),
                strokes=(Stroke(axis.at(most), "limit", f"at most {most:,.0f} MB"),),
                cells=(f"{middle:,.0f}", f"{most:,.0f}", f"{len(cell)}")
                + ((f"{card:,.0f}" if math.isfinite(card) else "–",) if gpu else ()),
            )
        )
    columns = ("median, MB", "most, MB", "n", *(("GPU, most, MB",) if gpu else ()))
    chart = Strip(
        caption="Peak memory of a repeat of the full run",
        axis=axis,
        label="MB (from zero)",
        head="variant",
        columns=columns,
        rows=tuple(rows),
    )
    return Section(
        "memory",
        "Memory",
        (chart,),
        read="The sum of the kernel's high-water marks of a repeat's processes, the JVM included: an upper bound. Bar:"
        " median of the repeats; dashed stroke: the most of any.",
        wrong="The marks of two processes may lie at different moments, and pages that they share count twice. A JVM"
        " takes what it is given: its mark tells what it was allowed as much as what it needs.",
    )

"""What a cell's time goes into and what it takes: stages, effective batches, share of the peak, memory."""

from __future__ import annotations

import math

import pandas as pd

from vitbench.analysis.physics import TOLERANCE
from vitbench.analysis.summary import usable
from vitbench.cells import NAME_COLUMNS
from vitbench.present.charts import physics as physics_chart
from vitbench.present.charts import stages as stages_chart
from vitbench.present.labels import (
    hardware_of,
    name_of,
    number,
    number_of,
    percentage,
)
from vitbench.present.page import axes
from vitbench.present.page.parts import (
    INK,
    Bar,
    Entry,
    Grid,
    Key,
    Looks,
    Notes,
    Section,
    Strip,
    StripRow,
    Stroke,
    grid,
    of_hardware,
    of_numbers,
    of_variant,
    of_words,
)


def stages(table: pd.DataFrame) -> Section | None:
    """Where the milliseconds of an image go, and what bounds a variant."""
    cells = [rows for _, rows in table.groupby([*NAME_COLUMNS, "dataset"], sort=False, dropna=False)]
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
        "variant": of_variant,
        "device": of_hardware,
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


def peak(table: pd.DataFrame, slowest: pd.DataFrame, looks: Looks) -> Section | None:
    """Each throughput as a share of what the machine can do, and why; and of what its own slowest stage could do."""
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
        (chart, *([Notes(tuple(notes))] if notes else []), *_against_slowest(slowest)),
        read="Images a second times the arithmetic of an image (from the model's configuration), over the highest rate"
        " at which any library in use multiplies matrices of the model's shapes here. What its own library can do tells"
        " what the framework loses and what the library does. Decoding: images a second if all cores did nothing else."
        " Against its slowest stage: the cell's rate over the lowest of those that decoding, preprocessing and the"
        " model would have alone.",
        wrong=f"A share above {percentage(TOLERANCE)} would be an error of measuring, and is crossed out. The peak is"
        " of matrix products alone: no model reaches all of it. Rates of stages come from one profiling repeat,"
        " without an interval, where its stages add up to the ordinary wall time within 10%; those of the peak"
        " file are what the machine could do, not what this cell does.",
    )


def _against_slowest(table: pd.DataFrame) -> list[Grid]:
    """Each cell against its own slowest stage."""
    known = table[table["share"].notna()]
    if known.empty:
        return []
    columns = {
        "variant": (False, lambda row: Entry(name_of(row))),
        "device": of_hardware,
        "images/s": of_numbers("throughput", number),
        "decoding alone": of_numbers("decode_rate", number),
        "preprocessing alone": of_numbers("preprocess_rate", number),
        "model alone": of_numbers("forward_rate", number),
        "slowest": of_words("slowest"),
        "share of it": of_numbers("share", percentage),
        "rates from": of_words("basis"),
    }
    return [grid("Each against its own slowest stage, images/s", known.itertuples(index=False), columns)]


def memory(runs: pd.DataFrame, looks: Looks) -> Section | None:
    """The most memory that a repeat of the full run held."""
    known = runs[(runs["dataset"] == "full") & usable(runs) & runs["peak_memory_mb"].notna()]
    if known.empty:
        return None
    axis = axes.linear(known["peak_memory_mb"])
    gpu = known["peak_gpu_memory_mb"].notna().any()
    rows = []
    for _, cell in known.groupby(NAME_COLUMNS, sort=False, dropna=False):
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

"""The workbook's own charts, each with the block of cells that it draws, so that a reader can change and copy both.

What is drawn of Runs is formulas, by the numbers of cells and pairs, so that the charts follow a change and a sorted
table changes none. Error bars refer to cells, because LibreOffice ignores those that are written into the chart.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd
from xlsxwriter.utility import xl_range_abs
from xlsxwriter.worksheet import Worksheet

from vitbench.cells import BEST, Cell
from vitbench.present.labels import hardware_of, size_words, variant_name, variant_of
from vitbench.present.workbook.live import look_up
from vitbench.present.workbook.sheets import FIRST_ROW, Formula, Row, Sheets
from vitbench.verdicts import CLAIMS, INCONCLUSIVE

# Makes a chart once more, for another sheet: a chart object stands on one sheet only.
Drawing = Callable[[], Any]
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")  # as in the other charts
GREY = "#9A9A9A"
MARKERS = ("circle", "square", "triangle", "diamond", "star", "plus", "x")
DASHES = ("solid", "dash", "round_dot", "dash_dot", "long_dash", "square_dot", "long_dash_dot")
STAGE_COLORS = ("#56B4E9", "#0072B2", "#E69F00", "#D55E00", "#CC79A7", "#B8B8B8")  # as in the other chart
STAGED = ["framework", "variant", "device", "workers", "batch_size", "dataset"]
ROW_PIXELS = 20
GRID = {"visible": True, "line": {"color": "#D8D8D8"}}


def sweep(sheets: Sheets, sheet: Worksheet, sample: pd.DataFrame, row: int) -> list[Drawing]:
    """Throughput and wall time against the batch size, one line a variant."""
    # A cell whose repeats were all set aside has numbers, and none to be believed.
    measured = sample[(sample["status"] == "ok") & (sample["repeats"] > 0) & sample["batch_size"].notna()]
    if measured.empty:
        return _words(sheet, row, "No cell of the sweep was measured: no chart.")
    named = measured.assign(label=_labels(measured))
    names = list(dict.fromkeys(named["label"]))
    height = 380 + 20 * max(0, len(names) - 3)  # the legend takes a line a variant
    top = row
    block = row + 2 * _rows(height) + 2
    drawn: list[Drawing] = []
    for middle, low, high, title in (
        ("throughput", "throughput_low", "throughput_high", "throughput, images/s"),
        ("median", "low", "high", "wall time, seconds"),
    ):
        wide, formulas = _wide(named, middle, low, high)
        sheet.write_string(block - 1, 0, f"Chart data: {title} (median, range of the repeats)", sheets.note)
        sheets.block(sheet, block, 0, wide, formulas=formulas)

        def draw(block: int = block, title: str = title, length: int = len(wide)) -> Any:
            chart = sheets.book.add_chart({"type": "line"})
            for place in range(len(names)):
                chart.add_series(
                    {
                        "name": [sheet.name, block, 1 + place],
                        "categories": _column(sheet, block, length, 0),
                        "values": _column(sheet, block, length, 1 + place),
                        "y_error_bars": _whiskers(sheet, block, length, 1 + len(names) + 2 * place),
                        **_look(place),
                    }
                )
            chart.show_blanks_as("gap")
            _dress(chart, f"{title[0].upper()}{title[1:]} by batch size (median, range of the repeats)", 640, height)
            chart.set_x_axis({"name": "batch size", "name_font": {"bold": False}})
            chart.set_y_axis({"name": title, "name_font": {"bold": False}, "min": 0, "major_gridlines": GRID})
            chart.set_legend({"position": "bottom"})
            return chart

        sheet.insert_chart(top, 0, draw(), {"object_position": 3})
        drawn.append(draw)
        top += _rows(height)
        block += len(wide) + 3
    return drawn


def wall_time(sheets: Sheets, sheet: Worksheet, full: pd.DataFrame, row: int) -> list[Drawing]:
    """Bars from zero with the range of the repeats."""
    measured = full[(full["status"] == "ok") & (full["repeats"] > 0)]
    if measured.empty:
        return _words(sheet, row, "No cell of the full run was measured: no chart.")
    labels = _labels(measured) + ", " + measured["batch_size"].map(size_words)
    data = _points(labels, measured["median"], measured["low"], measured["high"]).rename(columns={"value": "median"})
    data["cell"] = measured["cell"].to_numpy()
    formulas = _around("cells", "cell", "median", "median", "low", "high")
    height = 130 + 40 * len(data)
    block = row + _rows(height) + 1
    sheet.write_string(block - 1, 0, "Chart data: wall time of the full run, seconds", sheets.note)
    sheets.widen(sheet, labels)
    sheets.block(sheet, block, 0, data, formulas=formulas)

    def draw() -> Any:
        chart = sheets.book.add_chart({"type": "bar"})
        chart.add_series(
            {
                "categories": _column(sheet, block, len(data), 0),
                "values": _column(sheet, block, len(data), 1),
                "y_error_bars": _whiskers(sheet, block, len(data), 2),
                "fill": {"color": COLORS[-1]},
                "border": {"color": COLORS[0]},
                "gap": 80,
            }
        )
        _dress(chart, "Wall time of the full run, seconds (median, range of the repeats)", 760, height)
        # At the bottom: y is reversed.
        chart.set_x_axis({"min": 0, "major_gridlines": GRID, "label_position": "high"})
        chart.set_y_axis({"reverse": True, "major_gridlines": {"visible": False}})
        chart.set_legend({"none": True})
        return chart

    sheet.insert_chart(row, 0, draw(), {"object_position": 3})
    return [draw]


def speedup(sheets: Sheets, sheet: Worksheet, table: pd.DataFrame, row: int) -> list[Drawing]:
    """One chart a kind of comparison: points with their interval around 1, never bars from zero."""
    measured = table[table["speedup"].notna()]
    if measured.empty:
        return _words(sheet, row, "No comparison has a number: no chart.")
    lowest, highest = measured[["speedup", "low"]].min(axis=None), measured[["speedup", "high"]].max(axis=None)
    limits = {
        "min": 2.0 ** min(-1, math.floor(math.log2(lowest))),
        "max": 2.0 ** max(1, math.ceil(math.log2(highest))),
    }
    groups = list(measured.groupby("comparison", sort=False))
    every = pd.Series(list(map(_pair_label, measured["candidate"], measured["baseline"])), index=measured.index)
    # The labels stand at 45 degrees below the plot.
    height = 240 + max(180, 5 * int(every.str.len().max()))
    block = row + len(groups) * _rows(height) + 1
    drawn: list[Drawing] = []
    for comparison, group in groups:
        labels = every[group.index]
        data = _points(labels, group["speedup"], group["low"], group["high"])
        decided = group["verdict"].isin([*CLAIMS, "one run"]).to_numpy()
        open_ones = (group["verdict"] == INCONCLUSIVE).to_numpy()
        data.insert(1, "claimed", data["value"].where(decided))
        data.insert(2, "inconclusive", data["value"].where(open_ones))
        data["value"] = data["value"].where(~decided & ~open_ones)
        data = data.rename(columns={"value": "no verdict"}).assign(pair=group["pair"].to_numpy())
        known = data["pair"].notna().to_list()
        formulas = _around("speedup", "pair", "speedup", "claimed", "low", "high")
        formulas |= {column: formulas["claimed"] for column in ("inconclusive", "no verdict")}
        sheet.write_string(block - 1, 0, f"Chart data: {comparison} (variant, device, batch size)", sheets.note)
        sheets.widen(sheet, labels)
        sheets.block(sheet, block, 0, data, formulas={name: _where(known, one) for name, one in formulas.items()})
        drawn.append(_speedup_drawing(sheets, sheet, comparison, data, block, limits, height))
        sheet.insert_chart(row, 0, drawn[-1](), {"object_position": 3})
        row += _rows(height)
        block += len(data) + 3
    return drawn


def _pair_label(candidate: str, baseline: str) -> str:
    """A candidate, and beside which hardware of its own where it is compared with itself."""
    cell, other = Cell.parse(candidate), Cell.parse(baseline)
    words = f"{variant_of(cell)}, {hardware_of(cell)}, {str(cell.batch_size).replace(BEST, '?')}"
    itself = (cell.framework, cell.variant) == (other.framework, other.variant)
    return f"{words} against {hardware_of(other)}" if itself else words


def _speedup_drawing(
    sheets: Sheets,
    sheet: Worksheet,
    comparison: str,
    data: pd.DataFrame,
    block: int,
    limits: dict[str, float],
    height: int,
) -> Drawing:
    def draw() -> Any:
        chart = sheets.book.add_chart({"type": "line"})
        # Coloured: claimed; grey: inconclusive, since LibreOffice draws no border that a hollow one would have; without
        # a verdict: the range and no point.
        for column, marker, fill in ((1, "circle", COLORS[1]), (2, "circle", GREY), (3, "none", "#FFFFFF")):
            if data.iloc[:, column].notna().any():
                chart.add_series(
                    {
                        "name": [sheet.name, block, column],
                        "categories": _column(sheet, block, len(data), 0),
                        "values": _column(sheet, block, len(data), column),
                        "y_error_bars": _whiskers(sheet, block, len(data), 4),
                        "line": {"none": True},
                        "marker": {"type": marker, "size": 7, "fill": {"color": fill}, "border": {"color": COLORS[1]}},
                    }
                )  # fmt: skip
        _dress(chart, f"Speedup over the baseline: {comparison}", height - 60 + 60 * len(data), height)
        chart.set_y_axis(
            {"name": "times as fast (log scale)", "name_font": {"bold": False}, "log_base": 2, "major_unit": 2,
             "crossing": 1, "num_format": "General", "major_gridlines": GRID, **limits}
        )  # fmt: skip
        chart.set_x_axis(
            {"label_position": "low", "line": {"width": 2, "color": "black"}, "num_font": {"rotation": -45}}
        )
        chart.set_legend({"position": "bottom"})
        return chart

    return draw


def passes(sheets: Sheets, sheet: Worksheet, table: pd.DataFrame, row: int) -> list[Drawing]:
    """Milliseconds an image by pass, one line a variant: how each warms up."""
    if table.empty:
        return _words(sheet, row, "No repeat has passes to show: no chart.")
    named = table.assign(label=_labels(table) + ", " + table["batch_size"].map(size_words))
    names = list(dict.fromkeys(named["label"]))
    wide = named.pivot(index="pass", columns="label", values="milliseconds")[names].reset_index()
    wide.columns.name = None
    height = 400 + 20 * max(0, len(names) - 3)
    block = row
    sheet.write_string(block - 1, 0, "Chart data: milliseconds an image, median of the usable repeats", sheets.note)
    sheets.block(sheet, block, 0, wide)
    chart = sheets.book.add_chart({"type": "line"})
    for place in range(len(names)):
        chart.add_series(
            {
                "name": [sheet.name, block, 1 + place],
                "categories": _column(sheet, block, len(wide), 0),
                "values": _column(sheet, block, len(wide), 1 + place),
                **_look(place),
            }
        )
    chart.show_blanks_as("gap")
    _dress(chart, "How a process warms up: milliseconds an image, pass by pass", 760, height)
    every = max(1, len(wide) // 12)
    chart.set_x_axis({"name": "pass (0: cold)", "name_font": {"bold": False}, "interval_unit": every})
    chart.set_y_axis({"name": "ms an image", "name_font": {"bold": False}, "min": 0, "major_gridlines": GRID})
    chart.set_legend({"position": "bottom"})
    sheet.insert_chart(FIRST_ROW, len(table.columns) + 1, chart, {"object_position": 3})
    return []


def stages(sheets: Sheets, sheet: Worksheet, table: pd.DataFrame, row: int) -> list[Drawing]:
    """Stacked columns of milliseconds an image, and the wall time without instruments."""
    known = table[table["seconds"].notna()]
    if known.empty:
        return _words(sheet, row, "No cell was profiled: no chart.")
    cells = known.drop_duplicates(STAGED)
    several = len(cells[["device", "workers"]].drop_duplicates()) > 1
    labels = [
        variant_name(cell.framework, cell.variant) + (f", {cell.device}, w{cell.workers:.0f}" if several else "")
        for cell in cells.itertuples(index=False)
    ]
    data = pd.DataFrame({"label": labels})
    each = known.assign(each=known["seconds"] / known["images"] * 1000)
    for stage in dict.fromkeys(known["stage"]):
        part = cells[STAGED].merge(each[each["stage"] == stage], on=STAGED, how="left")
        data[stage] = part["each"].to_numpy()
    count = len(data.columns) - 1
    data["wall time"] = (cells["wall_seconds"] / cells["images"] * 1000).to_numpy()
    height = 420
    block = row + _rows(height) + 1
    sheet.write_string(block - 1, 0, "Chart data: milliseconds an image; wall time: without instruments", sheets.note)
    sheets.widen(sheet, labels)
    sheets.block(sheet, block, 0, data)
    chart = sheets.book.add_chart({"type": "column", "subtype": "stacked"})
    for place in range(1, count + 1):
        chart.add_series(
            {
                "name": [sheet.name, block, place],
                "categories": _column(sheet, block, len(data), 0),
                "values": _column(sheet, block, len(data), place),
                "fill": {"color": STAGE_COLORS[(place - 1) % len(STAGE_COLORS)]},
                "gap": 60,
            }
        )
    wall = sheets.book.add_chart({"type": "line"})
    wall.add_series(
        {
            "name": [sheet.name, block, count + 1],
            "categories": _column(sheet, block, len(data), 0),
            "values": _column(sheet, block, len(data), count + 1),
            "line": {"none": True},
            "marker": {"type": "diamond", "size": 9, "fill": {"color": "#000000"}, "border": {"color": "#FFFFFF"}},
        }
    )
    chart.combine(wall)
    _dress(chart, "Stages of a pass, milliseconds an image", 300 + 110 * len(data), height)
    chart.set_y_axis({"name": "ms an image", "name_font": {"bold": False}, "min": 0, "major_gridlines": GRID})
    chart.set_legend({"position": "bottom"})
    sheet.insert_chart(row, 0, chart, {"object_position": 3})
    return []


def _words(sheet: Worksheet, row: int, words: str) -> list[Drawing]:
    sheet.write_string(row, 0, words)
    return []


def _around(table: str, by: str, middle: str, column: str, low: str, high: str) -> dict[str, Formula]:
    """Formulas of `_points`: a value of a table, looked up by the number in the column `by`, and how far its range is.

    Args:
        middle: column of the table.
        column: what it is called here.
    """

    def value(row: Row) -> str:
        return f"={look_up(table, middle, row[by], by)}"

    def minus(row: Row) -> str:
        return f"={look_up(table, middle, row[by], by)}-{look_up(table, low, row[by], by)}"

    def plus(row: Row) -> str:
        return f"={look_up(table, high, row[by], by)}-{look_up(table, middle, row[by], by)}"

    return {column: value, "minus": minus, "plus": plus}


def _where(known: list[bool], formula: Formula) -> Formula:
    """The formula in rows that are known, and nothing in others."""
    return lambda row: formula(row) if known[row.place] else ""


def _rows(pixels: int) -> int:
    return math.ceil(pixels / ROW_PIXELS) + 1


def _labels(cells: pd.DataFrame) -> pd.Series:
    """Variant, and device and workers, and machine, where they differ."""
    several, machines = len(cells[["device", "workers"]].drop_duplicates()) > 1, cells["machine"].nunique() > 1
    labels = [
        variant_name(row.framework, row.variant)
        + (f", {row.device}, w{row.workers:.0f}" if several else "")
        + (f", {row.machine}" if machines else "")
        for row in cells.itertuples(index=False)
    ]
    return pd.Series(labels, index=cells.index, dtype=str)


def _wide(named: pd.DataFrame, middle: str, low: str, high: str) -> tuple[pd.DataFrame, Mapping[str, Formula]]:
    """A row a batch size: a column a variant, then minus and plus of each; and their formulas."""
    names = list(dict.fromkeys(named["label"]))
    sizes = sorted(named["batch_size"].unique())
    wide = pd.DataFrame({"batch_size": sizes}, index=sizes)
    parts = {name: named[named["label"] == name].set_index("batch_size") for name in names}
    for name, part in parts.items():
        wide[name] = part[middle].reindex(sizes)
    for name, part in parts.items():
        wide[f"{name} minus"] = (part[middle] - part[low]).reindex(sizes)
        wide[f"{name} plus"] = (part[high] - part[middle]).reindex(sizes)

    def formula(part: pd.DataFrame, *columns: str) -> Formula:
        def text(row: Row) -> str:
            cell = int(part["cell"][sizes[row.place]])
            return "=" + "-".join(look_up("cells", column, cell) for column in columns)

        return text

    formulas: dict[str, Formula] = {}
    for name, part in parts.items():
        formulas[name] = formula(part, middle)
        formulas[f"{name} minus"], formulas[f"{name} plus"] = formula(part, middle, low), formula(part, high, middle)
    return wide, formulas


def _points(labels: pd.Series, middle: pd.Series, low: pd.Series, high: pd.Series) -> pd.DataFrame:
    frame = pd.DataFrame({"label": labels, "value": middle, "minus": middle - low, "plus": high - middle})
    return frame.reset_index(drop=True)


def _column(sheet: Worksheet, block: int, length: int, place: int) -> list:
    return [sheet.name, block + 1, place, block + length, place]


def _whiskers(sheet: Worksheet, block: int, length: int, minus: int) -> dict:
    """Error bars from the columns `minus` and, right of it, plus."""

    def cells(place: int) -> str:
        return f"='{sheet.name}'!{xl_range_abs(block + 1, place, block + length, place)}"

    return {
        "type": "custom", "plus_values": cells(minus + 1), "minus_values": cells(minus),
        "line": {"width": 1.75, "color": "#404040"},
    }  # fmt: skip


def _look(place: int) -> dict:
    color = COLORS[place % len(COLORS)]
    return {
        "line": {"color": color, "width": 1.75, "dash_type": DASHES[place % len(DASHES)]},
        "marker": {
            "type": MARKERS[place % len(MARKERS)], "size": 8, "fill": {"color": color}, "border": {"color": color},
        },
    }  # fmt: skip


def _dress(chart, title: str, width: int, height: int) -> None:
    chart.set_title({"name": title, "name_font": {"size": 12}})
    chart.set_size({"width": width, "height": height})

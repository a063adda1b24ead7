"""The workbook as a spreadsheet program reads it: sheets, types, values, formulas, charts, and no text that runs."""

import copy
import html
import re
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import write_workbook
from campaign_tables import published
from example_tables import FIVE, STAGES, TWO, Tables, analysed, empty, example, physics, stages, typed
from spreadsheet import column_name, header_row

from vitbench import tables
from vitbench.analysis import batches, break_even
from vitbench.analysis import speedup as speedups
from vitbench.present import columns
from vitbench.present.workbook import book as workbook
from vitbench.present.workbook import guide

SHEETS = [
    "Summary", "Read me", "Sweep", "Best batch", "Full", "Speedup", "Passes", "Parity", "Cells", "Runs", "Blocks",
    "Sizes", "Check", "Environment",
]  # fmt: skip
UNSORTED = {"Blocks", "Sizes"}  # whose rows formulas find by their place
FAILED = {("sparknlp/onnx", 16): "oom", "sparknlp/tensorflow": "skipped"}


def write(run: Tables, path: Path) -> Path:
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context,
    )  # fmt: skip
    return path


def derived(run: Tables) -> dict[str, pd.DataFrame]:
    return {
        "break_even": break_even.break_even(run.runs, run.parity, run.speedup),
        "stages": stages(run),
        "physics": physics(run),
        "effective_batches": batches.effective_batches(run.runs),
        "time_budget": pd.DataFrame({"part": ["passes", "workflow"], "seconds": [90.0, 10.0], "share": [0.9, 0.1]}),
    }


def table(book, name: str) -> pd.DataFrame:
    """The sheet's table, by the names of its columns: from its header row to the first empty row."""
    rows = list(book[name].iter_rows(min_row=header_row(name), values_only=True))
    header = [cell for cell in rows[0] if cell is not None]
    body = []
    for row in rows[1:]:
        if all(cell is None for cell in row):
            break
        body.append(row[: len(header)])
    return pd.DataFrame(body, columns=list(map(column_name, header)), dtype=object)


def opened(path: Path):
    """The workbook as whoever does not recalculate sees it: the stored values."""
    return openpyxl.load_workbook(path, data_only=True)


def charts_of(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        return [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/charts/chart")]


def formulas_of(path: Path) -> list[str]:
    with zipfile.ZipFile(path) as archive:
        sheets = [archive.read(name).decode() for name in archive.namelist() if "worksheets/sheet" in name]
    return [html.unescape(text) for sheet in sheets for text in re.findall(r"<f[^>]*>([^<]*)</f>", sheet)]


@pytest.fixture(scope="module")
def run() -> Tables:
    """To be read; who changes it takes a copy."""
    return example(FIVE, failed=FAILED, flags={("sparknlp/onnx-tuned", 8): "no steady state"})


@pytest.fixture(scope="module")
def path(run, tmp_path_factory) -> Path:
    return write(run, tmp_path_factory.mktemp("book") / "book.xlsx")


@pytest.fixture(scope="module")
def book(path):
    return opened(path)


def test_sheets_heading_frozen_header_filter_and_widths(book, run):
    assert book.sheetnames == SHEETS
    assert book["Summary"]["A1"].value == run.context["answer"]
    for sheet in book:
        header = header_row(sheet.title)
        if sheet.title != guide.NAME:
            assert sheet.freeze_panes == f"A{header + 1}"
            assert sheet.auto_filter.ref is None if sheet.title in UNSORTED else f"A{header}:" in sheet.auto_filter.ref
        assert sheet.column_dimensions["A"].width > 8


@pytest.mark.parametrize(
    ("name", "of"),
    [("Cells", "summary"), ("Speedup", "speedup"), ("Parity", "parity"), ("Runs", "runs"), ("Best batch", "best")],
)
def test_values_equal_the_tables_and_numbers_are_numbers(book, run, name, of):
    expected, found = getattr(run, of), table(book, name)
    assert set(found) >= set(expected) and len(found) == len(expected)
    for column in expected:
        for value, cell in zip(expected[column], found[column], strict=True):
            if isinstance(value, str):
                assert cell == (value or None)
            elif isinstance(value, bool):
                assert cell is value
            elif pd.isna(value):
                assert cell is None
            else:
                assert isinstance(cell, int | float) and cell == pytest.approx(value, rel=1e-12)


def test_sweep_and_full_hold_their_data_set(book, run):
    for name, role in (("Sweep", "sample"), ("Full", "full")):
        found, expected = table(book, name), run.summary[run.summary["dataset"] == role]
        assert sorted(found["throughput"].dropna()) == pytest.approx(sorted(expected["throughput"].dropna()))
        assert list(found["status"]).count("ok") == (expected["status"] == "ok").sum()
        assert len(found) == len(expected)


def test_number_formats(book):
    header = {column_name(cell.value): cell.column for cell in book["Cells"][4]}
    row = book["Cells"][5]
    formats = {name: row[header[name] - 1].number_format for name in ("median", "accuracy", "cv", "batch_size")}
    assert formats == {"median": "0.00", "accuracy": "0.0%", "cv": "0.0%", "batch_size": "0"}


def test_environment_is_the_context_flattened(book, run):
    facts = dict(table(book, "Environment").itertuples(index=False))
    assert facts["versions.spark-nlp"] == "5.5.3" and facts["datasets.full.images"] == 48
    assert facts["machine_text"] == run.context["machine_text"] and facts["repeats"] == 3
    assert {cell.alignment.horizontal for row in book["Environment"].iter_rows(4) for cell in row if cell.value} == {
        "left"
    }


def test_native_charts_draw_cells_of_their_sheet(run, path, book):
    charts = charts_of(path)
    # Two of the sweep, one of the full run, one of the passes, one a kind of comparison; two of them on Summary again.
    kinds = [next(kind for kind in ("lineChart", "barChart") if kind in chart) for chart in charts]
    assert sorted(kinds) == ["barChart", *["lineChart"] * 7]
    for chart in charts:
        assert "<c:numLit>" not in chart and ("<c:errBars>" in chart or "pass by pass" in chart)
    assert [len(book[name]._charts) for name in ("Summary", "Sweep", "Full", "Speedup", "Passes")] == [2, 2, 1, 2, 1]
    first = next(chart for chart in charts if "Throughput" in chart)
    assert first.count("<c:ser>") == 4  # the skipped variant has no line
    sample = run.summary[(run.summary["dataset"] == "sample") & (run.summary["variant"] == "pipeline")]
    reference = first.split("<c:val><c:numRef><c:f>")[1].split("<")[0]
    sheet, cells = reference.split("!")
    drawn = [cell.value for (cell,) in book[sheet.strip("'")][cells.replace("$", "")]]
    assert drawn == pytest.approx(list(sample["throughput"]))


def test_error_bars_reach_low_and_high(run, book):
    rows = list(book["Full"].iter_rows(values_only=True))
    start = next(place for place, row in enumerate(rows) if row[0] == "label")
    full = run.summary[(run.summary["dataset"] == "full") & (run.summary["status"] == "ok")].reset_index(drop=True)
    assert len(full) == 4
    for place, cell in full.iterrows():
        _, median, minus, plus = rows[start + 1 + place][:4]
        assert (median - minus, median + plus) == pytest.approx((cell.low, cell.high))


def test_each_series_has_its_own_values_and_error_bars(path, book):
    """By the headers of the cells that a chart refers to."""

    def header(series: str, of: str) -> str:
        sheet, cells = re.search(rf"<c:{of}>.*?<c:f>(.*?)</c:f>", series)[1].replace("$", "").split("!")
        first = book[sheet.strip("'")][cells.split(":")[0]]
        return str(first.value if of == "tx" else first.offset(row=-1).value)

    charts = [chart for chart in charts_of(path) if "<c:errBars>" in chart]
    of_sweep = [chart for chart in charts if "batch size" in chart and "<c:lineChart>" in chart and "Sweep" in chart]
    assert len(of_sweep) == 3
    for chart in charts:
        several = chart.split("<c:ser>")[1:]
        for series in several:
            assert header(series, "plus").endswith("plus") and header(series, "minus").endswith("minus")
        if chart in of_sweep:
            names = [header(series, "tx") for series in several]
            assert len(set(names)) == 4
            for name, series in zip(names, several, strict=True):
                parts = [header(series, part) for part in ("val", "minus", "plus")]
                assert parts == [name, f"{name} minus", f"{name} plus"]


def test_of_published_runs_the_full_sheet_holds_those_that_were_picked(tmp_path):
    run = example(TWO)
    run.summary = run.summary.assign(picked="False")
    run.summary.loc[run.summary.index[run.summary["dataset"] == "full"][1], "picked"] = "True"
    found = table(opened(write(run, tmp_path / "book.xlsx")), "Full")
    assert found["variant"].to_list() == ["tensorflow"]


def test_a_failed_cell_is_a_gap_in_the_chart_data(book):
    rows = list(book["Sweep"].iter_rows(values_only=True))
    header = next(row for row in rows if row[0] == "batch_size (images)")
    last = rows[rows.index(header) + 3]
    assert last[0] == 16 and last[header.index("sparknlp/onnx")] is None
    assert last[header.index("huggingface/pipeline")] is not None


RISKY = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "{=1}", "http://x/y", "0012"]


def test_words_from_data_never_run(run, tmp_path):
    run = copy.deepcopy(run)
    for place, text in enumerate(RISKY):
        run.runs.loc[place, ["reason", "setting", "record"]] = text
        run.parity.loc[place, "lost"] = text
        run.summary.loc[place, "setting"] = text
    run.context |= {"answer": RISKY[0], "machine_text": RISKY[4], "vitbench": RISKY[5], "notes": RISKY}
    path = write(run, tmp_path / "book.xlsx")
    book, formulas = openpyxl.load_workbook(path), formulas_of(path)
    for text in RISKY:
        found = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value == text]
        assert len(found) >= 5 and {cell.data_type for cell in found} == {"s"}
        assert not any(cell.hyperlink for cell in found)
        bare = text.strip("{=}")
        assert not [formula for formula in formulas if formula == bare or len(bare) > 4 and bare in formula]


def test_a_very_long_list_is_cut_and_not_lost(run, tmp_path):
    run = copy.deepcopy(run)
    run.parity.loc[0, "lost"] = ";".join(f"image-{number}" for number in range(9000))
    found = table(opened(write(run, tmp_path / "book.xlsx")), "Parity")
    assert found.loc[0, "lost"].startswith("image-0;image-1") and found.loc[0, "lost"].endswith("…")


def test_same_tables_same_bytes(run, path, book, tmp_path):
    assert write(run, tmp_path / "a.xlsx").read_bytes() == path.read_bytes()
    created = book.properties.created
    assert created.date().isoformat() == run.context["date"]


def test_derived_tables_have_sheets_in_a_sensible_order(tmp_path):
    run = example(TWO, repeats=5)
    more = derived(run)
    path = tmp_path / "book.xlsx"
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=more,
    )  # fmt: skip
    book = opened(path)
    assert book.sheetnames == [
        "Summary", "Read me", "Sweep", "Best batch", "Full", "Speedup", "Break-even", "Passes", "Stages", "Physics",
        "Batches", "Parity", "Cells", "Runs", "Blocks", "Sizes", "Check", "Time budget", "Environment",
    ]  # fmt: skip
    assert table(book, "Break-even")["break_even"][0] == pytest.approx(more["break_even"].break_even[0])
    batches = table(book, "Batches")
    assert len(batches) == len(more["effective_batches"]) and set(batches["reached"]) <= {True, False}
    headers = [cell.value for cell in book["Batches"][4]]
    assert "images" in headers and "batch_size (images)" in headers, "a unit is said once"
    assert {"canary_gemm", "steal_share", "attempts"} <= set(table(book, "Runs"))
    rows = list(book["Stages"].iter_rows(values_only=True))
    start = next(place for place, row in enumerate(rows) if row[0] == "label")
    assert rows[start][:8] == ("label", *STAGES, "wall time")
    first = more["stages"].iloc[:6]
    assert rows[start + 1][1:7] == pytest.approx(list(first.seconds / first.images * 1000))
    assert rows[start + 1][7] == pytest.approx(first.wall_seconds[0] / first.images[0] * 1000)
    (stacked,) = [chart for chart in charts_of(path) if 'grouping val="stacked"' in chart]
    assert stacked.count("<c:ser>") == 7 and "<c:lineChart>" in stacked


def test_without_profiles_the_stages_say_so(tmp_path):
    run = example(TWO)
    path = tmp_path / "book.xlsx"
    nothing = {name: frame.head(0) for name, frame in derived(run).items()}
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=nothing,
    )  # fmt: skip
    values = [str(cell.value) for row in opened(path)["Stages"].iter_rows() for cell in row]
    assert "No cell was profiled: no chart." in values


def test_nothing_measured_is_said_in_words(tmp_path):
    failed = empty()
    names = ("runs", "summary", "best", "parity", "speedup")
    no_rows = Tables(*(getattr(failed, name).head(0) for name in names), failed.context)
    for run in (failed, no_rows):
        path = write(run, tmp_path / "book.xlsx")
        book = opened(path)
        assert book.sheetnames == [name for name in SHEETS if name != "Passes"]
        values = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
        assert sum("no chart" in value for value in values) == 3
        with zipfile.ZipFile(path) as archive:
            assert not any("charts/" in name for name in archive.namelist())


def test_two_devices_have_a_series_each(tmp_path):
    path = write(example(devices=("cpu", "gpu"), verdict="faster"), tmp_path / "book.xlsx")
    assert {chart.count("<c:ser>") for chart in charts_of(path) if "by batch size" in chart} == {4}


def test_entry_point_reads_the_tables(run, book, tmp_path):
    paths = run.write(tmp_path)
    write_workbook.main({name: str(path) for name, path in paths.items()}, str(tmp_path / "reports" / "benchmark.xlsx"))
    assert table(opened(tmp_path / "reports" / "benchmark.xlsx"), "Runs").equals(table(book, "Runs"))


# What Excel 2010 and LibreOffice both know; nothing else may come in.
FUNCTIONS = set(
    """ABS AND AVERAGE AVERAGEIFS COUNT COUNTIFS EXP FIND FIXED IF IFERROR INDEX ISERROR ISNUMBER LN MATCH MAX MEDIAN
    MIN N OR ROUNDUP ROW ROWS SQRT STDEV SUM SUMPRODUCT TINV""".split()  # noqa: SIM905
)


def test_formulas_have_only_functions_that_both_programs_know_and_no_word_of_the_data(path):
    found = formulas_of(path)
    assert len(found) > 500
    used = {function for formula in found for function in re.findall(r"([A-Z][A-Z0-9.]*)\(", formula)}
    assert used <= FUNCTIONS and not any("_xl" in formula for formula in found)
    assert not [formula for formula in found if "sparknlp" in formula or "pipeline" in formula]


def test_every_name_that_a_formula_uses_is_defined(path):
    defined = set(openpyxl.load_workbook(path).defined_names)
    plain = [re.sub('"[^"]*"', "", text) for text in formulas_of(path)]
    words = {word for text in plain for word in re.findall(r"[a-z][a-z_]+[a-z]", text)}
    assert words and words <= defined


def test_headline_figures_are_formulas_and_intervals_are_values(path):
    book = openpyxl.load_workbook(path)
    live = {
        "Summary": ["repeats", "median", "throughput", "speedup", "hours", "machines", "cost", "best_batch_size"],
        "Full": ["median", "throughput", "fixed_seconds", "seconds_an_image"], "Speedup": ["speedup", "blocks"],
        "Cells": ["median", "low", "high", "throughput"], "Best batch": ["batch_size", "median"],
        "Runs": ["throughput", "usable"], "Check": ["recalculated"],
    }  # fmt: skip
    for name, names in live.items():
        for column in names:
            cells = [cell for cell in table(book, name)[column] if cell is not None]
            texts = [getattr(cell, "text", cell) for cell in cells]
            formulas = [text for text in texts if str(text).startswith("=")]
            assert formulas and len(formulas) >= len(cells) - 2, (name, column)  # the failed and the skipped variant
    for column in ("low", "high", "p_holm", "verdict"):
        assert not [cell for cell in table(book, "Speedup")[column] if str(cell).startswith("=")]


def test_stored_values_of_the_first_pair_are_those_of_the_tables(tmp_path):
    run = analysed(example(FIVE, repeats=5))
    found = table(opened(write(run, tmp_path / "book.xlsx")), "Summary")
    full = run.speedup[run.speedup["dataset"] == "full"].set_index("candidate")
    assert list(found["verdict"])[0] == "baseline" and found["speedup"][0] == pytest.approx(1)
    for place in range(1, len(found)):
        row, expected = found.loc[place], full.loc[found["name"][place]]
        assert row[["speedup", "low", "high", "verdict"]].to_list() == pytest.approx(
            expected[["speedup", "low", "high", "verdict"]].to_list()
        )
    assert set(found["cost"]) == {None}, "without a price there is none"


def test_a_pair_whose_labels_differ_has_no_ratio_anywhere(tmp_path):
    run = analysed(example(FIVE, repeats=5), failing=("sparknlp/onnx",))
    path = write(run, tmp_path / "book.xlsx")
    found = table(opened(path), "Summary").set_index("variant")
    assert found["speedup"]["onnx"] == "parity failed" and isinstance(found["speedup"]["onnx-tuned"], float)
    rows = table(openpyxl.load_workbook(path), "Speedup")
    gated = rows[rows["candidate"].str.contains("/onnx/")]
    assert len(gated) and gated[["speedup", "low", "high"]].isna().all(axis=None)
    with zipfile.ZipFile(path) as archive:
        texts = archive.read("xl/sharedStrings.xml").decode()
    assert "sparknlp/onnx/cpu/w1/bs16 is" not in texts


def test_a_variant_whose_labels_differ_on_another_device_alone_has_its_ratio_to_the_baseline(tmp_path):
    run = analysed(example(TWO, repeats=5, devices=("cpu", "gpu")))
    itself = run.parity["baseline"].str.startswith("sparknlp/")  # on the CPU, beside itself on the GPU
    assert itself.any() and run.parity["passed"].all()
    run.parity.loc[itself, ["passed", "reason"]] = [False, "labels differ"]
    run.speedup = typed(speedups.speedup(run.runs, TWO[0], run.parity).to_dict("records"), "speedup")
    book = opened(write(run, tmp_path / "book.xlsx"))
    assert "parity failed" in set(table(book, "Speedup")["verdict"])
    found = table(book, "Summary")
    assert all(isinstance(one, int | float) for one in found["speedup"][found["framework"] == "sparknlp"])


def test_the_baseline_on_another_device_has_no_ratio_where_its_labels_differ_from_its_own(tmp_path):
    """It is held against nothing but itself on the CPU, which is the sheet's baseline."""
    run = analysed(example(TWO, repeats=5, devices=("cpu", "gpu")))
    names = [run.parity[side].str.startswith(TWO[0]) for side in ("baseline", "candidate")]
    run.parity.loc[names[0] & names[1], ["passed", "reason"]] = [False, "labels differ"]
    run.speedup = typed(speedups.speedup(run.runs, TWO[0], run.parity).to_dict("records"), "speedup")
    found = table(opened(write(run, tmp_path / "book.xlsx")), "Summary")
    there = (found["framework"] == TWO[0].split("/")[0]) & (found["device"] == "gpu")
    assert list(found["speedup"][there]) == ["parity failed"]


def test_the_read_me_explains_every_column(tmp_path):
    run = example(TWO, repeats=5)
    path = tmp_path / "book.xlsx"
    more = {"Claims": ("claims", pd.DataFrame({"id": ["C01"], "stated_ratio": [1.5]}))}
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=derived(run), more=more,
    )  # fmt: skip
    book = opened(path)
    rows = [row[:4] for row in book[guide.NAME].iter_rows(values_only=True)]
    start = next(place for place, row in enumerate(rows) if row == ("sheet", "column", "kind", "meaning"))
    told = {(sheet, column): (kind, meaning) for sheet, column, kind, meaning in rows[start + 1 :]}
    for sheet in book:
        if sheet.title != guide.NAME:
            header = [cell.value for cell in sheet[header_row(sheet.title)] if isinstance(cell.value, str)]
            assert header and not [one for one in header if not told[sheet.title, one][1]], sheet.title
    assert not [key for key, (_, meaning) in told.items() if "another version" in meaning]
    assert told["Speedup", "low (times)"][0] == "computed by the workflow"
    assert told["Cells", "median (s)"][0] == "formula" and told["Summary", "images"][0] == "yours"
    assert {row[0] for row in rows[:start]} >= set(book.sheetnames) - {guide.NAME}


def test_every_column_of_numbers_has_a_unit_or_a_reason_for_none():
    for name, names in tables.COLUMNS.items():
        for column in names:
            if column not in tables.WORDS | tables.TRUTHS and not any(said in column for said in columns.SAID):
                assert f"{name}.{column}" in columns.UNITS or column in columns.UNITS, f"add {column} to columns.UNITS"
    assert columns.unit("summary", "low") == "s" and columns.unit("speedup", "low") == "times"


def test_the_series_has_every_column_explained_and_no_ratio_across_machines_of_ours(tmp_path):
    path = tmp_path / "book.xlsx"
    write_workbook.main({name: str(file) for name, file in published(tmp_path).items()}, str(path))
    rows = [row[:4] for row in opened(path)[guide.NAME].iter_rows(values_only=True)]
    assert not [row for row in rows if row[3] and "another version" in row[3]]
    assert {row[0] for row in rows} >= {"Claims", "Hardware", "Repeats", "Figures"}
    found = table(opened(path), "Summary")
    foreign = found[found["speedup"] == "another machine"]
    assert len(foreign) and set(foreign["verdict"]) == {"not compared"}
    assert {isinstance(one, float) for one in found.loc[found["verdict"] == "one run", "speedup"]} == {True}

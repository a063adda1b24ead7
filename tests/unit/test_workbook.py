"""The workbook as a spreadsheet program reads it: sheets, types, values, charts, and nothing that runs."""

import re
import zipfile
from pathlib import Path

import openpyxl
import pandas as pd
import pytest
import write_workbook
from example_tables import FIVE, STAGES, TWO, Tables, empty, example, physics, stages

from vitbench.analysis import batches, break_even
from vitbench.present.workbook import book as workbook

SHEETS = ["Summary", "Sweep", "Full", "Speedup", "Parity", "Runs", "Environment"]
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
    """The sheet's table: from its header row to the first empty row."""
    rows = list(book[name].iter_rows(min_row=4, values_only=True))
    header = [cell for cell in rows[0] if cell is not None]
    body = []
    for row in rows[1:]:
        if all(cell is None for cell in row):
            break
        body.append(row[: len(header)])
    return pd.DataFrame(body, columns=header, dtype=object)


@pytest.fixture
def run() -> Tables:
    return example(FIVE, failed=FAILED, flags={("sparknlp/onnx-tuned", 8): "no steady state"})


@pytest.fixture
def book(run, tmp_path):
    return openpyxl.load_workbook(write(run, tmp_path / "book.xlsx"))


def test_sheets_heading_frozen_header_filter_and_widths(book, run):
    assert book.sheetnames == SHEETS
    assert book["Summary"]["A1"].value == run.context["answer"]
    for sheet in book:
        assert sheet.freeze_panes == "A5"
        assert sheet.auto_filter.ref.startswith("A4:")
        assert sheet.column_dimensions["A"].width > 8


@pytest.mark.parametrize("name", ["Summary", "Speedup", "Parity", "Runs"])
def test_values_equal_the_tables_and_numbers_are_numbers(book, run, name):
    expected, found = getattr(run, name.lower()), table(book, name)
    assert set(found) == set(expected) and len(found) == len(expected)
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
    header = {cell.value: cell.column for cell in book["Summary"][4]}
    row = book["Summary"][5]
    formats = {name: row[header[name] - 1].number_format for name in ("median", "accuracy", "cv", "batch_size")}
    assert formats == {"median": "0.00", "accuracy": "0.0%", "cv": "0.0%", "batch_size": "0"}


def test_environment_is_the_context_flattened(book, run):
    facts = dict(table(book, "Environment").itertuples(index=False))
    assert facts["versions.spark-nlp"] == "5.5.3" and facts["datasets.full.images"] == 48
    assert facts["machine_text"] == run.context["machine_text"] and facts["repeats"] == 3


def test_native_charts_draw_cells_of_their_sheet(run, tmp_path):
    path = write(run, tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(path)
    with zipfile.ZipFile(path) as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/charts/chart")]
    assert len(charts) == 5  # two of the sweep, one of the full run, one a kind of comparison
    kinds = [next(kind for kind in ("lineChart", "barChart") if kind in chart) for chart in charts]
    assert sorted(kinds) == ["barChart", "lineChart", "lineChart", "lineChart", "lineChart"]
    for chart in charts:
        assert "<c:errBars>" in chart and "<c:numLit>" not in chart
    first = charts[0]
    assert first.count("<c:ser>") == 4  # the skipped variant has no line
    sample = run.summary[(run.summary["dataset"] == "sample") & (run.summary["variant"] == "pipeline")]
    reference = first.split("<c:val><c:numRef><c:f>")[1].split("<")[0]
    sheet, cells = reference.split("!")
    drawn = [cell.value for (cell,) in book[sheet.strip("'")][cells.replace("$", "")]]
    assert drawn == pytest.approx(list(sample["throughput"]))


def test_error_bars_reach_low_and_high(run, tmp_path):
    path = write(run, tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(path)
    rows = list(book["Full"].iter_rows(values_only=True))
    start = next(place for place, row in enumerate(rows) if row[0] == "label")
    full = run.summary[(run.summary["dataset"] == "full") & (run.summary["status"] == "ok")].reset_index(drop=True)
    assert len(full) == 4
    for place, cell in full.iterrows():
        _, median, minus, plus = rows[start + 1 + place][:4]
        assert (median - minus, median + plus) == pytest.approx((cell.low, cell.high))


def test_each_series_has_its_own_values_and_error_bars(run, tmp_path):
    """By the headers of the cells that a chart refers to."""
    path = write(run, tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(path)

    def header(series: str, of: str) -> str:
        sheet, cells = re.search(rf"<c:{of}>.*?<c:f>(.*?)</c:f>", series)[1].replace("$", "").split("!")
        first = book[sheet.strip("'")][cells.split(":")[0]]
        return str(first.value if of == "tx" else first.offset(row=-1).value)

    with zipfile.ZipFile(path) as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/charts/chart")]
    of_sweep = [chart for chart in charts if "batch size" in chart and "<c:lineChart>" in chart and "Sweep" in chart]
    assert len(of_sweep) == 2
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
    found = table(openpyxl.load_workbook(write(run, tmp_path / "book.xlsx")), "Full")
    assert found["variant"].to_list() == ["tensorflow"]


def test_a_failed_cell_is_a_gap_in_the_chart_data(run, tmp_path):
    book = openpyxl.load_workbook(write(run, tmp_path / "book.xlsx"))
    rows = list(book["Sweep"].iter_rows(values_only=True))
    header = next(row for row in rows if row[0] == "batch_size")
    last = rows[rows.index(header) + 3]
    assert last[0] == 16 and last[header.index("sparknlp/onnx")] is None
    assert last[header.index("huggingface/pipeline")] is not None


RISKY = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://x")', "{=1}", "http://x/y", "0012"]


@pytest.mark.parametrize("text", RISKY)
def test_words_from_data_never_run(run, tmp_path, text):
    run.runs.loc[0, ["reason", "setting", "record"]] = text
    run.parity.loc[0, "lost"] = text
    run.best.loc[0, "reason"] = text
    run.context |= {"answer": text, "machine_text": text, "vitbench": text}
    path = write(run, tmp_path / "book.xlsx")
    book = openpyxl.load_workbook(path)
    found = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value == text]
    assert len(found) >= 6 and {cell.data_type for cell in found} == {"s"} and not any(cell.hyperlink for cell in found)
    with zipfile.ZipFile(path) as archive:
        assert not any(b"<f>" in archive.read(name) for name in archive.namelist() if "worksheets/" in name)


def test_a_very_long_list_is_cut_and_not_lost(run, tmp_path):
    run.parity.loc[0, "lost"] = ";".join(f"image-{number}" for number in range(9000))
    found = table(openpyxl.load_workbook(write(run, tmp_path / "book.xlsx")), "Parity")
    assert found.loc[0, "lost"].startswith("image-0;image-1") and found.loc[0, "lost"].endswith("…")


def test_same_tables_same_bytes(run, tmp_path):
    assert write(run, tmp_path / "a.xlsx").read_bytes() == write(run, tmp_path / "b.xlsx").read_bytes()
    created = openpyxl.load_workbook(tmp_path / "a.xlsx").properties.created
    assert created.date().isoformat() == run.context["date"]


def test_derived_tables_have_sheets_in_a_sensible_order(tmp_path):
    run = example(TWO, repeats=5)
    more = derived(run)
    path = tmp_path / "book.xlsx"
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=more,
    )  # fmt: skip
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == [
        "Summary", "Sweep", "Full", "Speedup", "Break-even", "Stages", "Physics", "Batches", "Parity", "Runs",
        "Time budget", "Environment",
    ]  # fmt: skip
    assert table(book, "Break-even")["break_even"][0] == pytest.approx(more["break_even"].break_even[0])
    assert len(table(book, "Batches")) == len(more["effective_batches"])
    assert {"canary_gemm", "steal_share", "attempts"} <= set(table(book, "Runs"))
    rows = list(book["Stages"].iter_rows(values_only=True))
    start = next(place for place, row in enumerate(rows) if row[0] == "label")
    assert rows[start][:8] == ("label", *STAGES, "wall time")
    first = more["stages"].iloc[:6]
    assert rows[start + 1][1:7] == pytest.approx(list(first.seconds / first.images * 1000))
    assert rows[start + 1][7] == pytest.approx(first.wall_seconds[0] / first.images[0] * 1000)
    with zipfile.ZipFile(path) as archive:
        charts = [archive.read(name).decode() for name in archive.namelist() if name.startswith("xl/charts/chart")]
    (stacked,) = [chart for chart in charts if 'grouping val="stacked"' in chart]
    assert stacked.count("<c:ser>") == 7 and "<c:lineChart>" in stacked


def test_without_profiles_the_stages_say_so(tmp_path):
    run = example(TWO)
    path = tmp_path / "book.xlsx"
    nothing = {name: frame.head(0) for name, frame in derived(run).items()}
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=nothing,
    )  # fmt: skip
    values = [str(cell.value) for row in openpyxl.load_workbook(path)["Stages"].iter_rows() for cell in row]
    assert "No cell was profiled: no chart." in values


def test_nothing_measured_is_said_in_words(tmp_path):
    failed = empty()
    names = ("runs", "summary", "best", "parity", "speedup")
    no_rows = Tables(*(getattr(failed, name).head(0) for name in names), failed.context)
    for run in (failed, no_rows):
        path = write(run, tmp_path / "book.xlsx")
        book = openpyxl.load_workbook(path)
        assert book.sheetnames == SHEETS
        values = [str(cell.value) for sheet in book for row in sheet.iter_rows() for cell in row]
        assert sum("no chart" in value for value in values) == 3
        with zipfile.ZipFile(path) as archive:
            assert not any("charts/" in name for name in archive.namelist())


def test_two_devices_have_a_series_each(tmp_path):
    path = write(example(devices=("cpu", "gpu"), verdict="faster"), tmp_path / "book.xlsx")
    with zipfile.ZipFile(path) as archive:
        assert archive.read("xl/charts/chart1.xml").decode().count("<c:ser>") == 4


def test_entry_point_reads_the_tables(run, tmp_path):
    paths = run.write(tmp_path)
    write_workbook.main({name: str(path) for name, path in paths.items()}, str(tmp_path / "reports" / "benchmark.xlsx"))
    direct = write(run, tmp_path / "direct.xlsx")
    assert table(openpyxl.load_workbook(tmp_path / "reports" / "benchmark.xlsx"), "Runs").equals(
        table(openpyxl.load_workbook(direct), "Runs")
    )

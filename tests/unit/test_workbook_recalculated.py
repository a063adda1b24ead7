"""The workbook as another program computes it: LibreOffice, with no stored value left, in two locales."""

import math
from pathlib import Path

import pytest
import spreadsheet
import write_workbook
from campaign_tables import CAMPAIGNS, published, tabulated
from example_tables import FIVE, Tables, analysed, example
from spreadsheet import Table, convert, edited, formulas, values, without_values

from vitbench.analysis import break_even
from vitbench.analysis.best_batch_size import best_batch_sizes
from vitbench.analysis.break_even import full_cells, line
from vitbench.analysis.summary import summary
from vitbench.present.projection import machines
from vitbench.present.workbook import book as workbook

pytestmark = [
    pytest.mark.office,
    pytest.mark.skipif(spreadsheet.find() is None, reason="there is no LibreOffice (apt install libreoffice-calc)"),
]
CASES = ("five", "one", "tied", "failed", "gated", *CAMPAIGNS, "published")
GERMAN = ("five", CAMPAIGNS[-1])
AT = {"images": "B8", "price": "B9", "start": "B10", "deadline": "B11", "baseline": "B6", "candidate": "B7"}
CHECK, SENTENCE = ("Summary", "B12"), ("Summary", "A3")
LOST = ("huggingface/pipeline", 16, 2)


def tied() -> Tables:
    """Runs in which batch size 16 is ahead of 8 by 1%, with a spread of 4%: the smaller is equivalent, and the best.

    The spread lies where an interval of 90% is within the margin of 5% and one of 95% is not.
    """
    run = example(FIVE, repeats=6)
    runs = run.runs
    sample = runs["dataset"] == "sample"
    small = runs[sample & (runs["batch_size"] == 8)].set_index(["framework", "variant", "block"])["wall_seconds"]
    large = runs[sample & (runs["batch_size"] == 16)]
    keys = list(zip(large["framework"], large["variant"], large["block"], strict=True))
    runs.loc[large.index, "wall_seconds"] = [small[key] * 0.99 * math.exp(0.0383 * (-1) ** key[2]) for key in keys]
    runs.loc[large.index, "throughput"] = runs["images"] / runs["wall_seconds"]
    return analysed(run)


def failed() -> Tables:
    """Runs of which some failed, were suspect, or lost images."""
    flags = {("sparknlp/onnx-tuned", 8): "no steady state", ("full", *("huggingface/pipeline", 16)): "",
             ("full", "huggingface/pipeline", 16, 3): "suspect", LOST: "images lost",
             ("sparknlp/onnx", 8, 4): "suspect"}  # fmt: skip
    gone = {("sparknlp/onnx", 16): "oom", "sparknlp/tensorflow": "skipped"}
    return analysed(example(FIVE, repeats=5, failed=gone, flags=flags))


def write(run: Tables, path: Path) -> Path:
    derived = {"break_even": break_even.break_even(run.runs, run.parity, run.speedup)}
    workbook.write(
        path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
        context=run.context, derived=derived,
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def runs() -> dict[str, Tables]:
    five = analysed(example(FIVE, repeats=5))
    gated = analysed(example(FIVE, repeats=5), failing=("sparknlp/onnx",))
    one = analysed(example(FIVE[:1], repeats=5, sizes=(8,)))  # tables of one row
    return {"five": five, "one": one, "tied": tied(), "failed": failed(), "gated": gated}


@pytest.fixture(scope="module")
def books(runs, tmp_path_factory) -> dict[str, Path]:
    """Workbooks as vitbench writes them."""
    folder = tmp_path_factory.mktemp("books")
    made = {name: write(run, folder / f"{name}.xlsx") for name, run in runs.items()}
    for name in (*CAMPAIGNS, "published"):
        paths = published(tmp_path_factory.mktemp(name)) if name == "published" else tabulated(tmp_path_factory, name)
        made[name] = folder / f"{name}.xlsx"
        given = {table: str(path) for table, path in paths.items() if table not in ("grid", "results")}
        write_workbook.main(given, str(made[name]))
    return made


class Changes:
    """Cells that a reader changes in the workbook `five`, by what they are for."""

    def __init__(self, book: Path, run: Tables) -> None:
        self.runs = Table(book, "Runs")
        full = (run.runs["dataset"] == "full") & (run.runs["variant"] == "tensorflow")
        self.row = run.runs[full & (run.runs["block"] == 2)].iloc[0]
        self.where = {"dataset": "full", "variant": "tensorflow", "block": 2}
        self.names = Table(book, "Summary").column("name")

    def time(self) -> dict[tuple[str, str], object]:
        return {self.runs.address("wall_seconds", **self.where): float(self.row.wall_seconds) * 2}

    def flag(self) -> dict[tuple[str, str], object]:
        return {self.runs.address("flags", **self.where): "first;suspect"}

    def inputs(self) -> dict[tuple[str, str], object]:
        typed = {"images": 1_000_000, "price": 2.5, "start": 3, "deadline": 5}
        return {("Summary", AT[name]): value for name, value in typed.items()}

    def baseline(self) -> dict[tuple[str, str], object]:
        return {("Summary", AT["baseline"]): self.names[2], ("Summary", AT["candidate"]): self.names[3]}


@pytest.fixture(scope="module")
def recalculated(runs, books, tmp_path_factory) -> dict[str, Path]:
    """The same workbooks, and those that a reader changed, after LibreOffice computed every formula anew."""
    folder = tmp_path_factory.mktemp("given")
    given = {name: without_values(book, folder / f"{name}.xlsx") for name, book in books.items()}
    changes = Changes(books["five"], runs["five"])
    for name in ("time", "flag", "inputs", "baseline"):
        given[name] = edited(books["five"], folder / f"{name}.xlsx", getattr(changes, name)())
    return dict(zip(given, convert(list(given.values()), tmp_path_factory.mktemp("made")), strict=True))


@pytest.fixture(scope="module")
def german(books, tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("given")
    given = {name: without_values(books[name], folder / f"{name}.xlsx") for name in GERMAN}
    return dict(zip(given, convert(list(given.values()), tmp_path_factory.mktemp("made"), locale="de-DE"), strict=True))


def differences(book: Path, other: Path, comma: bool = False) -> list[tuple]:
    """Cells with a formula whose value in another file is another one."""
    stored, found = values(book), values(other)
    wrong = []
    for cell in sorted(formulas(book)):
        one, two = stored.get(cell, ""), found.get(cell, "")
        if isinstance(one, str) and isinstance(two, str):
            same = (one.replace(".", ",") == two.replace(".", ",")) if comma else one == two
        else:
            numbers = isinstance(one, int | float) and isinstance(two, int | float)
            same = numbers and math.isclose(one, two, rel_tol=1e-9, abs_tol=1e-9)
        if not same:
            wrong.append((cell, one, two))
    return wrong


@pytest.mark.parametrize("case", CASES)
def test_every_formula_gives_what_the_workflow_wrote(books, recalculated, case):
    assert len(formulas(books[case])) > 100  # those of two cells, without a sweep or a control
    assert differences(books[case], recalculated[case]) == []


@pytest.mark.parametrize("case", GERMAN)
def test_it_does_so_in_a_german_locale(books, german, case):
    assert differences(books[case], german[case], comma=True) == []
    sentence = values(german[case])[SENTENCE]
    assert "," in sentence and "." not in sentence.split(" is ")[1].split(" times")[0], "no German locale was tried"


@pytest.mark.parametrize("case", [*CASES, "time", "flag", "inputs", "baseline"])
def test_no_cell_shows_an_error(recalculated, case):
    wrong = {cell: value for cell, value in values(recalculated[case]).items()
             if isinstance(value, str) and value.startswith(("#", "Err:"))}  # fmt: skip
    assert not wrong


@pytest.mark.parametrize("case", CASES)
def test_recalculated_figures_are_those_of_the_tables(runs, recalculated, case):
    """By the sheet Check, and for what is planted by the tables themselves."""
    said = values(recalculated[case])
    assert said[CHECK].startswith("OK: all "), said[CHECK]
    if case not in runs:
        return
    cells = Table(recalculated[case], "Cells")
    for column in ("median", "low", "high", "cv", "throughput", "repeats", "set_aside"):
        expected = list(runs[case].summary[column])
        assert _numbers(cells.column(column)) == pytest.approx(expected, rel=1e-9, nan_ok=True)
    found = _numbers(Table(recalculated[case], "Speedup").column("speedup"))
    assert found == pytest.approx(list(runs[case].speedup["speedup"]), rel=1e-9, nan_ok=True)


def _numbers(cells: list) -> list[float]:
    """The numbers of a column; NaN where a cell is empty."""
    return [math.nan if cell is None else cell for cell in cells]


def test_a_smaller_batch_size_that_is_equivalent_is_the_best(runs, recalculated):
    assert set(runs["tied"].best["batch_size"]) == {8}
    assert set(Table(recalculated["tied"], "Best batch").column("batch_size")) == {8}
    sizes = Table(recalculated["tied"], "Sizes")
    assert set(sizes.column("fastest")) == {16} and 1 in sizes.column("equivalent")


def test_a_failed_gate_shows_no_ratio(recalculated):
    found = Table(recalculated["gated"], "Summary")
    shown = dict(zip(found.column("variant"), found.column("speedup"), strict=True))
    assert shown["onnx"] == "parity failed" and isinstance(shown["tensorflow"], float)
    even = Table(recalculated["gated"], "Break-even")
    told = list(zip(even.column("verdict"), even.column("break_even"), strict=True))
    assert any(verdict != "parity failed" and number for verdict, number in told)
    without = [number for verdict, number in told if verdict == "parity failed"]
    assert without and not any(isinstance(number, int | float) for number in without)


def test_hours_machines_and_cost_follow_what_is_typed(runs, recalculated):
    found = Table(recalculated["inputs"], "Summary")
    costs = {name: line(repeats) for name, repeats in full_cells(runs["five"].runs).items()}
    assert found.column("name") == list(costs)
    for place, cost in enumerate(costs.values()):
        fixed = cost.fixed + 3 * 60
        needed = machines(1_000_000, fixed, cost.each, 5)
        hours, count, price = (found.column(column)[place] for column in ("hours", "machines", "cost"))
        assert hours == pytest.approx((1_000_000 * cost.each + fixed) / 3600, rel=1e-9)
        assert count == needed
        assert price == pytest.approx(2.5 * (needed * fixed + 1_000_000 * cost.each) / 3600, rel=1e-9)


def changed(run: Tables, column: str, value: object) -> Tables:
    """The tables after that cell of Runs was changed, as the analysis makes them."""
    runs = run.runs.copy()
    one = (runs["dataset"] == "full") & (runs["variant"] == "tensorflow") & (runs["block"] == 2)
    runs.loc[one, column] = value(runs.loc[one, column].iloc[0]) if callable(value) else value
    runs.loc[one, "throughput"] = runs["images"] / runs["wall_seconds"]
    return analysed(Tables(runs, run.summary, run.best, run.parity, run.speedup, run.context))


def test_another_time_in_runs_changes_the_headline_and_the_check_names_it(runs, recalculated):
    expected = changed(runs["five"], "wall_seconds", lambda seconds: seconds * 2)
    _is_analysed_as(expected, recalculated["time"])
    said = values(recalculated["time"])[CHECK]
    assert not said.startswith("OK") and "tensorflow/" in said
    before = summary(runs["five"].runs)
    assert (expected.summary["median"] != before["median"].astype(float)).sum() == 1


def test_a_repeat_that_is_called_suspect_leaves_median_and_ratio(runs, recalculated):
    expected = changed(runs["five"], "flags", "first;suspect")
    _is_analysed_as(expected, recalculated["flag"])
    found = Table(recalculated["flag"], "Summary")
    assert sorted(found.column("repeats")) == [4, 5, 5, 5, 5]


def _is_analysed_as(expected: Tables, book: Path) -> None:
    found = Table(book, "Cells")
    for column in ("median", "throughput", "repeats"):
        assert found.column(column) == pytest.approx(list(expected.summary[column]), rel=1e-9)
    ratios = Table(book, "Speedup")
    assert ratios.column("speedup") == pytest.approx(list(expected.speedup["speedup"]), rel=1e-9)
    assert ratios.column("blocks") == list(expected.speedup["blocks"])
    shown, full = Table(book, "Summary"), expected.speedup[expected.speedup["dataset"] == "full"]
    assert shown.column("speedup")[1:] == pytest.approx(list(full["speedup"]), rel=1e-9)
    best = best_batch_sizes(expected.runs)
    assert Table(book, "Best batch").column("batch_size") == list(best["batch_size"])


def test_another_baseline_from_the_list_changes_every_ratio(runs, recalculated):
    found = Table(recalculated["baseline"], "Summary")
    names, shown = found.column("name"), found.column("speedup")
    full = runs["five"].runs[runs["five"].runs["dataset"] == "full"]
    seconds = {variant: rows.set_index("block")["wall_seconds"] for variant, rows in full.groupby("variant")}
    variants = found.column("variant")
    for place, variant in enumerate(variants):
        ratios = seconds[variants[2]] / seconds[variant]
        assert shown[place] == pytest.approx(float(ratios.prod() ** (1 / len(ratios))), rel=1e-9)
    assert found.column("verdict")[2] == "baseline" and found.column("verdict")[3] == "not compared"
    sentence = values(recalculated["baseline"])[SENTENCE]
    assert sentence.startswith(f"{names[3]} is {shown[3]:.2f} times") and sentence.endswith(names[2])
    assert set(found.column("low")) == {None}, "the workflow compared none of these pairs"

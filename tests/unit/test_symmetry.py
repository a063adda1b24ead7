"""Nothing that is drawn or said favours a framework: under exchanged names each says of the other what it said."""

import openpyxl
import pytest
from drawn import words
from example_page import parsed, write
from example_tables import TWO, Tables, analysed, example, typed
from exchange import exchanged, under_exchanged_names
from test_answer import published

from vitbench.analysis import break_even
from vitbench.analysis.looks import Rule
from vitbench.present.answer import answer, closing_lines, other_terms
from vitbench.present.charts import batch_sweep, passes, speedup, wall_time
from vitbench.present.charts import break_even as break_even_chart
from vitbench.present.workbook import book

# Sections of the page on tables that the examples make by the framework's name.
OF_ONE = ("stages", "peak", "batches")


def even(run: Tables):
    return break_even.break_even(run.runs, run.parity, run.speedup)


@pytest.fixture(scope="module")
def both() -> tuple[Tables, Tables]:
    """A run of both variants with a control each, and the same records under exchanged names."""
    run = analysed(example(TWO, sizes=(1, 8), repeats=5, floor=1.05))
    run.context["versions"] |= {"transformers": "1.0", "spark-nlp": "1.0"}
    run.context["answer"] = answer(run.speedup, run.context["versions"])
    assert {"faster", "slower"} & set(run.speedup.verdict), "or there is nothing to exchange"
    return run, under_exchanged_names(run)


def test_the_names_are_exchanged_and_nothing_else(both):
    run, other = both
    assert set(other.runs.framework) == set(run.runs.framework)
    assert (other.runs.framework != run.runs.framework).all()
    assert other.speedup.speedup.tolist() == run.speedup.speedup.tolist()


def test_every_sentence_of_the_end_of_a_run(both):
    def said(run: Tables) -> list[str]:
        total = typed([], "total_time")
        context = run.context | {"gpus": [], "label_note": ""}
        lines = closing_lines(
            run.runs, run.best, run.parity, run.speedup, context, total, published(), 0.05, Rule(most=20)
        )
        return [answer(run.speedup, context["versions"]), *lines, *other_terms(run.speedup, context["versions"])]

    there, back = map(said, both)
    # The last of it is what the article found, which no name of ours changes.
    constant = [line for line in there if line in back]
    assert [line for line in exchanged(there) if exchanged(line) not in constant] == [
        line for line in back if line not in constant
    ]
    assert len(constant) < len(there)


@pytest.mark.parametrize(
    "draw",
    [
        pytest.param(lambda run: speedup.draw(run.speedup, run.summary, run.context), id="speedup"),
        pytest.param(lambda run: batch_sweep.draw(run.summary, run.runs, run.best, run.context), id="batch_sweep"),
        pytest.param(lambda run: wall_time.draw(run.summary, run.runs, run.context), id="wall_time"),
        pytest.param(lambda run: passes.draw(run.runs, run.context), id="passes"),
        pytest.param(lambda run: break_even_chart.draw(run.runs, even(run), run.context), id="break_even"),
    ],
)
def test_every_chart(both, draw, monkeypatch):
    there, back = (words(draw(run), monkeypatch).replace("\n", " ") for run in both)
    assert exchanged(there) == back != there


def test_the_workbook(both, tmp_path):
    def cells(run: Tables, path) -> dict[str, list]:
        book.write(
            path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
            context=run.context, derived={"break_even": even(run)},
        )  # fmt: skip
        # The guide is the same for all.
        sheets = [sheet for sheet in openpyxl.load_workbook(path) if sheet.title != "Read me"]
        # Of a formula over several cells, openpyxl gives an object.
        return {one.title: [[getattr(cell, "text", cell) for cell in row] for row in one.values] for one in sheets}

    there, back = (cells(run, tmp_path / f"{number}.xlsx") for number, run in enumerate(both))
    assert there.keys() == back.keys()
    for sheet, rows in there.items():
        assert exchanged(rows) == back[sheet], sheet
    assert any(rows != back[sheet] for sheet, rows in there.items())


def test_the_page(both, tmp_path):
    def sections(run: Tables, folder) -> dict[str, str]:
        page = parsed(write(folder, run, disagreements=[], replication=[]).read_text())
        found = {node.attributes.get("id", "first"): node.text for node in page.all("section")}
        return {name: text for name, text in found.items() if name not in OF_ONE}

    there, back = (sections(run, tmp_path / str(number)) for number, run in enumerate(both))
    assert {"first", "speedup", "sweep", "full", "passes", "parity", "break-even", "runs"} <= there.keys()
    assert exchanged(there) == back != there

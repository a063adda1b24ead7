"""Nothing favours a framework: under exchanged names every sentence, verdict and chart says the same of the other."""

from __future__ import annotations

import math
import re
from dataclasses import asdict

import openpyxl
import pandas
import pytest
from drawn import words
from example_page import parsed, write
from example_tables import NO_SIZES, TWO, Tables, analysed, example, typed
from exchange import OTHER, VERSIONS, swap, swapped

from vitbench.analysis import advice
from vitbench.analysis import break_even as even
from vitbench.analysis.jobs import jobs
from vitbench.analysis.looks import Rule
from vitbench.frameworks import OF_ARTICLE
from vitbench.present.answer import answer, closing_lines, noise_line
from vitbench.present.charts import batch_sweep, passes, wall_time
from vitbench.present.charts import break_even as break_even_chart
from vitbench.present.charts import speedup as chart
from vitbench.present.page import break_even, cells, comparison, document
from vitbench.present.page.parts import looks
from vitbench.present.workbook import book

# Seconds of the candidate for each of the baseline: each verdict that five blocks can have.
SPEEDS = {"faster": 0.6, "slower": 1.5, "equivalent": 1.0, "inconclusive": 1.0}


def measured(verdict: str, floor: float | None = 1.05) -> pandas.DataFrame:
    """A runs table of both frameworks, with controls, in which the full runs come out so."""
    runs = example(TWO, sizes=(1, 8), repeats=5, floor=floor).runs.assign(declared=OF_ARTICLE)
    runs["product_precision"] = "float32"
    for row in runs.itertuples():
        noise = 1 + 0.001 * (row.block % 3)
        if verdict == "inconclusive" and row.framework == "sparknlp":
            noise += 0.05 if row.block % 2 else -0.07
        seconds = 10.0 * noise * (SPEEDS[verdict] if row.framework == "sparknlp" else 1.0)
        runs.loc[row.Index, "wall_seconds"] = seconds
        runs.loc[row.Index, "throughput"] = row.images / seconds
    return runs


def tabled(runs: pandas.DataFrame) -> Tables:
    """Everything that the analysis makes of these runs, the first variant of the table as baseline."""
    context = example(TWO).context | {"variants": list(dict.fromkeys(runs.framework + "/" + runs.variant))}
    return analysed(Tables(runs, *(pandas.DataFrame(),) * 4, context), baseline=_first(runs))


def _first(runs: pandas.DataFrame) -> str:
    return f"{runs.framework.iloc[0]}/{runs.variant.iloc[0]}"


def sentences(run: Tables) -> list[str]:
    """What a run says of the two in words."""
    published = pandas.DataFrame(
        {"part": 2, "device": "cpu", "dataset": "full", "framework": ["huggingface", "sparknlp"], "seconds": [2.0, 1.0]}
    )
    said = answer(run.speedup, VERSIONS)
    context = run.context | {"gpus": [], "label_note": "", "answer": said, "versions": VERSIONS}
    lines = closing_lines(
        run.runs, run.best, run.parity, run.speedup, context, typed([], "total_time"), published, 0.05, Rule(most=20)
    )
    # The article's own ratio is not ours.
    return [said, noise_line(run.speedup), *(line for line in lines if "The article" not in line)]


def advised(run: Tables) -> list[pandas.DataFrame]:
    """What is advised of a run, and the steps to it."""
    baseline, given = run.context["variants"][0], {variant: {} for variant in run.context["variants"]}
    nothing = typed([], "total_time"), typed([], "break_even")
    best = advice.advice(run.runs, run.speedup, *nothing, baseline, given, 2)
    steps = advice.steps(run.runs, run.speedup, baseline, given)
    return [typed(found.to_dict("records"), name) for found, name in ((best, "advice"), (steps, "steps"))]


def drawn(run: Tables) -> str:
    """The data of the charts that set the two against each other: those of the files, and those of the page."""
    groups = [(name, [asdict(row) for row in rows]) for name, rows in chart._groups(run.speedup, run.summary)]
    given = looks(run.context, zip(run.summary.framework, run.summary.variant, strict=True))
    page = [
        comparison.strip(comparison.shown_first(run.speedup), "who is faster"),
        comparison.every(run.speedup).parts[0],
        cells.full(run.summary, run.runs, given).parts[0].rows,
        document._chips(run.speedup),
        break_even.arms(jobs(run.runs, NO_SIZES, run.parity), NO_SIZES),
    ]
    return repr([groups, chart._sides(run.speedup[run.speedup.family != "control"]), page])


@pytest.mark.parametrize("verdict", SPEEDS)
def test_with_names_exchanged_tables_sentences_and_charts_say_the_same_of_the_other(verdict):
    runs = measured(verdict)
    there, back = tabled(runs), tabled(swap(runs))
    assert there.speedup.verdict[there.speedup.dataset == "full"].iloc[0] == verdict
    for name in ("summary", "best", "parity", "speedup"):
        pandas.testing.assert_frame_equal(getattr(back, name), swap(getattr(there, name)), obj=name)
    for one, other in zip(advised(there), advised(back), strict=True):
        pandas.testing.assert_frame_equal(other, swap(one))
    assert len(advised(there)[0]) and len(advised(there)[1])
    assert sentences(back) == [swapped(line) for line in sentences(there)]
    assert drawn(back) == swapped(drawn(there))
    assert drawn(back) != drawn(there)


@pytest.fixture(scope="module")
def both() -> tuple[Tables, Tables]:
    """A run, and the same records under exchanged names. The two packages have one version in what names them all."""
    runs = measured("faster")
    found = tabled(runs), tabled(swap(runs))
    for run in found:
        run.context["versions"] |= dict.fromkeys(VERSIONS, "1.0")
        run.context |= {"answer": answer(run.speedup, run.context["versions"]), "baseline": run.context["variants"][0]}
    return found


def crossings(run: Tables) -> pandas.DataFrame:
    return even.break_even(run.runs, run.parity, run.speedup)


CHARTS = {
    "speedup": lambda run: chart.draw(run.speedup, run.summary, run.context),
    "batch_sweep": lambda run: batch_sweep.draw(run.summary, run.runs, run.best, run.context),
    "wall_time": lambda run: wall_time.draw(run.summary, run.runs, run.context),
    "passes": lambda run: passes.draw(run.runs, run.context),
    "break_even": lambda run: break_even_chart.draw(run.runs, crossings(run), run.context),
}


@pytest.mark.parametrize("name", CHARTS)
def test_with_names_exchanged_the_words_of_a_chart_are(both, name, monkeypatch):
    # Names of other lengths break lines elsewhere.
    there, back = (" ".join(words(CHARTS[name](run), monkeypatch).split()) for run in both)
    assert swapped(there) == back != there


def test_with_names_exchanged_the_workbook_is(both, tmp_path):
    def sheets(run: Tables, path) -> dict[str, list]:
        book.write(
            path, summary=run.summary, runs=run.runs, best=run.best, parity=run.parity, speedup=run.speedup,
            context=run.context, derived={"break_even": crossings(run)},
        )  # fmt: skip
        # The guide is the same for all. Of a formula over several cells, openpyxl gives an object.
        found = [sheet for sheet in openpyxl.load_workbook(path) if sheet.title != "Read me"]
        return {one.title: [[str(getattr(cell, "text", cell)) for cell in row] for row in one.values] for one in found}

    there, back = (sheets(run, tmp_path / f"{number}.xlsx") for number, run in enumerate(both))
    assert there.keys() == back.keys()
    for name, rows in there.items():
        assert [list(map(swapped, row)) for row in rows] == back[name], name
    assert there != back


def test_with_names_exchanged_the_page_is(both, tmp_path):
    def sections(run: Tables, folder) -> dict[str, str]:
        page = parsed(write(folder, run, disagreements=[], replication=[]).read_text())
        found = {node.attributes.get("id", "first"): node.text for node in page.all("section")}
        # Those on tables that the example makes by the framework's name.
        return {name: text for name, text in found.items() if name not in ("stages", "peak", "batches")}

    there, back = (sections(run, tmp_path / str(number)) for number, run in enumerate(both))
    assert {"first", "speedup", "sweep", "full", "passes", "parity", "break-even", "runs"} <= there.keys()
    assert {name: swapped(text) for name, text in there.items()} == back != there


@pytest.mark.parametrize("verdict", SPEEDS)
def test_with_speeds_exchanged_every_mark_is_the_mirror_image(verdict):
    """The names stay where they are, and each takes as long as the other did."""
    runs = measured(verdict, floor=None)
    exchanged = runs.copy()
    for column in ("wall_seconds", "throughput"):
        by_side = [runs.loc[runs.framework == name, column].to_numpy() for name in ("huggingface", "sparknlp")]
        for name, values in zip(("huggingface", "sparknlp"), reversed(by_side), strict=True):
            exchanged.loc[runs.framework == name, column] = values
    there, back = tabled(runs).speedup, tabled(exchanged).speedup
    mirror = {"faster": "slower", "slower": "faster"}
    assert list(back.verdict) == [mirror.get(one, one) for one in there.verdict]
    assert list(back.fairness) == list(there.fairness) and set(there.fairness) == {"as in the article"}
    for one, other in zip(_marks(there), _marks(back), strict=True):
        assert one.keys() == other.keys()
        for name, (place, color) in one.items():
            assert math.isclose(place + other[name][0], 100, abs_tol=0.01)
            assert other[name][1] == OTHER.get(color, color)
    said = [answer(table, VERSIONS) for table in (there, back)]
    ratios = [float(re.search(r"was ([\d.]+) times", text)[1]) for text in said]
    assert ratios[0] * ratios[1] == pytest.approx(1, rel=0.02)


def _marks(speedup: pandas.DataFrame) -> list[dict[str, tuple[float, str]]]:
    """Place (per cent) and colour of each row's dots; of its whisker only the middle, whose ends change sides."""
    rows = comparison.strip(speedup, "").rows
    return [{f"dot {place}": (dot.x, dot.color) for place, dot in enumerate(row.dots)} for row in rows]

"""The registry of charts and the script that draws each of them from its files."""

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import derive_tables
import plot_chart
import pytest
import tabulate_plan
import tabulate_scaling
from example_tables import TWO, example, physics, stages, typed, write_grid
from test_replication import DATA, records

from vitbench import tables
from vitbench.analysis import advice
from vitbench.files import HOME
from vitbench.present.charts import CHARTS
from vitbench.series import published, replication
from vitbench.sources import behind

# A script of which Snakemake makes another one.
RUN = re.compile(r'^ *script:\n *"\.\./scripts/(\w+\.py)"$', re.MULTILINE)
# Those of one source; what is drawn of two sets of records is tested with them (test_sets.py).
DRAWN = [name for name, chart in CHARTS.items() if not chart.of_sets]
FLAGS = {("sparknlp/tensorflow", 8, 2): "suspect", ("full", "huggingface/pipeline", 16, 3): "not warm;suspect"}


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    """A folder with all tables that charts are drawn of, named as in `results/`."""
    folder = tmp_path_factory.mktemp("results")
    run = example(TWO, repeats=5, flags=FLAGS)
    run.write(folder)
    nothing = [typed([], name) for name in ("total_time", "break_even")]
    more = {"stages": stages(run), "physics": physics(run)}
    more["replication"], more["replication_curves"] = replication.replicate(published.read(DATA), records())
    definitions = {"huggingface/pipeline": {"image_processor": "pil"}, "sparknlp/tensorflow": {"engine": "tensorflow"}}
    more["advice"] = advice.advice(run.runs, run.speedup, *nothing, "huggingface/pipeline", definitions, 2)
    more["steps"] = advice.steps(run.runs, run.speedup, "huggingface/pipeline", definitions)
    for name, table in more.items():
        table.to_csv(folder / f"{name}.csv", index=False)
    derive_tables.main(*derivation(folder, folder))
    given = {name: str(folder / f"{name}.csv") for name in ("runs", "parity", "physics", "total_time")}
    out = {"table": str(folder / "scaling.csv"), "fits": str(folder / "scaling_fits.csv")}
    tabulate_scaling.main(DATA, given, out)
    prices = {"prices": str(HOME / "resources/prices.tsv")}
    tabulate_plan.main(given | prices, 40_000_000, 48.0, folder / "plan.csv")
    return folder


DERIVED = {name: name for name in ("break_even", "sustained", "data_set_sizes", "total_time")}
DERIVED["batches"] = "effective_batches"


def derivation(results: Path, out: Path) -> list[dict[str, str]]:
    """What `derive_tables` reads and writes."""
    read = {name: str(results / f"{name}.csv") for name in ("runs", "parity", "speedup", "physics")}
    written = {name: str(out / f"{table}.csv") for name, table in DERIVED.items()}
    return [read | {"grid": str(write_grid(results))}, written]


def inputs(name: str, results: Path) -> dict[str, str]:
    paths = {table: str(results / f"{table}.csv") for table in CHARTS[name].tables}
    beside = {"published": str(DATA / "runs.csv")} if CHARTS[name].beside_published else {}
    return paths | {"context": str(results / "context.json")} | beside


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_every_chart_is_drawn_and_its_files_are_the_same_in_two_processes(results, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    calls = ["import derive_tables, plot_chart", f"derive_tables.main(*{derivation(results, there)!r})"]
    for name in DRAWN:
        png, svg = here / f"{name}.png", here / f"{name}.svg"
        plot_chart.main(name, inputs(name, results), str(png), str(svg))
        assert png.read_bytes().startswith(b"\x89PNG") and b"<svg" in svg.read_bytes()
        assert b"<dc:date>" not in svg.read_bytes()
        calls.append(f"plot_chart.main{(name, inputs(name, results), str(there / png.name), str(there / svg.name))!r}")
    environment = os.environ | {"PYTHONHASHSEED": "7"}
    subprocess.run([sys.executable, "-c", "\n".join(calls)], check=True, cwd=HOME / "scripts", env=environment)
    drawn = digests(here)
    assert len(drawn) == 2 * len(DRAWN) == len(set(drawn.values()))  # and nothing half-written is left
    derived = {name: digests(results)[name] for name in (f"{table}.csv" for table in DERIVED.values())}
    assert digests(there) == drawn | derived


def test_the_article_stands_in_the_speedup_chart_only_where_it_is_given(results, tmp_path):
    for name, given in (("with", inputs("speedup", results)), ("without", inputs("speedup", results))):
        if name == "without":
            del given["published"]
        plot_chart.main("speedup", given, str(tmp_path / "chart.png"), str(tmp_path / f"{name}.svg"))
    drawn = digests(tmp_path)
    assert drawn["with.svg"] != drawn["without.svg"]


@pytest.mark.parametrize("name", CHARTS)
def test_an_entry_names_tables_a_module_and_a_caption_that_there_are(name):
    chart = CHARTS[name]
    assert set(chart.tables) <= tables.COLUMNS.keys()
    assert HOME / "scripts/vitbench/present/charts" / f"{chart.module}.py" in behind(chart.source)
    assert (HOME / "reports/captions" / f"{chart.module}.rst").read_text().strip()


def test_a_module_that_draws_a_chart_is_no_other_chart_s(results):
    """An edit of one chart redraws that one: what two of them share lies in a module that draws none."""
    drawing = {f"{chart.module}.py" for chart in CHARTS.values()}
    for chart in CHARTS.values():
        behind_it = {path.name for path in behind("plot_chart", chart.source) if path.parent.name == "charts"}
        assert behind_it & drawing == {f"{chart.module}.py"}


SCRIPTS = sorted({name for path in (HOME / "rules").glob("*.smk") for name in RUN.findall(path.read_text())})


@pytest.mark.parametrize("script", SCRIPTS)
def test_entry_points_compile_behind_the_lines_that_snakemake_puts_first(script):
    # A `from __future__` line would have to be the first.
    compile("import sys\n" + (HOME / "scripts" / script).read_text(), script, "exec")


def test_the_scripts_that_snakemake_runs_are_found_in_the_rules():
    assert {"plot_chart.py", "derive_tables.py", "check_ready.py"} <= set(SCRIPTS) and "measure.py" not in SCRIPTS

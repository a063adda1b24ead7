"""The notebook: stored without outputs, run over any source's tables, and its figures those of the workflow."""

import json
import os
import re
from pathlib import Path

import browser
import execute_notebook
import nbformat
import pytest
from campaign_tables import CAMPAIGNS, packed, tabulate
from example_tables import FIVE, analysed, empty, example, stages, write_grid
from nbclient.exceptions import CellExecutionError

from vitbench.files import HOME

NOTEBOOK = HOME / "notebooks" / "analysis.ipynb"
DIFFERENCE = re.compile(r"largest difference from (\w+)\.csv: (\S+)")


def execute(results: Path, folder: Path, monkeypatch, notebook: Path = NOTEBOOK) -> str:
    """The page that the notebook becomes, run in another folder than the checkout."""
    folder.mkdir(exist_ok=True)
    monkeypatch.chdir(folder)
    out = folder / "analysis.html"
    execute_notebook.main(notebook, Path(os.path.relpath(results)), out)
    return out.read_text()


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Path:
    """Folder of the tables of a campaign."""
    results = tmp_path_factory.mktemp("campaign") / "results"
    tabulate(packed(CAMPAIGNS[-1]), results)
    return results


@pytest.fixture(scope="module")
def page(campaign, tmp_path_factory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        return execute(campaign, tmp_path_factory.mktemp("a working directory"), patch)


def test_it_is_stored_without_outputs_and_traces_of_a_run():
    book = json.loads(NOTEBOOK.read_text())
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert len(code) > 10
    assert not [cell["id"] for cell in code if cell["outputs"] or cell["execution_count"] is not None]
    assert book["metadata"].keys() == {"kernelspec", "language_info", "title"}
    assert all(set(cell["metadata"]) <= {"tags", "alt"} for cell in book["cells"])
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))


def test_each_chart_says_in_words_what_it_shows():
    cells = [cell for cell in json.loads(NOTEBOOK.read_text())["cells"] if cell["cell_type"] == "code"]
    charts = [cell for cell in cells if any("plt.subplots" in line for line in cell["source"])]
    assert len(charts) >= 4 and all(len(cell["metadata"]["alt"]) > 40 for cell in charts)


def test_a_line_that_reaches_us_in_pieces_is_one_line(campaign, tmp_path, monkeypatch):
    """A kernel sends what a cell has printed so far after a moment, on a busy machine between two words."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    (given,) = [cell for cell in book.cells if "parameters" in cell.metadata.get("tags", [])]
    printed = "import time\nfor word in ('one', ' line\\n'):\n    print(word, end='', flush=True)\n    time.sleep(0.5)"
    book.cells = [given, nbformat.v4.new_code_cell(printed)]
    nbformat.write(book, tmp_path / "pieces.ipynb")
    assert "one line\n" in execute(campaign, tmp_path / "elsewhere", monkeypatch, tmp_path / "pieces.ipynb")


def test_its_figures_are_those_of_the_workflow(page):
    found = dict(DIFFERENCE.findall(page))
    assert found.keys() == {"summary", "speedup"}
    assert all(float(value) < 1e-9 for value in found.values())


def test_it_is_written_with_its_tables_and_charts(page):
    context = page[page.index("<body") :]
    assert context.count('src="data:image/png;base64') >= 4 and context.count("<table") >= 6
    assert "No description has been provided" not in context
    assert "vnd.jupyter.stderr" not in context, "a cell warned of something"
    assert "sparknlp/onnx" in context or "huggingface/" in context


def test_the_page_asks_for_nothing_from_anywhere(page):
    assert "<script" not in page and "<link" not in page and "@import" not in page
    assert not re.findall(r"""(?:src|href)=["']https?:""", page) and not re.findall(r"url\(['\"]?http", page)


@pytest.mark.browser
@pytest.mark.skipif(browser.find() is None, reason="there is no Chromium")
def test_a_browser_shows_it_without_a_complaint(page, tmp_path):
    path = tmp_path / "analysis.html"
    path.write_text(page)
    with browser.running(tmp_path) as chromium:
        shown = chromium.open(path)
        assert shown.complaints() == [] and shown.requests() == []
        assert shown.evaluate("[...document.images].every(one => one.naturalWidth > 100 && one.alt)")
        assert shown.evaluate("document.documentElement.scrollWidth <= window.innerWidth + 1")


@pytest.mark.parametrize("what", ["nothing worked", "one repeat", "some failed"])
def test_it_runs_over_whatever_was_measured(what, tmp_path, monkeypatch):
    run = {
        "nothing worked": lambda: analysed(empty()),
        "one repeat": lambda: analysed(example(repeats=1)),
        "some failed": lambda: analysed(
            example(FIVE, repeats=5, failed={("sparknlp/onnx", 16): "oom", "sparknlp/tensorflow": "skipped"}),
            failing=("sparknlp/onnx-tuned",),
        ),
    }[what]()
    results = tmp_path / "results"
    (results / "provenance").mkdir(parents=True)
    paths = run.write(results)
    paths["context"].rename(results / "provenance/context.json")
    write_grid(results / "provenance")
    stages(run).to_csv(results / "stages.csv", index=False)
    page = execute(results, tmp_path / "elsewhere", monkeypatch)
    for _, value in DIFFERENCE.findall(page):
        assert value == "nan" if what == "nothing worked" else float(value) < 1e-9


def small(folder: Path, *sources: str) -> Path:
    """A notebook with the cell of the parameters and these."""
    cells = [nbformat.v4.new_code_cell('results = ""', metadata={"tags": ["parameters"]})]
    path = folder / "small.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[*cells, *map(nbformat.v4.new_code_cell, sources)]), path)
    return path


def test_it_is_told_where_tables_and_checkout_are_and_reads_no_settings_of_the_user(tmp_path, monkeypatch):
    startup = tmp_path / "home/.ipython/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("raise SystemExit('a start-up file was read')\n")
    for name in ("JUPYTER_CONFIG_DIR", "IPYTHONDIR", "JUPYTER_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    given = small(tmp_path, "from pathlib import Path\nprint(results, Path(checkout, 'Snakefile').exists())")
    before = dict(os.environ)
    page = execute(tmp_path / "it's mine", tmp_path / "wd", monkeypatch, given)
    assert "../it&#39;s mine True" in page or "../it's mine True" in page
    assert dict(os.environ) == before
    assert [path.name for path in (tmp_path / "home").iterdir()] == [".ipython"]


def test_a_cell_that_fails_is_an_error_and_leaves_no_page(tmp_path, monkeypatch):
    with pytest.raises(CellExecutionError, match="no such column"):
        execute(tmp_path, tmp_path / "wd", monkeypatch, small(tmp_path, "raise KeyError('no such column')"))
    assert not (tmp_path / "wd/analysis.html").exists()

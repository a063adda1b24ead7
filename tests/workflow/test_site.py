"""The site of the docs: it is built without a warning, asks nobody for anything, and its rule graph is today's."""

import os
import re
import subprocess
import sys
from pathlib import Path

import describe_rules
import pytest
from tree import ROOT, clone

UV = Path(sys.executable).with_name("uv")


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The site as `make docs` builds it, in a clone with the environment of this checkout."""
    tree = clone(tmp_path_factory.mktemp("docs") / "a clone", without=()).root
    (tree / ".venv").symlink_to(Path(sys.prefix))
    command = ["make", "-o", "install", "docs"]
    done = subprocess.run(command, cwd=tree, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return tree / ".docs" / "site"


def pages(site: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in site.glob("*.html")}


def test_every_page_is_there(site):
    names = {f"{path.stem}.html" for path in (ROOT / "docs").glob("*.md")}
    there = pages(site).keys()
    assert names | {"index.html", "reference_configuration.html", "changelog.html", "contributing.html"} <= there


def test_the_pages_load_nothing_from_elsewhere(site):
    for name, text in pages(site).items():
        loaded = re.findall(r'<(?:script|img|link|iframe)[^>]*(?:src|href)="?(https?://[^" >]+)', text)
        assert loaded == [], name


def test_tables_and_lists_are_rendered_as_such(site):
    for name, text in pages(site).items():
        words = re.sub(r"<(pre|code)\b.*?</\1>", "", text, flags=re.S)
        assert "| ---" not in words, name
        assert not re.search(r"<p>[^<]*\n- ", words), name


def test_the_rule_graph_is_up_to_date():
    straight, back = describe_rules.without_circles(describe_rules.rule_graph())
    graph = describe_rules.reduced(straight)
    assert "check_ready" in graph["measure"] | graph["measure_peak"] and "measure" in graph["choose_batch_size"]
    again = "run `python scripts/describe_rules.py`"
    assert describe_rules.DOCUMENT.read_text() == describe_rules.describe(graph, back), again
    assert describe_rules.PICTURE.read_text() == describe_rules.drawn(graph, back), again

"""The pages as text: links lead somewhere, what is generated is up to date, versions agree."""

import re
import subprocess
from itertools import product
from pathlib import Path

import describe_downloads
import describe_tables
import mkdocs_hook
import pytest
import yaml

from vitbench import tables
from vitbench.files import HOME
from vitbench.present import columns
from vitbench.present.markdown import WHOLE, WIDTH

PAGES = sorted(
    Path(name)
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    if (HOME / name).exists() and name.count("/") < 2 and not name.startswith("resources")
)
IDS = list(map(str, PAGES))


def headings(text: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and Python-Markdown make them."""
    plain = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    words = re.findall(r"^#+ (.+)$", plain, re.M)
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", re.sub(r"[`*]", "", line).strip().lower())) for line in words}


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page):
    text = (HOME / page).read_text()
    assert text.count("```") % 2 == 0
    for target, anchor in re.findall(r"\]\(([^)\s#:]*)(?:#([^)\s]+))?\)", text):
        there = HOME / page.parent / target if target else HOME / page
        assert there.exists(), target
        if anchor:
            assert anchor in headings(there.read_text()), f"{target}#{anchor}"


def test_what_is_used_of_snakemake_beyond_its_documentation_is_listed():
    rules = sorted((HOME / "rules").glob("*.smk"))
    used = {(name, rule.name) for rule in rules for name in re.findall(r"\bworkflow\.(\w+)", rule.read_text())}
    section = (
        (HOME / "docs/architecture.md").read_text().partition("that it does not document")[2].partition("\n## ")[0]
    )
    listed = set()
    for names, files in re.findall(r"^\| (.*?) \| (.*?) \|", section, re.M):
        found = re.findall(r"`workflow\.(\w+)`", names), re.findall(r"`(\w+\.smk)`", files)
        listed |= set(product(*found))
    assert listed == used


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_line_of_prose_is_too_long(page):
    fenced = False
    for number, line in enumerate((HOME / page).read_text().splitlines(), 1):
        fenced ^= line.startswith("```")
        assert fenced or len(line) <= WIDTH or line.startswith(WHOLE), f"line {number}"


def test_every_column_of_every_table_is_explained_and_no_other():
    explained = {f"{table}.{column}" for table, names in tables.COLUMNS.items() for column in names}
    for table, names in tables.COLUMNS.items():
        assert columns.TABLES[table].endswith(".")
        for name in names:
            assert columns.meaning(table, name)
    bare = {name.split(".")[1] for name in explained}
    assert {name for name in columns.COLUMNS if name not in (explained if "." in name else bare)} == set()
    assert columns.TABLES.keys() == tables.COLUMNS.keys()


def test_the_reference_of_the_tables_is_up_to_date():
    assert describe_tables.DOCUMENT.read_text() == describe_tables.describe(), "run `python scripts/describe_tables.py`"


def test_the_downloads_are_those_of_the_locks():
    again = "run `python scripts/describe_downloads.py`"
    assert describe_downloads.DOCUMENT.read_text() == describe_downloads.describe(), again
    sizes = {part: {"linux-x86_64": 1_500_000_000, "linux-arm64": 2_000_000} for part in describe_downloads.PARTS}
    table = describe_downloads.table(sizes | {"engine": {"title": "An engine", "linux-x86_64": 3_000_000}})
    assert "| 1.5 GB | 2 MB | none |" in table and "| An engine, if asked for | 3 MB | none | none |" in table


def test_the_citation_and_the_change_log_name_this_version_and_protocol():
    version = re.search(r'^version = "(.+)"', (HOME / "pyproject.toml").read_text(), re.M)[1]
    citation = yaml.safe_load((HOME / "CITATION.cff").read_text())
    assert citation["version"] == version
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    protocols = re.findall(r"^## .*\bprotocol (\d+)", (HOME / "CHANGELOG.md").read_text(), re.M)
    current = yaml.safe_load((HOME / "config" / "config.yaml").read_text())["protocol"]
    assert protocols == [str(number) for number in range(current, 0, -1)]


@pytest.mark.parametrize(
    ("place", "written", "there"),
    [
        ("index.md", "[a](docs/own.md#model)", "[a](own.md#model)"),
        ("index.md", "![a](docs/images/h200/speedup.png)", "![a](images/h200/speedup.png)"),
        ("index.md", "[a](config/README.md)", "[a](reference_configuration.md)"),
        ("own.md", "[a](../config/README.md#keys)", "[a](reference_configuration.md#keys)"),
        ("own.md", "see [the licence](../LICENSE).", "see the licence."),
        ("own.md", "[a](nowhere.md)", "[a](nowhere.md)"),
        ("own.md", "[a](https://example.org/x)", "[a](https://example.org/x)"),
        ("own.md", "[a](#model)", "[a](#model)"),
        ("reference_configuration.md", "[a](../docs/own.md)", "[a](own.md)"),
    ],
)
def test_links_of_the_repository_become_links_of_the_site(place, written, there):
    assert mkdocs_hook.relinked(written, place) == there


def test_every_page_is_in_the_navigation_once():
    text = (HOME / "mkdocs.yml").read_text()
    named = re.findall(r"- ([a-z_0-9]+\.md)$", text, re.M)
    campaigns = {f"{path.name}.md" for path in (HOME / "resources/campaigns").iterdir() if path.is_dir()}
    there = {path.name for path in (HOME / "docs").glob("*.md")} | mkdocs_hook.OUTSIDE.keys()
    assert sorted(named) == sorted(there - campaigns)

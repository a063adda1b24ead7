"""Data sets through Snakemake: archives, with and without a network, and names that would like to be run."""

from __future__ import annotations

import csv
import io
import re
import socket
import sys
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import openpyxl
import planted
import pytest
import yaml
from tree import ROOT, Tree

sys.path.insert(0, str(ROOT / "tests" / "unit"))

from web_server import serving  # noqa: E402

from vitbench import tables  # noqa: E402
from vitbench.inputs import datasets, photographs  # noqa: E402
from vitbench.plan.configuration import load  # noqa: E402
from vitbench.plan.grid import Grid  # noqa: E402


def archive(images: int = 6) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as opened:
        for number, crop in enumerate(photographs.crops(images, 1, "full")):
            opened.writestr(f"mini/{crop.label}/{number}.JPEG", crop.jpeg)
        opened.writestr("mini/readme.jpg", b"no image")
    return content.getvalue()


def configured(folder: Path, address: str, **more) -> Tree:
    """A working directory whose sample and full set is one archive."""
    folder.mkdir(exist_ok=True)
    definition = {"kind": "archive", "address": address} | more
    config = {"define": {"datasets": {"mini": definition}}, "datasets": {"sample": "mini", "full": "mini"}}
    (folder / "mine.yaml").write_text(yaml.safe_dump(config))
    return Tree(folder)


def build(tree: Tree, *arguments: str, fails: bool = False, **variables: str) -> str:
    grid = Grid(load(tree.root / "mine.yaml"))
    manifests = [str(grid.manifest(role)) for role in grid.datasets]
    return tree.snakemake(
        *("--snakefile", str(ROOT / "Snakefile"), "--cores", "all", *arguments, *manifests),
        *("--configfile", "mine.yaml"),
        fails=fails,
        **variables,
    )


def test_an_archive_is_downloaded_once_for_both_roles_locked_and_listed(tmp_path):
    content = archive()
    with serving(content) as server:
        server.plan = ["cut 5000", ""]
        tree = configured(tmp_path, server.address)
        build(tree, NO_PROXY="127.0.0.1")
        assert server.ranges == [None, "bytes=5000-"]
    lock = yaml.safe_load((tmp_path / "resources/datasets.lock.yaml").read_text())["mini"]
    assert lock["address"] == server.address and lock["size"] == len(content)
    for manifest in tmp_path.glob("resources/datasets/*/manifest.csv"):
        images = datasets.read_manifest(manifest)
        assert [image.valid for image in images].count(True) == 6
        assert [image.source for image in images if not image.valid] == ["readme.jpg"]
        assert datasets.read_all(manifest) > 0


# Variables of a process that does not wait long between two tries.
STARTUP = {"PYTHONPATH": str(ROOT / "tests" / "startup")}


@pytest.fixture
def cut(tmp_path_factory) -> dict[str, str]:
    """Variables that cut the network of a process and its children; ATTEMPTS is where they note that they tried.

    The folder lies in this checkout: processes of ours take packages from no other.
    """
    return STARTUP | {"ATTEMPTS": str(tmp_path_factory.mktemp("cut") / "attempts.txt")}


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port at which nobody listens: it is held meanwhile, so that nobody else gets it."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_the_cut_would_note_a_request(tmp_path, cut):
    tree = configured(tmp_path, "http://127.0.0.1:9/mini.zip")
    assert "the network is cut" in build(tree, fails=True, **cut)
    assert Path(cut["ATTEMPTS"]).exists()


def test_with_everything_there_no_request_is_made_and_no_image_opened_again(tmp_path, cut):
    with serving(archive()) as server:
        tree = configured(tmp_path, server.address)
        build(tree, NO_PROXY="127.0.0.1")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("resources/datasets/*/manifest.csv")}
    (tmp_path / "resources/archives/mini.zip").unlink()  # it is not needed any more
    build(tree, **cut)
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 2
    assert not Path(cut["ATTEMPTS"]).exists()


def test_an_archive_that_was_put_there_by_hand_is_used_without_a_network(tmp_path, cut, closed_port):
    tree = configured(tmp_path, f"http://127.0.0.1:{closed_port}/mini.zip")
    (tmp_path / "resources/archives").mkdir(parents=True)
    (tmp_path / "resources/archives/mini.zip").write_bytes(archive())
    build(tree, **cut)
    assert len(list(tmp_path.glob("resources/datasets/*/images/*.jpg"))) == 12
    assert not Path(cut["ATTEMPTS"]).exists()


def test_what_is_missing_without_a_network_is_one_line_with_file_place_and_remedy(tmp_path, closed_port):
    address = f"http://127.0.0.1:{closed_port}/mini.zip"
    tree = configured(tmp_path, address)
    output = build(tree, fails=True, NO_PROXY="127.0.0.1", **STARTUP)
    lines = [line for line in output.splitlines() if line.strip().startswith("vitbench: cannot download")]
    assert lines and address in lines[0] and "resources/archives/mini.zip by hand" in lines[0]
    assert "Traceback" not in output
    assert not list(tmp_path.glob("resources/datasets/*/manifest.csv"))


# --- names that would like to be run

# The folder's path as a whole ends a script and begins another one.
EVIL_FOLDER = "a $(touch pwned) 'b' \"c\"/x<"
EVIL_INSIDE = "script><img src=x onerror=alert(1)>"
EVIL_LABELS = (
    "=cmd|'\\C calc'!A1",
    "@SUM(1)",
    "+1",
    "-2",
    "`touch pwned`",
    "$(touch pwned); touch pwned",
    "<b onmouseover=alert(1)>",
    'quo"te, comma',
    "two\nlines",
    "{wildcards.x} %s {{config}}",
)


# Where names of labels and files come to: every table, the workbook, the page, the closing lines, and a chart for
# Snakemake's report. What the other charts show are cells.
SHOWING = ("reports/benchmark.xlsx", "reports/report.html", "results/summary.txt", "reports/speedup.png")


@pytest.fixture(scope="module")
def evil(measured, tmp_path_factory) -> Tree:
    """A tree with a folder of the user's own in which every name is an attack; all measured (by plan), and shown."""
    tree = measured.copy(tmp_path_factory.mktemp("evil") / "clone")
    folder = tree.root.parent / EVIL_FOLDER / EVIL_INSIDE
    for number, (label, crop) in enumerate(zip(EVIL_LABELS, photographs.crops(10, 1, "full"), strict=True)):
        place = folder / label
        place.mkdir(parents=True)
        (place / f"{label}{number}.jpg").write_bytes(crop.jpeg)
        (place / f"{label}.png").write_bytes(b"")
    (tree.root / "mine.yaml").write_text(yaml.safe_dump({"photos": str(folder), "batch_sizes": [1, 8], "repeats": 3}))
    grid = Grid(load(tree.root / "mine.yaml"))
    tree.snakemake(*[str(grid.manifest(role)) for role in grid.datasets], "--configfile", "mine.yaml")
    for cell, repeat in grid.order:
        planted.plant(tree.root, grid, cell, repeat)
    for cell in grid.profiles():
        planted.plant_profile(tree.root, grid, cell)
    tree.snakemake(*SHOWING, "--configfile", "mine.yaml", "--printshellcmds")
    return tree


def test_no_name_was_run_by_a_shell(evil):
    assert not [path for path in evil.root.parent.rglob("pwned*") if path.name.startswith("pwned")]


def test_no_cell_of_a_csv_file_is_a_formula(evil):
    files = [*evil.root.glob("results/**/*.csv"), *evil.root.glob("resources/datasets/*own*/*.csv")]
    assert {"images.csv", "runs.csv", "parity.csv", "manifest.csv"} <= {path.name for path in files}
    for path in files:
        with open(path, newline="") as handle:
            for row in csv.reader(handle):
                for cell in row:
                    number = re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", cell) and path.name != "manifest.csv"
                    assert number or not cell.startswith(("=", "+", "-", "@", "\t", "\r")), (path, cell)


def test_what_was_left_out_is_listed_by_its_own_name(evil):
    images = tables.read(evil.root / "results/images.csv")
    left_out = images[~images.used & (images.dataset == "full")]
    assert left_out.what.tolist() == ["empty file"] and left_out.images.tolist() == [10]
    assert left_out["first"].iloc[0].split("/")[0] in EVIL_LABELS


def test_no_name_of_a_file_is_a_formula_or_a_link_in_the_workbook(evil):
    book = openpyxl.load_workbook(evil.root / "reports/benchmark.xlsx")
    cells = [cell for sheet in book for row in sheet.iter_rows() for cell in row if cell.value is not None]
    formulas = [str(getattr(cell.value, "text", cell.value)) for cell in cells if cell.data_type == "f"]
    long = [label for label in EVIL_LABELS if len(label) > 4]  # "+1" stands in formulas of ours
    assert formulas and not [text for text in formulas if text in EVIL_LABELS or any(label in text for label in long)]
    assert not [cell for cell in cells if cell.hyperlink and (cell.hyperlink.target or not cell.hyperlink.location)]
    texts = {cell.value for cell in cells if isinstance(cell.value, str)}
    assert any(text.split("/")[0] in EVIL_LABELS for text in texts), (
        "no name came into the workbook: nothing was tested"
    )
    assert any("10 files left out" in text for text in texts)


def test_no_markup_of_a_name_is_markup_in_snakemakes_report(evil):
    evil.snakemake(*SHOWING, "--report", "provenance.html", "--configfile", "mine.yaml")
    found = Elements()
    found.feed((evil.root / "provenance.html").read_text())
    assert not found.handlers
    text = (evil.root / "provenance.html").read_text()
    assert "onerror=alert(1)" not in text and "onmouseover=alert(1)" not in text


def test_labels_that_the_seeded_model_does_not_know_are_said_to_be_invalid(evil):
    assert "Times are valid, labels are not" in (evil.root / "results/summary.txt").read_text()
    book = openpyxl.load_workbook(evil.root / "reports/benchmark.xlsx")
    assert "labels are not" in str(book["Parity"]["A2"].value)


class Elements(HTMLParser):
    """Event handlers that are attributes of any element."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handlers += [
            f"{tag} {name}" for name, value in attributes if name.startswith("on") and "alert" in (value or "")
        ]

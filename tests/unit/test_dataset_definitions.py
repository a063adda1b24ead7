"""Definitions of data sets: what the schema takes and refuses, and what is part of their identity."""

from __future__ import annotations

import planted
import pytest
import yaml

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.plan.configuration import load
from vitbench.plan.grid import Defined, Grid

SHIPPED = yaml.safe_load((HOME / "resources" / "datasets.yaml").read_text())
GOOD = {
    "folder": {"kind": "folder", "folder": "~/a, b", "images": 3, "seed": -1, "feed": "raw", "most_refused": 0.05},
    "list": {"kind": "list", "list": "/a.parquet", "column": "path", "sample": 5000, "seed": 1},
    "archive": {"kind": "archive", "address": "https://images.example/a.zip", "files": 3},
}


def resolved(tmp_path, definition: dict) -> dict:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"define": {"datasets": {"mine": definition}}, "datasets": {"full": "mine"}}))
    return load(path)


@pytest.mark.parametrize("definition", [*GOOD.values(), *(one for one in SHIPPED.values() if one["kind"] != "photos")])
def test_good_definitions_are_taken(tmp_path, definition):
    assert Grid(resolved(tmp_path, definition)).datasets["full"].definition == definition


@pytest.mark.parametrize(
    ("base", "change", "words"),
    [
        ("folder", {"kind": "archiv"}, ["kind", "'archiv'", "archive"]),
        ("folder", {"folder": ""}, ["folder"]),
        ("folder", {"folder": None}, ["folder"]),
        ("folder", {"images": 0}, ["images", "0"]),
        ("folder", {"images": 2.5}, ["images", "2.5"]),
        ("folder", {"sample": 5}, ["sample", "images"]),
        ("folder", {"feed": "row"}, ["feed", "'row'", "raw"]),
        ("folder", {"most_refused": "5%"}, ["most_refused", "'5%'"]),
        ("archive", {"most_refused": 5}, ["most_refused", "5", "maximum of 1"]),
        ("list", {"list": 3}, ["list", "3"]),
        ("list", {"sample": "5"}, ["sample", "'5'"]),
        ("list", {"folder": "~/a"}, ["folder", "list"]),
        ("archive", {"address": "ftp://images.example/a.zip"}, ["address", "ftp:"]),
        ("archive", {"mirrors": "https://images.example/a.zip"}, ["mirrors"]),
        ("archive", {"sha256": "abc"}, ["sha256", "'abc'"]),
        ("archive", {"files": 0}, ["files"]),
        ("archive", {"labels": "no"}, ["labels", "none"]),
        ("archive", {"most_ratio": 0}, ["most_ratio"]),
        ("archive", {"most_bites": 1}, ["most_bites", "most_bytes"]),
    ],
)
def test_bad_definitions_are_one_line_that_names_the_key(tmp_path, base, change, words):
    with pytest.raises(UserError) as caught:
        resolved(tmp_path, GOOD[base] | change)
    line = str(caught.value)
    assert "\n" not in line and "define.datasets.mine" in line
    assert all(word in line for word in words), line


@pytest.mark.parametrize(("kind", "key"), [("folder", "folder"), ("list", "list"), ("archive", "address")])
def test_a_definition_without_what_it_is_about_is_one_line(tmp_path, kind, key):
    with pytest.raises(UserError, match=f"define.datasets.mine: '{key}' is a required property"):
        resolved(tmp_path, {"kind": kind})


def test_how_an_archive_is_served_is_no_part_of_what_is_measured():
    plain = Defined("mine", GOOD["archive"], "full")
    served = {"mirrors": ["https://mirror.example/a.zip"], "licence": "CC0", "most_ratio": 200, "most_refused": 0}
    assert Defined("mine", GOOD["archive"] | served, "full").slug == plain.slug
    for change in ({"sha256": "0" * 64}, {"labels": "none"}, {"feed": "raw"}, {"images": 2}):
        assert Defined("mine", GOOD["archive"] | change, "full").slug != plain.slug


def test_the_embedded_data_sets_keep_their_names():
    """Records, and campaigns that were packed, lie under them."""
    grid = Grid(planted.CONFIG)
    assert {one.slug for one in grid.datasets.values()} == {"sample-photos-32-ab2998e4", "full-photos-48-d2d5edda"}


def test_the_articles_data_sets_have_as_many_images_as_it_says():
    assert (SHIPPED["imagenet-mini-sample"]["files"], SHIPPED["imagenet-mini"]["files"]) == (3544, 34745)
    assert all(SHIPPED[name]["licence"] for name in ("imagenet-mini-sample", "imagenet-mini"))

"""The pattern by which Snakemake tells what may be measured: the missing paths, whole, and nothing else."""

from __future__ import annotations

import re

import pytest

from vitbench.plan.patterns import any_of, missing_only

PATHS = ["a/b/c", "a/b/d", "a/bb/c", "a/b", "x.y/bs1/rep0", "x.y/bs1/rep1", "x.y/bs10/rep0", "pre-1+(2)/w1"]


@pytest.mark.parametrize("path", PATHS)
def test_each_path_is_matched_whole(path):
    assert re.fullmatch(any_of(PATHS), path)


OTHERS = ["a", "a/b/", "a/b/e", "a/bb", "xzy/bs1/rep0", "x.y/bs1/rep10", "x.y/bs10/rep1", "x.y/bs1", "pre-1(2)/w1", ""]


@pytest.mark.parametrize("path", OTHERS)
def test_no_other_is(path):
    assert not re.fullmatch(any_of(PATHS), path)


def test_nothing_is_matched_where_nothing_is_missing():
    assert not re.fullmatch(any_of([]), "") and not re.fullmatch(any_of([]), "a")


def test_a_rule_may_make_the_missing_record_and_its_predictions_only(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = [f"measurements/m/p3/bs{size}/rep{repeat}.json" for size in (1, 10) for repeat in (0, 1, 10)]
    there = tmp_path / paths[0]
    there.parent.mkdir(parents=True)
    there.write_text("{}")
    rule = re.compile(
        rf"measurements/(?P<machine>{missing_only(paths)})/p3/bs(\d+)/rep(\d+)(\.predictions\.csv|\.json)"
    )
    for path in paths[1:]:
        assert rule.fullmatch(path).group("machine") == "m"
        assert rule.fullmatch(path.replace(".json", ".predictions.csv"))
    wrong = [paths[0], "measurements/m/p3/bs2/rep0.json", "measurements/n/p3/bs1/rep1.json", paths[1] + "x"]
    assert not any(rule.fullmatch(path) for path in wrong)

"""Settling: blocks are added step by step, until all is decided, there are enough, or the time is over."""

from __future__ import annotations

from pathlib import Path

import planted
import pytest
import settle
from example_tables import FIVE, example

from vitbench.analysis.statistics import NEVER_DECIDED
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.plan import looks
from vitbench.plan.configuration import load
from vitbench.plan.grid import Grid

CONFIG = planted.CONFIG | {"repeats": {"sample": 3, "full": 3}}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory, in which a step of so many blocks takes as many tenths of an hour."""
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settle, "_hours", lambda config, blocks: blocks / 10)
    return tmp_path


class Runs:
    """Stands for Snakemake: writes `speedup.csv`, decided from so many blocks on, and keeps what it was asked for."""

    def __init__(self, decided_at: int, verdict: str = "inconclusive") -> None:
        self.decided_at, self.verdict, self.asked = decided_at, verdict, []

    def __call__(self, config: dict) -> None:
        blocks = config["repeats"]["full"]
        assert config["repeats"]["sample"] == 3
        self.asked.append(blocks)
        made = example(FIVE, repeats=5, verdict="faster")
        if blocks < self.decided_at:
            primary = made.speedup.index[made.speedup.family == "primary"]
            made.speedup.loc[primary[1], "verdict"] = self.verdict
        # What is only explored, or cannot be decided by blocks, holds nothing up.
        made.speedup.loc[made.speedup.family == "exploratory", "verdict"] = "inconclusive"
        made.speedup.loc[made.speedup.index[0], "verdict"] = "parity failed"
        made.speedup.to_csv("results/speedup.csv", index=False)


@pytest.mark.parametrize("verdict", ["inconclusive", "too few repeats"])
def test_blocks_are_added_until_every_primary_comparison_is_decided(folder, verdict):
    runs = Runs(decided_at=12, verdict=verdict)
    assert settle.settle(CONFIG, runs)
    assert runs.asked == [5, 8, 12]


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "too few repeats", "speedup": None, "blocks": 0, "reason": "no repeat worked: oom"},
        {"verdict": "inconclusive", "reason": NEVER_DECIDED},
    ],
)
def test_what_blocks_can_never_decide_holds_nothing_up(folder, changes):
    made = example(FIVE, repeats=5, verdict="faster").speedup
    place = made.index[made.family == "primary"][1]
    assert settle.undecided(made.assign(reason="")).empty
    made.loc[place, "verdict"] = "inconclusive"
    assert list(settle.undecided(made).index) == [place]
    for column, value in changes.items():
        made.loc[place, column] = value
    assert settle.undecided(made).empty


def test_no_more_than_the_most_repeats(folder, capsys):
    runs = Runs(decided_at=10**6)
    assert not settle.settle(CONFIG, runs)
    assert runs.asked == [5, 8, 12, 18, 20]
    assert "`most_repeats`" in capsys.readouterr().err.splitlines()[-1]


def test_a_step_that_would_pass_the_budget_is_not_begun(folder, capsys):
    runs = Runs(decided_at=10**6)
    assert not settle.settle(CONFIG | {"budget_hours": 1.0}, runs)
    assert runs.asked == [5, 8]  # the third takes 1.2 h
    lines = capsys.readouterr().err.splitlines()
    assert "at most about 2 h" in lines[0] and "budget_hours" in lines[-1] and "not begun" in lines[-1]


def test_time_that_has_passed_counts(folder):
    clock = iter([0, 0, 3600, 7200, 10800])
    runs = Runs(decided_at=10**6)
    settle.settle(CONFIG | {"budget_hours": 1.7}, runs, lambda: next(clock))
    assert runs.asked == [5]  # after an hour 0.8 h more are too long


def test_looks_that_were_taken_are_where_it_begins(folder):
    looks.record(Path(Grid(CONFIG).looks), 8, 20)
    runs = Runs(decided_at=9)
    assert settle.settle(CONFIG, runs)
    assert runs.asked == [8, 12]


@pytest.mark.parametrize(("most", "repeats"), [(None, 3), (10, 12)])
def test_without_a_plan_nothing_is_added(folder, most, repeats):
    config = CONFIG | {"most_repeats": most, "repeats": {"sample": 3, "full": repeats}}
    with pytest.raises(UserError, match="most_repeats"):
        settle.settle(config, Runs(5))


def test_the_configuration_of_a_step_is_valid(folder):
    for repeats in (3, {"sample": 2, "full": 4}):
        step = settle.with_blocks(CONFIG | {"repeats": repeats}, 18)
        assert Grid(step).repeats("full") == 18
        assert Grid(step).repeats("sample") == Grid(CONFIG | {"repeats": repeats}).repeats("sample")


def test_a_step_leaves_data_sets_of_several_sizes_as_they_are(folder):
    for repeats, kept in ((3, 3), ({"sample": 1, "full": 4, "sizes": 6}, 6)):
        given = planted.SIZED | {"repeats": repeats}
        before, after = Grid(given), Grid(settle.with_blocks(given, 18))
        assert before.repeats("sizes") == after.repeats("sizes") == kept and after.repeats("full") == 18


@pytest.fixture
def dry(folder, monkeypatch, capsys):
    """Options → what a dry run with them says, in a folder that holds an earlier run's configuration and grid."""
    kept = [settle.CONFIG, settle.CONFIG.with_name("grid.json")]
    settle.CONFIG.parent.mkdir()
    for path in kept:
        path.write_text("an earlier run's")
    monkeypatch.setattr(settle.workflow, "run", lambda *_, **__: pytest.fail("Snakemake was run"))

    def said(*options: str) -> str:
        before = [path.stat().st_mtime_ns for path in kept]
        assert settle.main(list(options)) == 0
        assert [path.read_text() for path in kept] == ["an earlier run's"] * 2
        assert [path.stat().st_mtime_ns for path in kept] == before and set(settle.CONFIG.parent.iterdir()) == set(kept)
        return capsys.readouterr().err

    return said


@pytest.mark.parametrize("option", ["-n", "--dry-run", "--dryrun"])
def test_a_dry_run_by_any_of_snakemakes_names_runs_and_writes_nothing(dry, option):
    assert "5 blocks: about" in dry(option, "--cores", "2")


def test_a_dry_run_begins_where_the_run_would_with_the_looks_that_were_taken(dry):
    looks.record(Path(Grid(load(HOME / "config" / "config.yaml")).looks), 8, 20)
    assert "8 blocks: about" in dry("-n")


def test_a_dry_run_puts_the_configuration_together_as_snakemake_does(dry):
    Path("one.yaml").write_text("repeats: {sample: 2, full: 6}\nmost_repeats: 30\n")
    Path("other.yaml").write_text("repeats: {full: 9}\n")
    # Snakemake hands on the sizes as words.
    files, given = ("--configfile", "one.yaml", "other.yaml"), ("--config", "most_repeats=12", "batch_sizes=[1,8]")
    said = dry("-n", *files, *given)
    assert "9 blocks: about" in said and "; 12: " in said


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--configfile", "none.yaml"], "cannot read the configuration none.yaml"),
        (["--config", "most_repeats"], "settle: Invalid config definition"),
        (["--config", "most_repeats=3"], "most_repeats: 3 is less than the minimum"),
    ],
)
def test_what_is_wrong_with_the_configuration_of_a_dry_run_is_one_line(dry, options, problem):
    with pytest.raises(UserError, match=problem) as raised:
        dry("-n", *options)
    assert "\n" not in str(raised.value)

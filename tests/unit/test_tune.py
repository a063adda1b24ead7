"""The search: what it tries within its budget, who wins, and that the winners are measured again."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from pathlib import Path
from typing import Any

import analyse_runs
import collect_records
import pandas
import planted
import pytest
import tune as script
import write_configuration
import write_context
from example_tables import typed

from vitbench import machine, tables
from vitbench.analysis import physics
from vitbench.cells import BEST, Cell, variant_key
from vitbench.errors import UserError
from vitbench.files import write_atomically
from vitbench.frameworks.declaration import SPARK
from vitbench.plan import estimate, tune, workers
from vitbench.plan.configuration import resolve
from vitbench.plan.grid import Grid
from vitbench.records import record as records
from vitbench.records.archive import open_archive

HF, PROCESSES, TUNED = "huggingface/pipeline", "huggingface/processes", "sparknlp/onnx-tuned"
CONFIG = planted.CONFIG | {"frameworks": [HF, PROCESSES, TUNED], "baseline": HF, "machine": "planted"}
CORES = 4


def searched(**changes: Any) -> Grid:
    return Grid(tune.search(CONFIG | changes, CORES))


def by_number(seconds: float = 60.0):
    """A clock for plans: every repeat takes as long."""
    return lambda repeats: seconds * len(repeats)


def fields(cells: list[Cell]) -> dict[str, int]:
    """Framework → how many of the cells are its."""
    return dict(Counter(cell.framework for cell in cells))


# --- what is tried


def test_a_search_varies_what_the_framework_declares_and_the_variant_has():
    names = lambda wanted, definition: list(tune.variations(*wanted.split("/"), definition, CORES))  # noqa: E731
    assert names(HF, {"image_processor": "pil"}) == ["pipeline"]
    assert names(PROCESSES, {"image_processor": "pil", "threads_a_process": 1}) == [
        "processes", "processes-threads_a_process-2", "processes-threads_a_process-4",
    ]  # fmt: skip
    workers = tune.variations("huggingface", "w", {"image_processor": "pil", "loader_workers": "cores"}, CORES)
    assert [one["loader_workers"] for one in workers.values()] == ["cores", 1, 8]  # 4 is what `cores` is
    none = {"image_processor": "pil", "loader_workers": 0, "threads_a_process": 1}
    assert all(one["loader_workers"] == 0 for one in tune.variations("huggingface", "w", none, CORES).values())


def test_one_device_is_searched_at_a_time():
    with pytest.raises(UserError, match=r"devices names cpu, gpu: search one at a time, --config devices=\[cpu\]"):
        tune.search(CONFIG | {"devices": ["cpu", "gpu"]}, CORES)


def test_photographs_of_ones_own_are_found_from_the_folder_of_the_search(folder):
    (folder / "mine").mkdir()
    config = tune.search(resolve(CONFIG | {"photos": "mine"}), CORES)
    assert config["photos"] is None
    there = Grid(config).datasets["full"].definition["folder"]
    assert there == str(folder / "mine")
    assert Grid(resolve(config)).sweep


OTHER_CLUSTER = {"master": "spark://node-7.example:7077", "worker_cores": 4, "worker_memory_gb": 6}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"workers": [2]},
        {"spark": CONFIG["spark"] | {"settings": {"spark.locality.wait": "0s"}}},
        {"spark": CONFIG["spark"] | OTHER_CLUSTER},
    ],
)
def test_what_is_tried_is_a_valid_configuration_with_names_of_its_own(changes):
    given = resolve(CONFIG | changes)
    config = tune.search(given, CORES)
    grid = Grid(resolve(config))
    # What is said of Spark is in the definition of each that runs there, those of the search too, and so in its paths.
    of_spark = workers.identity(given, "sparknlp").get(SPARK)
    assert (of_spark is not None) == bool(changes)
    told = [one.definition.get(SPARK) for name, one in grid.variants.items() if name.startswith("sparknlp/")]
    assert told == [of_spark] * 3
    assert grid.variants[TUNED].slug == Grid(given).variants[TUNED].slug
    assert {"huggingface/processes-threads_a_process-2", "sparknlp/onnx-tuned-onnx_threads-4"} <= grid.variants.keys()
    slugs = {grid.variant_slug(cell) for cell in grid.sweep}
    assert len(slugs) == len(grid.variants) == 1 + 3 + 3
    assert grid.repeats("sample") == 1 and not grid.profiles() and not grid.sizes


def test_each_framework_has_as_many_trials_drawn_at_random():
    drawn = tune.choose_trials(searched(), 10_000, by_number())
    assert fields(drawn) == {
        "huggingface": 9,
        "sparknlp": 9,
    }  # of twelve settings and sizes of the one, all of the other
    assert len(set(drawn)) == 18
    assert drawn == tune.choose_trials(searched(), 10_000, by_number())
    assert set(drawn) != set(tune.choose_trials(searched(seed=2), 10_000, by_number()))
    assert [cell.batch_size for cell in tune.of_baseline(searched())] == [1, 8, 16]


def test_a_budget_leaves_fewer_trials_and_its_confirmation_in():
    """One minute a repeat: 5 blocks of three variants and two controls to confirm, and what is left for trials."""
    grid = searched()
    for minutes in (32, 36, 39):
        drawn = tune.choose_trials(grid, minutes, by_number())
        tried = {*drawn, *tune.of_baseline(grid)}
        assert set(fields(drawn).values()) == {len(drawn) // 2}
        assert minutes - 2 < len(tried) + 25 <= minutes
    with pytest.raises(UserError, match=r"about (29|30|31|32) minutes, and tune_minutes is 28"):
        tune.choose_trials(grid, 28, by_number())
    with pytest.raises(UserError, match="1 setting to try"):
        tune.choose_trials(searched(frameworks=[HF], batch_sizes=[8]), 1000, by_number())


# --- a whole search, with planted records


class Planted:
    """Stands for Snakemake: writes what was asked for, and what follows from it."""

    def __init__(self, speeds: dict[str, float] | None = None) -> None:
        self.asked: list[list[str]] = []
        self.configs: list[dict] = []
        self.speeds = speeds or {}

    def __call__(self, config: dict, targets: list[str]) -> None:
        grid, here = Grid(resolve(config)), Path()
        self.asked.append(list(targets))
        self.configs.append(config)
        for dataset in grid.datasets:
            if not Path(grid.manifest(dataset)).exists():
                planted.plant_manifest(here, grid, dataset)
        confirming = "results/speedup.csv" in targets
        for cell, repeat in grid.order:
            path = grid.record(cell, repeat)
            if Path(path).exists() or not (str(path) in targets or confirming):
                continue
            planted.plant(here, grid, cell, repeat)
            self._speed(Path(path), f"{cell.framework}/{cell.variant}")
        if confirming:
            derive(grid)

    def _speed(self, path: Path, variant: str) -> None:
        record = json.loads(path.read_text())
        times = self.speeds.get(variant, 1.0)
        for key in ("wall_seconds", "cold_seconds"):
            record[key] *= times
        record["throughput"] /= times
        for one in record["passes"]:
            one["seconds"] *= times
        path.write_text(json.dumps(record))


def derive(grid: Grid) -> None:
    """The tables that the search reads, as the rules make them."""
    results = Path("results")
    out = {"config": results / "provenance/config.yaml", "grid": results / "provenance/grid.json"}
    write_configuration.main(grid.config, grid.describe(), out)
    archive = open_archive(Path())
    collect_records.main(archive, results / "runs.csv")
    runs = tables.read(results / "runs.csv")
    write_atomically(results / "physics.csv", tables.as_csv(physics.tabulate(runs, None)))
    names = {"summary": "summary", "budget": "time_budget", "best": "best_batch_size", "images": "images"}
    names |= {name: name for name in ("parity", "disagreements", "speedup")}
    made = {name: results / f"{table}.csv" for name, table in names.items()}
    analyse_runs.main(results / "runs.csv", results / "physics.csv", archive, made)
    write_context.main(runs, tables.read(made["speedup"]), archive, results / "provenance/context.json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty working directory of a machine with four cores, on which every repeat takes a minute."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(machine, "cores", lambda: CORES)
    monkeypatch.setattr(estimate, "seconds", lambda grid, repeats: 60.0 * len(list(repeats)))
    return tmp_path


FAST = {"huggingface/processes-threads_a_process-2": 0.5, "sparknlp/onnx-tuned-onnx_threads-2": 0.4}


def test_the_winners_are_measured_again_at_their_batch_sizes_and_compared(folder):
    run = Planted(FAST)
    assert script.search(CONFIG, 10_000, run, lambda: 0.0) == 0
    trials = tables.read("results/trials.csv")
    competing = trials[trials.competing]
    assert trials.usable.all() and competing.framework.value_counts().eq(9).all()
    assert set(trials[trials.variant == "pipeline"].batch_size) == {1, 8, 16}
    first, second = run.configs
    assert len(run.asked[0]) == len(trials) and all("/rep0.json" in path for path in run.asked[0])
    assert second["frameworks"][0] == HF and second["repeats"] == {"sample": 0, "full": 5}
    assert second["trials"] == {HF: 3} | {name: 9 for name in second["frameworks"][1:]}
    best = competing.loc[competing.groupby("framework").throughput.idxmax()].set_index("framework")
    assert {f"{name}/{row.variant}" for name, row in best.iterrows()} == set(second["frameworks"]) - {HF}
    grid = Grid(second)
    for cell in grid.full:
        choice = json.loads(Path(grid.choice(cell)).read_text())
        own = trials[(trials.framework == cell.framework) & (trials.variant == cell.variant.removesuffix("-control"))]
        assert choice["batch_size"] == own.loc[own.throughput.idxmax()].batch_size
    fresh = tables.read("results/runs.csv")
    assert set(fresh.dataset) == {"full"} and fresh.block.nunique() == 5
    speedup = tables.read("results/speedup.csv")
    assert set(speedup.candidate_trials[speedup.family != "control"]) == {9}
    page = Path("reports/tune.md").read_text()
    assert "The winners against each other, after as many trials each" in page
    assert all(name in page for name in second["frameworks"]) and "nan" not in page


def test_what_is_there_is_not_asked_for_again_and_the_budget_ends_before_the_confirmation(folder, capsys, monkeypatch):
    run = Planted()
    times = iter([0.0, 3600.0])
    assert script.search(CONFIG, 40, run, lambda: next(times)) == 2
    assert "not confirmed yet" in capsys.readouterr().err and len(run.asked) == 1
    again = Planted()
    # Records told what a repeat really takes: what competes stays what it was.
    monkeypatch.setattr(estimate, "seconds", lambda grid, repeats: 1.0 * len(list(repeats)))
    assert script.search(CONFIG, 40, again, lambda: 0.0) == 0
    assert again.asked == [["results/speedup.csv", "advice"]]
    more = Planted()
    assert script.search(CONFIG, 50, more, lambda: 0.0) == 0
    assert len(more.asked[0]) > 2 and all("/rep0.json" in path for path in more.asked[0])


def test_what_confirming_takes_is_told_by_the_trials(folder, monkeypatch):
    """Of a machine that is faster than assumed: by assumptions alone the confirmation would pass the budget."""

    def by_records(grid: Grid, repeats: list) -> float:
        return sum(1.0 if estimate._measured(grid, cell, records.read) else 60.0 for cell, _ in repeats)

    monkeypatch.setattr(estimate, "seconds", by_records)
    run = Planted(FAST)
    clock = itertools.chain([0.0], itertools.repeat(60 * 36.0))
    assert script.search(CONFIG, 40, run, lambda: next(clock)) == 0
    assert "results/speedup.csv" in run.asked[-1]


def test_a_batch_size_that_an_earlier_search_kept_is_not_measured_under_the_new_winners_name(folder):
    run = Planted(FAST)
    assert script.search(CONFIG, 10_000, run, lambda: 0.0) == 0
    confirmed = Grid(run.configs[1])
    sizes = {cell: json.loads(Path(confirmed.choice(cell)).read_text())["batch_size"] for cell in confirmed.full}
    first = confirmed.full[0]
    kept = Path(confirmed.choice(first))
    chosen = {f"{cell.framework}/{cell.variant}": Cell("sample", *cell_words(cell), sizes[cell]) for cell in sizes}
    script.keep_sizes(confirmed, chosen)  # the same search goes on
    write_atomically(kept, json.dumps({"batch_size": 999}))
    with pytest.raises(UserError, match=rf"pipeline/cpu won at batch size {sizes[first]}, .* kept 999 .*--directory"):
        script.keep_sizes(confirmed, chosen)


def cell_words(cell: Cell) -> tuple[str, str, str, int]:
    return cell.framework, cell.variant, cell.device, cell.workers


def planted_trials(grid: Grid) -> list[Cell]:
    """Every cell of the sweep, with its record."""
    Planted()(grid.config, [str(grid.record(cell, 0)) for cell in grid.sweep])
    return grid.sweep


def test_a_trial_with_other_labels_or_a_doubt_does_not_win(folder):
    grid = searched()
    tried = planted_trials(grid)
    wrong, doubtful = (
        next(cell for cell in tried if cell.framework == "sparknlp" and cell.batch_size == size) for size in (1, 8)
    )
    path = records.predictions_path(Path(grid.record(wrong, 0)))
    path.write_text(path.read_text().replace("astronaut", "rocket"))
    path = Path(grid.record(doubtful, 0))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": ["suspect"]}))
    table = script.trial_rows(grid, tried, tried[1:])
    told = {cell: row for cell, row in zip(tried, table.itertuples(), strict=True)}
    assert not told[wrong].usable and "labels equal for" in told[wrong].reason and told[wrong].agreement < 0.99
    assert not told[doubtful].usable and told[doubtful].reason == "suspect"
    assert table.usable.sum() == len(tried) - 2
    assert table.competing.tolist() == [False] + [True] * (len(tried) - 1)
    best = script.fastest(tried, table.assign(throughput=[1000.0 if one == wrong else 1.0 for one in tried]), tried)
    assert best not in (None, wrong, doubtful)
    assert script.fastest(tried, table, [wrong, doubtful]) is None


class Doubtful(Planted):
    """Every trial but the baseline's comes out suspect."""

    def _speed(self, path: Path, variant: str) -> None:
        super()._speed(path, variant)
        if variant != HF:
            path.write_text(json.dumps(json.loads(path.read_text()) | {"flags": ["suspect"]}))


def test_where_none_that_competes_may_win_that_is_said_and_nothing_is_confirmed(folder, monkeypatch, capsys):
    def others(grid: Grid, minutes: float) -> list[Cell]:
        return [cell for cell in grid.sweep if variant_key(cell) != grid.baseline]

    monkeypatch.setattr(script, "drawn", others)
    run = Doubtful()
    with pytest.raises(UserError, match=r"no trial that competes may win.* see results/trials\.csv"):
        script.search(CONFIG, 10_000, run, lambda: 0.0)
    assert len(run.asked) == 1
    trials = tables.read("results/trials.csv")
    assert set(trials.variant[trials.usable]) == {"pipeline"} and set(trials.reason[trials.competing]) == {"suspect"}
    assert "sparknlp: no trial may win" in capsys.readouterr().err


def test_without_a_trial_of_the_baseline_that_worked_nothing_can_be_compared(folder):
    grid = searched()
    tried = planted_trials(grid)
    for cell in tune.of_baseline(grid):
        path = Path(grid.record(cell, 0))
        path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "error"}))
    with pytest.raises(UserError, match="no trial of the baseline huggingface/pipeline worked"):
        script.trial_rows(grid, tried, tried)


def confirmation_runs(**seconds: list[float]) -> pandas.DataFrame:
    """Full runs of winners of these frameworks, a time a block; of two, the second twice as fast and a block less."""
    seconds = seconds or {"a": [6.0] * 6, "b": [3.0] * 5}
    return pandas.DataFrame(
        [
            {"dataset": "full", "framework": name, "variant": "v", "device": "cpu", "workers": 1, "status": "ok",
             "flags": "", "block": block, "wall_seconds": one}
            for name, times in seconds.items() for block, one in enumerate(times)
        ]
    )  # fmt: skip


WINNERS = [Cell("sample", name, "v", "cpu", 1, 8) for name in ("a", "b", "c")]


def confirmed_pair(name: str, **more: Any) -> dict[str, Any]:
    row = {"baseline": "a/v/cpu/w1/bs8", "candidate": f"{name}/v/cpu/w1/bs8", "dataset": "full", "family": "primary"}
    return row | {"speedup": 2.0, "verdict": "faster"} | more


def test_winners_are_compared_in_the_blocks_that_both_have_where_each_has_a_ratio_and_no_control_fails():
    def between(*rows: dict[str, Any]) -> pandas.DataFrame:
        return script.between_winners(confirmation_runs(), typed(list(rows), "speedup"), WINNERS, "a/v", script.Rule())

    (row,) = between(confirmed_pair("b"), confirmed_pair("c")).itertuples()
    assert (row.baseline, row.candidate) == ("a/v/cpu/w1/bs8", "b/v/cpu/w1/bs8")
    assert row.ratio == pytest.approx(2) and row.verdict == "faster" and row.blocks == 5
    assert between(confirmed_pair("b", speedup=None, verdict="parity failed")).empty
    control = {"candidate": "a/v-control/cpu/w1/bs8", "family": "control"}
    (doubtful,) = between(confirmed_pair("b"), confirmed_pair("a", **control)).itertuples()
    assert doubtful.ratio == pytest.approx(2) and doubtful.verdict == "inconclusive"


def test_pairs_of_winners_are_adjusted_for_their_number():
    # Just told apart from five blocks of 5 s as the only pair, and not as one of three.
    barely, told = [5.05, 5.28, 5.53, 5.78, 6.05], typed([confirmed_pair("b"), confirmed_pair("c")], "speedup")
    alone, among = (
        script.between_winners(confirmation_runs(**runs), told, WINNERS, "a/v", script.Rule())
        for runs in ({"a": [5.0] * 5, "b": barely}, {"a": [5.0] * 5, "b": barely, "c": barely})
    )
    assert list(alone.verdict) == ["slower"]
    assert list(among.verdict[:2]) == ["inconclusive"] * 2 and among.ratio[0] == pytest.approx(alone.ratio[0])


def test_the_confirmation_names_winners_once_and_the_baseline_first():
    winner = Cell("sample", "huggingface", "pipeline", "cpu", 1, 16)
    config = tune.confirmation(tune.search(CONFIG, CORES), [winner], {HF: 3}, HF)
    assert config["frameworks"] == [HF] and config["batch_sizes"] == [16]
    assert Grid(resolve(config)).full[0].batch_size == BEST

"""A whole configuration without Snakemake: the seeded order, going on after a stop, and ending in time."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import measure_grid
import pytest
import yaml
from example_records import example_record
from tree import hear_signals

from vitbench.errors import UserError
from vitbench.files import write_atomically
from vitbench.plan import configuration
from vitbench.plan.grid import Grid
from vitbench.records import record as records

CONFIG = """
model: vit-tiny-seeded
datasets: {sample: photos-12, full: photos-12}
frameworks: [huggingface/pipeline, huggingface/dataloader]
batch_sizes: [1, 4]
repeats: {sample: 1, full: 2}
"""


# Seconds to wait for what must happen: a neighbour may be busy.
PATIENCE = 300


class Machine:
    """What the command starts, told and not done: a repeat takes ten seconds."""

    def __init__(self) -> None:
        self.now, self.seconds, self.measured, self.fails = 0.0, 10.0, [], ""

    def run(self, script, options, log, limit):
        told = dict(zip(options[::2], options[1::2], strict=True))
        out = Path(told["--out"])
        out.parent.mkdir(parents=True, exist_ok=True)
        if script == "measure_peak.py":
            out.write_text("{}")
            return "a peak"
        if self.fails:
            raise UserError(self.fails)
        if limit is not None and self.seconds > limit:
            self.now += limit
            return None
        self.now += self.seconds
        self.measured.append((told["--cell"], told["--dataset"], told["--repeat"]))
        records.write(out, example_record(total_seconds=self.seconds))
        return "ok"


def chosen(sweep: list[Path], sizes: list[int], _margin: float, out: Path) -> None:
    write_atomically(out, json.dumps({"batch_size": sizes[0], "records": sorted(map(str, sweep)) or sizes}))


@pytest.fixture
def machine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(CONFIG)
    told = Machine()
    monkeypatch.setattr(measure_grid, "run", told.run)
    monkeypatch.setattr(measure_grid, "prepare", lambda *_: None)
    monkeypatch.setattr(measure_grid, "check", lambda *_: Path("ready.json"))
    monkeypatch.setattr(measure_grid.estimate, "seconds", lambda *_: told.seconds)
    monkeypatch.setattr(measure_grid.time, "monotonic", lambda: told.now)
    monkeypatch.setattr(measure_grid.choose_batch_size, "main", chosen)
    return told


def measured(*more: str) -> int:
    return measure_grid.main(["--config", "mine.yaml", "--directory", ".", *more])


def order() -> list:
    grid = Grid(configuration.load(Path("mine.yaml")))
    return [(cell.name, cell.dataset, block) for cell, block in grid.order]


def repeats() -> object:
    grid = json.loads(Path("results/provenance/grid.json").read_text())
    kept = yaml.safe_load(Path("results/provenance/config.yaml").read_text())["repeats"]
    assert {role: kept[role] for role in grid["repeats"]} == grid["repeats"]
    return grid["repeats"]


def test_everything_is_measured_in_the_seeded_order_and_only_once(machine):
    assert measured() == 0 and machine.measured == order()
    assert len(order()) == 4 + 3 * 2  # the control has full runs alone
    assert measured() == 0 and len(machine.measured) == len(order())


def test_what_is_missing_is_measured_again_and_nothing_else(machine):
    measured()
    grid = Grid(configuration.load(Path("mine.yaml")))
    Path(grid.record(*grid.order[7])).unlink()
    measured()
    assert machine.measured[len(order()) :] == [order()[7]]


def test_a_choice_rests_on_all_of_its_sweep(machine):
    measured()
    grid = Grid(configuration.load(Path("mine.yaml")))
    for cell in grid.full:
        wanted = sorted(str(grid.record(one, 0)) for one in grid.sweep_of(cell))
        assert json.loads(Path(grid.choice(cell)).read_text())["records"] == wanted and len(wanted) == 2


@pytest.mark.parametrize(("minutes", "count"), [(0.1, 0), (0.5, 3), (75 / 60, 7), (2, 10)])
def test_no_repeat_is_begun_that_would_not_end_in_time(machine, minutes, count):
    assert measured("--minutes", str(minutes)) == (0 if count == 10 else 2)
    assert machine.measured == order()[:count] and machine.now <= 60 * minutes


def test_after_a_stop_the_folder_says_how_many_blocks_are_complete(machine):
    assert measured("--minutes", str(75 / 60)) == 2  # the sweep and one block of three full runs
    assert repeats() == {"sample": 1, "full": 1}
    assert measured() == 0 and machine.measured == order()
    assert repeats() == {"sample": 1, "full": 2}


def test_a_stop_within_the_first_block_of_full_runs_leaves_none_complete(machine, capsys):
    assert measured("--minutes", "0.9") == 2 and len(machine.measured) == 5  # the sweep and one full run of three
    assert repeats() == {"sample": 1, "full": 2}
    assert "no block of the full runs is complete" in capsys.readouterr().out


SIZED = """
model: vit-tiny-seeded
datasets: {sample: photos-12, full: photos-12, sizes: [photos-8, photos-12]}
frameworks: [huggingface/pipeline, huggingface/dataloader]
batch_sizes: [4]
repeats: {sample: 0, full: 1, sizes: 2}
control: false
"""


def test_data_sets_of_several_sizes_follow_the_full_runs_at_the_size_that_was_named(machine):
    Path("mine.yaml").write_text(SIZED)
    assert measured() == 0 and machine.measured == order() and len(order()) == 2 + 2 * 2 * 2
    assert [dataset for _, dataset, _ in order()[:2]] == ["full", "full"]
    grid = Grid(configuration.load(Path("mine.yaml")))
    assert all(
        json.loads(Path(grid.choice(cell)).read_text())["records"] == [4]
        for cell in grid.cells
        if cell.dataset != "sample"
    )


@pytest.mark.parametrize(
    ("minutes", "held"), [(0.6, {"sample": 0, "full": 1}), (1.1, {"sample": 0, "full": 1, "sizes": 1})]
)
def test_after_a_stop_only_data_sets_with_complete_blocks_are_part_of_the_folder(machine, minutes, held):
    Path("mine.yaml").write_text(SIZED)
    assert measured("--minutes", str(minutes)) == 2 and len(machine.measured) == 60 * minutes // 10
    assert repeats() == held
    grid = Grid(yaml.safe_load(Path("results/provenance/config.yaml").read_text()))
    assert all(Path(grid.record(cell, repeat)).exists() for cell, repeat in grid.order)
    assert measured() == 0 and machine.measured == order() and repeats() == {"sample": 0, "full": 1, "sizes": 2}


def test_a_repeat_is_expected_to_take_as_long_as_the_longest_of_its_cell(machine):
    grid = Grid(configuration.load(Path("mine.yaml")))
    cell = grid.full[0]
    for block, seconds in enumerate((10.0, 40.0, 20.0)):
        records.write(Path(grid.record(cell, block)), example_record(total_seconds=seconds))
    assert measure_grid.expected_seconds(grid, cell, 3) == 40.0
    assert measure_grid.expected_seconds(grid, grid.full[1], 3) == machine.seconds


def test_a_repeat_that_takes_far_longer_than_expected_is_stopped(machine, monkeypatch):
    monkeypatch.setattr(measure_grid.estimate, "seconds", lambda *_: 1.0)
    machine.seconds = 1000.0
    assert measured("--minutes", "1") == 2 and machine.measured == []
    assert machine.now == 60 + measure_grid.SPARE_SECONDS


def test_a_failure_of_the_measuring_itself_ends_the_run_with_its_line(machine):
    machine.fails = "measure.py failed: no space left"
    with pytest.raises(UserError, match="no space left"):
        measured()


def test_each_repeat_has_its_line_and_ctrl_c_tells_how_to_go_on(machine, monkeypatch, capsys):
    told = machine.run

    def interrupted(*arguments):
        if len(machine.measured) == 7:
            raise KeyboardInterrupt
        return told(*arguments)

    monkeypatch.setattr(measure_grid, "run", interrupted)
    assert measured() == 2 and machine.measured == order()[:7]
    said = capsys.readouterr().out
    assert "7 of 10: block 1 of 2" in said and "the same command goes on" in said
    monkeypatch.setattr(measure_grid, "run", told)
    assert measured() == 0 and machine.measured == order()


def test_ctrl_c_is_waited_for_by_the_script_that_it_meets(tmp_path):
    """The script cleans up before the command that called it ends."""
    code = (
        "import measure_grid, pathlib, sys; pathlib.Path(sys.argv[1]).touch(); "
        "measure_grid.HOME = pathlib.Path(sys.argv[2]); measure_grid.run('slow.py', [], pathlib.Path('log'), None)"
    )
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts/slow.py").write_text(
        "import pathlib, signal, time\n"
        "def stop(*_):\n    time.sleep(0.5); pathlib.Path('clean').touch(); raise SystemExit(1)\n"
        "for one in (signal.SIGINT, signal.SIGTERM): signal.signal(one, stop)\n"
        "pathlib.Path('runs').touch()\ntime.sleep(1000)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "begun"), str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(measure_grid.__file__).parent)}
    run = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, preexec_fn=hear_signals)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "runs").exists():
        assert time.monotonic() < deadline and run.poll() is None
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)  # the caller alone: the script must be told by it
    run.communicate(timeout=PATIENCE)
    assert run.returncode != 0 and (tmp_path / "clean").exists()


@pytest.mark.parametrize("variant", ["sparknlp/onnx", "sparknlp/tensorflow", "sparknlp/pretrained"])
def test_what_only_the_workflow_can_prepare_is_said_before_anything_is_done(machine, variant):
    text = CONFIG.replace("huggingface/dataloader", variant)
    if variant.endswith("pretrained"):
        text = text.replace("vit-tiny-seeded", "vit-base-patch16-224")
    Path("mine.yaml").write_text(text)
    with pytest.raises(UserError, match=variant):
        measured()
    assert not Path("results").exists()


def test_where_there_is_no_java_nothing_is_measured_before_that_is_said(machine, monkeypatch):
    Path("mine.yaml").write_text(CONFIG.replace("huggingface/dataloader", "spark-huggingface/float32"))
    monkeypatch.setattr(measure_grid, "find_java", missing_java)
    with pytest.raises(UserError, match="no Java here"):
        measured()
    assert not Path("results").exists()


def missing_java():
    raise UserError("no Java here")


def test_a_script_that_fails_is_told_by_its_last_line(tmp_path):
    with pytest.raises(UserError, match="--cell"):
        measure_grid.run("measure.py", [], tmp_path / "log", None)


def test_photographs_that_are_named_from_here_are_found_from_the_folder_of_the_run(machine, tmp_path):
    (tmp_path / "pics").mkdir()
    Path("mine.yaml").write_text(CONFIG + "photos: pics\n")
    assert measured("--directory", "elsewhere", "--minutes", "0.1") == 2
    kept = configuration.load(Path("results/provenance/config.yaml"))  # in the folder of the run
    (full,) = {one["folder"] for one in kept["define"]["datasets"].values() if "folder" in one}
    assert Path.cwd() == tmp_path / "elsewhere" and full == str(tmp_path / "pics")


def test_a_repeat_is_expected_to_take_what_its_set_aside_attempts_took_too(machine, monkeypatch):
    grid = Grid(configuration.load(Path("mine.yaml")))
    cell = grid.full[0]
    path = Path(grid.record(cell, 0))
    path.parent.mkdir(parents=True)
    path.touch()
    read = {"total_seconds": 10.0, "attempts": [{"total_seconds": 30.0}, {"total_seconds": 2.0}]}
    monkeypatch.setattr(measure_grid.records, "read", lambda _: read)
    assert measure_grid.expected_seconds(grid, cell, 1) == 42.0

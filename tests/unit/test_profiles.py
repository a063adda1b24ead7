"""A profiling repeat from outside: real processes, a framework that does as it is told, a profile whatever happens."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import planted
import profile_cell
import pytest
import yaml
from example_profiles import example_profile
from example_records import example_repeat

from vitbench.analysis.stages import bound_by
from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import ADAPTERS, FRAMEWORKS
from vitbench.frameworks.stages import STAGES
from vitbench.measure import profiles, supervisor
from vitbench.measure.processes import marked
from vitbench.plan.grid import Grid
from vitbench.records import profile_file

ALIKE = dict.fromkeys(STAGES, 1 / 6)


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setitem(ADAPTERS, "fake", lambda definition: "fake_adapter")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)


def measure(folder: Path, plan: dict, **more) -> dict:
    """Profile; the file that was written, after a look that nothing else is left."""
    out = folder / "measurements" / "profile.json"
    returned = profiles.measure(example_repeat(folder, plan, **more), out)
    assert [path.name for path in out.parent.iterdir()] == ["profile.json"]
    assert marked(str(out.parent / ".rep0.repeat")) == []
    written = profile_file.checked(json.loads(out.read_text()), str(out))
    assert written == returned
    return written


def test_a_slow_stage_is_found_and_named(tmp_path):
    stages = {"read": 0.001, "decode": 0.03, "forward": 0.01}
    profile = measure(tmp_path, {"stages": stages, "made_up_time": True})
    assert profile["status"] == "ok" and profile["method"] == "timers" and len(profile["passes"]) == 3
    for one in profile["passes"]:
        assert one["stages"]["decode"] == pytest.approx(6 * 0.03, rel=1e-3)
        assert sum(one["stages"].values()) == pytest.approx(one["seconds"])
        shares = {stage: seconds / one["seconds"] for stage, seconds in one["stages"].items()}
        assert "most of it decode" in bound_by(shares)


def test_passes_without_instruments_stand_beside_those_with_them(tmp_path):
    plan = {"seconds": [0.5, 0.1], "stages": {"forward": 0.01}, "made_up_time": True}
    assert measure(tmp_path, plan)["plain_seconds"] == pytest.approx([0.1, 0.1], abs=1e-3)


@pytest.mark.parametrize(
    ("step", "action", "status", "word"),
    [
        ("start", ["fail", "Unavailable", "no such device"], "error", "no such device"),
        ("profile", ["fail", "MemoryError", "no room"], "oom", "MemoryError"),
        ("profile", ["be_killed", signal.SIGKILL], "oom", "died"),
        ("profile", ["leave", 3], "error", "exit status 3"),
    ],
)
def test_a_failed_profile_says_why(tmp_path, step, action, status, word):
    profile = measure(tmp_path, {"at": {step: action}})
    assert profile["status"] == status and word in profile["reason"]
    assert profile["passes"] == [] and profile["method"] is None


NO_STAGES = {
    "huggingface": {"pipeline-workers", "processes", "processes-bfloat16", "dataloader", "dataloader-int8"},
    "spark-onnxruntime": {"mine"},
    "spark-huggingface": {"mine"},
    "sparknlp": {"mine"},
}
IN_SPARK = {"image_processor": "pil", "precision": "float32", "threads_a_slot": 1}
MINE = {
    "spark-onnxruntime": {"image_processor": "pil", "threads_a_slot": 1, "sink": "parquet"},
    "spark-huggingface": IN_SPARK | {"input": "bytes"},
    "sparknlp": {"engine": "onnx", "sink": "parquet"},
}


def test_what_has_no_stages_says_so_before_it_runs(tmp_path, monkeypatch, capsys):
    """A profile of 34,745 images would take hours until its stages come."""
    monkeypatch.setattr(profiles, "measure", lambda *_: pytest.fail("it ran"))
    defined = yaml.safe_load((HOME / "resources" / "variants.yaml").read_text())
    config = planted.CONFIG | {"define": {"variants": {framework: {"mine": own} for framework, own in MINE.items()}}}
    for framework, names in NO_STAGES.items():
        for name in names:
            grid = Grid(config | {"frameworks": ["huggingface/pipeline", f"{framework}/{name}"]})
            cell = next(cell for cell in grid.full if (cell.framework, cell.variant) == (framework, name))
            monkeypatch.setattr(profile_cell, "find", lambda *_, found=(grid, cell): found)
            monkeypatch.setattr(profile_cell, "choose", lambda *_: (8, ""))
            monkeypatch.setattr(profile_cell, "prepare", lambda *_: example_repeat(tmp_path, {}))
            out = tmp_path / "profile.json"
            profile_cell.main(["--config", "c.yaml", "--dataset", "full", "--cell", cell.name, "--out", str(out)])
            assert "profile: error: no profile" in capsys.readouterr().out
            assert json.loads(out.read_text())["total_seconds"] == 0
    for name in defined["huggingface"].keys() - NO_STAGES["huggingface"]:
        if name.startswith("pipeline"):
            assert FRAMEWORKS["huggingface"].unprofiled(defined["huggingface"][name], False) is None
    assert FRAMEWORKS["sparknlp"].unprofiled(defined["sparknlp"]["tensorflow"], False) is None
    assert "cluster" in FRAMEWORKS["sparknlp"].unprofiled(defined["sparknlp"]["tensorflow"], True)


def test_a_profile_that_takes_too_long_is_stopped(tmp_path):
    profile = measure(tmp_path, {"at": {"profile": ["hang", str(tmp_path / "pids")]}}, timeout_seconds=3)
    assert profile["status"] == "timeout" and "3 s" in profile["reason"] and profile["total_seconds"] >= 3


def test_the_memory_of_the_process_is_sampled(tmp_path):
    profile = measure(tmp_path, {"stages": {"forward": 0.05}})
    assert 10 < profile["sampled_peak_memory_mb"] < 500


def test_a_cell_without_a_batch_size_gets_a_profile_with_the_reason(tmp_path):
    out = tmp_path / "profile.json"
    repeat = example_repeat(tmp_path, {})
    repeat.known["batch_size"] = None
    profiles.write_without_running(repeat, out, "error", "no batch size worked")
    written = profile_file.checked(json.loads(out.read_text()), str(out))
    assert (
        written["status"] == "error" and written["batch_size"] is None and written["reason"] == "no batch size worked"
    )


@pytest.mark.parametrize(
    "wrong", [{"more": 1}, {"status": "fine"}, {"passes": []}, {"method": None}, {"sampled_peak_memory_mb": -1}]
)
def test_a_profile_that_does_not_fit_its_schema_is_refused(wrong):
    good = example_profile(passes=[1.0], shares=ALIKE)
    assert profile_file.checked(good, "profile.json") == good
    with pytest.raises(UserError, match="profile.json"):
        profile_file.checked(good | wrong, "profile.json")

"""One repeat, from outside: real processes, a framework that does as it is told, and nothing left behind."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from example_records import example_repeat, few_passes
from tree import hear_signals

from vitbench.errors import UserError
from vitbench.files import HOME, staged
from vitbench.frameworks import ADAPTERS, Prediction
from vitbench.measure import supervisor
from vitbench.measure.harness import check_pass, is_our_bug
from vitbench.measure.processes import LOCK, MARK, kill_marked, machine_lock, marked, reaper
from vitbench.records import record as records

# Seconds to wait for what must happen: a neighbour may be busy, or hold the machine's lock to measure.
PATIENCE = 300
HERE = Path(__file__).parent
SCRIPTS = HERE.parents[1] / "scripts"
# A measuring process of its own: the repeat comes pickled, the record's path as an argument.
MEASURE = """
import pickle, sys
from pathlib import Path
from vitbench import frameworks
from vitbench.measure import supervisor
frameworks.ADAPTERS["fake"] = lambda definition: "fake_adapter"
supervisor.measure(pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
"""


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setitem(ADAPTERS, "fake", lambda definition: "fake_adapter")
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)


def record_path(folder: Path) -> Path:
    return folder / "measurements" / "rep0.json"


def measure(folder: Path, plan: dict | None = None, **more) -> dict:
    """Measure in this process; the record, after a look that nothing else is left."""
    repeat = example_repeat(folder, plan or {}, **more)
    returned = supervisor.measure(repeat, record_path(folder))
    assert_left(folder, "rep0.json", "rep0.predictions.csv")
    record = records.read(record_path(folder))
    assert record == returned
    return record


def assert_left(folder: Path, *names: str) -> None:
    """These files lie where records go, and no others; no process of the repeat lives."""
    assert sorted(path.name for path in (folder / "measurements").glob("*")) == sorted(names)
    assert marked(str(folder / "measurements" / ".rep0.repeat")) == []


def wait_until(happened, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


@dataclass
class Apart:
    """A measuring process of its own, and the folder in which it measures."""

    process: subprocess.Popen
    folder: Path

    def pids(self) -> list[int]:
        """The processes of a repeat that hangs: framework, what it started, and what that started."""
        told = self.folder / "pids"
        wait_until(lambda: told.exists() or self.process.poll() is not None)
        child, grandchild = map(int, told.read_text().split())
        wait_until(lambda: psutil.Process(grandchild).children())
        return [child, grandchild, psutil.Process(grandchild).children()[0].pid]

    def end(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, output.decode()


@pytest.fixture
def apart(tmp_path):
    """Start a measuring process of its own, in a session of its own; what is left of it is killed after the test."""
    started: list[Apart] = []

    def start(folder: Path, plan: dict, limit_kb: int | None = None, **variables: str) -> Apart:
        (folder / "repeat").parent.mkdir(exist_ok=True)
        (folder / "repeat").write_bytes(pickle.dumps(example_repeat(folder, plan)))
        command = [sys.executable, "-c", MEASURE, str(folder / "repeat"), str(record_path(folder))]
        if limit_kb:
            command = ["sh", "-c", f'ulimit -v {limit_kb}; exec "$@"', "sh", *command]
        process = subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": f"{SCRIPTS}{os.pathsep}{HERE}"} | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=hear_signals,
        )
        started.append(Apart(process, folder))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.communicate()
        kill_marked(str(one.folder / "measurements" / ".rep0.repeat"))


def hanging(folder: Path, step: str = "load") -> dict:
    return {"at": {step: ["hang", str(folder / "pids")]}}


def gone(pids: list[int]) -> bool:
    """Whether none of these processes lives; a zombie, which only waits for its parent, does not."""
    for pid in pids:
        try:
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return False
        except psutil.NoSuchProcess:
            continue
    return True


# --- a repeat that goes well


def test_a_good_repeat_is_recorded_with_its_passes_times_and_predictions(tmp_path):
    record = measure(tmp_path, {"seconds": [0.3, 0.1, 0.1]})
    assert (record["status"], record["reason"], record["flags"]) == ("ok", None, [])
    seconds = [one["seconds"] for one in record["passes"]]
    assert len(seconds) == 3 and record["timed_passes"] == 2
    # At least what it slept; how much more, a busy neighbour decides.
    assert seconds[0] >= 0.3 and all(one >= 0.1 for one in seconds[1:])
    assert record["cold_seconds"] == seconds[0]
    assert record["wall_seconds"] == pytest.approx(sum(seconds[1:]) / 2)
    assert record["throughput"] == pytest.approx(6 / record["wall_seconds"])
    assert 0 < record["first_batch_seconds"] <= seconds[0] - 0.3  # it sleeps when all is answered
    assert (record["valid_predictions"], record["effective_batch_size"], record["batch_size"]) == (6, 4, 4)
    assert record["accuracy"] == pytest.approx(5 / 6)
    assert record["peak_memory_mb"] > 5 and record["versions"] == {"fake": "1.0"}
    assert record["total_seconds"] >= record["start_seconds"] + record["load_seconds"] + sum(seconds)
    said = records.read_predictions(records.predictions_path(record_path(tmp_path)))
    assert said == [(f"i{number}", f"label of i{number}", 0.9) for number in range(6)]


def test_what_was_known_beforehand_stands_in_the_record(tmp_path):
    begin = datetime.now(UTC).replace(microsecond=0)  # a record tells whole seconds
    record = measure(tmp_path)
    assert (record["framework"], record["variant"], record["block"], record["order"]) == ("fake", "told", 0, 3)
    assert (record["machine"], record["protocol"], record["environment"]["gpus"]) == ("xeon-2", 1, [])
    assert record["environment"]["blas"] == "none"  # what the adapter found out is added
    assert begin <= datetime.fromisoformat(record["started"]) <= datetime.now(UTC)


def test_peak_memory_holds_what_the_repeat_started_wherever_it_hangs(tmp_path):
    """A cluster's executors, for instance, are no descendants of the process that ordered them."""
    before = measure(tmp_path / "without")["peak_memory_mb"]
    with_daemon = measure(tmp_path / "with", {"at": {"load": ["leave_a_daemon", 200]}})["peak_memory_mb"]
    assert 200 < with_daemon - before < 260


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux keeps high-water marks")
def test_where_processes_end_with_each_pass_no_peak_memory_is_said_that_lacks_theirs(tmp_path):
    assert measure(tmp_path / "ends", {"helpers_stay": False})["peak_memory_mb"] is None
    assert measure(tmp_path / "stays", {"helpers_stay": True})["peak_memory_mb"] > 5


def test_peak_memory_is_the_mark_and_not_what_is_left_of_it(tmp_path):
    before = measure(tmp_path / "without")["peak_memory_mb"]
    peak = measure(tmp_path / "with", {"at": {"pass 1": ["hold", 300]}})["peak_memory_mb"]
    assert 250 < peak - before < 350


def test_energy_is_that_of_the_timed_passes(tmp_path):
    """A counter that goes on by 1 J with each reading: two readings a timed pass, none in others."""
    record = measure(tmp_path, {"count_energy": True}, passes=few_passes(warm_images=12, timed=3))
    assert record["timed_passes"] == 3 and len(record["passes"]) == 5
    assert record["energy"] == {"joules": 3.0, "source": "rapl", "quality": "counters of 1 processor package"}
    assert record["peak_gpu_memory_mb"] is None


def test_energy_of_passes_that_became_warm_up_is_left_out(tmp_path):
    plan = {"count_energy": True, "settling": [0, 0, 9, 0]}
    record = measure(tmp_path, plan, passes=few_passes(timed=3, extensions=1, settling=0.5))
    assert [one["phase"] for one in record["passes"]] == ["cold", *["warm-up"] * 3, *["timed"] * 3]
    assert record["energy"]["joules"] == 3.0 and record["steady"]["extensions"] == 1


def test_what_others_took_is_counted_of_the_timed_passes_apart(tmp_path):
    plan = {"settling": [0, 0, 9, 0], "seconds": [0.2] * 7}
    record = measure(tmp_path, plan, passes=few_passes(timed=3, extensions=1, settling=0.5))
    timed = [one["seconds"] for one in record["passes"] if one["phase"] == "timed"]
    assert len(timed) == 3 and len(record["passes"]) == 7
    probed = record["quiet"]
    assert sum(timed) <= probed["timed"]["counters"]["elapsed"] < probed["during"]["counters"]["elapsed"]
    assert probed["timed"]["counters"].keys() == probed["during"]["counters"].keys()
    assert probed["timed"].keys() == probed["during"].keys() - {"holders"}


def test_passes_have_phases_and_the_timed_ones_alone_make_the_value(tmp_path):
    plan = {"seconds": [0.3, 0.2, 0.2, 0.05, 0.05, 0.05], "made_up_time": True}
    record = measure(tmp_path, plan, passes=few_passes(warm_images=18, timed=3))
    assert [one["phase"] for one in record["passes"]] == ["cold", *["warm-up"] * 2, *["timed"] * 3]
    assert record["wall_seconds"] == pytest.approx(0.05, abs=1e-3) and record["timed_passes"] == 3
    steady = record["steady"]
    assert steady["warm_up_images"] == 18 and steady["warm_up_seconds"] == pytest.approx(0.7, abs=1e-3)
    assert record["flags"] == []


def test_what_the_run_time_spends_on_settling_is_recorded_and_waited_for(tmp_path):
    plan = {"settling": [3.0, 0.0]}
    record = measure(tmp_path, plan, passes=few_passes(settling=0.01, timed=2))
    assert [one["settling_seconds"] for one in record["passes"]] == [3.0, 0.0, 0.0, 0.0]
    assert record["passes"][1]["phase"] == "warm-up" and record["steady"]["settled"]


def test_short_passes_follow_pass_0_where_each_pass_is_planned_and_are_no_part_of_any_time(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "plans_each_pass", lambda framework: framework == "fake")
    plan = {"seconds": [0.1], "settling": [0.05, 0.0], "settling_of_short_pass": 0.5}
    short = few_passes(short_passes=4, timed=2)
    record = measure(tmp_path / "planned", plan, passes=short)
    assert {key: record["short_passes"][key] for key in ("count", "images")} == {"count": 4, "images": 8}
    assert record["short_passes"]["settling_seconds"] == pytest.approx(2.0)
    # What was compiled in them is no pass's, nor is their time.
    assert [round(one["settling_seconds"], 6) for one in record["passes"]] == [0.05, 0.0, 0.0]
    assert record["steady"]["warm_up_images"] == 6 and record["timed_passes"] == 2
    row = records.to_row(record, "live", "here")
    assert (row["short_passes"], row["short_pass_seconds"]) == (4, record["short_passes"]["seconds"])
    # A pass that is as long as all may be outweighs planning.
    long = measure(tmp_path / "long", plan, passes=few_passes(short_passes=4, most_seconds=0.05))
    assert "short_passes" not in long
    monkeypatch.setattr(supervisor, "plans_each_pass", lambda framework: False)
    assert "short_passes" not in measure(tmp_path / "not", plan, passes=short)


def test_short_passes_end_when_they_have_taken_as_long_as_all_passes_may(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "plans_each_pass", lambda framework: True)
    plan = {"seconds": [0.0], "at": {"short pass": ["sleep", 0.2]}}
    record = measure(tmp_path, plan, passes=few_passes(short_passes=50, most_seconds=1.0))
    assert 0 < record["short_passes"]["count"] <= 5 and record["short_passes"]["seconds"] >= 1.0


def test_a_short_pass_that_fails_is_a_failed_repeat(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "plans_each_pass", lambda framework: True)
    plan = {"at": {"short pass": ["fail", "RuntimeError", "no query"]}}
    record = measure(tmp_path, plan, passes=few_passes(short_passes=4))
    assert (record["status"], record["reason"]) == ("error", "RuntimeError: no query")
    assert len(record["passes"]) == 1 and "short_passes" not in record


def test_each_pass_tells_its_memory_and_what_the_run_time_collected(tmp_path):
    plan = {"collecting": [0.5, 0.25], "at": {"pass 1": ["leave_a_daemon", 200]}}
    record = measure(tmp_path / "counted", plan, passes=few_passes(timed=2))
    assert [one["collecting_seconds"] for one in record["passes"]] == [0.5, 0.25, 0.25]
    before, after, last = (one["memory_mb"] for one in record["passes"])
    assert 200 < after - before < 260 and abs(last - after) < 30
    row = records.to_row(record, "live", "here")
    assert row["pass_collecting_seconds"] == "0.5;0.25;0.25" and row["pass_memory_mb"].count(";") == 2
    nobody_counts = records.to_row(measure(tmp_path / "not"), "live", "here")
    assert nobody_counts["pass_collecting_seconds"] == ""


def test_a_repeat_that_never_settles_is_flagged_and_still_has_a_value(tmp_path):
    record = measure(tmp_path, {"settling": [0.0, 0.0, 0.0, 3.0]}, passes=few_passes(settling=0.01, timed=3))
    assert (record["status"], record["flags"]) == ("ok", ["no steady state"])
    assert record["steady"]["classification"] == "no steady state" and record["wall_seconds"] > 0


def test_an_image_lost_in_warm_up_is_flagged_too(tmp_path):
    plan = {"lose": ["i4"], "from_pass": 1, "until_pass": 2, "made_up_time": True}
    record = measure(tmp_path, plan, passes=few_passes(warm_images=18))
    assert record["flags"] == ["images lost"] and record["valid_predictions"] == 6


def test_a_framework_that_does_not_stream_has_no_first_batch(tmp_path):
    assert measure(tmp_path, {"streams": False})["first_batch_seconds"] is None


CLUSTER = {
    "master": "standalone", "here": True, "executors": 2, "cores": 1, "memory_mb": 1024, "pinned": True,
    "executors_lost": 0, "why_lost": [], "tasks_retried": 0,
}  # fmt: skip


@pytest.mark.parametrize("changes", [{"executors_lost": 1, "why_lost": ["exited"]}, {"tasks_retried": 2}])
def test_what_a_cluster_lost_stands_at_its_pass_and_is_flagged_for_the_whole_repeat(tmp_path, changes):
    lost = [{"executors_lost": 0, "tasks_retried": 0}, {"executors_lost": 1, "tasks_retried": 2}]
    record = measure(tmp_path, {"faults": lost, "describe": {"cluster": CLUSTER | changes}})
    assert [one.get("executors_lost") for one in record["passes"]] == [0, 1, None]
    assert [one.get("tasks_retried") for one in record["passes"]] == [0, 2, None]
    assert record["flags"] == ["work lost"] and record["cluster"] == CLUSTER | changes
    assert record["valid_predictions"] == 6


def test_what_a_loss_cost_is_what_its_pass_and_the_next_took_longer_than_the_others():
    def passes(*seconds: float, lost: int, what: str = "executors_lost") -> list[dict]:
        return [{"seconds": one, what: int(place == lost)} for place, one in enumerate(seconds)]

    assert records.lost_seconds(passes(20, 5, 9, 7, 5, 4, lost=2)) == pytest.approx(9 + 7 - 2 * 5)
    assert records.lost_seconds(passes(20, 5, 5, 9, lost=3, what="tasks_retried")) == pytest.approx(4)
    assert records.lost_seconds(passes(20, 9, 5, 5, lost=0)) == pytest.approx(4)
    assert records.lost_seconds(passes(20, 5, 5, lost=7)) is None
    assert records.lost_seconds(passes(20, 5, 9, lost=1)) is None  # nothing to hold it against


def test_what_a_loss_cost_stands_in_the_record(tmp_path):
    lost = [{"executors_lost": int(place == 1), "tasks_retried": 0} for place in range(5)]
    cluster = CLUSTER | {"executors_lost": 1, "why_lost": ["exited"]}
    record = measure(tmp_path, {"faults": lost, "describe": {"cluster": cluster}}, passes=few_passes(timed=4))
    seconds = [one["seconds"] for one in record["passes"]]
    assert len(seconds) == 5
    cost = seconds[1] + seconds[2] - (seconds[3] + seconds[4])  # the median of two is half of their sum
    assert record["cluster"]["lost_seconds"] == pytest.approx(cost, abs=1e-6)


def test_a_cluster_that_lost_nothing_is_recorded_and_not_flagged(tmp_path):
    record = measure(tmp_path, {"describe": {"cluster": CLUSTER}})
    assert record["cluster"] == CLUSTER and record["flags"] == []
    assert "workers' hosts" not in record["quiet"]["unavailable"]
    elsewhere = measure(tmp_path / "elsewhere", {"describe": {"cluster": CLUSTER | {"master": "yarn", "here": False}}})
    assert "workers' hosts" in elsewhere["quiet"]["unavailable"]


def test_labels_that_change_between_passes_are_flagged_because_files_are_read_again(tmp_path):
    record = measure(tmp_path, {"at": {"pass 0": ["relabel", 2, "changed"]}})
    assert record["flags"] == ["labels changed between passes"]
    assert [one["changed"] for one in record["passes"]] == [[], ["i2"], []]
    said = records.read_predictions(records.predictions_path(record_path(tmp_path)))
    assert said[2][1] == "changed"


def test_a_lost_image_is_named_flagged_and_not_counted(tmp_path):
    record = measure(tmp_path, {"lose": ["i4"], "from_pass": 1})
    assert record["flags"] == ["images lost"]
    assert [one["lost"] for one in record["passes"]] == [[], ["i4"], ["i4"]]
    assert record["valid_predictions"] == 5
    assert record["throughput"] == pytest.approx(5 / record["wall_seconds"])
    assert record["accuracy"] == pytest.approx(4 / 6)


def test_an_image_answered_twice_is_no_valid_prediction(tmp_path):
    record = measure(tmp_path, {"twice": ["i1"]})
    assert record["passes"][1]["duplicated"] == ["i1"] and record["valid_predictions"] == 5
    assert "images lost" in record["flags"]


def test_check_pass_tells_lost_duplicated_and_unknown_apart():
    said = [Prediction("a", "x", 0.5), Prediction("a", "x", 0.5), Prediction("z", "x", None), Prediction("b", "x", 1.0)]
    found = check_pass(said, ["a", "b", "c"])
    assert found == {"valid": 1, "lost": ["c"], "duplicated": ["a"], "unknown": ["z"]}


# --- a framework that fails: a row, never a gap


def assert_failed(folder: Path, record: dict, status: str, *words: str) -> None:
    assert record["status"] == status
    assert all(word in record["reason"] for word in words), record["reason"]
    assert "\n" not in record["reason"]
    assert [record[key] for key in ("wall_seconds", "throughput", "valid_predictions")] == [None] * 3
    assert records.read_predictions(records.predictions_path(record_path(folder))) == []


def test_an_exception_of_the_framework_is_an_error_with_its_reason(tmp_path):
    record = measure(tmp_path, {"at": {"load": ["fail", "RuntimeError", "no such\n operator: Erf"]}})
    assert_failed(tmp_path, record, "error", "RuntimeError: no such operator: Erf")
    assert record["start_seconds"] > 0 and record["load_seconds"] is None and record["passes"] == []


def test_no_record_names_a_node_of_a_cluster(tmp_path):
    said = "Lost task 0.3 in stage 2.0 (TID 9) (10.1.2.3 executor 1): fetched from 10.1.2.4:7337 of 127.0.0.1"
    record = measure(tmp_path, {"at": {"pass 1": ["fail", "RuntimeError", said]}})
    told = "RuntimeError: Lost task 0.3 in stage 2.0 (TID 9) (executor 1): fetched from … of 127.0.0.1"
    assert record["reason"] == told


def test_what_was_measured_before_a_failure_is_kept(tmp_path):
    record = measure(tmp_path, {"at": {"pass 1": ["fail", "RuntimeError", "device lost"]}})
    assert_failed(tmp_path, record, "error", "device lost")
    assert len(record["passes"]) == 1 and record["cold_seconds"] == record["passes"][0]["seconds"]
    assert record["timed_passes"] == 0 and record["steady"] is None


def test_what_is_not_available_is_an_error_even_from_our_own_lines(tmp_path):
    record = measure(tmp_path, {"at": {"start": ["fail", "Unavailable", "torch sees no GPU"]}})
    assert_failed(tmp_path, record, "error", "torch sees no GPU")


def test_what_a_user_is_to_read_stands_in_the_row_as_it_is(tmp_path):
    record = measure(tmp_path, {"at": {"start": ["fail", "UserError", "Java 21 does not fit: install Java 17"]}})
    assert_failed(tmp_path, record, "error", "Java 21 does not fit: install Java 17")
    assert record["reason"] == "Java 21 does not fit: install Java 17"


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("MemoryError", ""),
        ("RuntimeError", "CUDA out of memory. Tried to allocate"),
        ("RuntimeError", "std::bad_alloc"),
    ],
)
def test_an_exception_about_memory_is_oom(tmp_path, kind, text):
    assert_failed(tmp_path, measure(tmp_path, {"at": {"pass 0": ["fail", kind, text]}}), "oom", kind)


def test_memory_that_the_system_refuses_is_oom(tmp_path, apart):
    code, output = apart(tmp_path, {"at": {"load": ["allocate", 4000]}}, limit_kb=1_000_000).end()
    assert code == 0, output
    assert_failed(tmp_path, records.read(record_path(tmp_path)), "oom", "MemoryError")
    assert_left(tmp_path, "rep0.json", "rep0.predictions.csv")


def test_a_native_library_that_aborts_for_want_of_memory_is_oom(tmp_path):
    record = measure(tmp_path, {"at": {"pass 0": ["abort_like_a_native_library"]}})
    assert_failed(tmp_path, record, "oom", "signal 6", "std::bad_alloc")


def test_memory_that_ends_in_our_own_lines_is_oom_too(tmp_path):
    record = measure(tmp_path, {"at": {"pass 0": ["answer_without_end", 30]}})
    assert_failed(tmp_path, record, "oom", "MemoryError")


@pytest.mark.parametrize(
    ("what", "status", "reason"),
    [
        (["leave", 3], "error", "exit status 3"),
        (["leave", 0], "error", "exit status 0"),
        (["be_killed", signal.SIGKILL], "oom", "signal 9"),
        (["crash"], "error", "signal 11"),
    ],
)
def test_a_process_that_dies_leaves_a_row(tmp_path, what, status, reason):
    record = measure(tmp_path, {"at": {"pass 1": what}})
    assert_failed(tmp_path, record, status, "the process died", reason)
    assert len(record["passes"]) == 1


def test_a_repeat_beyond_its_time_is_stopped_with_all_that_it_started(tmp_path, monkeypatch):
    @contextmanager
    def once_it_hangs(_child: int) -> Iterator[None]:
        """Nobody looks at its time before: on a busy machine it may not have begun when that is over."""
        wait_until((tmp_path / "pids").exists)
        yield

    monkeypatch.setattr(supervisor, "run_child", partial(supervisor.run_child, watch=once_it_hangs))
    record = measure(tmp_path, hanging(tmp_path), timeout_seconds=2)
    assert 2 <= record["total_seconds"] < 2 * PATIENCE  # it would sleep for longer
    assert_failed(tmp_path, record, "timeout", "2 s")
    assert gone([int(pid) for pid in (tmp_path / "pids").read_text().split()])


def test_a_repeat_that_could_not_be_started_is_recorded_too(tmp_path):
    repeat = example_repeat(tmp_path, {})
    repeat = replace(repeat, known=repeat.known | {"batch_size": None, "dataset": "full"})
    supervisor.record_without_running(repeat, record_path(tmp_path), "error", "no batch size of the sweep worked")
    record = records.read(record_path(tmp_path))
    assert_failed(tmp_path, record, "error", "no batch size of the sweep worked")
    assert record["batch_size"] is None and record["total_seconds"] == 0
    assert_left(tmp_path, "rep0.json", "rep0.predictions.csv")


def test_what_goes_wrong_after_all_was_measured_takes_nothing_back(tmp_path, capfd):
    record = measure(tmp_path, {"at": {"close": ["fail", "RuntimeError", "the session would not stop"]}})
    assert record["status"] == "ok" and record["throughput"] > 0
    assert "the session would not stop" in capfd.readouterr().out


def test_a_framework_that_does_not_come_to_its_close_is_not_waited_for(tmp_path):
    record = measure(tmp_path, {"at": {"close": ["sleep", 600]}}, timeout_seconds=300)
    assert record["status"] == "ok" and record["total_seconds"] < 100


def test_a_framework_that_failed_and_then_hung_keeps_its_own_reason():
    repeat = SimpleNamespace(timeout_seconds=60.0)
    failed = {"status": "oom", "reason": "CUDA out of memory"}
    assert supervisor.why_failed(repeat, failed, "timeout", "") == ("oom", "CUDA out of memory")
    assert supervisor.why_failed(repeat, None, "timeout", "")[0] == "timeout"


def test_no_record_repeats_the_options_that_java_was_given():
    repeat = SimpleNamespace(timeout_seconds=60.0)
    picked_up = "Picked up JAVA_TOOL_OPTIONS: -Dhttps.proxyUser=me -Dhttps.proxyPassword=secret\n"
    _, reason = supervisor.why_failed(repeat, None, -9, picked_up)
    assert reason == "the process died (signal 9): no output"
    _, reason = supervisor.why_failed(repeat, None, 1, f"loading\n{picked_up}\n")
    assert reason == "the process died (exit status 1): loading"


class Native(RuntimeError):
    """As the classes that native code brings: not one of Python's own."""


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (RuntimeError("expected 3 dimensions"), True),
        (KeyError("label"), True),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), False),
        (RuntimeError("Failed to allocate memory for requested buffer of size 512"), False),
        (Native("an illegal memory access was encountered"), False),
        (UserError("no room"), False),
    ],
)
def test_native_code_that_our_lines_call_is_not_taken_for_a_mistake_of_theirs(error, ours):
    line = compile("raise error", str(HOME / "scripts" / "vitbench" / "frameworks" / "adapter.py"), "exec")
    with pytest.raises(type(error)) as raised:
        exec(line, {"error": error})
    assert is_our_bug(raised.value) == ours


def test_shared_memory_that_is_full_is_not_called_the_disk(tmp_path):
    said = "RuntimeError: unable to allocate shared memory(shm) for file </torch_1>: No space left on device (28)\n"
    (tmp_path / "output.log").write_text(said)
    with pytest.raises(UserError, match="/dev/shm.*--shm-size"):
        supervisor.what_it_said(tmp_path, 1)


# --- mistakes of our own: no record


@dataclass(frozen=True)
class Incomplete:
    """Passes without most of their settings: nothing that a user could write, so a mistake in vitbench."""

    warm_images: int = 2


def test_a_mistake_of_our_own_in_the_child_fails_the_job_and_records_nothing(tmp_path, capfd):
    repeat = example_repeat(tmp_path, {}, passes=Incomplete())
    with pytest.raises(RuntimeError, match="mistake in vitbench"):
        supervisor.measure(repeat, record_path(tmp_path))
    assert "most_seconds" in capfd.readouterr().out
    assert_left(tmp_path)


def test_an_adapter_that_cannot_be_imported_is_a_mistake_of_our_own(tmp_path, monkeypatch):
    monkeypatch.setitem(ADAPTERS, "fake", lambda definition: "no_such_adapter")
    with pytest.raises(RuntimeError, match="mistake in vitbench"):
        supervisor.measure(example_repeat(tmp_path, {}), record_path(tmp_path))
    assert_left(tmp_path)


@pytest.mark.parametrize(
    "plan", [{"describe": {"threads": "two"}}, {"says_nothing_of": ["threads"]}], ids=["wrong", "left out"]
)
def test_a_description_that_is_no_record_leaves_nothing(tmp_path, plan):
    with pytest.raises(ValueError, match="threads"):
        supervisor.measure(example_repeat(tmp_path, plan), record_path(tmp_path))
    assert_left(tmp_path)


# --- killed and interrupted: no record, no folder, no process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_measuring_process_that_is_told_to_stop_leaves_nothing(tmp_path, apart, number):
    one = apart(tmp_path, hanging(tmp_path))
    pids = one.pids()
    one.process.send_signal(number)
    code, output = one.end()
    assert code != 0 and f"stopped by signal {number:d}" in output
    assert gone(pids)
    assert_left(tmp_path)


def test_a_repeat_that_waits_for_the_machine_stops_at_once(tmp_path, apart):
    """It has no child yet: what stops it is heard from the first moment, not only while a framework runs."""
    with machine_lock():
        one = apart(tmp_path, {})
        wait_until(lambda: select.select([one.process.stdout], [], [], 0)[0])
        assert b"waiting" in one.process.stdout.readline()
        # It says so before it waits. A signal between the two is noted, and heard when the waiting is over.
        wait_until(lambda: psutil.Process(one.process.pid).status() == psutil.STATUS_SLEEPING)
        one.process.send_signal(signal.SIGINT)
        code, output = one.end()
    assert code != 0 and "stopped by signal 2" in output and not (tmp_path / "measurements").exists()


def test_a_measurement_under_another_lock_is_neither_waited_for_nor_killed(tmp_path, apart, monkeypatch):
    """As beside a run in another checkout: no test needs a machine of its own."""
    one = apart(tmp_path, hanging(tmp_path))
    pids = one.pids()
    (tmp_path / "lock").mkdir()
    monkeypatch.setenv(LOCK, str(tmp_path / "lock"))
    assert measure(tmp_path / "another")["status"] == "ok" and kill_marked() == 0
    assert not any(gone([pid]) for pid in pids)
    monkeypatch.undo()
    one.process.send_signal(signal.SIGTERM)
    one.end()
    assert gone(pids)


def test_a_second_signal_does_not_interrupt_the_cleaning_up(tmp_path, apart):
    one = apart(tmp_path, hanging(tmp_path))
    pids = one.pids()
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        one.process.send_signal(number)
        time.sleep(0.01)
    code, output = one.end()
    assert code != 0 and "stopped by signal 2" in output
    assert gone(pids)
    assert_left(tmp_path)


def test_a_signal_while_the_record_is_written_leaves_all_of_it(tmp_path, monkeypatch):
    write = supervisor.write

    def interrupted(out, record):
        for number in supervisor.STOPS:
            os.kill(os.getpid(), number)
        write(out, record)

    monkeypatch.setattr(supervisor, "write", interrupted)
    assert measure(tmp_path)["status"] == "ok"


def test_a_signal_that_stops_leaves_no_half_of_a_file(tmp_path):
    with pytest.raises(supervisor.Cancelled, match="signal 15"), supervisor.stoppable():  # noqa: SIM117
        with staged(tmp_path / "file") as place:
            place.write_text("half")
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
    assert list(tmp_path.iterdir()) == []


def test_a_hang_up_that_is_ignored_stays_ignored(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with supervisor.stoppable():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_measuring_process_that_is_killed_with_its_group_leaves_nothing(tmp_path, apart):
    one = apart(tmp_path, hanging(tmp_path, "pass 1"))
    pids = one.pids()
    assert not gone(pids[:1]) and (tmp_path / "measurements" / ".rep0.repeat").exists()
    os.killpg(one.process.pid, signal.SIGKILL)
    wait_until(lambda: gone(pids) and not (tmp_path / "measurements" / ".rep0.repeat").exists())
    assert_left(tmp_path)


def test_a_repeat_may_be_measured_again_at_once_after_a_kill(tmp_path, apart):
    """The next attempt, in the same folder, waits for what cleans up after the killed one, here a slow process."""
    one = apart(tmp_path, hanging(tmp_path))
    child = one.pids()[0]
    (reaper,) = [process for process in psutil.Process(one.process.pid).children() if process.pid != child]
    reaper.suspend()
    one.process.kill()
    one.process.wait()
    another = apart(tmp_path, {"seconds": [0.5], "at": {"load": ["tell", str(tmp_path / "begun")]}})
    says = another.process.stdout
    wait_until(lambda: (tmp_path / "begun").exists() or select.select([says], [], [], 0)[0])
    reaper.resume()
    code, output = another.end()
    assert code == 0, output
    assert records.read(record_path(tmp_path))["status"] == "ok"
    assert_left(tmp_path, "rep0.json", "rep0.predictions.csv")


def test_a_reaper_that_was_killed_takes_nothing_of_a_living_process_with_it(tmp_path):
    before = {process.pid for process in psutil.Process().children()}
    with machine_lock() as lock, reaper(str(tmp_path / "repeat"), tmp_path / "repeat", lock):
        (child,) = [one for one in psutil.Process().children() if one.pid not in before]
        child.kill()
        wait_until(lambda: child.status() == psutil.STATUS_ZOMBIE)
    assert not psutil.pid_exists(child.pid)


def test_what_a_killed_attempt_left_on_disk_is_removed(tmp_path):
    for name in (".rep0.repeat", ".rep0.json.partial", ".rep0.predictions.csv.partial"):
        (tmp_path / "measurements" / name).mkdir(parents=True)
        (tmp_path / "measurements" / name / "half").write_text("{")
    (tmp_path / "measurements" / ".rep0.repeat" / "events.jsonl").write_text('{"event": "done"}\n')
    assert measure(tmp_path, {"at": {"load": ["leave", 1]}})["status"] == "error"


@pytest.mark.parametrize("reaped", [True, False], ids=["gone", "zombie"])
def test_a_repeat_stops_when_the_process_that_ordered_it_is_killed(tmp_path, apart, reaped):
    ordered_by = subprocess.Popen(["sleep", "1000"])
    one = apart(tmp_path, hanging(tmp_path), **{supervisor.ORDERED_BY: str(ordered_by.pid)})
    pids = one.pids()
    ordered_by.kill()
    if reaped:
        ordered_by.wait()
    try:
        wait_until(lambda: one.process.poll() is not None)
        code, output = one.end()
    finally:
        ordered_by.wait()
    assert code != 0 and "ordered this measurement is gone" in output
    assert gone(pids)
    assert_left(tmp_path)


def test_a_repeat_ordered_by_a_process_that_is_gone_already_is_not_measured(tmp_path, monkeypatch):
    ordered_by = subprocess.Popen(["true"])
    ordered_by.wait()
    monkeypatch.setenv(supervisor.ORDERED_BY, str(ordered_by.pid))
    with pytest.raises(supervisor.Cancelled):
        supervisor.measure(example_repeat(tmp_path, {}), record_path(tmp_path))
    assert_left(tmp_path)


def test_a_repeat_goes_on_while_the_process_that_ordered_it_lives(tmp_path, monkeypatch):
    monkeypatch.setenv(supervisor.ORDERED_BY, str(os.getpid()))
    assert measure(tmp_path, {"seconds": [0.3]})["status"] == "ok"


def test_signals_are_handled_as_before_after_a_measurement(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    measure(tmp_path)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


# --- alone on the machine


def test_two_measurements_at_once_never_overlap(tmp_path, apart):
    log = tmp_path / "log"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with machine_lock():  # until both want to measure
        both = [apart(tmp_path / name, {"seconds": [0.3], "log": str(log)}) for name in ("one", "two")]
        for one in both:
            assert b"waiting: another vitbench measurement" in one.process.stdout.readline()
    for one in both:
        code, output = one.end()
        assert code == 0, output
    first, second = sorted(tuple(map(float, line.split())) for line in log.read_text().splitlines())
    assert first[1] - first[0] >= 0.9 and first[1] < second[0]


def test_orphans_of_an_earlier_measurement_are_killed_before_the_next_and_others_are_not(tmp_path, capfd):
    orphan = subprocess.Popen(["sleep", "1000"], env=os.environ | {MARK: str(tmp_path / "another" / ".rep1.repeat")})
    other = subprocess.Popen(["sleep", "1000"])
    try:
        wait_until(lambda: any(process.pid == orphan.pid for process in marked()))
        assert measure(tmp_path)["status"] == "ok"
        assert gone([orphan.pid]) and other.poll() is None
        assert "processes that an earlier, killed measurement had left" in capfd.readouterr().out
    finally:
        for process in (orphan, other):
            process.kill()
            process.wait()

"""Quiet probes: what a canary feels, what others took, which repeat is suspect, and that it is measured again."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections import namedtuple
from dataclasses import replace
from multiprocessing.synchronize import Event
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from example_records import PATIENT, example_record, example_repeat, few_passes

from vitbench.errors import UserError
from vitbench.frameworks import ADAPTERS
from vitbench.measure import processes, quiet, supervisor
from vitbench.measure.processes import MARK, kill_marked, machine_lock, marked
from vitbench.measure.quiet import Limits
from vitbench.records import record as records

LIMITS = Limits(
    canary_seconds=0.01, gemm_slower=0.1, decode_slower=0.2, steal=0.02, foreign_cpu=0.05, free_memory_gb=4, retries=2
)
QUIET = {
    "gemm_gflops": 100.0, "decode_per_second": 200.0, "load_1min": 0.5, "clock_mhz": 2600.0, "free_memory_bytes": 8e9,
    "on_battery": False, "power_mode": None, "foreign_gpu_processes": None,
}  # fmt: skip
USUAL = {"gemm_gflops": 100.0, "decode_per_second": 200.0}
NOTHING_TAKEN = {"steal_share": 0.0, "throttled_seconds": 0.0, "foreign_cpu_share": 0.01, "holders": []}


def burn(seconds: float, burnt: Event, enough: Event) -> None:
    """Use so many seconds of a core, say so, and stay alive until told otherwise."""
    while time.process_time() < seconds:
        sum(range(1000))
    burnt.set()
    enough.wait()


# --- judgement


def findings(before: dict, after: dict, taken: dict, known: dict | None, **more) -> list[str]:
    return quiet.findings({"before": before, "after": after, "during": taken} | more, known, LIMITS)


def test_a_quiet_machine_has_no_findings():
    assert findings(QUIET, QUIET, NOTHING_TAKEN, USUAL) == []
    assert findings(QUIET, QUIET, NOTHING_TAKEN, None) == []


@pytest.mark.parametrize(
    ("before", "after", "taken", "words"),
    [
        ({"gemm_gflops": 85.0}, {}, {}, "canary 15% slower than usual (GEMM"),
        ({}, {"decode_per_second": 150.0}, {}, "canary 25% slower than usual (JPEG"),
        ({}, {}, {"steal_share": 0.031}, "the hypervisor took 3.1% of the CPU (limit 2%)"),
        ({}, {}, {"throttled_seconds": 0.25}, "quota held processes back for 0.25 s"),
        (
            {},
            {},
            {"foreign_cpu_share": 0.4, "holders": ["cc (7): 80% of a core"]},
            "took 40.0% of the CPU (limit 5%): cc",
        ),
        ({"free_memory_bytes": 1.5e9}, {}, {}, "1.5 GB free before (limit 4)"),
        ({}, {"on_battery": True}, {}, "on battery power"),
        ({"foreign_gpu_processes": ["train"]}, {}, {}, "other processes on the GPU: train"),
        ({}, {"foreign_gpu_processes": ["train"]}, {}, "other processes on the GPU: train"),
    ],
)
def test_each_disturbance_is_one_finding_with_its_number(before, after, taken, words):
    found = findings(QUIET | before, QUIET | after, NOTHING_TAKEN | taken, USUAL)
    assert len(found) == 1 and words in found[0]


@pytest.mark.parametrize("share", ["steal_share", "foreign_cpu_share"])
def test_what_hits_the_timed_passes_alone_is_little_of_the_whole_and_a_finding(share):
    little, much = NOTHING_TAKEN | {share: 0.01}, NOTHING_TAKEN | {share: 0.4}
    assert findings(QUIET, QUIET, little, USUAL, timed=little) == []
    (found,) = findings(QUIET, QUIET, little, USUAL, timed=much)
    assert "took 40.0% of the CPU in the timed passes (limit" in found
    assert "in the timed passes" not in " ".join(findings(QUIET, QUIET, much, USUAL, timed=little))


def test_what_a_system_does_not_tell_is_no_finding_and_named():
    dumb = QUIET | {"on_battery": None, "clock_mhz": None}
    taken = dict.fromkeys(NOTHING_TAKEN) | {"holders": []}
    assert findings(dumb, dumb, taken, USUAL) == []
    silent = quiet.unavailable("cpu", dumb, taken)
    assert {"clock_mhz", "on_battery", "steal_share", "foreign_cpu_share"} <= set(silent)
    assert "foreign_gpu_processes" not in silent and "foreign_gpu_processes" in quiet.unavailable("gpu", dumb, taken)


def test_a_faster_canary_is_no_finding():
    fast = QUIET | {"gemm_gflops": 150.0, "decode_per_second": 300.0}
    assert findings(fast, fast, NOTHING_TAKEN, USUAL) == []


# --- what is measured


def test_the_canary_counts_arithmetic_and_photographs():
    one = quiet.canary(0.05)
    assert one.keys() == set(quiet.CANARY) and all(value > 1 for value in one.values())


def test_a_slow_canary_is_taken_again_and_the_faster_counts(monkeypatch):
    speeds = iter([(50, 200), (70, 90), (95, 80)])
    takes: list[int] = []

    def take(_seconds: float) -> dict[str, float]:
        takes.append(1)
        return dict(zip(quiet.CANARY, next(speeds), strict=True))

    monkeypatch.setattr(quiet, "BETWEEN_TAKES", 0)
    monkeypatch.setattr(
        quiet, "canary", lambda _: takes.append(1) or dict(zip(quiet.CANARY, next(speeds), strict=True))
    )
    assert quiet.patient_canary(USUAL, LIMITS) == {"gemm_gflops": 95, "decode_per_second": 200} and len(takes) == 3
    speeds = iter([(91, 181)])
    quiet.patient_canary(USUAL, LIMITS)
    speeds = iter([(1, 1)])
    assert quiet.patient_canary(None, LIMITS) == {"gemm_gflops": 1, "decode_per_second": 1}


def test_what_is_usual_is_taken_where_canaries_agree_and_a_busy_minute_is_waited_out(monkeypatch):
    busy, quiet_rates = [116.0, 98.0, 67.0, 67.0, 76.0], [310.0, 315.0, 305.0, 300.0, 312.0, 308.0]
    monkeypatch.setattr(quiet, "BETWEEN_TAKES", 0)

    def first(rates: list[float], patience: float) -> list[float]:
        coming = iter(rates)
        monkeypatch.setattr(quiet, "canary", lambda _: USUAL | {"gemm_gflops": next(coming)})
        return [one["gemm_gflops"] for one in quiet.first_canaries(LIMITS, 5, patience)]

    assert first(busy + quiet_rates, 60) == quiet_rates[:5]
    assert first(quiet_rates, 60) == quiet_rates[:5]
    # Where they never agree, the last ones are better than none: what is usual is learnt from the repeats.
    assert first(busy + quiet_rates, -1) == busy


def test_a_hiccup_does_not_slow_the_canary_and_a_neighbour_that_stays_does(monkeypatch):
    now, lengths = [0.0], []
    monkeypatch.setattr(quiet.time, "perf_counter", lambda: now[0])

    def work() -> None:
        now[0] += lengths.pop(0)

    lengths[:] = [0.01] * 3 + [0.5, 0.5] + [0.01] * 100
    assert quiet._rate(work, 2.0) == pytest.approx(100)
    lengths[:] = [0.02] * 200
    assert quiet._rate(work, 2.0) == pytest.approx(50)


def test_the_reference_is_the_median_of_all_canaries_so_far(tmp_path):
    def gated(*speeds: float) -> dict:
        before, after = ({"gemm_gflops": speed, "decode_per_second": 2 * speed} for speed in speeds)
        return {"before": before, "after": after}

    assert quiet.reference(tmp_path) is None
    for number, (speeds, earlier) in enumerate([((10, 20), (1, 2)), ((30, 40), None), (None, None)]):
        record = {"quiet": speeds and gated(*speeds), "attempts": [{"quiet": gated(*earlier)}] if earlier else []}
        path = tmp_path / "model" / f"bs{number}" / "rep0.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(record))
    more = [{"gemm_gflops": 50.0, "decode_per_second": 100.0}]
    assert quiet.reference(tmp_path, more) == {"gemm_gflops": 20, "decode_per_second": 40, "canaries": 7}


def test_a_broken_record_is_one_line_that_names_it(tmp_path):
    (tmp_path / "rep0.json").write_text("{")
    with pytest.raises(UserError, match="rep0.json is not a record"):
        quiet.reference(tmp_path)


def _planted(folder: Path, name: str, *speeds: float) -> Path:
    """A record whose two canaries have these speeds."""
    before, after = ({"gemm_gflops": speed, "decode_per_second": 2 * speed} for speed in speeds)
    path = folder / name / "rep0.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"quiet": {"before": before, "after": after}, "attempts": []}))
    return path


def test_no_repeat_reads_the_records_of_those_before_it_again(tmp_path, monkeypatch):
    for number in range(3):
        _planted(tmp_path, f"bs{number}", 10.0 + number, 20.0 + number)
    first = quiet.reference(tmp_path)
    read, canaries = [], quiet._canaries
    monkeypatch.setattr(quiet, "_canaries", lambda path: read.append(path) or canaries(path))
    assert quiet.reference(tmp_path) == first and read == []
    new = _planted(tmp_path, "bs9", 90.0, 91.0)
    assert quiet.reference(tmp_path)["canaries"] == 8 and read == [new]


def test_a_record_that_changes_or_goes_changes_the_reference(tmp_path):
    paths = [_planted(tmp_path, f"bs{number}", 10.0, 10.0) for number in range(3)]
    assert quiet.reference(tmp_path) == {"gemm_gflops": 10, "decode_per_second": 20, "canaries": 6}
    # As many bytes, written over the old ones, at the same second.
    for path in paths[:2]:
        state = path.stat()
        path.write_text(path.read_text().replace("10.0", "30.0").replace("20.0", "60.0"))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    assert quiet.reference(tmp_path)["gemm_gflops"] == 30
    paths[0].unlink()
    assert quiet.reference(tmp_path) == {"gemm_gflops": 20, "decode_per_second": 40, "canaries": 4}


def test_half_a_line_that_a_kill_left_costs_one_more_reading_and_no_other_line(tmp_path):
    _planted(tmp_path, "bs1", 10.0, 20.0)
    first = quiet.reference(tmp_path)
    kept = tmp_path / quiet.KEPT
    kept.write_text(kept.read_text()[:-9])
    assert quiet.reference(tmp_path) == first == quiet.reference(tmp_path)
    assert len(kept.read_text().split("\n")) == 3  # nothing, half a line, and the record's own


def test_what_never_became_a_record_is_in_no_reference(tmp_path):
    """A kill may leave the folder in which a record was being written."""
    _planted(tmp_path, "bs1", 10.0, 20.0)
    _planted(tmp_path, "bs1/.rep1.json.partial", 90.0, 90.0)
    assert quiet.reference(tmp_path)["canaries"] == 2


def test_another_process_is_seen_measured_and_named():
    spans, processes = quiet.Spans(), quiet.cpu_by_process()
    spans.start()
    burnt, enough = multiprocessing.get_context("spawn").Event(), multiprocessing.get_context("spawn").Event()
    other = multiprocessing.get_context("spawn").Process(target=burn, args=(1.0, burnt, enough))
    since = time.monotonic()
    other.start()
    burnt.wait()  # however busy the machine is, it has then had its second
    seconds = time.monotonic() - since
    named = quiet.holders(processes, quiet.cpu_by_process(), seconds, ours=[os.getpid()])
    spans.stop()
    children = spans.counted["own_cpu_seconds"]  # the tree of this process holds the other one
    taken = quiet.taken(spans.counted | {"own_cpu_seconds": 0.0})
    enough.set()
    other.join()
    assert any(f"({other.pid})" in line for line in named)
    assert children > 0.9
    assert taken["foreign_cpu_share"] is None or taken["foreign_cpu_share"] > 0.9 / (seconds * quiet.machine.cores())


def test_what_bears_the_mark_is_ours_even_where_its_parent_is_gone(tmp_path, monkeypatch):
    """An executor whose worker was killed hangs below the system's first process."""
    burn_a_second = (
        "import pathlib, sys, time\n"
        "while time.process_time() < 1: pass\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "time.sleep(1000)"
    )
    orphan = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {burn_a_second!r}, sys.argv[1]])"
    monkeypatch.setenv(MARK, str(tmp_path))
    # Whoever measures kills what bears the mark, and measures with this lock.
    with machine_lock():
        before = quiet.tree_cpu_seconds()
        subprocess.run([sys.executable, "-c", orphan, str(tmp_path / "burnt")], check=True)
        try:
            end = time.monotonic() + 300
            while not (tmp_path / "burnt").exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            (left,) = marked(str(tmp_path))
            assert left.pid not in {one.pid for one in psutil.Process().children(recursive=True)}
            assert quiet.tree_cpu_seconds() - before > 0.95
        finally:
            kill_marked(str(tmp_path))


def test_what_bears_the_mark_and_has_a_tmp_of_its_own_holds_another_lock_and_is_none_of_ours(tmp_path, monkeypatch):
    """As jobs on one node under Slurm have it, services of systemd, and containers that share their processes."""
    sleeper = [sys.executable, "-c", "import time; print(flush=True); time.sleep(1000)"]
    bearer = subprocess.Popen(sleeper, env=os.environ | {MARK: str(tmp_path)}, stdout=subprocess.PIPE)
    try:
        bearer.stdout.readline()
        assert [one.pid for one in marked(str(tmp_path))] == [bearer.pid]
        seen = processes._lock_of
        there = {bearer.pid: (-1, -1)}
        monkeypatch.setattr(processes, "_lock_of", lambda pid, folder: there.get(pid) or seen(pid, folder))
        assert marked(str(tmp_path)) == []
    finally:
        bearer.kill()
        bearer.wait()


def test_what_is_dead_and_not_yet_collected_holds_nothing():
    dead = subprocess.Popen([sys.executable, "-c", "sum(range(10**7))"])
    while psutil.Process(dead.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not any(pid == dead.pid for pid, _ in quiet.cpu_by_process())
    dead.wait()


def test_what_was_used_by_the_repeat_itself_is_not_foreign():
    counted = {"elapsed": 10.0, "busy": 12.0, "steal": None, "throttled": 0.5, "own_cpu_seconds": 11.0}
    taken = quiet.taken(counted)
    assert taken["foreign_cpu_share"] == pytest.approx(1 / (10 * quiet.machine.cores()))
    assert taken["throttled_seconds"] == 0.5 and taken["steal_share"] is None
    counted = {"elapsed": 10.0, "cores": quiet.machine.cores(), "busy": 12.0, "steal": None, "own_cpu_seconds": 11.0}
    assert taken["counters"] == counted


def test_spans_add_up_and_can_be_forgotten(monkeypatch):
    told = iter([0.0, 3.0, 10.0, 14.0, 20.0, 21.0])
    counters = {"busy": 1.0, "steal": None, "throttled": 0.0, "own_cpu_seconds": 2.0}
    monkeypatch.setattr(quiet.Spans, "_read", staticmethod(lambda: counters | {"elapsed": next(told)}))
    spans = quiet.Spans()
    for expected in (3.0, 7.0):
        spans.start()
        spans.stop()
        assert spans.counted == {
            "busy": 0.0,
            "steal": None,
            "throttled": 0.0,
            "own_cpu_seconds": 0.0,
            "elapsed": expected,
        }
    spans.forget()
    spans.start()
    spans.stop()
    assert spans.counted["elapsed"] == 1.0


def test_counters_of_a_host_of_which_we_have_a_part_are_not_taken_for_ours(monkeypatch):
    monkeypatch.setattr(quiet.machine, "cores", lambda: 1000)
    assert quiet.cpu_counters()["busy"] is None


def test_what_the_hypervisor_took_is_a_share_of_all_cores(monkeypatch):
    monkeypatch.setattr(quiet.machine, "cores", lambda: 4)
    counted = {"elapsed": 10.0, "busy": 30.0, "steal": 4.0, "throttled": None, "own_cpu_seconds": 28.0}
    taken = quiet.taken(counted)
    assert taken["steal_share"] == pytest.approx(4 / 40) and taken["foreign_cpu_share"] == pytest.approx(2 / 40)


def test_time_that_was_stolen_or_idle_is_nobodys_work(monkeypatch):
    times = namedtuple("times", "user system idle iowait steal guest guest_nice")
    # Linux counts the second of a guest in user time too.
    monkeypatch.setattr(quiet.psutil, "cpu_times", lambda percpu: [times(5, 3, 80, 2, 10, 1, 0)] * 2)
    monkeypatch.setattr(quiet.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(quiet.machine, "cores", lambda: 2)
    counted = quiet.cpu_counters()
    assert (counted["busy"], counted["steal"]) == (2 * (5 + 3), 2 * 10)


@pytest.mark.parametrize(("file", "said"), [("firmware/acpi/platform_profile", "quiet"), (None, None)])
def test_the_power_mode_is_read_where_there_is_one(tmp_path, file, said):
    if file:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text("quiet\n")
    assert quiet.power_mode(tmp_path) == said


def test_processes_on_the_gpu_are_named_but_for_the_desktop(monkeypatch):
    answer = SimpleNamespace(returncode=0, stdout="12, /usr/bin/python3\n13, /usr/lib/xorg/Xorg\n")
    monkeypatch.setattr(quiet.subprocess, "run", lambda *_arguments, **_more: answer)
    assert quiet.gpu_processes() == ["python3"]
    answer.returncode = 9
    assert quiet.gpu_processes() is None


def test_the_canary_of_a_record_is_relative_to_its_reference():
    half = {"gemm_gflops": 50.0, "decode_per_second": 180.0}
    given = {"before": USUAL, "after": half, "reference": USUAL}
    assert [records.relative_canary(given, part) for part in quiet.CANARY] == [0.5, 180 / USUAL["decode_per_second"]]
    assert records.relative_canary({"reference": None}, "gemm_gflops") is None
    assert records.relative_canary(None, "gemm_gflops") is None


# --- measured again


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """Measure with a fake framework, while the probes find in each attempt what the test says."""
    monkeypatch.setitem(ADAPTERS, "fake", lambda definition: "fake_adapter")
    monkeypatch.setenv("PYTHONPATH", os.path.dirname(__file__))
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)
    out = tmp_path / "measurements" / "rep0.json"

    def run(found: list[list[str]], plan: dict | None = None, retries: int = 2, **more) -> dict:
        answers = iter(found)
        monkeypatch.setattr(quiet, "findings", lambda *_arguments: next(answers))
        patient = replace(PATIENT, retries=retries)
        supervisor.measure(example_repeat(tmp_path, plan or {}, limits=patient, **more), out)
        return records.read(out)

    return run


def test_a_quiet_repeat_is_measured_once(measure):
    record = measure([[]])
    assert record["flags"] == [] and record["attempts"] == []
    assert record["quiet"]["findings"] == [] and 0 < record["quiet"]["seconds"] < record["total_seconds"]
    assert record["quiet"]["before"]["gemm_gflops"] > 0


@pytest.mark.parametrize("seconds", [(1.0, 0.0), (0.0, 1.0)], ids=["before", "after"])
def test_both_probes_count_as_time_of_the_probes(measure, monkeypatch, seconds):
    told, takes = quiet.probe("cpu", None, PATIENT), iter(seconds)
    monkeypatch.setattr(quiet, "probe", lambda *_: (time.sleep(next(takes)), told)[1])
    assert measure([[]])["quiet"]["seconds"] >= 1.0


def test_the_measuring_process_itself_is_no_holder(measure, monkeypatch):
    """It works for the canaries, between the two looks at who works."""
    looks = iter([{}, {(os.getpid(), 1.0): ("python", 500.0), (1, 1.0): ("cc", 500.0)}])
    monkeypatch.setattr(quiet, "cpu_by_process", lambda: next(looks))
    (held,) = measure([[]])["quiet"]["during"]["holders"]
    assert held.startswith("cc (1): ")


def test_a_suspect_repeat_is_measured_again_and_both_are_kept(measure, capfd):
    record = measure([["steal"], []])
    assert record["flags"] == [] and len(record["attempts"]) == 1
    aside = record["attempts"][0]
    assert aside["flags"] == ["suspect"] and aside["quiet"]["findings"] == ["steal"] and aside["status"] == "ok"
    assert len(aside["pass_seconds"]) == 3 and aside["started"] <= record["started"]
    assert "measuring again: steal" in capfd.readouterr().out


def test_one_that_stays_suspect_keeps_the_last_attempt_flagged(measure):
    record = measure([["one"], ["two"], ["three"]])
    assert record["flags"] == ["suspect"] and record["quiet"]["findings"] == ["three"]
    assert [one["quiet"]["findings"] for one in record["attempts"]] == [["one"], ["two"]]


def test_one_that_never_becomes_steady_is_not_measured_again(measure):
    """Another draw would only be a luckier one."""
    slower_and_slower = {"seconds": [0.05 * 1.5**number for number in range(6)]}
    record = measure([[]], slower_and_slower, passes=few_passes(timed=5, shift=0.03))
    assert record["flags"] == ["no steady state"] and record["attempts"] == []
    assert record["wall_seconds"] > 0 and not record["steady"]["settled"]


def test_no_retries_measure_once(measure):
    assert measure([["one"]], retries=0)["attempts"] == []


def test_a_failure_is_not_measured_again(measure):
    record = measure([], {"at": {"load": ["fail", "RuntimeError", "no"]}})
    assert record["status"] == "error" and record["attempts"] == [] and record["quiet"]["findings"] == []


def test_a_record_keeps_what_a_set_aside_attempt_looked_like(measure):
    assert records.problems(measure([["x"], []])) == []
    broken = example_record(attempts=[{"status": "ok"}])
    assert "attempts" in records.problems(broken)[0]

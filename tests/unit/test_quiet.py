"""Quiet probes: which repeat is suspect and why, and that it is measured again."""

import os
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from example_records import PATIENT, example_record, example_repeat, few_passes

from vitbench.frameworks import ADAPTERS
from vitbench.measure import counters, quiet, supervisor
from vitbench.measure.limits import Limits
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


@pytest.mark.parametrize(("uuid", "asked"), [("GPU-1a2b", ["--id=GPU-1a2b"]), ("MIG-1a2b", []), (None, [])])
def test_only_processes_on_the_gpu_that_is_measured_count_on_a_machine_of_several(monkeypatch, uuid, asked):
    commands = []

    def run(command, **_more):
        commands.append(command)
        return SimpleNamespace(returncode=0, stdout="")

    monkeypatch.setattr(quiet.subprocess, "run", run)
    monkeypatch.setattr(quiet.energy, "find_gpu", lambda: uuid and SimpleNamespace(uuid=lambda: uuid))
    assert quiet.gpu_processes() == []
    assert [one for one in commands[0] if one.startswith("--id")] == asked


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
    monkeypatch.setattr(counters, "cpu_by_process", lambda: next(looks))
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
    slower_and_slower = {"seconds": [0.05 * 1.5**number for number in range(6)], "made_up_time": True}
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

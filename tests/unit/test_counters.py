"""What others took of the CPU, what is ours of it, and who is named."""

import multiprocessing
import os
import subprocess
import sys
import time
from collections import namedtuple
from multiprocessing.synchronize import Event

import psutil
import pytest

from vitbench.measure import counters, processes
from vitbench.measure.processes import MARK, kill_marked, machine_lock, marked


def burn(seconds: float, burnt: Event, enough: Event) -> None:
    """Use so many seconds of a core, say so, and stay alive until told otherwise."""
    while time.process_time() < seconds:
        sum(range(1000))
    burnt.set()
    enough.wait()


def test_another_process_is_seen_measured_and_named():
    spans, processes = counters.Spans(), counters.cpu_by_process()
    spans.start()
    burnt, enough = multiprocessing.get_context("spawn").Event(), multiprocessing.get_context("spawn").Event()
    other = multiprocessing.get_context("spawn").Process(target=burn, args=(1.0, burnt, enough))
    since = time.monotonic()
    other.start()
    burnt.wait()  # however busy the machine is, it has then had its second
    seconds = time.monotonic() - since
    named = counters.holders(processes, counters.cpu_by_process(), seconds, ours=[os.getpid()])
    spans.stop()
    children = spans.counted["own_cpu_seconds"]  # the tree of this process holds the other one
    taken = counters.taken(spans.counted | {"own_cpu_seconds": 0.0})
    enough.set()
    other.join()
    assert any(f"({other.pid})" in line for line in named)
    assert children > 0.9
    assert taken["foreign_cpu_share"] is None or taken["foreign_cpu_share"] > 0.9 / (seconds * counters.machine.cores())


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
        before = counters.tree_cpu_seconds()
        subprocess.run([sys.executable, "-c", orphan, str(tmp_path / "burnt")], check=True)
        try:
            end = time.monotonic() + 300
            while not (tmp_path / "burnt").exists():
                assert time.monotonic() < end
                time.sleep(0.05)
            (left,) = marked(str(tmp_path))
            assert left.pid not in {one.pid for one in psutil.Process().children(recursive=True)}
            assert counters.tree_cpu_seconds() - before > 0.95
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
    assert not any(pid == dead.pid for pid, _ in counters.cpu_by_process())
    dead.wait()


def test_what_was_used_by_the_repeat_itself_is_not_foreign():
    counted = {"elapsed": 10.0, "busy": 12.0, "steal": None, "throttled": 0.5, "own_cpu_seconds": 11.0}
    taken = counters.taken(counted)
    assert taken["foreign_cpu_share"] == pytest.approx(1 / (10 * counters.machine.cores()))
    assert taken["throttled_seconds"] == 0.5 and taken["steal_share"] is None
    counted = {"elapsed": 10.0, "cores": counters.machine.cores(), "busy": 12.0, "steal": None, "own_cpu_seconds": 11.0}
    assert taken["counters"] == counted


def test_spans_add_up_and_can_be_forgotten(monkeypatch):
    told = iter([0.0, 3.0, 10.0, 14.0, 20.0, 21.0])
    others = {"busy": 1.0, "steal": None, "throttled": 0.0, "own_cpu_seconds": 2.0}
    monkeypatch.setattr(counters.Spans, "_read", staticmethod(lambda: others | {"elapsed": next(told)}))
    spans = counters.Spans()
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
    monkeypatch.setattr(counters.machine, "cores", lambda: 1000)
    assert counters.cpu_counters()["busy"] is None


def test_what_the_hypervisor_took_is_a_share_of_all_cores(monkeypatch):
    monkeypatch.setattr(counters.machine, "cores", lambda: 4)
    counted = {"elapsed": 10.0, "busy": 30.0, "steal": 4.0, "throttled": None, "own_cpu_seconds": 28.0}
    taken = counters.taken(counted)
    assert taken["steal_share"] == pytest.approx(4 / 40) and taken["foreign_cpu_share"] == pytest.approx(2 / 40)


def test_time_that_was_stolen_or_idle_is_nobodys_work(monkeypatch):
    times = namedtuple("times", "user system idle iowait steal guest guest_nice")
    # Linux counts the second of a guest in user time too.
    monkeypatch.setattr(counters.psutil, "cpu_times", lambda percpu: [times(5, 3, 80, 2, 10, 1, 0)] * 2)
    monkeypatch.setattr(counters.os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(counters.machine, "cores", lambda: 2)
    counted = counters.cpu_counters()
    assert (counted["busy"], counted["steal"]) == (2 * (5 + 3), 2 * 10)

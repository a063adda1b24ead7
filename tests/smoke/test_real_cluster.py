"""A real standalone cluster with two workers of one core each, on the tiny model: what it answers, loses and leaves.

Each repeat is one as it is measured, supervisor and all. What kills is a thread beside it.
"""

from __future__ import annotations

import json
import os
import pickle
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest
import tiny
import tree
from test_kill import PATIENCE, wait_until

from vitbench import tables
from vitbench.files import HOME
from vitbench.frameworks.standalone import MASTER, WORKER, Standalone, cores_of_each
from vitbench.measure import supervisor
from vitbench.measure.limits import Limits
from vitbench.measure.repeat import Repeat
from vitbench.records import record as records
from vitbench.steady import Passes

pytestmark = [
    pytest.mark.jvm,
    pytest.mark.long,
    pytest.mark.skipif(not cores_of_each(2, 1), reason="two workers want a core each"),
]
# The twelve photographs of the tiny model, so many times under names of their own: passes of about a second or more.
TIMES = 40
EXECUTOR = "org.apache.spark.executor.CoarseGrainedExecutorBackend"
DRIVER = "org.apache.spark.deploy.SparkSubmit"
LOOPBACK = {"127.0.0.1", "::1"}
# Where the driver of a cluster elsewhere is reached. By itself Spark takes the address of this machine's name, which a
# machine of a test need not have.
REACHED = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
# What the shell may hold of another cluster.
FOREIGN = {"SPARK_MASTER_HOST": "nowhere.example", "SPARK_WORKER_CORES": "7", "PYTHONSTARTUP": "x"}
# What nothing on this machine can exceed.
PATIENT = Limits(
    canary_seconds=0.01, gemm_slower=0.99, decode_slower=0.99, steal=99, foreign_cpu=99, free_memory_gb=0, retries=0
)
# A measuring process of its own: the repeat comes pickled, the record's path as an argument.
MEASURE = """
import pickle, sys
from pathlib import Path
from vitbench.measure import supervisor
supervisor.measure(pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The tiny model and its photographs; their folder's name has a blank and more."""
    return tiny.make(tmp_path_factory.mktemp("cluster") / "mit Ü & ;")


@pytest.fixture(autouse=True)
def nobody_ordered(monkeypatch):
    monkeypatch.delenv(supervisor.ORDERED_BY, raising=False)


def repeat_of(place: Path, folder: Path, workers: int = 2, timed: int = 12, master: str | None = None) -> Repeat:
    """A repeat of ONNX Runtime in Spark's tasks with so many single-core workers, and so many timed passes."""
    name = "spark-onnxruntime/float32"
    framework, variant = name.split("/")
    cluster = {"master": master, "workers": workers, "cores": 1, "memory_mb": 1024, "hadoop": None}
    settings = REACHED if master and master.startswith("spark://") else {}
    given = tiny.task(place, name)
    images = [(f"{turn}-{image}", path) for turn in range(TIMES) for image, path in given.images]
    task = replace(
        given,
        workers=workers,
        images=images,
        temporary=str(folder / "measurements" / ".rep0.repeat"),
        spark={"settings": settings, "cluster": cluster},
    )
    known = {
        "schema": records.SCHEMA, "machine": "a-test", "protocol": 1, "model": "vit-tiny-seeded", "dataset": "sample",
        "images": len(images), "framework": framework, "variant": variant, "device": "cpu", "workers": workers,
        "batch_size": task.batch_size, "repeat": 0, "block": 0, "order": 0, "identity": {}, "measuring": {},
        "environment": {}, "hashes": {},
    }  # fmt: skip
    passes = Passes(
        warm_images=1, warm_seconds=0, shift=1, settling=100, timed=timed, timed_images=10**6, extensions=0,
        most_seconds=1800,
    )  # fmt: skip
    labels = dict.fromkeys((image for image, _ in images), "")
    return Repeat(known, task, labels, passes, PATIENT, reference=None, timeout_seconds=1800)


def of_kind(given: Iterable[psutil.Process], kind: str) -> list[psutil.Process]:
    """Those of the processes that live and whose command names this class."""
    return tree.living(given, lambda one: kind in one.cmdline())


def processes(folder: Path, kind: str) -> list[psutil.Process]:
    """The living processes of a repeat below `folder` whose command names this class."""
    return of_kind(tree.processes_of(folder), kind)


def measured(repeat: Repeat, folder: Path, beside: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Measure, with something done beside it, after which nothing is left; the record."""
    out = folder / "measurements" / "rep0.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    thread = threading.Thread(target=beside)
    thread.start()
    record = supervisor.measure(repeat, out)
    thread.join()
    assert tree.processes_of(folder) == []
    assert sorted(path.name for path in out.parent.iterdir()) == ["rep0.json", "rep0.predictions.csv"]
    assert records.problems(record) == []
    return record


def wait_for_a_pass(folder: Path) -> None:
    """Wait until the first pass has ended, or the repeat, which then came to no good end."""
    events, record = (folder / "measurements" / name for name in (".rep0.repeat/events.jsonl", "rep0.json"))

    def ended() -> bool:
        with suppress(FileNotFoundError):  # not yet there, or gone with the repeat
            return '"event": "pass"' in events.read_text()
        return record.exists()

    wait_until(ended, 1500)


def kill_one(folder: Path, kind: str, moment: float) -> Callable[[], None]:
    """Kill one process of this kind with SIGKILL, so many seconds after the first pass has ended."""

    def act() -> None:
        wait_for_a_pass(folder)
        time.sleep(moment)
        processes(folder, kind)[0].kill()

    return act


def answers(folder: Path) -> list[tuple[str, str]]:
    said = records.read_predictions(folder / "measurements" / "rep0.predictions.csv")
    return sorted((image, label) for image, label, _ in said)


@pytest.fixture(scope="module")
def alone(place, tmp_path_factory) -> list[tuple[str, str]]:
    """What the same framework says without Spark."""
    name = "onnxruntime/float32"
    given = repeat_of(place, tmp_path_factory.mktemp("alone")).task
    given = replace(given, variant=tiny.definition(name), workers=1, temporary=str(place / "temporary"), spark={})
    predictions, _ = tiny.run(import_module(tiny.module(name)).Adapter(given))
    return sorted((one.id, one.label) for one in predictions)


def listening(folder: Path) -> set[str]:
    """The addresses at which processes of a repeat wait for others."""
    sockets = tree.answers_of(tree.processes_of(folder), lambda one: one.net_connections("inet"))
    heard = [socket for each in sockets for socket in each if socket.status == psutil.CONN_LISTEN]
    return {socket.laddr.ip.removeprefix("::ffff:") for socket in heard}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_answers_as_one_process_does_and_records_what_it_was(place, tmp_path, alone, monkeypatch, workers):
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    seen: dict[str, Any] = {}

    def look() -> None:
        wait_for_a_pass(tmp_path)
        seen["processes"] = [len(processes(tmp_path, kind)) for kind in (MASTER, WORKER, EXECUTOR, DRIVER)]
        seen["cores"] = sorted(sorted(os.sched_getaffinity(one.pid)) for one in processes(tmp_path, EXECUTOR))
        seen["addresses"] = listening(tmp_path)
        options = [one.cmdline() for kind in (EXECUTOR, DRIVER) for one in processes(tmp_path, kind)]
        seen["kept"] = ["-XX:-UseDynamicNumberOfCompilerThreads" in " ".join(one) for one in options]
        seen["cpu"] = sum(tree.answers_of(tree.processes_of(tmp_path), lambda one: sum(one.cpu_times()[:2])))
        seen["foreign"] = [name for one in processes(tmp_path, EXECUTOR) for name in one.environ() if name in FOREIGN]

    record = measured(repeat_of(place, tmp_path, workers), tmp_path, look)
    assert record["status"] == "ok" and "work lost" not in record["flags"], record["reason"]
    assert answers(tmp_path) == alone
    assert seen["processes"] == [1, workers, workers, 1]
    assert seen["cores"] == [sorted(cores) for cores in cores_of_each(workers, 1)]
    assert seen["addresses"] <= LOOPBACK and seen["addresses"]
    assert seen["foreign"] == []
    assert seen["kept"] == [True] * (workers + 1)  # the threads whose CPU time is counted
    cluster = record["cluster"]
    assert (cluster["master"], cluster["executors"], cluster["cores"]) == ("standalone", workers, 1)
    assert cluster["here"] and cluster["pinned"] and cluster["why_lost"] == []
    assert (record["slots"], record["partitions"], record["threads"]) == (workers, workers, 1)
    assert all(one["executors_lost"] == one["tasks_retried"] == 0 for one in record["passes"])
    assert any(one["settling_seconds"] > 0 for one in record["passes"])  # the compilers of driver and executors
    assert record["setting"].endswith(f"standalone, {workers} executor{'' if workers == 1 else 's'} of 1 core")
    # Daemons, executors and their Python are this repeat's own.
    assert record["quiet"]["during"]["counters"]["own_cpu_seconds"] > seen["cpu"] > 0


def test_sparks_own_trial_of_a_cluster_works_too_and_leaves_nothing_beside_spark(place, tmp_path, alone):
    import pyspark

    record = measured(repeat_of(place, tmp_path, timed=2, master="local-cluster[2,1,1024]"), tmp_path)
    assert record["status"] == "ok" and record["cluster"]["executors"] == 2, record["reason"]
    assert record["cluster"]["master"] == "local-cluster[2,1,1024]" and answers(tmp_path) == alone
    assert not (Path(pyspark.__file__).parent / "work").exists()


@pytest.fixture
def theirs(tmp_path_factory) -> Iterator[tuple[Standalone, str]]:
    """The daemons of a cluster of two workers that was there before any repeat, and its address."""
    cluster = Standalone(tmp_path_factory.mktemp("theirs") / "cluster")
    try:
        yield cluster, cluster.start(2, 1, 2048)
    finally:
        cluster.stop()


def of_theirs(cluster: Standalone, kind: str) -> list[psutil.Process]:
    """What the daemons of somebody else's cluster have started of this class."""
    daemons = [psutil.Process(daemon.pid) for daemon in cluster.daemons.values()]
    return of_kind([one for daemon in daemons for one in daemon.children(recursive=True)], kind)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_cluster_that_exists_already_is_worked_on_and_its_daemons_live(place, tmp_path, alone, theirs, workers):
    cluster, address = theirs
    record = measured(repeat_of(place, tmp_path, workers, timed=2, master=address), tmp_path)
    assert record["status"] == "ok" and answers(tmp_path) == alone, record["reason"]
    told = record["cluster"]
    assert (told["master"], told["here"], told["executors"], told["pinned"]) == ("spark", False, workers, False)
    assert (record["slots"], told["executors_lost"]) == (workers, 0) and "work lost" not in record["flags"]
    assert "127.0.0.1" not in json.dumps(record)
    cluster.check()
    wait_until(lambda: not of_theirs(cluster, EXECUTOR), PATIENCE)


def test_an_executor_of_it_that_is_killed_loses_no_image(place, tmp_path, alone, theirs):
    cluster, address = theirs

    def kill() -> None:
        wait_for_a_pass(tmp_path)
        time.sleep(1)
        of_theirs(cluster, EXECUTOR)[0].kill()

    record = measured(repeat_of(place, tmp_path, master=address), tmp_path, kill)
    assert record["status"] == "ok" and answers(tmp_path) == alone, record["reason"]
    assert "work lost" in record["flags"] and record["cluster"]["executors_lost"] == 1
    cluster.check()


@pytest.mark.parametrize("seed", range(10))
def test_an_executor_that_is_killed_at_any_moment_loses_no_image_and_gives_none_twice(place, tmp_path, alone, seed):
    moment = random.Random(seed).uniform(0, 6)
    record = measured(repeat_of(place, tmp_path), tmp_path, kill_one(tmp_path, EXECUTOR, moment))
    assert record["status"] == "ok", record["reason"]
    for one in record["passes"]:
        assert (one["valid"], one["lost"], one["duplicated"], one["unknown"]) == (len(alone), [], [], [])
    assert answers(tmp_path) == alone
    assert "work lost" in record["flags"] and record["cluster"]["executors_lost"] == 1
    assert sum(one["executors_lost"] for one in record["passes"]) <= 1
    assert record["cluster"]["why_lost"] and "127.0.0.1" not in str(record["cluster"])


@pytest.mark.parametrize("seed", range(10))
def test_a_worker_that_is_killed_takes_its_executor_along_and_the_other_does_the_work(place, tmp_path, alone, seed):
    moment = random.Random(seed).uniform(0, 6)
    record = measured(repeat_of(place, tmp_path), tmp_path, kill_one(tmp_path, WORKER, moment))
    assert record["status"] == "ok" and answers(tmp_path) == alone, record["reason"]
    assert "work lost" in record["flags"] and record["cluster"]["executors_lost"] == 1


def test_the_last_worker_that_is_killed_ends_the_repeat_and_not_its_patience(place, tmp_path):
    """Spark itself would wait for another one for ever."""
    begun = time.monotonic()
    record = measured(repeat_of(place, tmp_path, workers=1, timed=60), tmp_path, kill_one(tmp_path, WORKER, 1))
    assert record["status"] == "error" and time.monotonic() - begun < 600
    assert "cancelled" in record["reason"]


@pytest.mark.parametrize("seed", range(10))
def test_a_driver_that_is_killed_is_a_failed_row_with_one_line(place, tmp_path, seed):
    moment = random.Random(seed).uniform(0, 3)
    record = measured(repeat_of(place, tmp_path, timed=60), tmp_path, kill_one(tmp_path, DRIVER, moment))
    assert record["status"] == "error" and record["cluster"] is None
    assert record["reason"] == "Spark's driver, its Java virtual machine, died while it worked (signal 9)"


def test_nothing_is_left_when_the_supervisor_is_killed(place, tmp_path):
    (tmp_path / "measurements").mkdir()
    (tmp_path / "repeat").write_bytes(pickle.dumps(repeat_of(place, tmp_path, timed=200)))
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "repeat"), str(tmp_path / "measurements" / "rep0.json")]
    measuring = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(HOME / "scripts")})
    wait_for_a_pass(tmp_path)
    assert len(processes(tmp_path, WORKER)) == len(processes(tmp_path, EXECUTOR)) == 2
    measuring.send_signal(signal.SIGKILL)
    measuring.wait()
    wait_until(lambda: not tree.processes_of(tmp_path), PATIENCE)
    wait_until(lambda: not list((tmp_path / "measurements").iterdir()), PATIENCE)


def test_the_whole_workflow_measures_one_worker_and_two_beside_one_node(tmp_path):
    folder = tmp_path / "a run"
    folder.mkdir()
    changes = {"frameworks": ["huggingface/pipeline", "spark-huggingface/float32"], "workers": [1, 2]}
    (folder / "more.yaml").write_text(json.dumps(changes | {"batch_sizes": [4], "control": False}))
    said = tree.smoke(folder, "results/summary.txt", "results/parity.csv", "results/speedup.csv")
    assert "huggingface: on one node only (w1)" in said
    runs = tables.read(folder / "results/runs.csv")
    assert (runs.status == "ok").all(), list(runs.reason)
    counted = runs.groupby(["framework", "workers"]).size()
    assert list(counted) == [2, 2, 2]  # sample and full
    inside = runs[runs.framework == "spark-huggingface"]
    assert (inside.slots / inside.workers).nunique() == 1  # every worker has as many cores
    parity = tables.read(folder / "results/parity.csv")
    assert parity.passed.all() and len(parity) == 2 * 3
    speedup = tables.read(folder / "results/speedup.csv")
    assert sorted(speedup[speedup.dataset == "full"].family) == ["exploratory", "primary", "primary"]
    assert tree.processes_of(folder) == []

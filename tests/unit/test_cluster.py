"""A cluster's executors and the daemons of one of our own, with Spark and Java played by others.

On real ones: tests/smoke/test_real_cluster.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pyspark
import pytest
from example_records import example_record
from py4j.protocol import Py4JError

from vitbench.errors import UserError
from vitbench.frameworks import cluster as module
from vitbench.frameworks import standalone
from vitbench.frameworks.cluster import Cluster, Executors
from vitbench.frameworks.inside_spark import InsideSpark
from vitbench.frameworks.spark import driver_outlives
from vitbench.frameworks.standalone import Standalone
from vitbench.records import record as records

OWN = Cluster(None, workers=2, cores=4, memory_mb=1500)
ELSEWHERE = Cluster("spark://node-7.example:7077", workers=3, cores=4, memory_mb=1500)


# --- what is asked for


def test_an_executor_has_what_a_worker_has_and_there_are_no_more_than_were_asked_for():
    asked = OWN.settings(2, {"TF_ENABLE_ONEDNN_OPTS": "1"})
    assert (asked["spark.executor.cores"], asked["spark.cores.max"], asked["spark.executor.memory"]) == (
        "4", "8", "1500m",
    )  # fmt: skip
    assert (asked["spark.executor.instances"], asked["spark.dynamicAllocation.enabled"]) == ("2", "false")
    assert (asked["spark.task.cpus"], asked["spark.default.parallelism"]) == ("2", "4")
    assert asked["spark.executorEnv.TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert OWN.slots(1) == 8 and OWN.slots(3) == 2 and OWN.slots(4) == 2


@pytest.mark.parametrize(
    ("master", "kind", "here"),
    [
        (None, "standalone", True), ("local-cluster[2,1,4096]", "local-cluster[2,1,4096]", True),
        ("spark://node-7.example:7077", "spark", False), ("k8s://https://10.0.0.7:443", "k8s", False),
        ("yarn", "yarn", False),
    ],
)  # fmt: skip
def test_a_master_is_named_without_its_address(master, kind, here):
    found = Cluster(master, 2, 1, 1024)
    assert (found.kind, found.here) == (kind, here)
    assert found.words == f"{kind}, 2 executors of 1 core" and "node" not in found.words


def test_without_a_cluster_in_its_task_a_repeat_is_on_one_node():
    assert Cluster.of(SimpleNamespace(spark={})) is None
    assert Cluster.of(SimpleNamespace(spark={"settings": {}})) is None
    given = {"master": None, "workers": 2, "cores": 4, "memory_mb": 1500, "hadoop": None}
    assert Cluster.of(SimpleNamespace(spark={"settings": {}, "cluster": given})) == OWN


# --- what was lost


class Store:
    """A session as Spark tells of it: executors, and jobs with how many attempts at tasks failed in each."""

    def __init__(self) -> None:
        self.executors: dict[str, str | None] = {"driver": None}  # → why it was lost
        self.jobs: dict[int, int] = {}

    def session(self):
        found = [self._summary(number, why) for number, why in self.executors.items()]
        listed = SimpleNamespace(size=lambda: len(found), apply=found.__getitem__)
        context = SimpleNamespace(
            statusStore=lambda: SimpleNamespace(executorList=lambda active: listed),
            listenerBus=lambda: SimpleNamespace(waitUntilEmpty=lambda milliseconds: None),
        )
        tracker = SimpleNamespace(
            getJobInfo=lambda job: SimpleNamespace(stageIds=[10 * job, 10 * job + 1]) if job in self.jobs else None,
            getStageInfo=lambda stage: SimpleNamespace(numFailedTasks=self.jobs[stage // 10]) if stage % 10 else None,
        )
        return SimpleNamespace(
            sparkContext=SimpleNamespace(_jsc=SimpleNamespace(sc=lambda: context), statusTracker=lambda: tracker)
        )

    def _summary(self, number: str, why: str | None):
        reason = SimpleNamespace(isDefined=lambda: bool(why), get=lambda: why)
        return SimpleNamespace(
            id=lambda: number, isActive=lambda: why is None, removeReason=lambda: reason, totalGCTime=lambda: 250
        )


@pytest.fixture
def store() -> Store:
    return Store()


class Watched(Executors):
    """Executors whose session is asked anew each time."""

    def __init__(self, cluster: Cluster, store: Store) -> None:
        super().__init__(cluster, threads=1)
        self._store = store

    @property
    def spark(self):
        return self._store.session()

    @spark.setter
    def spark(self, _session) -> None:
        pass


def test_what_was_lost_and_done_again_is_told_once(store):
    store.executors |= {"0": None, "1": None}
    watched = Watched(OWN, store)
    watched.join(store.session())
    store.jobs = {0: 0, 1: 0}
    assert watched.faults() == {"executors_lost": 0, "tasks_retried": 0}
    store.executors |= {"1": "Command exited\nwith code 137 on node-7.example:41234", "2": None}
    store.jobs |= {2: 3, 3: 1}
    assert watched.faults() == {"executors_lost": 1, "tasks_retried": 4}
    assert watched.faults() == {"executors_lost": 0, "tasks_retried": 0}
    store.executors["2"] = ""
    store.executors["3"] = "Container from a bad node: container_1 on host: node1.example.com. Exit status: 143"
    told = watched.describe()
    assert (told["executors"], told["executors_lost"], told["tasks_retried"]) == (2, 3, 4)
    assert told["why_lost"] == [
        "Command exited with code 137 on …",
        "Container from a bad node: container_1 on host: … Exit status: 143",
        "Spark says nothing",
    ]
    assert watched.collecting_seconds() == pytest.approx(1)  # of four executors, not of the driver


def test_a_job_that_begins_after_the_last_worker_has_ended_is_cancelled_too(monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS_BETWEEN_LOOKS", 0.01)
    cancelled = []
    session = SimpleNamespace(sparkContext=SimpleNamespace(cancelAllJobs=lambda: cancelled.append(time.monotonic())))
    watched = Executors(OWN, threads=1)
    watched.spark, watched.daemons = session, SimpleNamespace(workers_gone=True, stop=lambda: None)
    watching = threading.Thread(target=watched._watch, daemon=True)
    watching.start()
    deadline = time.monotonic() + 30
    while len(cancelled) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    watched.stop()
    watching.join(30)
    assert len(cancelled) >= 3 and not watching.is_alive()
    assert capsys.readouterr().out.count("every worker of the cluster has ended") == 1


def test_a_session_waits_for_all_its_executors_and_says_how_many_came(store, monkeypatch):
    monkeypatch.setattr(module, "PATIENCE", 0.2)
    store.executors |= {"0": None, "1": "gone"}
    with pytest.raises(UserError) as raised:
        Watched(ELSEWHERE, store).join(store.session())
    line = str(raised.value)
    assert line.startswith("workers: 1 of 3 executors of 4 cores and 1500 MB registered within 0 s (master: spark)")
    assert "\n" not in line and "node-7" not in line


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the kernel tells of no thread by its name")
def test_what_the_compilers_took_never_falls(monkeypatch):
    told = iter([{(7, 8): 1.0, (7, 9): 2.0}, {(7, 8): 1.5}, {(7, 8): 0.25, (7, 10): 1.0}])
    monkeypatch.setattr(module, "_compilers", lambda: next(told).items())
    executors = Executors(OWN, 1)
    assert [executors.compiling_seconds() for _ in range(3)] == [3.0, 3.5, 4.5]
    assert Executors(ELSEWHERE, 1).compiling_seconds() is None


def test_a_driver_that_died_is_one_line_and_one_that_lives_says_what_it_said():
    def session(code: str):
        process = subprocess.Popen(["sh", "-c", code])
        return SimpleNamespace(sparkContext=SimpleNamespace(_gateway=SimpleNamespace(proc=process)))

    for code, how in (("kill -9 $$", "signal 9"), ("exit 3", "exit status 3")):
        with (
            pytest.raises(UserError, match=rf"driver.* died while it worked \({how}\)"),
            driver_outlives(session(code)),
        ):
            raise Py4JError("An error occurred while calling o45.collect")
    with pytest.raises(ValueError, match="ours"), driver_outlives(session("exit 0")):
        raise ValueError("ours")


# --- daemons of our own


SPARK_CLASS = """\
#!/bin/sh
env > "$SPARK_CONF_DIR/$1.$$.env"
printf '%s\\n' "$@" > "$SPARK_CONF_DIR/$1.$$.partial"
mv "$SPARK_CONF_DIR/$1.$$.partial" "$SPARK_CONF_DIR/$1.$$.arguments"
case "$1" in *Master) {master} ;; esac
exec sleep 1000
"""


@pytest.fixture
def spark_home(tmp_path, monkeypatch):
    """Put a script in the place of Spark's; what its master does is told."""

    def play(master: str = "echo 'INFO Master: Starting Spark master at spark://127.0.0.1:40123'") -> None:
        script = tmp_path / "spark" / "bin" / "spark-class"
        script.parent.mkdir(parents=True)
        script.write_text(SPARK_CLASS.format(master=master))
        script.chmod(0o755)
        monkeypatch.setattr(pyspark, "__file__", str(tmp_path / "spark" / "__init__.py"))

    return play


def test_the_daemons_of_a_cluster_start_apart_from_all_others_and_none_is_left(tmp_path, spark_home, monkeypatch):
    spark_home()
    monkeypatch.setenv("A_MARK", "ours")
    folder = tmp_path / "a folder" / "cluster"
    daemons = Standalone(folder)
    assert daemons.start(workers=1, cores=1, memory_mb=1500) == "spark://127.0.0.1:40123"
    processes = [psutil.Process(one.pid) for one in daemons.daemons.values()]
    try:
        assert list(daemons.daemons) == ["master", "worker-0"]
        wait_for(lambda: len(list(folder.glob("*.arguments"))) == 2)
        written = {re.sub(r"\.\d+\.arguments$", "", path.name): path.read_text().splitlines()
                   for path in folder.glob("*.arguments")}  # fmt: skip
        for name in (standalone.MASTER, standalone.WORKER):
            begin = written[name][:7]
            assert begin == [name, "--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
        assert written[standalone.WORKER][7:] == [
            "--cores", "1", "--memory", "1500M", "--work-dir", str(folder / "worker-0"), "spark://127.0.0.1:40123"
        ]  # fmt: skip
        for path in folder.glob("*.env"):
            told = dict(line.partition("=")[::2] for line in path.read_text().splitlines())
            assert told["A_MARK"] == "ours" and told["SPARK_LOCAL_IP"] == "127.0.0.1"
            assert told["SPARK_LOCAL_DIRS"] == told["SPARK_CONF_DIR"] == str(folder)
            assert f"'-Djava.io.tmpdir={folder}'" in told["SPARK_DAEMON_JAVA_OPTS"]  # quoted, for its blank
    finally:
        daemons.stop()
    assert not any(one.is_running() for one in processes)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system holds no process to a core")
def test_a_worker_is_held_to_cores_of_its_own(tmp_path, spark_home, monkeypatch):
    there = sorted(os.sched_getaffinity(0))
    own = standalone.cores_of_each(len(there), 1)
    assert own == [{one} for one in there]
    assert standalone.cores_of_each(len(there), 2) is None  # there are too few
    spark_home()
    daemons = Standalone(tmp_path / "cluster")
    daemons.start(workers=1, cores=1, memory_mb=1500)
    try:
        assert daemons.pinned
        assert os.sched_getaffinity(daemons.daemons["worker-0"].pid) == own[0]
        assert os.sched_getaffinity(daemons.daemons["master"].pid) == set(there)
    finally:
        daemons.stop()
    assert sorted(os.sched_getaffinity(0)) == there


def test_the_daemons_end_although_the_driver_is_gone():
    def gone():
        raise Py4JError("the driver is gone")

    ended, adapter = [], InsideSpark()
    adapter.spark = SimpleNamespace(stop=gone)
    adapter.executors = SimpleNamespace(stop=lambda: ended.append(True))
    with pytest.raises(Py4JError):
        adapter.close()
    assert ended == [True]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system holds no process to a core")
def test_hardware_threads_of_a_core_belong_to_one_worker(tmp_path, monkeypatch):
    """Numbered as Linux does: all cores once, then their second threads."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2, 3, 4, 5, 6, 7})
    of_number = {number: (number % 4 // 2, number % 2) for number in range(8)}
    monkeypatch.setattr(standalone, "_core_of", of_number.get)
    assert standalone.cores_of_each(2, 4) == [{0, 4, 1, 5}, {2, 6, 3, 7}]
    assert standalone.cores_of_each(4, 2) == [{0, 4}, {1, 5}, {2, 6}, {3, 7}]
    # Workers that are smaller than a core share none as long as there are others.
    assert standalone.cores_of_each(4, 1) == [{0}, {1}, {2}, {3}]
    assert standalone.cores_of_each(8, 1) == [{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}]
    assert standalone.cores_of_each(2, 3) == [{0, 4, 1}, {5, 2, 6}]


def test_where_a_core_lies_is_what_the_system_says(tmp_path):
    folder = tmp_path / "cpu5" / "topology"
    folder.mkdir(parents=True)
    (folder / "physical_package_id").write_text("1\n")
    (folder / "core_id").write_text("3\n")
    assert standalone._core_of(5, tmp_path) == (1, 3)
    assert standalone._core_of(6, tmp_path) == (0, 0)


def test_a_master_that_ends_is_one_line_with_its_last_word_and_the_log_has_more(tmp_path, spark_home, capsys):
    spark_home("echo 'Failed to bind to 127.0.0.1' >&2; exit 1")
    daemons = Standalone(tmp_path / "cluster")
    with pytest.raises(UserError) as raised:
        daemons.start(workers=1, cores=1, memory_mb=1500)
    assert str(raised.value) == "Spark's master ended (exit status 1): Failed to bind to 127.0.0.1"
    executor = tmp_path / "cluster" / "worker-0" / "app-1" / "0" / "stderr"
    executor.parent.mkdir(parents=True)
    executor.write_text("no room for the heap\n")
    daemons.tell()
    told = capsys.readouterr().out
    assert "--- master.log\nFailed to bind to 127.0.0.1\n" in told and "no room for the heap" in told
    daemons.stop()


def test_a_master_that_says_nothing_is_not_waited_for_for_ever(tmp_path, spark_home, monkeypatch):
    monkeypatch.setattr(standalone, "PATIENCE", 0.3)
    spark_home("true")
    daemons = Standalone(tmp_path / "cluster")
    with pytest.raises(UserError, match="master did not listen on 127.0.0.1 within 0 s"):
        daemons.start(workers=1, cores=1, memory_mb=1500)
    daemons.stop()
    assert daemons.daemons["master"].returncode is not None


def test_what_a_record_says_of_a_cluster_fits_the_schema(store):
    store.executors |= {"0": None, "1": "exited"}
    watched = Watched(Cluster(None, 1, 1, 1024), store)
    watched.join(store.session())
    told = json.loads(json.dumps(watched.describe()))
    assert records.problems(example_record(cluster=told, flags=["work lost"])) == []
    assert records.problems(example_record(cluster=None)) == []
    assert records.problems(example_record(cluster=told | {"host": "node-7"})) != []


def wait_for(happened) -> None:
    deadline = time.monotonic() + 300
    while not happened():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)

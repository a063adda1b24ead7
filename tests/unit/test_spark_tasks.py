"""A framework of Python inside Spark: shares, slots, what a task says of itself, and a real session of it."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib import import_module
from types import SimpleNamespace

import mixed_images
import pytest
import tiny
from py4j.protocol import Py4JJavaError

from vitbench.errors import UserError
from vitbench.files import HOME
from vitbench.frameworks import FRAMEWORKS, Task, Unavailable, spark_tasks
from vitbench.measure import harness
from vitbench.measure.processes import MARK, machine_lock

TRACEBACK = """\
Traceback (most recent call last):
  File "{first}", line 12, in classify
    answers = adapter.answer(paths)
  File "{last}", line 3, in open
    raise UnidentifiedImageError(message)
PIL.UnidentifiedImageError: cannot identify image file
  'a.jpg'
"""


def task(cores: int = 2, **settings) -> Task:
    return Task(
        variant={"image_processor": "pil", "precision": "float32", "threads_a_slot": 1} | settings,
        device="cpu",
        workers=1,
        batch_size=4,
        threads=cores,
        images=[(str(number), f"{number}.jpg") for number in range(11)],
        images_folder="images",
        model="model",
        jars=[],
        natives="natives",
        temporary="temporary",
    )


def adapter(given: Task):
    return import_module("vitbench.frameworks.spark_huggingface.adapter").Adapter(given)


@pytest.mark.parametrize(("threads", "cores", "slots"), [(1, 2, 2), (2, 2, 1), (7, 2, 1), (2, 5, 2), (1, 1, 1)])
def test_slots_and_their_threads_are_no_more_than_the_cores(threads, cores, slots):
    made = adapter(task(cores, threads_a_slot=threads))
    assert made.slots == slots and made.inner.threads == made.threads <= threads
    assert made.slots * made.threads <= cores
    assert len(made.shares) == slots and sum(map(len, made.shares)) == 11


def test_a_task_runs_the_frameworks_own_variant_without_what_is_sparks():
    made = adapter(task(precision="bfloat16"))
    expected = {"image_processor": "pil", "precision": "bfloat16", "runner": "dataloader", "loader_workers": 0}
    assert made.inner.variant == expected and made.inner.images == []
    assert made.module == "vitbench.frameworks.huggingface.dataloader"
    of_onnx = import_module("vitbench.frameworks.spark_onnxruntime.adapter").Adapter(task())
    assert of_onnx.module == "vitbench.frameworks.onnxruntime.adapter"


@pytest.mark.parametrize("name", ["spark-huggingface/bfloat16", "spark-onnxruntime/int8", "spark-openvino/bfloat16"])
def test_what_runs_in_spark_needs_the_frameworks_own_form_and_java_but_no_jars(name):
    framework, settings = name.split("/")[0], tiny.definition(name)
    needs, own = FRAMEWORKS[framework].needs(settings, "cpu"), framework.removeprefix("spark-")
    assert needs.spark and needs.jars is None
    same = FRAMEWORKS[own].needs(settings, "cpu")
    told = ("form", "export", "library", "packages")
    assert [getattr(needs, one) for one in told] == [getattr(same, one) for one in told]
    assert needs.precision == same.precision == name.split("/")[1]


def test_shares_become_batches_of_their_own():
    given = [[(str(n), "") for n in range(6)], [(str(n), "") for n in range(6, 11)]]
    sizes = [len(batch) for batch in spark_tasks.batches(task(), iter(given))]
    assert sizes == [4, 2, 4, 1]


def test_every_task_reads_its_shares_to_the_end(monkeypatch):
    """Spark throws a worker away whose input was not read to its end, and with it the model."""
    own = SimpleNamespace(
        batches=dict.fromkeys(range(9), 0),
        answer=lambda paths: [("cat", 0.5)] * len(paths),
        describe=lambda: {"threads": 1},
    )
    monkeypatch.setattr(spark_tasks, "_own", own)
    for function in (spark_tasks.load, spark_tasks.classify, spark_tasks.describe):
        given = iter([[("1", "a")], [("2", "b")]])
        assert len(list(function("module", task(), given))) == 2
        assert next(given, None) is None


def test_what_a_framework_refuses_in_a_task_is_refused_outside(monkeypatch):
    def refuse():
        raise Unavailable("the products ran in bfloat16")

    monkeypatch.setattr(spark_tasks, "_own", SimpleNamespace(describe=refuse))
    told = list(spark_tasks.describe("module", task(), [[("1", "a")]]))
    monkeypatch.setattr(spark_tasks, "_own", None)
    told += spark_tasks.load("vitbench.frameworks.huggingface.processes", replace(
        task(threads_a_process=1), device="gpu"), [[]])  # fmt: skip
    assert [str(one) for one in told] == [
        "the products ran in bfloat16",
        "several processes share the cores of a CPU: leave the variant out on a GPU",
    ]
    made = adapter(task())
    made.spark = None
    made.given = SimpleNamespace(
        mapPartitions=lambda _: SimpleNamespace(collect=lambda: pickle.loads(pickle.dumps(told)))
    )
    with pytest.raises(Unavailable, match="ran in bfloat16"):
        made.describe()


CLUSTER = {"cluster": {"master": None, "workers": 2, "cores": 3, "memory_mb": 1024, "hadoop": None}}


@pytest.mark.parametrize(("threads", "slots"), [(1, 6), (2, 2), (7, 2)])
def test_on_a_cluster_every_executor_has_slots_of_its_own(threads, slots):
    made = adapter(replace(task(cores=8, threads_a_slot=threads), workers=2, spark=CLUSTER))
    assert made.slots == slots and made.threads == min(threads, 3) and len(made.shares) == slots
    assert made.executors.threads == made.threads and adapter(task()).executors is None


def test_a_gpu_is_refused_before_java_starts():
    with pytest.raises(Unavailable, match="cores of a CPU"):
        adapter(replace(task(), device="gpu")).start()


def fails(*causes: tuple[str, str]):
    """Rows whose computation ends in a Java exception with these causes (class, message)."""
    error = None
    for kind, text in reversed(causes):
        error = SimpleNamespace(
            getClass=lambda kind=kind: SimpleNamespace(getName=lambda: kind),
            getMessage=lambda text=text: text,
            getCause=lambda error=error: error,
            _target_id="o1",
            _gateway_client=None,
        )

    def collect():
        raise Py4JJavaError("", error)

    return SimpleNamespace(collect=collect)


ABORTED = ("org.apache.spark.SparkException", "Job aborted due to stage failure: Task 1 in stage 3.0 failed 1 times")


def test_what_a_library_raises_in_a_task_is_one_line_about_the_cell():
    text = TRACEBACK.format(first=HOME / "scripts/vitbench/frameworks/spark_tasks.py", last="/x/PIL/Image.py")
    with pytest.raises(UserError) as raised:
        spark_tasks._collected(fails(ABORTED, (spark_tasks.RAISED, text)))
    assert str(raised.value) == "PIL.UnidentifiedImageError: cannot identify image file 'a.jpg'"
    assert not harness.is_our_bug(raised.value)


def test_what_a_line_of_ours_raises_in_a_task_is_our_mistake():
    text = TRACEBACK.format(first="/x/pyspark/worker.py", last=HOME / "scripts/vitbench/frameworks/spark_tasks.py")
    with pytest.raises(RuntimeError, match="UnidentifiedImageError") as raised:
        spark_tasks._collected(fails(ABORTED, (spark_tasks.RAISED, text)))
    assert harness.is_our_bug(raised.value)


def test_a_worker_that_died_is_said_to_have_died_and_all_else_stays_what_it_is():
    for died in (
        ("org.apache.spark.SparkException", "Python worker exited unexpectedly (crashed)"),
        ("java.net.SocketException", "Connection reset"),
    ):
        with pytest.raises(UserError, match=r"died while it worked \((Python worker exited|Connection reset)"):
            spark_tasks._collected(fails(ABORTED, died))
    with pytest.raises(Py4JJavaError):
        spark_tasks._collected(fails(ABORTED, ("java.io.IOException", "No space left on device")))


def test_executors_that_were_lost_too_often_are_said_so_without_their_address():
    text = (
        "Job aborted due to stage failure: Task 1 in stage 3.0 failed 4 times, most recent failure: Lost task 1.3 in "
        "stage 3.0 (TID 9) (10.0.0.7 executor 5): ExecutorLostFailure (executor 5 exited caused by one of the running "
        "tasks) Reason: Command exited with code 137"
    )
    with pytest.raises(UserError) as raised:
        spark_tasks._collected(fails(("org.apache.spark.SparkException", text)))
    assert str(raised.value) == "executors of Spark were lost while they worked, 4 times over one task"


def test_of_a_chain_of_tracebacks_the_last_one_counts():
    text = TRACEBACK.format(first="a", last="b") + (
        "\nDuring handling of the above exception, another exception occurred:\n\n"
        'Traceback (most recent call last):\n  File "c", line 1, in f\n    g()\nValueError: Incorrect image source.\n'
    )
    assert spark_tasks.last_line(text) == "ValueError: Incorrect image source."


# --- a session --------------------------------------------------------------------------------------------------------

# Runs everything that a repeat does and more, in a process of its own, and prints what was seen as JSON.
SESSION = (
    tiny.FAILURE
    + """
import json, os, pickle, signal, sys, threading, time
from importlib import import_module
from pathlib import Path
import psutil
from tree import answers_of, living
from vitbench.measure.processes import MARK, marked

def workers():
    daemons = living(psutil.Process().children(recursive=True), lambda one: "pyspark.daemon" in one.cmdline())
    parents = dict(answers_of(daemons, lambda one: (one.pid, one.ppid())))
    return sorted(pid for pid, parent in parents.items() if parent in parents)

def unmarked():
    # Spark's start script leaves a dead process that the JVM never collects.
    below = psutil.Process().children(recursive=True)
    bear = {one.pid for one in marked(os.environ[MARK])}
    return [one.pid for one in living(below) if one.pid not in bear]

def wait_while(condition, seconds):
    end = time.monotonic() + seconds
    while condition() and time.monotonic() < end:
        time.sleep(0.1)

def kill_in_mid_task(victim, tracker):
    def active_tasks():
        stages = filter(None, map(tracker.getStageInfo, tracker.getActiveStageIds()))
        return sum(stage.numActiveTasks for stage in stages)

    wait_while(lambda: not active_tasks(), 300)
    time.sleep(2)  # until it has its share
    os.kill(victim, signal.SIGKILL)

def main():
    task, told = pickle.loads(bytes.fromhex(sys.argv[1])), {}
    adapter = import_module("vitbench.frameworks.spark_huggingface.adapter").Adapter(task)
    adapter.start()
    adapter.load()
    told["workers"] = [workers()]
    told["short"] = adapter.short_pass()
    told["answers"] = []
    for _ in range(2):
        told["answers"].append(sorted(map(list, adapter.classify())))
        told["workers"].append(workers())
    told["settling"] = adapter.settling_seconds()
    told["described"] = adapter.describe()
    told["profile"] = adapter.profile(2)
    told["answers"].append(sorted(map(list, adapter.classify())))
    told["workers"].append(workers())
    wait_while(unmarked, 10)  # a process that is just being started shows no variables yet
    told["unmarked"] = unmarked()
    told["environments"] = [psutil.Process(pid).environ() for pid in workers()]
    told["memory"] = harness.memory_mb(harness.RESIDENT)
    told["memory of workers"] = sum(psutil.Process(pid).memory_info().rss for pid in workers()) / 2**20

    path = Path(task.images[-1][1])
    whole = path.read_bytes()
    path.write_bytes(b"no image")
    told["damaged"] = failure(adapter)
    path.write_bytes(whole)
    told["answers"].append(sorted(map(list, adapter.classify())))

    victim = workers()[0]
    os.kill(victim, signal.SIGSTOP)  # it is given its share and does nothing with it, until it dies
    threading.Thread(target=kill_in_mid_task, args=(victim, adapter.spark.sparkContext.statusTracker())).start()
    told["died"] = failure(adapter)
    adapter.close()
    wait_while(workers, 300)
    told["left"] = workers()
    print(json.dumps(told))

main()
"""
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The tiny model, and a photograph of every form that people have."""
    folder = tiny.copy(tmp_path_factory, tmp_path_factory.mktemp("spark") / "mit Ü & ;")
    bad = mixed_images.plant(folder / "mixed", 10 * len(mixed_images.FORMS))
    for name in bad:
        (folder / "mixed" / name).unlink()
    return folder


@pytest.fixture(scope="module")
def given(place) -> Task:
    paths = sorted(path for path in (place / "mixed").rglob("*") if path.is_file())
    images = [(str(number), str(path)) for number, path in enumerate(paths)]
    return replace(tiny.task(place, "spark-huggingface/float32", batch_size=8), images=images)


@pytest.fixture(scope="module")
def told(given, place, tmp_path_factory) -> dict:
    """What a session says, in a shell that holds what is known to lead Spark's workers astray."""
    foreign = tmp_path_factory.mktemp("foreign")
    (foreign / "spark-defaults.conf").write_text("spark.python.worker.reuse false\n")
    brought = {
        "PYTHONPATH": os.pathsep.join([str(HOME / "scripts"), str(HOME / "tests"), str(foreign)]),
        "PYSPARK_PYTHON": "/bin/false",
        "PYSPARK_DRIVER_PYTHON": "/bin/false",
        "SPARK_HOME": "/no/such/spark",
        "SPARK_CONF_DIR": str(foreign),
        "PYTHONSTARTUP": str(foreign / "startup.py"),
        MARK: str(place),
    }
    # Whoever measures kills what bears the mark, and measures with this lock.
    with machine_lock():
        done = subprocess.run(
            [sys.executable, "-c", SESSION, pickle.dumps(given).hex()],
            cwd=given.temporary, env=os.environ | brought, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"foreign": str(foreign)}


@pytest.mark.ci
@pytest.mark.jvm
def test_its_answers_are_the_pipelines_on_every_form_of_image_in_every_pass(told, given):
    alike = replace(given, variant=tiny.definition("huggingface/pipeline"))
    expected, _ = tiny.run(import_module(tiny.module("huggingface/pipeline")).Adapter(alike))
    first, *others = told["answers"]
    assert len(first) == len(given.images) >= 130 and len(others) == 3
    assert [one[:2] for one in first] == [[one.id, one.label] for one in sorted(expected)]
    for (_, _, score), one in zip(first, sorted(expected), strict=True):
        assert score == pytest.approx(one.score, abs=1e-4)
    assert all(one == first for one in others)


@pytest.mark.ci
@pytest.mark.jvm
def test_workers_are_used_again_and_load_the_model_once(told):
    before, *after = told["workers"]
    assert len(before) == 2 and after == [before] * 3


@pytest.mark.ci
@pytest.mark.jvm
def test_what_it_says_of_itself_is_what_was_seen(told):
    described = told["described"]
    assert (described["slots"], described["threads"], described["partitions"]) == (2, 1, 2)
    assert described["partition_rows"] == {"65": 2} and described["effective_batch_sizes"] == {"1": 2, "8": 16}
    assert {"torch", "transformers", "pyspark", "java"} <= described["versions"].keys()
    assert {"blas", "jvm"} <= described["environment"].keys()
    assert described["executed"]["products"].keys() == {"float32"} and described["executed"]["error"] < 1e-5
    assert told["settling"] > 0 and told["short"] == 2


@pytest.mark.ci
@pytest.mark.jvm
def test_stages_of_the_tasks_and_the_rest_are_the_pass(told):
    assert len(told["profile"]["passes"]) == 2
    for one, tasks in zip(told["profile"]["passes"], told["profile"]["details"]["task_seconds"], strict=True):
        assert sum(one["stages"].values()) == pytest.approx(one["seconds"])
        assert all(one["stages"][stage] > 0 for stage in ("read", "decode", "preprocess", "forward", "other"))
        assert len(tasks) == 2 and max(tasks) <= one["seconds"]


@pytest.mark.ci
@pytest.mark.jvm
def test_everything_that_it_starts_bears_the_mark_and_counts(told):
    assert told["unmarked"] == []
    assert told["memory"] > told["memory of workers"] > 200


@pytest.mark.ci
@pytest.mark.jvm
def test_nothing_foreign_reaches_a_worker(told):
    assert len(told["environments"]) == 2
    for variables in told["environments"]:
        assert not [name for name, value in variables.items() if told["foreign"] in value or value == "/bin/false"]
        assert variables["PYSPARK_PYTHON"] == sys.executable and str(HOME / "scripts") in variables["PYTHONPATH"]
        assert "PYTHONSTARTUP" not in variables and variables["OMP_NUM_THREADS"] == "1"


@pytest.mark.ci
@pytest.mark.jvm
def test_a_damaged_image_is_one_line_and_the_next_pass_works(told, given):
    kind, text, ours = told["damaged"]
    assert kind == "UserError" and not ours
    assert "cannot identify image file" in text and "\n" not in text and "Traceback" not in text


@pytest.mark.ci
@pytest.mark.jvm
def test_a_worker_that_dies_in_mid_pass_is_one_line_and_nothing_is_left(told):
    kind, text, ours = told["died"]
    assert kind == "UserError" and "died while it worked" in text and not ours, text
    assert told["left"] == []

"""Several workers: who gets them, what each has, what of it is in a record's path, and what cannot be."""

from __future__ import annotations

import copy

import planted
import pytest

from vitbench import machine
from vitbench.campaigns import checker
from vitbench.cells import BEST, Cell
from vitbench.errors import UserError
from vitbench.frameworks.cluster import Cluster
from vitbench.frameworks.declaration import SPARK
from vitbench.plan import estimate, workers
from vitbench.plan.configuration import resolve
from vitbench.plan.grid import Grid
from vitbench.records.archive import open_archive
from vitbench.steady import Passes

LINUX = "linux-x86_64"
SPARK_KEYS = planted.CONFIG["spark"]
VARIANTS = ["huggingface/pipeline", "onnxruntime/float32", "sparknlp/onnx", "spark-onnxruntime/float32"]
URL = "spark://node-7.example:7077"
STATED = {"worker_cores": 4, "worker_memory_gb": 6}


def config(numbers: list[int] | None = None, **spark) -> dict:
    """The planted configuration with these numbers of workers and keys of `spark`, checked."""
    changes = {"workers": numbers or [1], "spark": SPARK_KEYS | spark, "frameworks": VARIANTS, "control": False}
    return resolve(copy.deepcopy(planted.CONFIG) | changes)


def grid(numbers: list[int] | None = None, **spark) -> Grid:
    return Grid(config(numbers, **spark), LINUX)


def problem(action, *arguments, **more) -> str:
    with pytest.raises(UserError) as raised:
        action(*arguments, **more)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def cell(framework: str, number: int) -> Cell:
    variant = {"huggingface": "pipeline", "sparknlp": "onnx"}.get(framework, "float32")
    return Cell("full", framework, variant, "cpu", number, BEST)


# --- who gets how many


def test_only_frameworks_that_run_on_a_cluster_have_several_workers_and_the_others_are_told_of_once():
    several = grid([1, 2, 4])
    counted = {name: [one.workers for one in several.full if one.framework == name] for name in
               ("huggingface", "onnxruntime", "sparknlp", "spark-onnxruntime")}  # fmt: skip
    assert counted == {"huggingface": [1], "onnxruntime": [1], "sparknlp": [1, 2, 4], "spark-onnxruntime": [1, 2, 4]}
    (told,) = [note for note in several.notes if "one node" in note]
    assert told.startswith("huggingface, onnxruntime:")
    assert not [note for note in grid().notes if "one node" in note]


def test_who_runs_on_one_node_is_measured_there_even_where_one_worker_is_not_asked_for():
    several = grid([2])
    assert {(one.framework, one.workers) for one in several.full} == {
        ("huggingface", 1), ("onnxruntime", 1), ("sparknlp", 2), ("spark-onnxruntime", 2)
    }  # fmt: skip


def test_each_number_of_workers_has_its_own_sweep_and_its_own_choice():
    several = grid([1, 2])
    for one in (one for one in several.full if one.framework == "sparknlp"):
        assert {cell.workers for cell in several.sweep_of(one)} == {one.workers}
    assert len({str(several.choice(one)) for one in several.full}) == len(several.full)


def test_what_runs_on_a_cluster_is_not_profiled():
    assert {one.framework for one in grid([1, 2]).profiles()} == {"huggingface", "onnxruntime"}
    assert {one.framework for one in grid().profiles()} == {one.partition("/")[0] for one in VARIANTS}


# --- what is in a path


def slug(found: Grid, framework: str) -> str:
    return found.variant_slug(next(one for one in found.full if one.framework == framework))


def test_one_node_is_what_it_was_before_there_were_workers():
    for framework in ("huggingface", "sparknlp"):
        assert slug(grid(), framework) == slug(grid(master="local[*]"), framework)
    assert SPARK not in grid().definition(cell("sparknlp", 1))


@pytest.mark.parametrize(
    ("numbers", "keys"),
    [
        ([1, 2], {}), ([1, 2, 4], {}), ([1, 2], {"worker_cores": 1}), ([1, 2], {"worker_memory_gb": 2}),
        ([1, 2], STATED),
        ([1], {"settings": {"spark.sql.files.maxPartitionBytes": 1000}}), ([1], {"master": "local-cluster[2,1,4096]"}),
        ([1], {"master": URL, **STATED}), ([1], {"master": "spark://node-8.example:7077", **STATED}),
        ([1], {"master": "yarn", **STATED}), ([1], {"master": "yarn", "hadoop": "/etc/hadoop", **STATED}),
    ],
)  # fmt: skip
def test_whatever_decides_what_a_worker_is_changes_the_path_of_who_has_it_and_of_nobody_else(numbers, keys):
    usual, changed = grid(), grid(numbers, **keys)
    assert slug(changed, "huggingface") == slug(usual, "huggingface")
    others = [grid(), grid([1, 2]), grid([1, 2, 4])]
    others = [
        one for one in others if one.config["workers"] != numbers or one.config["spark"] != changed.config["spark"]
    ]
    assert slug(changed, "sparknlp") not in {slug(one, "sparknlp") for one in others}


def test_workers_whose_size_is_stated_are_the_same_however_many_there_are():
    assert slug(grid([1, 2], **STATED), "sparknlp") == slug(grid([1, 2, 4], **STATED), "sparknlp")
    assert slug(grid([1, 2]), "sparknlp") != slug(grid([1, 2, 4]), "sparknlp")


def test_no_address_stands_in_a_definition():
    found = grid([1, 2], master=URL, **STATED).definition(cell("sparknlp", 2))
    assert found[SPARK]["master"].startswith("spark-") and "example" not in str(found)
    named = {grid([1, 2], master=url, **STATED).definition(cell("sparknlp", 2))[SPARK]["master"]
             for url in (URL, "spark://node-8.example:7077")}  # fmt: skip
    assert len(named) == 2


# --- what each worker has


def test_the_workers_share_the_machine_when_there_are_most_of_them(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 64 * 2**30)
    for number in (1, 2, 4):
        told = workers.task(config([1, 2, 4]), cell("sparknlp", number), True, cores=8)
        assert Cluster(**told["cluster"]) == Cluster(None, workers=number, cores=2, memory_mb=8192)
    stated = workers.task(config([1, 2], **STATED), cell("sparknlp", 2), True, cores=8)["cluster"]
    assert (stated["cores"], stated["memory_mb"]) == (4, 6144)
    local = workers.task(config([2], master="local-cluster[3,2,4096]"), cell("sparknlp", 2), True, cores=8)["cluster"]
    assert (local["workers"], local["cores"], local["memory_mb"]) == (2, 2, 4096)


def test_settings_reach_who_runs_in_spark_as_words_and_nobody_else():
    given = config(settings={"spark.rdd.compress": True, "spark.task.maxFailures": 8, "spark.memory.fraction": 0.5})
    told = workers.task(given, cell("sparknlp", 1), True, cores=2)
    assert told == {"settings": {"spark.rdd.compress": "true", "spark.task.maxFailures": "8",
                                 "spark.memory.fraction": "0.5"}}  # fmt: skip
    assert workers.task(given, cell("huggingface", 1), False, cores=2) == {}


def test_a_cluster_that_is_configured_is_checked_with_all_its_workers_and_one_of_our_own_is_not():
    found = workers.to_check(config([1, 2], master=URL, **STATED), True)["cluster"]
    assert (found["master"], found["workers"], found["cores"]) == (URL, 2, 4)
    assert "cluster" not in workers.to_check(config([1, 2]), True) and "cluster" not in workers.to_check(config(), True)


# --- what cannot be


@pytest.mark.parametrize(
    ("numbers", "keys", "begin"),
    [
        ([1, 2], {"master": "local[*]"}, "spark: master: local[*] is one node"),
        ([1, 4], {"master": "local-cluster[2,1,4096]"}, "workers: 4 is more than the 2 of"),
        ([2], {"master": "local-cluster[2,1,4096]", "worker_cores": 1}, "spark: worker_cores: local-cluster"),
        ([1], {"master": URL}, "spark: worker_cores: nothing says"),
        ([1], {"master": "yarn", "worker_cores": 2}, "spark: worker_memory_gb: nothing says"),
        ([1], {"worker_cores": 2}, "spark: worker_cores: there is no cluster"),
        ([1], {"hadoop": "/etc/hadoop"}, "spark: hadoop: there is no cluster"),
        ([1], {"settings": {"spark.master": "yarn"}}, "spark: settings: spark.master is said by master"),
        ([1, 2], {"settings": {"spark.executor.cores": 2}}, "spark: settings: spark.executor.cores is said by"),
        ([1], {"settings": {"spark.hadoop.fs.s3a.secret.key": "x"}}, "spark: settings: spark.hadoop.fs.s3a.secret."),
        ([1], {"settings": {"spark.hadoop.fs.azure.account.key.a.b": "x"}}, "spark: settings: spark.hadoop.fs.az"),
        ([1], {"settings": {"spark.hadoop.fs.azure.sas.c.a.b": "x"}}, "spark: settings: spark.hadoop.fs.az"),
        ([1], {"settings": {"spark.hadoop.fs.gs.auth.service.account.private.key": "x"}}, "spark: settings: spark.h"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_one_line_that_names_the_key(numbers, keys, begin):
    assert problem(config, numbers, **keys).startswith(begin)


@pytest.mark.parametrize(
    "key",
    [
        "spark.jsl.settings.onnx.intraOpNumThreads",
        "spark.executorEnv.TF_NUM_INTRAOP_THREADS",
        "spark.python.worker.reuse",
    ],
)
def test_what_a_variant_says_is_no_setting_of_sparks(key):
    assert f"spark: settings: {key} is said by the" in problem(config, [1], settings={key: 6})


def test_a_baseline_on_a_cluster_without_one_worker_leaves_nothing_on_one_node_uncompared():
    given = {"baseline": "sparknlp/tensorflow", "frameworks": ["sparknlp/tensorflow", "huggingface/pipeline"]}
    several = planted.CONFIG | given | {"workers": [2], "spark": SPARK_KEYS, "control": False}
    assert problem(resolve, several).startswith("workers: 1 is missing, and huggingface/pipeline")
    resolve(several | {"workers": [1, 2]})
    resolve(several | {"frameworks": ["sparknlp/tensorflow"]})


def test_workers_of_one_machine_do_not_share_its_gpu():
    changes = {"devices": ["cpu", "gpu"], "batch_sizes": [8], "frameworks": VARIANTS}
    for numbers, spark, refused in (([1, 2], {}, True), ([1], {}, False), ([1, 2], {"master": URL, **STATED}, False)):
        given = planted.CONFIG | changes | {"workers": numbers, "spark": SPARK_KEYS | spark}
        if refused:
            assert problem(resolve, given).startswith("workers: several workers of one machine")
        else:
            assert resolve(given)["devices"] == ["cpu", "gpu"]


def test_more_workers_than_the_machine_can_be_are_refused_before_anything_is_done(monkeypatch):
    monkeypatch.setattr(machine, "memory_bytes", lambda: 64 * 2**30)
    assert problem(workers.check_room, config([1, 4]), False, cores=2).startswith("workers: 4 workers of 1 core each")
    assert "2 workers of 4 cores each" in problem(workers.check_room, config([2], **STATED), False, cores=6)
    monkeypatch.setattr(machine, "memory_bytes", lambda: 12 * 2**30)
    assert "worker_memory_gb" in problem(workers.check_room, config([1, 2]), True, cores=2)  # Spark NLP's heaps
    workers.check_room(config([1, 2]), False, cores=2)  # Python's are small
    # Who gives a master has another machine.
    workers.check_room(config([1, 40], master=URL, **STATED), True, cores=2)


def test_the_start_of_a_run_refuses_what_the_machine_cannot_be(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "cores", lambda: 2)
    several = grid([1, 4])
    estimate.announce(several)  # says how long it would take, and divides by no core
    assert problem(estimate.check_start, several).startswith("workers: 4 workers")


# --- how long it takes


def test_more_workers_are_estimated_to_take_less_and_a_cluster_to_start_longer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "cores", lambda: 4)
    several, alone = grid([1, 2, 4]), grid()
    one, two, four = (estimate.seconds(several, [(cell("spark-onnxruntime", number), 0)]) for number in (1, 2, 4))
    assert one > two > four > estimate.seconds(alone, [(cell("spark-onnxruntime", 1), 0)])


def test_an_estimate_knows_that_each_worker_has_to_get_warm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(estimate, "cores", lambda: 4)
    asked, several = [], grid([1, 4])
    of = Passes.of
    monkeypatch.setattr(Passes, "of", lambda settings, number: asked.append(number) or of(settings, number))
    estimate.seconds(several, [(cell("spark-onnxruntime", number), 0) for number in (1, 4)])
    assert asked == [1, 4]


def test_the_checker_knows_that_each_worker_has_to_get_warm(tmp_path):
    given = {"workers": [1, 2], "spark": SPARK_KEYS | {"worker_cores": 1, "worker_memory_gb": 0.5}}
    several = Grid(resolve(copy.deepcopy(planted.CONFIG) | given), LINUX)
    found, _, _ = checker.check(open_archive(planted.plant_run(tmp_path / "a run", several)))
    assert [line for line in found if "phases" in line] == []
    two = [one for one in several.sweep if one.workers == 2]
    ends = {planted.record(several, one, 0)["steady"]["warm_up_images"] for one in two}
    assert min(ends) >= 2 * several.config["passes"]["warm_images"]

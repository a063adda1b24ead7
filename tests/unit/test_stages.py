"""Stages: the stopwatch, the verdict, what thread dumps say of Spark's tasks, and the table of it all."""

from __future__ import annotations

import csv
import json

import collect_records
import pandas
import pytest
import tabulate_stages
from example_profiles import example_profile
from example_tables import STAGES as STAGES_OF_EXAMPLE
from example_tables import example, physics, typed
from example_tables import stages as example_stages

from vitbench import tables
from vitbench.analysis.stages import bound_by, slowest, tabulate
from vitbench.frameworks.sparknlp import profiler as sparknlp
from vitbench.frameworks.stages import STAGES, Stopwatch
from vitbench.measure import profiles
from vitbench.records.archive import open_archive

ALIKE = dict(zip(STAGES, (0.1, 0.1, 0.1, 0.6, 0.05, 0.05), strict=True))

# --- the stopwatch


@pytest.fixture
def work(monkeypatch):
    """Takes so many seconds, by a clock that nothing else moves: a busy neighbour cannot make it longer."""
    now = [100.0]
    monkeypatch.setattr("vitbench.frameworks.stages.time.perf_counter", lambda: now[0])

    def work(seconds: float) -> None:
        now[0] += seconds

    return work


def test_a_nested_stage_counts_once(work):
    watch = Stopwatch()
    with watch.stage("preprocess"):
        work(2)
        with watch.stage("decode"):
            work(5)
        work(3)
    assert watch.seconds == dict.fromkeys(STAGES, 0) | {"decode": 5, "preprocess": 5}


def test_what_no_stage_claims_is_other(work):
    watch = Stopwatch()
    watch.timed("forward", work)(3)
    work(2)
    assert list(watch.stages_of(5)) == list(STAGES)
    assert watch.stages_of(5) == dict.fromkeys(STAGES, 0) | {"forward": 3, "other": 2}


def test_a_stage_that_fails_is_closed(work):
    watch = Stopwatch()
    with pytest.raises(KeyError), watch.stage("decode"):
        work(1)
        raise KeyError
    work(2)
    with watch.stage("forward"):
        work(4)
    assert watch.seconds == dict.fromkeys(STAGES, 0) | {"decode": 1, "forward": 4}


# --- what bounds a cell


def shares(**changed: float) -> dict[str, float]:
    return dict.fromkeys(STAGES, 0.0) | changed


def test_the_model_bounds():
    assert bound_by(shares(forward=0.78, decode=0.2, other=0.02)) == "forward (78%)"


def test_the_input_bounds_only_as_a_whole():
    given = shares(read=0.2, decode=0.25, preprocess=0.16, forward=0.39)
    assert bound_by(given) == "input (read + decode + preprocess, 61%), most of it decode (25%)"


def test_spark_itself_bounds():
    assert bound_by(shares(other=0.6, forward=0.1, decode=0.3)) == "other (60%)"
    assert bound_by(shares(postprocess=0.6, forward=0.1, decode=0.3)) == "postprocess (60%)"


# --- thread dumps

TASK = """
"Executor task launch worker for task 0.0 in stage 7.0 (TID 9)" #80 daemon prio=5 os_prio=0 cpu=1.0ms runnable
   java.lang.Thread.State: RUNNABLE
\tat {frames}
\tat org.apache.spark.scheduler.Task.run(Task.scala:141)
\tat org.apache.spark.executor.Executor$TaskRunner.run(Executor.scala:623)
\tat java.util.concurrent.ThreadPoolExecutor$Worker.run(java.base@17.0.9/ThreadPoolExecutor.java:635)

"""
IDLE = """
"Executor task launch worker for task 1.0 in stage 7.0 (TID 10)" #81 daemon prio=5 waiting on condition
   java.lang.Thread.State: TIMED_WAITING (parking)
\tat jdk.internal.misc.Unsafe.park(java.base@17.0.9/Native Method)
\tat java.util.concurrent.ThreadPoolExecutor$Worker.run(java.base@17.0.9/ThreadPoolExecutor.java:635)

"""
CLASSIFIER = "com.johnsnowlabs.ml.ai.ViTClassifier"
FRAMES = {
    "forward": [
        f"ai.onnxruntime.OrtSession.run(Native Method)\n\tat {CLASSIFIER}.getRawScoresWithOnnx(V.scala:9)",
        "org.tensorflow.internal.c_api.global.tensorflow.TF_SessionRun(Native Method)\n"
        f"\tat org.tensorflow.Session.run(S.java:1)\n\tat {CLASSIFIER}.getRawScoresWithTF(V.scala:9)",
    ],
    "preprocess": [
        "sun.awt.image.ByteInterleavedRaster.getDataElements(java.desktop@17/B.java:1)\n"
        "\tat com.johnsnowlabs.nlp.annotators.cv.util.transform.ImageResizeUtils$.resizeBufferedImage(I.scala:1)\n"
        f"\tat {CLASSIFIER}.$anonfun$encode$1(V.scala:9)",
        f"java.lang.reflect.Array.get(Native Method)\n\tat ai.onnxruntime.TensorInfo.extractShape(T.java:3)\n"
        f"\tat {CLASSIFIER}.getRawScoresWithOnnx(V.scala:9)",
    ],
    "postprocess": [f"scala.collection.Iterator.foreach(I.scala:1)\n\tat {CLASSIFIER}.predict(V.scala:9)"],
    "shown": [
        "java.awt.Color.getRed(java.desktop@17/C.java:1)\n"
        "\tat org.apache.spark.ml.image.ImageSchema$.$anonfun$decode$5(I.scala:1)\n"
        "\tat com.johnsnowlabs.nlp.HasBatchedAnnotateImage.batchProcess(H.scala:1)",
        "com.johnsnowlabs.nlp.ImageAssembler.assemble(I.scala:1)",
    ],
    "other": ["org.apache.spark.sql.catalyst.expressions.UnsafeRow.copy(U.java:1)"],
}


@pytest.mark.parametrize(("what", "frames"), [(what, one) for what, given in FRAMES.items() for one in given])
def test_a_stack_says_what_its_task_does(what, frames):
    assert sparknlp.doings(TASK.format(frames=frames) + IDLE) == [what]


def dump(*doing: str) -> str:
    return "".join(TASK.format(frames=FRAMES[one][0]) for one in doing) + IDLE


def test_an_instant_is_shared_by_the_tasks_that_run():
    dumps = [(10.1, dump("forward", "preprocess")), (10.3, dump("forward")), (10.5, dump())]
    found = sparknlp.sampled_seconds(dumps, 10.0, 10.6)
    assert found == pytest.approx({"forward": 0.1 + 0.2, "preprocess": 0.1, "other": 0.2})


def test_dumps_of_other_passes_do_not_count():
    dumps = [(9.0, dump("preprocess")), (10.1, dump("forward")), (12.0, dump("preprocess"))]
    assert sparknlp.sampled_seconds(dumps, 10.0, 11.0) == pytest.approx({"forward": 1.0})
    assert sparknlp.sampled_seconds(dumps, 20.0, 21.0) == {}


def test_stages_come_from_both_sources_and_none_twice():
    shown = sparknlp.shown_seconds({"list": 0.2, "read": 0.3, "decode": 0.9, "assemble": 0.85})
    assert shown == pytest.approx({"read": 0.1, "decode": 0.6, "preprocess": 0.0})
    hidden = {"shown": 0.7, "preprocess": 1.0, "forward": 5.0, "postprocess": 0.1, "other": 0.2}
    stages = sparknlp.add_up(shown | {"preprocess": 0.1}, hidden)
    assert stages == pytest.approx(dict(zip(STAGES, (0.1, 0.6, 1.1, 5.0, 0.1, 0.2), strict=True)))


# --- the table


def runs(*walls: float, **changed) -> pandas.DataFrame:
    """Runs of the example profile's cell."""
    row = dict.fromkeys(tables.COLUMNS["runs"])
    row |= {"framework": "fake", "variant": "told", "device": "cpu", "workers": 1, "dataset": "full", "batch_size": 4}
    row |= {"status": "ok", "flags": ""} | changed
    return pandas.DataFrame([row | {"wall_seconds": wall} for wall in walls])


def table(profile: dict, measured: pandas.DataFrame) -> pandas.DataFrame:
    found = tabulate([profile], measured)
    assert tuple(found.columns) == tables.COLUMNS["stages"]
    assert list(found.stage) == list(STAGES)
    return found


def test_a_stage_that_the_samples_of_most_passes_missed_counts():
    profile = example_profile(passes=[1.0, 1.0, 1.0], shares=shares(forward=0.9, postprocess=0.1))
    for one in profile["passes"][:2]:
        one["stages"] |= {"forward": 1.0, "postprocess": 0.0}
    found = table(profile, runs(1.0)).set_index("stage")
    assert found.share["postprocess"] == pytest.approx(0.1 / 3) and found.seconds.sum() == pytest.approx(1.0)


def test_the_table_holds_medians_shares_and_the_verdict():
    profile = example_profile(passes=[2.0, 1.0, 9.0], shares=ALIKE)
    found = table(profile, runs(1.9, 2.0, 2.1))
    assert list(found.seconds) == pytest.approx([2.0 * ALIKE[stage] for stage in STAGES])
    assert list(found.share) == pytest.approx(list(ALIKE.values()))
    assert set(found.bound_by) == {"forward (60%)"}
    assert found.sum_seconds[0] == pytest.approx(2.0) and found.wall_seconds[0] == 2.0
    assert found.within_10_percent.all() and found.reason.isna().all()


@pytest.mark.parametrize(("wall", "within"), [(1.85, True), (2.2, True), (1.78, False), (2.3, False)])
def test_a_sum_more_than_a_tenth_off_is_said(wall, within):
    found = table(example_profile(passes=[2.0], shares=ALIKE), runs(wall))
    assert (found.within_10_percent == within).all()
    assert found.difference[0] == pytest.approx(2.0 / wall - 1)
    said = f"the stages add up to {2.0 / wall:.0%} of the wall time of the ordinary repeats"
    assert set(found.reason) == ({None} if within else {said})


def test_only_usable_repeats_of_the_same_cell_are_compared():
    others = [runs(9.0, batch_size=8), runs(9.0, dataset="sample"), runs(9.0, flags="suspect"), runs(9.0, status="oom")]
    found = table(example_profile(passes=[2.0], shares=ALIKE), pandas.concat([*others, runs(2.0)], ignore_index=True))
    assert found.wall_seconds[0] == 2.0
    alone = table(example_profile(passes=[2.0], shares=ALIKE), pandas.concat(others, ignore_index=True))
    assert alone.wall_seconds.isna().all() and alone.within_10_percent.isna().all()
    assert set(alone.reason) == {"no usable repeat of this cell to compare the sum with"}


def test_a_failed_profile_is_rows_with_its_reason():
    failed = example_profile(passes=[], shares=ALIKE) | {"status": "oom", "reason": "too large", "method": None}
    found = table(failed, runs(2.0))
    assert set(found.status) == {"oom"} and set(found.reason) == {"too large"}
    assert found[["seconds", "share", "sum_seconds", "bound_by"]].isna().all().all()


def test_the_table_reads_back(tmp_path):
    failed = example_profile(passes=[], shares=ALIKE) | {"status": "error", "reason": "no", "method": None}
    both = tabulate([example_profile(passes=[2.0], shares=ALIKE), failed], runs(2.0))
    both.convert_dtypes().to_csv(tmp_path / "stages.csv", index=False)
    back = tables.read(tmp_path / "stages.csv")
    assert list(back.within_10_percent) == [True] * 6 + [False] * 6
    assert back.seconds.sum() == pytest.approx(2.0) and back.bound_by[0] == "forward (60%)"


@pytest.mark.parametrize("reason", ["=HYPERLINK(1)", "'JavaPackage' object is not callable"])
def test_no_reason_is_a_formula_in_the_file_and_all_come_back(run, tmp_path, reason):
    """A profile may come from a campaign that anybody made."""
    archive = open_archive(run)
    path = next(run.rglob("profile.json"))
    failed = dict.fromkeys(profiles.MEASURED) | {"plain_seconds": [], "passes": [], "details": {}, "versions": {}}
    path.write_text(json.dumps(json.loads(path.read_text()) | failed | {"status": "error", "reason": reason}))
    collect_records.main(archive, tmp_path / "runs.csv")
    tabulate_stages.main(archive, tmp_path / "runs.csv", tmp_path / "stages.csv")
    with open(tmp_path / "stages.csv", newline="") as handle:
        assert not [cell for row in csv.reader(handle) for cell in row if cell.startswith("=")]
    assert list(tables.read(tmp_path / "stages.csv").reason).count(reason) == len(STAGES)


# --- each against its own slowest stage


def test_a_cell_is_held_against_the_slowest_of_its_own_stages():
    run = example()
    row = slowest(example_stages(run), physics(run)).iloc[0]
    cell = run.summary[(run.summary.dataset == "full")].iloc[0]
    assert (row.slowest, row.basis) == ("forward", "profile")
    assert row.slowest_rate == pytest.approx(cell.throughput / STAGES_OF_EXAMPLE["forward"])
    assert row.share == pytest.approx(STAGES_OF_EXAMPLE["forward"])  # the stages follow each other
    assert row.decode_rate == pytest.approx(cell.throughput / STAGES_OF_EXAMPLE["decode"])


def test_the_share_is_of_the_ordinary_passes_and_a_profile_that_stretched_them_gives_none():
    run = example()
    longer = example_stages(run, {"huggingface/pipeline": 1.09, "sparknlp/tensorflow": 0.91})
    rows = slowest(longer, physics(run))
    assert set(rows.basis) == {"profile"} and rows.share.tolist() == pytest.approx([STAGES_OF_EXAMPLE["forward"]] * 2)
    for total in (1.11, 0.89):
        found = slowest(example_stages(run, {"huggingface/pipeline": total}), physics(run)).set_index("framework")
        assert found.basis.to_dict() == {"huggingface": "peak file", "sparknlp": "profile"}
    unheld = example_stages(run).assign(wall_seconds=float("nan"), difference=float("nan"))
    assert set(slowest(unheld, physics(run)).basis) == {"peak file"}


def test_without_a_profile_the_peak_file_says_what_the_stages_could_do():
    run = example()
    found = slowest(example_stages(run, {"huggingface/pipeline": float("nan")}), physics(run)).set_index("framework")
    row = found.loc["huggingface"]
    assert (row.basis, row.slowest) == ("peak file", "forward") and pandas.isna(row.preprocess_rate)
    assert (row.decode_rate, row.forward_rate) == pytest.approx((980.0, 200.0 / 35.13))
    assert row.share == pytest.approx(row.throughput * 35.13 / 200)
    assert found.loc["sparknlp"].basis == "profile"
    nothing = physics(run).assign(own_gflops=float("nan"), peak_gflops=float("nan"), decode_ceiling=float("nan"))
    lost = slowest(typed([], "stages"), nothing)
    assert lost.share.isna().all() and lost.reason.str.contains("neither").all() and set(lost.basis) == {""}


def test_a_machine_that_decodes_slowly_is_bound_by_it():
    run = example()
    row = slowest(typed([], "stages"), physics(run).assign(decode_ceiling=5.0)).iloc[0]
    assert row.slowest == "decode" and row.share == pytest.approx(row.throughput / 5)

"""Our records beside the published runs: the rule, its edges, and that no ratio has a time of each side in it."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import replace
from functools import cache

import pandas
import pytest
import tabulate_replication
import yaml
from example_tables import FIVE, example, typed

from vitbench import tables
from vitbench.analysis import best_batch_size, pairs
from vitbench.analysis import speedup as speedups
from vitbench.analysis.looks import Rule
from vitbench.analysis.statistics import Comparison
from vitbench.cells import cell_name
from vitbench.files import HOME
from vitbench.series import published
from vitbench.series import setup as conditions
from vitbench.series.our_runs import Ours, Records, Side, correct_for_many, our_curve, stand_in
from vitbench.series.published import Noise, noise_factor, pooled_noise
from vitbench.series.replication import (
    AGREES,
    DISAGREES,
    KINDS,
    NOT_MEASURED,
    WITHIN_NOISE,
    judge,
    published_curves,
    replicate,
)

RULES = {"sample": Rule(), "full": Rule()}
DATA = HOME / "resources" / "published"
SETTINGS = {"huggingface": "PyTorch 2.15.0, image processor pil", "sparknlp": "TensorFlow, oneDNN on, local[*]"}


@pytest.fixture(scope="module")
def series() -> published.Series:
    return published.read(DATA)


@pytest.fixture(scope="module")
def replicated(series) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Both tables of records that agree, to be read only."""
    return replicate(series, records())


@pytest.fixture(scope="module")
def with_gpu(series) -> pandas.DataFrame:
    """The table of records of two devices, to be read only."""
    return replicate(series, records(devices=("cpu", "gpu")))[0]


def records(repeats: int = 5, rates: dict[str, float] | None = None, gate: dict | None = None, **how) -> Records:
    """Records as a run would leave them; `rates`: variant → how many times as fast as in the example.

    `gate`: columns of every row of `parity` that are to be other. The usual ones are made once and copied.
    """
    if repeats == 5 and not (rates or gate or how):
        return Records(*map(copy.deepcopy, _usual()))
    return _records(repeats, rates, gate, **how)


@cache
def _usual() -> Records:
    return _records(5, None, None)


def _records(repeats: int, rates: dict[str, float] | None, gate: dict | None, **how) -> Records:
    made = example(FIVE, repeats=repeats, **how)
    runs = made.runs.copy()
    for variant, times in (rates or {}).items():
        rows = runs.framework + "/" + runs.variant == variant
        runs.loc[rows, "wall_seconds"] /= times
        runs.loc[rows, "throughput"] *= times
    runs["setting"] = runs.framework.map(SETTINGS)
    parity = passing(runs).assign(**(gate or {}))
    speedup = speedups.speedup(runs, "huggingface/pipeline", parity)
    best = best_batch_size.best_batch_sizes(runs)
    shape = {"layers": 12}
    return Records(runs, best, parity, speedup, made.context, shape, {"sparknlp/tensorflow": "sparknlp/onnx"}, RULES)


def passing(runs: pandas.DataFrame) -> pandas.DataFrame:
    """The table `parity` where all labels are equal."""
    compared = [
        {"dataset": one["dataset"], "baseline": cell_name(one), "candidate": cell_name(other)}
        for one, other, _ in pairs.comparisons(runs, "huggingface/pipeline")
    ]
    return typed(compared, "parity").assign(agreement=1.0, passed=True)


def headline(table: pandas.DataFrame, **where) -> pandas.Series:
    """The row of part 2, CPU, full set, Spark NLP against Hugging Face, or of what `where` says."""
    wanted = {"kind": KINDS[0], "part": "2", "dataset": "full", "candidate": "sparknlp/tensorflow/cpu/w1"} | where
    (place,) = table.index[(table[list(wanted)] == list(wanted.values())).all(axis=1)]
    return table.loc[place]


# --- the rule


def ours(verdict: str, low: float, high: float) -> Ours:
    return Ours(math.sqrt(low * high), low, high, 5, 5, verdict)


@pytest.mark.parametrize(
    ("theirs", "mine", "verdict"),
    [
        ((1.1, 1.3), ours("faster", 1.05, 1.1), AGREES),
        ((1.1, 1.3), ours("faster", 3.0, 4.0), AGREES),  # the size is not what is replicated
        ((0.7, 0.9), ours("slower", 0.8, 0.9), AGREES),
        ((1.1, 1.3), ours("slower", 0.8, 0.9), DISAGREES),
        ((0.7, 0.9), ours("faster", 1.1, 1.2), DISAGREES),
        ((0.95, 1.3), ours("slower", 0.8, 0.9), WITHIN_NOISE),  # theirs says nothing
        ((1.0, 1.3), ours("faster", 1.1, 1.2), WITHIN_NOISE),  # an end on 1 does not exclude it
        ((1.1, 1.3), ours("equivalent", 0.95, 1.12), WITHIN_NOISE),
        ((1.1, 1.3), ours("equivalent", 0.95, 1.1), WITHIN_NOISE),  # they touch
        ((1.1, 1.3), ours("equivalent", 0.98, 1.02), DISAGREES),
        ((0.7, 0.9), ours("equivalent", 0.98, 1.02), DISAGREES),
        ((1.04, 1.3), ours("equivalent", 0.98, 1.02), WITHIN_NOISE),  # as good as equal, theirs too
        ((1.1, 1.3), replace(ours("equivalent", 0.95, 1.05), margin=0.2), WITHIN_NOISE),
        ((0.7, 0.9), replace(ours("equivalent", 0.95, 1.05), margin=0.2), WITHIN_NOISE),
        ((0.7, 0.8), replace(ours("equivalent", 0.95, 1.05), margin=0.2), DISAGREES),
        ((1.1, 1.3), ours("inconclusive", 0.5, 0.9), WITHIN_NOISE),  # we do not know who is faster
        ((math.nan, math.nan), ours("faster", 1.1, 1.2), WITHIN_NOISE),  # no accidental repeats anywhere
        ((1.1, 1.3), ours("too few repeats", 1.1, 1.2), NOT_MEASURED),
        ((1.1, 1.3), Ours(verdict="parity failed"), NOT_MEASURED),
        ((1.1, 1.3), Ours(), NOT_MEASURED),
    ],
)
def test_the_rule(theirs, mine, verdict):
    assert judge(*theirs, mine)[0] == verdict


# --- their noise


def test_noise_is_pooled_by_device_and_data_set():
    repeats = pandas.DataFrame(
        {"device": ["gpu", "gpu", "gpu", "cpu"], "dataset": ["sample", "sample", "full", "sample"],
         "n": [3, 5, 2, 4], "cv": [0.10, 0.04, 0.01, 0.02]}
    )  # fmt: skip
    noise = pooled_noise(repeats)
    assert noise["gpu", "sample"] == Noise(pytest.approx(math.sqrt((2 * 0.10**2 + 4 * 0.04**2) / 6)), 6)
    assert noise["gpu", "full"] == Noise(0.01, 1)
    assert (
        noise["cpu", "full"] == noise["cpu", "sample"] == Noise(pytest.approx(0.02), 3)
    )  # the device's, for want of any


def test_the_interval_of_a_ratio_of_single_runs():
    noise = {("cpu", "full"): Noise(0.02, 6), ("gpu", "full"): Noise(0.05, 20), ("gpu", "sample"): Noise(0.0, 3)}
    # Student's t at 97.5%, from a printed table: 2.447 with 6 degrees of freedom.
    assert math.log(noise_factor(noise, [("cpu", "full", 1)] * 2)) == pytest.approx(2.447 * 0.02 * 2**0.5, rel=1e-3)
    mixed = math.log(noise_factor(noise, [("cpu", "full", 1), ("gpu", "full", 1)]))
    df = (0.02**2 + 0.05**2) ** 2 / (0.02**4 / 6 + 0.05**4 / 20)
    assert 20 < df < 26 and mixed == pytest.approx(2.07 * math.hypot(0.02, 0.05), rel=0.01)
    averaged = math.log(noise_factor(noise, [("cpu", "full", 4)] * 2))
    assert averaged == pytest.approx(2.447 * 0.02 * 2**0.5 / 2, rel=1e-3)
    assert noise_factor(noise, [("gpu", "sample", 1)] * 2) == 1
    assert math.isnan(noise_factor(noise, [("cpu", "full", 1), ("tpu", "full", 1)]))


# --- verdicts from planted records


def test_agreeing_records(replicated):
    row = headline(replicated[0])
    assert row.verdict == AGREES and row.our_verdict == "faster" and row.blocks == 5
    assert row.published == pytest.approx(1233 / 1071.917992)
    assert row.our_baseline == "huggingface/pipeline/cpu/w1/bs16" and row.published_baseline.endswith("bs8")


def test_disagreeing_records(series):
    row = headline(replicate(series, records(rates={"sparknlp/tensorflow": 0.5}))[0])
    assert row.verdict == DISAGREES and row.ours < 0.85 and row.reason == "theirs faster, ours slower"


def test_what_lies_in_their_noise(with_gpu):
    """Two of the GPU ratios on the sample lie inside the spread of their own accidental repeats."""
    gpu = headline(with_gpu, dataset="sample", candidate="sparknlp/tensorflow/gpu/w1")
    assert gpu.published == pytest.approx(64 / 47.099872) and gpu.published_low < 1 < gpu.published_high
    assert gpu.verdict == WITHIN_NOISE and gpu.our_verdict == "faster"


def test_what_is_not_measured_says_what_it_takes(replicated):
    table, _ = replicated
    gpu = headline(table, candidate="sparknlp/tensorflow/gpu/w1")
    assert gpu.verdict == NOT_MEASURED and math.isnan(gpu.ours) and "gpu" in gpu.reason
    assert gpu.to_run.startswith("devices: [cpu, gpu]") and not gpu.equal
    cluster = headline(table, kind=KINDS[4], part="3", candidate="sparknlp/tensorflow/cpu/w10")
    assert cluster.to_run == "workers: 10, on a cluster"
    assert (table[table.verdict == NOT_MEASURED].to_run != "").all()
    assert (table[table.verdict != NOT_MEASURED].to_run == "").all()


def test_too_few_repeats_have_a_range_and_no_verdict(series):
    row = headline(replicate(series, records(repeats=3))[0])
    assert row.verdict == NOT_MEASURED and row.our_verdict == "too few repeats" and row.ours_low < row.ours_high
    assert row.to_run == "repeats: 5" and "3 blocks" in row.reason


def test_different_labels_give_no_ratio(series):
    row = headline(replicate(series, records(gate={"passed": False, "reason": "labels differ"}))[0])
    assert row.verdict == NOT_MEASURED and math.isnan(row.ours) and "labels differ" in row.reason


def test_a_failed_variant_is_named_with_its_failure(series):
    row = headline(replicate(series, records(failed={"sparknlp/tensorflow": "oom"}))[0])
    assert row.verdict == NOT_MEASURED and row.reason.startswith("sparknlp/tensorflow/cpu/w1: oom, killed at 5 GB")


def test_without_a_best_batch_size_there_is_no_ratio(series):
    given = records()
    given.best.loc[given.best.variant == "tensorflow", "kept"] = math.nan
    row = headline(replicate(series, given)[0])
    assert row.verdict == NOT_MEASURED and row.reason == "no best batch size of sparknlp/tensorflow/cpu/w1 was measured"


def test_every_published_comparison_and_curve_is_listed_once(series, replicated):
    table, points = replicated
    pairs = published.comparisons(series.runs, series.about)
    curves = published_curves(series.runs)
    assert len(table) == len(pairs) + len(curves) and len(pairs) > 30 and len(curves) == 10
    assert set(table.kind) == set(KINDS)
    assert not table[["environment", "dataset", "published_baseline", "published_candidate"]].duplicated().any()
    assert points.groupby(["environment", "dataset", "variant", "device", "workers"]).ngroups == len(curves)


def test_verdicts_of_the_table_speedup_are_kept(series):
    """Where `speedup` compared the same cells, ratio, interval and verdict are its own."""
    given = records()
    given.speedup.loc[given.speedup.dataset == "full", ["speedup", "low", "high", "verdict"]] = [
        0.5,
        0.4,
        0.6,
        "slower",
    ]
    row = headline(replicate(series, given)[0])
    assert (row.ours, row.ours_low, row.ours_high, row.our_verdict) == (0.5, 0.4, 0.6, "slower")


def log_seconds(runs: pandas.DataFrame, cell: str, role: str) -> float:
    framework, variant, device, _, size = cell.split("/")
    same = (runs.framework == framework) & (runs.variant == variant) & (runs.device == device)
    return runs[same & (runs.dataset == role) & (runs.batch_size == int(size[2:]))].wall_seconds.map(math.log).mean()


def test_ratios_that_speedup_does_not_have_are_paired_by_block_at_the_best_batch_sizes(series):
    given = records()
    given.best.loc[given.best.variant == "tensorflow", "batch_size"] = 8.0  # what the sweep says now; full keeps 16
    table, _ = replicate(series, given)
    for where in ({"dataset": "sample"}, {"kind": KINDS[1], "part": "1"}):
        row = headline(table, **where)
        assert row.our_candidate.endswith("bs8" if where.get("dataset") else "bs16")
        means = [log_seconds(given.runs, cell, row.dataset) for cell in (row.our_baseline, row.our_candidate)]
        assert row.ours == pytest.approx(math.exp(means[0] - means[1])) and row.ours_low < row.ours < row.ours_high


def test_many_comparisons_are_corrected_for():
    mine = Comparison(1.1, 1.05, 1.2, 5, 5, "faster", 0.1, Rule(), p=0.03)
    found = {n: replace(ours("faster", 1.05, 1.2), found=mine, cells=(f"a{n}", "b")) for n in range(3)}
    assert {one.verdict for one in correct_for_many(found).values()} == {"inconclusive"}
    assert correct_for_many({0: found[0]})[0].verdict == "faster"
    same = {n: found[0] for n in range(3)}  # one comparison of ours beside three of theirs
    assert {one.verdict for one in correct_for_many(same).values()} == {"faster"}


# --- no ratio of both


@pytest.mark.parametrize("theirs", [True, False])
def test_no_ratio_mixes_hardware(series, theirs):
    """Another clock on either side changes no ratio: each has two times of one side in it."""
    given = records(devices=("cpu", "gpu"))
    before = replicate(series, given)
    if theirs:
        series = series._replace(runs=series.runs.assign(wall_seconds=series.runs.wall_seconds * 7))
    else:
        runs = given.runs.assign(wall_seconds=given.runs.wall_seconds * 7, throughput=given.runs.throughput / 7)
        given = given._replace(runs=runs, speedup=speedups.speedup(runs, "huggingface/pipeline", given.parity))
    for table, again in zip(before, replicate(series, given), strict=True):
        numbers = [
            column for column in table if column.startswith(("published", "ours")) and table[column].dtype == float
        ]
        assert {"published", "ours"} <= set(numbers)
        pandas.testing.assert_frame_equal(table[numbers], again[numbers])
        assert (table.verdict == again.verdict).all()


def test_each_side_of_a_row_names_its_machine(with_gpu):
    measured = with_gpu[with_gpu.ours.notna()]
    assert len(measured) > 15
    assert set(measured.our_machine) == {"xeon-2"}
    assert not measured.published_hardware.str.contains("xeon-2").any() and (measured.published_hardware != "").all()


# --- curves


def curve_row(table: pandas.DataFrame, **where) -> pandas.Series:
    return headline(table, kind=KINDS[3], dataset="sample", **where)


def test_a_curve_is_relative_to_its_own_best(replicated):
    table, points = replicated
    row = curve_row(table)
    assert row.verdict == AGREES and row.reason.startswith("fastest of 1, 8, 16: 16 there, 16 here")
    own = points[(points.part == "2") & (points.device == "cpu")].set_index("batch_size")
    assert own.published.max() == own.ours.max() == 1
    assert own.published[1] == pytest.approx(110.915875 / 143.796645)
    assert own.loc[[2, 4, 32], "ours"].isna().all() and own.loc[[1, 8, 16], "ours"].notna().all()
    assert row.difference == pytest.approx(abs(own.published[1] - own.ours[1]))
    assert row.published == pytest.approx(1 / own.published[1]) and row.our_baseline.endswith("bs1")


def test_accidental_repeats_are_one_point(series):
    (curve,) = [
        curve
        for curve in published_curves(series.runs)
        if (row := curve[16].row).machine == "dell_c4130_bare_metal" and row.dataset == "sample" and row.device == "gpu"
    ]
    assert sorted(curve) == [2, 8, 16, 32] and (curve[32].runs, curve[32].asked) == (6, 32)
    assert curve[32].seconds == pytest.approx(42.93, abs=0.01)


def test_ours_are_matched_by_effective_batch_size(series):
    given = records()
    spark = (given.runs.variant == "tensorflow") & (given.runs.dataset == "sample")
    runs = given.runs.copy()
    runs.loc[spark & (runs.batch_size == 16), "effective_batch_size"] = 8.0
    given = given._replace(runs=runs)
    found = our_curve(given, Side("sparknlp", "tensorflow", "cpu", 1))
    assert sorted(found) == [1, 8] and set(found[8].batch_size) == {8}
    assert curve_row(replicate(series, given)[0]).reason.startswith("fastest of 1, 8:")


def test_one_batch_size_in_common_is_no_curve(series):
    row = curve_row(replicate(series, records(sizes=(8,)))[0])
    assert row.verdict == NOT_MEASURED and row.to_run == "batch_sizes: 1, 2, 4, 16, 32, too"


def test_one_point_that_disagrees_makes_the_curve_disagree(series):
    """Theirs: 16 beats 1 and, with less noise, 8; ours: 16 beats 1, and 8 beats 16."""
    runs = series.runs.copy()
    spark = (runs.framework == "sparknlp") & (runs.device == "cpu") & (runs.dataset == "sample")
    runs.loc[spark & (runs.batch_size == 8), "wall_seconds"] *= 1.15
    given = records()
    ours = (given.runs.dataset == "sample") & (given.runs.batch_size == 8)
    made = given.runs.assign(wall_seconds=given.runs.wall_seconds.where(~ours, given.runs.wall_seconds * 0.6))
    table, points = replicate(series._replace(runs=runs), given._replace(runs=made))
    own = points[(points.part == "2") & (points.device == "cpu")].set_index("batch_size").verdict
    assert own[1] == AGREES and own[8] == DISAGREES
    assert (
        curve_row(table).verdict == DISAGREES and "16 against 8: theirs faster, ours slower" in curve_row(table).reason
    )


def test_a_reversed_curve_disagrees(series):
    given = records()
    swapped = {1: 16.0, 16: 1.0}
    runs = given.runs.copy()
    sample = runs.dataset == "sample"
    for column in ("batch_size", "effective_batch_size"):
        runs.loc[sample, column] = runs.loc[sample, column].replace(swapped)
    row = curve_row(replicate(series, given._replace(runs=runs))[0])
    assert row.verdict == DISAGREES and "16 there, 1 here" in row.reason


# --- stand-ins, conditions, files


def test_what_does_not_run_has_a_stand_in(series):
    given = records(failed={"sparknlp/tensorflow": "skipped"})
    spark = Side("sparknlp", "tensorflow", "cpu", 1)
    assert stand_in(spark, given) == spark._replace(variant="onnx")
    assert stand_in(spark, records()) == spark
    table, _ = replicate(series, given)
    row = headline(table)
    assert row.our_candidate.startswith("sparknlp/onnx/") and row.candidate == "sparknlp/tensorflow/cpu/w1"
    onednn = headline(table, kind=KINDS[1], part="1")
    assert onednn.our_candidate.startswith("sparknlp/onnx/")


def test_what_was_equal_and_what_was_not(series):
    given = records()._replace(shape=series.about["shape"])
    row = headline(replicate(series, given)[0])
    equal, unequal = (dict(fact.split(": ", 1) for fact in cell.split("; ")) for cell in (row.equal, row.unequal))
    assert equal["precision"] == "float32" and "layers 12" in equal["shape of the model"]
    assert equal["engine"] == "PyTorch and TensorFlow, oneDNN on"
    assert unequal["model"] == "google/vit-base-patch16-224 / vit-base-seeded (seeded weights)"
    assert unequal["sink"] == (f"{conditions.SINK} and count(), no answer leaves the executors / {conditions.SINK}")
    assert unequal["images"] == "34,745 and 34,742 / 48" and unequal["data set"] == "imagenet-mini / photos-48"
    assert "spark-nlp 4.1.0" in unequal["versions"] and "spark-nlp 5.5.3" in unequal["versions"]
    assert not equal.keys() & unequal.keys()


def test_the_sink_of_hugging_face_is_the_same(series, with_gpu):
    assert series.about["sinks"]["huggingface"] == conditions.SINK
    row = headline(with_gpu, kind=KINDS[2], candidate="huggingface/pipeline/gpu/w1")
    assert f"sink: {conditions.SINK}" in row.equal


def test_the_files_are_read_back(tmp_path):
    made = example(FIVE, repeats=5)
    paths = {name: str(path) for name, path in made.write(tmp_path).items() if name != "summary"}
    model = yaml.safe_load((HOME / "resources" / "models.yaml").read_text())["vit-base-seeded"]
    (tmp_path / "grid.json").write_text(
        json.dumps({"model": {"definition": model}, "stand_ins": {}, "datasets": {"sample": {}, "full": {}}})
    )
    paths["grid"] = str(tmp_path / "grid.json")
    out = (str(tmp_path / "replication.csv"), str(tmp_path / "curves.csv"))
    tabulate_replication.main(DATA, paths, *out)
    table, points = tables.read(out[0], "replication"), tables.read(out[1], "replication_curves")
    row = headline(table)
    assert row.ours > 1.3 and "layers 12" in row.equal and points.ours.notna().any()
    assert table.ours.isna().sum() == (table.our_candidate == "").sum()


def test_the_shape_is_told_only_where_it_is_known():
    wanted = {"layers": 12, "heads": 12}
    assert tabulate_replication.shape_of({"kind": "folder", "folder": "x"}, wanted) is None
    assert tabulate_replication.shape_of({"layers": 2, "heads": 3, "seed": 1}, wanted) == {"layers": 2, "heads": 3}

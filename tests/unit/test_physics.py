"""The arithmetic of a model, what a machine can do of it, and what is beyond that."""

import copy
from dataclasses import replace

import pandas as pd
import planted
import pytest
from example_runs import HF, TF, cell

from vitbench import tables
from vitbench.analysis import physics
from vitbench.analysis import speedup as speedups
from vitbench.analysis.physics import impossible
from vitbench.errors import UserError
from vitbench.frameworks import multiplies_with
from vitbench.inputs import arithmetic, checkpoints
from vitbench.inputs.arithmetic import VIT_BASE, Product, flop_per_image, products
from vitbench.measure.peak import arms
from vitbench.present.charts.physics import why
from vitbench.records import peak_file

PEAK = planted.PEAK


# --- the work of one image


def test_an_image_through_vit_base_is_35_13_gflop():
    assert flop_per_image(VIT_BASE) == pytest.approx(35.13e9, rel=0.0005)


def test_flop_follow_the_shape():
    base = flop_per_image(VIT_BASE)
    assert flop_per_image(replace(VIT_BASE, layers=24)) == pytest.approx(2 * base, rel=0.01)
    assert flop_per_image(replace(VIT_BASE, patch_size=32)) == pytest.approx(base / 4, rel=0.1)
    large = replace(VIT_BASE, hidden_size=1024, layers=24, heads=16, intermediate_size=4096)
    assert flop_per_image(large) == pytest.approx(123e9, rel=0.02)
    assert flop_per_image(replace(VIT_BASE, heads=6)) == base  # other heads cut the same work differently


def test_a_batch_is_as_much_work_as_its_images():
    for batch in (2, 8):
        total = sum(product.flop * times for product, times in products(VIT_BASE, batch).items())
        assert total == batch * flop_per_image(VIT_BASE)


def test_the_products_have_the_shapes_that_torch_sees():
    """What a hook on every linear layer of a small real model counts."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification

    shape = replace(VIT_BASE, image_size=64, hidden_size=48, layers=2, heads=3, intermediate_size=96, labels=5)
    model = ViTForImageClassification(
        ViTConfig(
            image_size=64,
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=3,
            intermediate_size=96,
            num_labels=5,
            attn_implementation="eager",
        )
    ).eval()
    seen = []
    for part in model.modules():
        if isinstance(part, torch.nn.Linear):
            part.register_forward_hook(
                lambda part, given, _: seen.append((given[0].numel() // part.in_features, *part.weight.shape[::-1]))
            )
    with torch.inference_mode():
        model(torch.zeros(2, 3, 64, 64))
    wanted = [
        (product.rows, product.inner, product.columns)
        for product, times in products(shape, 2).items()
        for _ in range(times)
        if product.weights and product.name != "patch embedding"
    ]
    assert sorted(seen) == sorted(wanted)


def test_the_shape_comes_from_the_checkpoint():
    labels = tuple(f"label {number}" for number in range(2))
    checkpoint = checkpoints.Checkpoint(
        "mine", "vit", "ViTForImageClassification", 96, 12, 192, 5, 3, 768, 3, labels, preprocessing=None
    )
    expected = arithmetic.Shape(96, 12, 192, layers=5, heads=3, intermediate_size=768, labels=2, channels=3)
    assert arithmetic.shape_of(checkpoint) == expected


# --- the file


def test_the_peak_is_the_highest_rate_of_any_library():
    rates = [
        {"library": library, "version": "1", "precision": precision, "device": "cpu", "product": "MLP up",
         "batch_size": 1, "shape": Product("MLP up", 1, 1, 2, 3, 4).text, "gflops": gflops}
        for library, precision, gflops in (("torch", "float32", 190.0), ("ONNX Runtime", "float32", 376.0),
                                           ("torch", "bfloat16", 758.0), ("oneDNN", "float32", 375.0))
    ]  # fmt: skip
    assert [(one["precision"], one["library"], one["gflops"], one["shape"]) for one in peak_file.peaks(rates)] == [
        ("bfloat16", "torch", 758.0, "2x3x4"),
        ("float32", "ONNX Runtime", 376.0, "2x3x4"),
    ]


def test_a_peak_that_somebody_raised_is_noticed():
    assert peak_file.problems(PEAK) == []
    raised = copy.deepcopy(PEAK)
    raised["peak"][0]["gflops"] *= 2
    assert peak_file.problems(raised) == ["$.peak is not the highest of $.rates"]
    with pytest.raises(UserError, match="remove it to measure it again"):
        peak_file.checked(raised, "peak.json")


@pytest.mark.parametrize(
    "change", [{"rates": []}, {"decode_per_second": 0}, {"model": None}, {"more": 1}, {"flop_per_image": "much"}]
)
def test_a_file_that_does_not_fit_the_schema_is_refused(change):
    assert peak_file.problems(PEAK | change)
    with pytest.raises(ValueError, match="is not valid"):
        peak_file.check(PEAK | change, "peak.json")


# --- what is impossible


def test_impossible_begins_above_105_percent():
    flop, gflops = 35e9, 350.0  # ten images a second
    assert not impossible(10.4, flop, gflops)
    assert impossible(10.6, flop, gflops)


@pytest.mark.parametrize(("throughput", "gflops"), [(None, 350.0), (float("nan"), 350.0), (99.0, None), (99.0, 0.0)])
def test_what_is_not_known_is_not_impossible(throughput, gflops):
    assert not impossible(throughput, 35e9, gflops)


def test_a_cell_is_held_against_its_own_precision():
    def gflops(framework, definition, device, precision):
        _, of_products = multiplies_with(framework, definition, device, precision)
        found = physics.peak_of(gpu if device == "gpu" else PEAK, device, of_products)
        return found and (found["precision"], found["gflops"])

    entry = PEAK["peak"][0] | {"device": "gpu", "gflops": 1000.0}
    gpu = PEAK | {"peak": [entry | {"precision": "float32"}, entry | {"precision": "tensorfloat32", "gflops": 8000.0}]}
    hf = ("huggingface", {"image_processor": "pil"})
    assert gflops(*hf, "cpu", "float32") == ("float32", 376.0)
    assert gflops(*hf, "cpu", "bfloat16") == ("bfloat16", 758.0)
    assert gflops(*hf, "cpu", "int8") is None and gflops(*hf, "cpu", None) is None
    assert gflops(*hf, "gpu", "float32") == ("float32", 1000.0)
    # The engines inside Spark NLP round to TF32 by default.
    assert gflops("sparknlp", {"engine": "onnx"}, "gpu", "float32") == ("tensorfloat32", 8000.0)
    # Of a framework that is not here nothing is known but what its record says.
    assert gflops("elsewhere", {}, "cpu", "float32") == ("float32", 376.0)


def test_who_multiplies_is_the_frameworks_own_word_and_a_library_of_the_peak():
    assert multiplies_with("huggingface", {"image_processor": "pil"}, "cpu", "float32")[0] == "torch"
    assert multiplies_with("sparknlp", {"engine": "onnx"}, "cpu", "float32")[0] == "ONNX Runtime"
    assert multiplies_with("sparknlp", {"engine": "tensorflow"}, "cpu", "float32")[0] is None, "it lives in the JVM"
    assert multiplies_with("sparknlp", {}, "cpu", "float32") == (None, "float32")
    measured = {arm.library for arm in arms("cpu", 1)}
    assert {"torch", "ONNX Runtime"} <= measured


# --- the table


@pytest.fixture
def runs(tmp_path):
    """Two cells of five repeats on the six images of the full set: 3 and 3.43 images a second."""
    rows = cell(HF, "full", 8, [2.0, 2.01, 1.99, 2.0, 2.0]) + cell(TF, "full", 8, [1.75, 1.74, 1.76, 1.75, 1.75])
    for row in rows:
        row |= {"library": "torch" if row["framework"] == "huggingface" else "", "product_precision": "float32"}
    path = tmp_path / "runs.csv"
    pd.DataFrame(rows, columns=tables.COLUMNS["runs"]).convert_dtypes().to_csv(path, index=False)
    return tables.read(path)


def test_each_cell_is_a_share_of_the_peak(runs):
    table = physics.tabulate(runs, PEAK)
    assert list(table.columns) == list(tables.COLUMNS["physics"]) and len(table) == 2
    first = table.iloc[0]
    assert first.throughput == pytest.approx(3.0) and first.gflop_per_image == pytest.approx(35.126, abs=0.001)
    assert first.gflops == pytest.approx(3.0 * PEAK["flop_per_image"] / 1e9)
    assert first.share_of_peak == pytest.approx(first.gflops / 376.0)
    assert (first.peak_gflops, first.peak_library) == (376.0, "ONNX Runtime 1.32.0")
    assert (first.decode_per_core, first.decode_ceiling) == (400.0, 800.0)
    assert (table.verdict == "").all() and physics.impossible_cells(table) == set()


def test_a_cluster_of_other_machines_is_no_share_of_this_ones_peak(runs):
    elsewhere = runs.assign(machines=[1.0] * 5 + [8.0] * 5, throughput=runs.throughput * 1000)
    here, there = physics.tabulate(elsewhere, PEAK).itertuples()
    assert here.verdict == physics.ABOVE and here.share_of_peak > 1
    assert pd.isna(there.share_of_peak) and pd.isna(there.verdict) and there.throughput > 1000


def test_each_cell_is_a_share_of_its_own_librarys_peak(runs):
    """torch gets 122 GFLOP/s out of a machine that can do 376; nobody knows what the JVM's library can."""
    rates = [PEAK["rates"][0] | {"library": "torch", "gflops": gflops} for gflops in (90.0, 122.0)]
    peak = PEAK | {"rates": PEAK["rates"] + rates}
    table = physics.tabulate(runs, peak)
    hf, tf = table.itertuples(index=False)
    assert (hf.own_library, hf.own_gflops) == ("torch", 122.0)
    assert hf.share_of_own == pytest.approx(hf.gflops / 122.0)
    assert hf.share_of_own * 122.0 / 376.0 == pytest.approx(hf.share_of_peak)
    assert tf.own_library == "" and pd.isna(tf.own_gflops) and pd.isna(tf.share_of_own)
    first, second = why(table)
    assert "86% of what torch can do here" in first and "28% of what the machine can do" in first
    assert "32% of what the machine can do" in second and "torch" not in second


def test_a_library_in_another_precision_or_on_another_device_is_not_its_own_peak():
    assert physics.own_peak(PEAK, "torch", "cpu", "bfloat16") == 758.0
    assert physics.own_peak(PEAK, "torch", "cpu", "float32") is None
    assert physics.own_peak(PEAK, "torch", "gpu", "bfloat16") is None
    assert physics.own_peak(PEAK, "", "cpu", "float32") is None


def test_nothing_is_explained_without_a_peak_or_beyond_it(runs):
    assert why(physics.tabulate(runs, None)) == []
    table = physics.tabulate(runs, PEAK)
    table["verdict"] = physics.ABOVE
    assert why(table) == []


def test_a_cell_above_the_peak_is_an_error_and_gets_no_ratio(runs):
    low = copy.deepcopy(PEAK)
    for one in low["rates"] + low["peak"]:
        one["gflops"] = one["gflops"] * 3.2 * PEAK["flop_per_image"] / 1e9 / 376.0  # float32: 3.2 images/s
    table = physics.tabulate(runs, low)
    assert list(table.verdict) == ["", physics.ABOVE]
    name = "sparknlp/tensorflow/cpu/w1/bs8"
    assert physics.impossible_cells(table) == {("full", name)}
    gate = pd.DataFrame(
        [{"dataset": "full", "baseline": "huggingface/pipeline/cpu/w1/bs8", "candidate": name, "passed": True,
          "agreement": 1.0, "reason": ""}]
    )  # fmt: skip
    ratio = speedups.speedup(runs, "huggingface/pipeline", gate).iloc[0]
    assert ratio.speedup == pytest.approx(2 / 1.75, rel=0.01)
    row = speedups.speedup(runs, "huggingface/pipeline", gate, physics.impossible_cells(table)).iloc[0]
    assert row.verdict == "impossible" and pd.isna(row.speedup) and name in row.reason


def test_a_failed_or_suspect_repeat_is_no_evidence(runs):
    runs.loc[runs.framework == "sparknlp", "flags"] = "suspect"
    runs.loc[0, ["status", "throughput"]] = ["error", None]
    assert list(physics.tabulate(runs, PEAK).framework) == ["huggingface"]


def test_without_a_peak_the_throughput_stands_alone(runs, tmp_path):
    table = physics.tabulate(runs, None)
    assert len(table) == 2 and table.peak_gflops.isna().all() and table.throughput.notna().all()
    table.to_csv(tmp_path / "physics.csv", index=False)
    again = tables.read(tmp_path / "physics.csv")
    assert (again.verdict == "").all() and physics.impossible_cells(again) == set()
